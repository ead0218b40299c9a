"""QKeras quantizers as files describe them, and as nodes on data.

Source: the behaviour of qkeras 0.9.0 in inference, found by experiment.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hawq.errors import NetworkError
from hawq.frontend.keras.layer import Array, Layer, is_number, plain
from hawq.frontend.keras.writer import QUANT, Writer

_BITS = {"bits": 8, "integer": 0}
_PO2 = {
    "use_stochastic_rounding": False,
    "quadratic_approximation": False,
    "log2_rounding": "rnd",
}
PARAMETERS: dict[str, dict[str, Any]] = {
    "quantized_bits": {
        **_BITS,
        "symmetric": 0,
        "keep_negative": True,
        "alpha": None,
        "use_stochastic_rounding": False,
        "scale_axis": None,
    },
    "quantized_linear": {
        **_BITS,
        "symmetric": 1,
        "keep_negative": True,
        "alpha": None,
        "use_stochastic_rounding": False,
        "scale_axis": None,
    },
    "quantized_relu": {
        **_BITS,
        "use_sigmoid": 0,
        "negative_slope": 0.0,
        "use_stochastic_rounding": False,
        "relu_upper_bound": None,
        "is_quantized_clip": True,
    },
    "quantized_tanh": {
        "bits": 8,
        "use_stochastic_rounding": False,
        "symmetric": False,
        "use_real_tanh": False,
    },
    "quantized_sigmoid": {
        "bits": 8,
        "symmetric": False,
        "use_real_sigmoid": False,
        "use_stochastic_rounding": False,
    },
    "quantized_po2": {"bits": 8, "max_value": None, **_PO2},
    "quantized_relu_po2": {"bits": 8, "max_value": None, "negative_slope": 0, **_PO2},
    "binary": {"use_01": False, "alpha": None, "use_stochastic_rounding": False},
    "ternary": {
        "alpha": None,
        "threshold": None,
        "use_stochastic_rounding": False,
        "number_of_unrolls": 5,
    },
}
"""Quantizer → its parameters, in the order of its positional arguments."""

_TRAINING = {"qnoise_factor": 1.0, "var_name": None, "use_ste": True}
_REMEDIES = {
    "bernoulli": "it draws random numbers: use binary(use_01=True)",
    "stochastic_binary": "it draws random numbers in training: save it as binary",
    "stochastic_ternary": "it draws random numbers in training: save it as ternary",
    "quantized_hswish": "use quantized_relu",
    "quantized_ulaw": "its steps are not even: use quantized_bits",
}
MAX_BITS = 24
"""float32, in which QKeras computes, holds no wider integers."""


@dataclass(frozen=True, eq=False)
class Quantizer:
    """A quantizer of one tensor.

    Attributes:
        kind: Its QKeras name.
        settings: All its parameters.
        owner: The layer it belongs to.
        role: Which of the layer's quantizers it is.
    """

    kind: str
    settings: Mapping[str, Any]
    owner: Layer
    role: str

    def refuse(self, why: str) -> NetworkError:
        """Make the error that refuses this quantizer.

        Args:
            why: What is wrong and what to do.

        Returns:
            The error, to be raised.
        """
        return self.owner.refuse(f"{self.role} {self.kind}: {why}")

    def whole(self, key: str) -> int:
        """Give a whole number of its parameters.

        Args:
            key: Which.

        Returns:
            The number.

        Raises:
            NetworkError: if it is something else.
        """
        value = plain(self.settings[key])
        if value not in range(-64, 65) or value != int(value):
            raise self.refuse(f"{key} is {value!r}, expected a whole number")
        return int(value)

    @property
    def bits(self) -> int:
        """Width, between 1 and ``MAX_BITS``."""
        bits = self.whole("bits")
        if not 1 <= bits <= MAX_BITS:
            raise self.refuse(
                f"{bits} bits, expected 1 to {MAX_BITS}, which float32 holds: use fewer"
            )
        return bits

    def flag(self, key: str) -> bool:
        """Tell whether a parameter is set.

        Args:
            key: Which.

        Returns:
            Whether it is.
        """
        return bool(self.settings[key])

    def number(self, key: str) -> float | None:
        """Give a number of its parameters.

        Args:
            key: Which.

        Returns:
            The number, rounded to float32 as QKeras does; None if it is not given.

        Raises:
            NetworkError: if it is something else.
        """
        value = self.settings[key]
        if value is None:
            return None
        if not is_number(value):
            raise self.refuse(f"{key} is {value!r}, expected a number")
        return float(np.float32(value))

    @property
    def alpha(self) -> Array | str:
        """Factors that are above 0, or how they follow from the data."""
        value = plain(self.settings["alpha"])
        if isinstance(value, str):
            if value not in ("auto", "auto_po2"):
                raise self.refuse(f"alpha is {value!r}, expected 'auto' or 'auto_po2'")
            return value
        try:
            with np.errstate(over="ignore"):
                factors = np.asarray(1.0 if value is None else value, dtype=np.float32)
        except (TypeError, ValueError, OverflowError) as error:
            raise self.refuse(f"alpha is {value!r}, expected numbers") from error
        if not ((factors > 0) & np.isfinite(factors)).all():
            raise self.refuse(f"alpha is {value!r}, expected numbers above 0")
        return factors


def read_quantizer(layer: Layer, role: str, trained: bool = False) -> Quantizer | None:
    """Read one of a layer's quantizers.

    Args:
        layer: The layer.
        role: Setting that holds the quantizer.
        trained: Whether QKeras sets an absent ``alpha`` to ``'auto_po2'``, as it does
            for kernels.

    Returns:
        The quantizer, or None if there is none.

    Raises:
        NetworkError: if it is not known, or damaged.
    """
    given = layer.config.get(role)
    if given is None:
        return None
    kind, settings = split(layer, role, given)
    return make_quantizer(layer, role, kind, settings, trained=trained)


def split(
    layer: Layer, role: str, given: Any
) -> tuple[str, dict[str, Any] | list[Any]]:
    """Split the description of a quantizer or an activation.

    Args:
        layer: That has it.
        role: Setting that holds it.
        given: ``"name(4, 0, alpha=1)"``, or a class name with settings.

    Returns:
        Its name and its settings, with positional ones under their position.

    Raises:
        NetworkError: if it is neither.
    """
    if isinstance(given, str):
        return _split_text(layer, role, given)
    if isinstance(given, dict) and isinstance(given.get("class_name"), str):
        kind, settings = given["class_name"], given.get("config")
        if kind == "function" and isinstance(settings, str):
            return settings, {}
        if isinstance(settings, dict):
            return kind, settings
    raise layer.refuse(
        f"{role} is {str(given)[:60]}, expected a name with settings: save the model "
        "again"
    )


def _split_text(
    layer: Layer, role: str, text: str
) -> tuple[str, dict[str, Any] | list[Any]]:
    """Read literals only; nothing is evaluated."""
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if isinstance(call, ast.Name):
            return call.id, {}
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            kind = call.func.id
            positional = [ast.literal_eval(a) for a in call.args]
            named = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
            keys = [*PARAMETERS.get(kind, {}), *_TRAINING]
            if len(positional) <= len(keys):
                return kind, {**dict(zip(keys, positional, strict=False)), **named}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    raise layer.refuse(
        f"{role} is {text[:60]!r}, expected a quantizer like 'quantized_bits(8,0)'"
    )


def make_quantizer(
    layer: Layer, role: str, kind: str, settings: Any, *, trained: bool = False
) -> Quantizer:
    """Check a quantizer's name and settings.

    Args:
        layer: That has it.
        role: Setting that holds it.
        kind: Its QKeras name.
        settings: Those that differ from the defaults.
        trained: See ``read_quantizer``.

    Returns:
        The quantizer with all its settings.

    Raises:
        NetworkError: if it is not known, or what it does depends on chance.
    """
    quantizer = Quantizer(kind, settings, layer, role)
    if kind not in PARAMETERS:
        carried = ", ".join(PARAMETERS)
        raise quantizer.refuse(
            f"this quantizer is not carried (carried: {carried}): "
            f"{_REMEDIES.get(kind, 'use one of these')}"
        )
    defaults = {**PARAMETERS[kind], **_TRAINING, "use_variables": False}
    unknown = settings.keys() - defaults.keys()
    if unknown:
        raise quantizer.refuse(f"unknown parameter {min(unknown)!r}: leave it out")
    complete = {**defaults, **settings}
    if trained and "alpha" in complete and complete["alpha"] is None:
        complete["alpha"] = "auto_po2"
    for key, wanted in (
        ("use_stochastic_rounding", False),
        ("qnoise_factor", 1.0),
        ("scale_axis", None),
    ):
        if key in complete and complete[key] != wanted:
            raise quantizer.refuse(
                f"{key}={complete[key]!r} is not carried: save it with {key}={wanted}"
            )
    return Quantizer(kind, complete, layer, role)


def write_quantizer(out: Writer, quantizer: Quantizer, x: str) -> str:
    """Quantize data.

    Args:
        out: The graph.
        quantizer: How.
        x: Name of the tensor.

    Returns:
        Name of the quantized tensor.

    Raises:
        NetworkError: if it cannot be carried on data.
    """
    if "alpha" in quantizer.settings and isinstance(quantizer.alpha, str):
        raise quantizer.refuse(
            f"alpha={quantizer.alpha!r} makes a scale of each batch of data: give "
            "alpha a number"
        )
    if quantizer.kind not in _ON_DATA:
        raise quantizer.refuse(
            "powers of two are carried for weights only: use quantized_bits or "
            "quantized_relu on data"
        )
    return _ON_DATA[quantizer.kind](out, quantizer, x)


def _write_bits(out: Writer, q: Quantizer, x: str) -> str:
    alpha = np.asarray(q.alpha)
    is_signed, step = q.flag("keep_negative"), fixed_step(q)
    if q.bits == 1 and is_signed:
        return out.quant(x, alpha * np.float32(step), 1)
    scale = alpha * np.float32(step) if q.kind == "quantized_linear" else step
    is_narrow = is_signed and q.flag("symmetric")
    y = out.quant(x, scale, q.bits, is_signed=is_signed, is_narrow=is_narrow)
    if q.kind == "quantized_linear" or (alpha == 1).all():
        return y
    return out.add("Mul", [y, out.constant("alpha", alpha)], out.shapes[x])


def fixed_step(q: Quantizer) -> float:
    """Give the step of ``quantized_bits`` or ``quantized_linear`` for ``alpha`` 1.

    Args:
        q: The quantizer.

    Returns:
        A power of two; for one signed bit, the distance from 0.
    """
    is_signed = q.flag("keep_negative")
    if q.bits == 1 and is_signed:
        return 1.0 if q.kind == "quantized_bits" else 2.0 ** (q.whole("integer") - 1)
    return 2.0 ** (q.whole("integer") - q.bits + is_signed)


def _write_relu(out: Writer, q: Quantizer, x: str) -> str:
    slope, bound = q.number("negative_slope") or 0.0, q.number("relu_upper_bound")
    is_signed = slope != 0.0
    if slope < 0 or (is_signed and math.frexp(slope)[0] != 0.5):
        raise q.refuse(f"negative_slope is {slope}, expected a power of two")
    if is_signed and q.bits == 1:
        raise q.refuse("one bit holds no negative values: use 2 bits or more")
    step = 2.0 ** (q.whole("integer") - q.bits + is_signed)
    if q.flag("use_sigmoid"):
        return _write_centred_relu(out, q, x, step, is_signed)
    if is_signed:
        x = out.add("LeakyRelu", [x], out.shapes[x], alpha=slope)
    y = out.quant(x, step, q.bits, is_signed=is_signed)
    low = -slope * 2.0 ** q.whole("integer") if is_signed else 0.0
    limits = bound if bound and not q.flag("is_quantized_clip") else None
    if limits is None and (not is_signed or slope == 1):
        return y
    return clip(out, y, low, limits)


def _write_centred_relu(
    out: Writer, q: Quantizer, x: str, step: float, is_signed: bool
) -> str:
    """With ``use_sigmoid``, steps are twice as wide, but for the last one."""
    if is_signed or q.bits == 1:
        raise q.refuse(
            "use_sigmoid with one bit or a negative slope is not carried: leave it out"
        )
    y = out.quant(x, 2 * step, q.bits, is_signed=False)
    return clip(out, y, None, 2.0 ** q.whole("integer") - step)


def clip(out: Writer, x: str, low: float | None, high: float | None) -> str:
    """Clip data.

    Args:
        out: The graph.
        x: Name of the tensor.
        low: Least value, or None.
        high: Largest value, or None.

    Returns:
        Name of the clipped tensor.
    """
    most = float(np.finfo(np.float32).max)
    inputs = [
        x,
        out.constant("clip/low", -most if low is None else low),
        out.constant("clip/high", most if high is None else high),
    ]
    return out.add("Clip", inputs, out.shapes[x])


def _write_tanh(out: Writer, q: Quantizer, x: str) -> str:
    """Without ``use_real_tanh``, QKeras's tanh is the identity between -1 and 1."""
    if q.bits == 1:
        raise q.refuse("one bit gives -1 and 0 only: use 2 bits or more")
    if q.flag("use_real_tanh"):
        x = out.add("Tanh", [x], out.shapes[x])
    return out.quant(x, 2.0 ** (1 - q.bits), q.bits, is_narrow=q.flag("symmetric"))


