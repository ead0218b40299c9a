"""QKeras quantizers as files describe them.

Source: the behaviour of qkeras 0.9.0 in inference, found by experiment.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hawq.errors import NetworkError
from hawq.frontend.keras.layer import PACKAGE, Array, Layer, is_number, plain

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
        kind, settings = given["class_name"].removeprefix(PACKAGE), given.get("config")
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
    unknown = {k for k in settings.keys() - defaults.keys() if settings[k] is not None}
    if unknown:
        raise quantizer.refuse(f"unknown parameter {min(unknown)!r}: leave it out")
    complete = {**defaults, **{k: v for k, v in settings.items() if k in defaults}}
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