def _write_sigmoid(out: Writer, q: Quantizer, x: str) -> str:
    """Without ``use_real_sigmoid``, QKeras's sigmoid is ``x/2 + 1/2``, clipped."""
    shape, step = out.shapes[x], 2.0**-q.bits
    if q.flag("use_real_sigmoid"):
        x = out.add("Sigmoid", [x], shape)
    else:
        x = out.add("Mul", [x, out.constant("half", 0.5)], shape)
        x = out.add("Add", [x, out.constant("half", 0.5)], shape)
    y = out.quant(x, step, q.bits, is_signed=False)
    return clip(out, y, step, None) if q.flag("symmetric") else y


def _write_binary(out: Writer, q: Quantizer, x: str) -> str:
    alpha = np.asarray(q.alpha)
    if not q.flag("use_01"):
        return out.quant(x, alpha, 1)
    half = alpha / np.float32(2)
    y = out.quant(x, half, 1)
    return out.add("Add", [y, out.constant("half", half)], out.shapes[x])


def _write_ternary(out: Writer, q: Quantizer, x: str) -> str:
    alpha, threshold = np.asarray(q.alpha), ternary_threshold(q)
    if alpha.size != 1:
        raise q.refuse("alpha is a list, expected one number on data")
    # Minus the threshold itself gives -1: the lower step lies just above it.
    above = np.nextafter(np.float32(-threshold), np.float32(1))
    steps = out.constant("thresholds", [[above, threshold]])
    shape = out.shapes[x]
    return out.add(
        "MultiThreshold",
        [x, steps],
        shape,
        domain=QUANT,
        out_scale=alpha.item(),
        out_bias=-alpha.item(),
        out_dtype="FLOAT32",
        data_layout={1: "NC", 2: "NWC", 3: "NHWC"}[len(shape)],
    )


def ternary_threshold(q: Quantizer) -> float:
    """Give the threshold of ``ternary`` for ``alpha`` a number.

    Args:
        q: The quantizer.

    Returns:
        The threshold, in float32.

    Raises:
        NetworkError: if it is below 0.
    """
    threshold = q.number("threshold")
    if threshold is None:
        return float(np.float32(0.33))
    if threshold < 0:
        raise q.refuse(f"threshold is {threshold}, expected a number of 0 or more")
    return threshold


_ON_DATA = {
    "quantized_bits": _write_bits,
    "quantized_linear": _write_bits,
    "quantized_relu": _write_relu,
    "quantized_tanh": _write_tanh,
    "quantized_sigmoid": _write_sigmoid,
    "binary": _write_binary,
    "ternary": _write_ternary,
}
