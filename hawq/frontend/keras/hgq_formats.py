"""Fixed-point quantizers of HGQ2: a format for each element, learned in training.

A format is (keeps negative *k*, integer bits *i* without the sign, fractional bits
*f*): multiples of 2^-f from -k · 2^i to 2^i - 2^-f.

Source: the behaviour of HGQ2 0.2.0 in inference, found by experiment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.frontend.keras.layer import Array, Layer, section
from hawq.frontend.keras.writer import Shape

Floats = NDArray[np.float64]

_STORED = {
    ("kif", False): "ifk",
    ("kif", True): "fki",
    ("kbi", False): "bik",
    ("kbi", True): "bki",
}
"""Parametrisation, and whether it wraps → what the file keeps, in order."""

_MODES = {
    "RND": (0.5, "FLOOR"),
    "RND_CONV": (0.0, "ROUND"),
    "RND_INF": (0.0, "HALF_UP"),
    "RND_MIN_INF": (-0.5, "CEIL"),
    "RND_ZERO": (0.0, "HALF_DOWN"),
    "TRN": (0.0, "FLOOR"),
    "TRN_ZERO": (0.0, "DOWN"),
}
"""Rounding of HGQ2 → steps to add, then rounding mode of QONNX.

QONNX has no rounding half up; its HALF_UP is half away from 0.
"""

_OVERFLOWS = ("SAT", "SAT_SYM", "WRAP")
_MOST = 32
"""Bits on either side of the point; HGQ2 keeps to 24."""


@dataclass(frozen=True, eq=False)
class Formats:
    """The formats of one quantizer, of shapes that broadcast to a sample.

    Attributes:
        fraction: Fractional bits.
        low: Smallest value in steps of 2^-fraction, a whole number.
        high: Largest value in steps.
        shift: To be added before rounding, in steps.
        rounding: Mode of QONNX.
        wraps: Whether values beyond the ends wrap instead of saturating.
        keeps: Whether values beyond the ends stay, as HGQ2 does with weights.
    """

    fraction: Floats
    low: Floats
    high: Floats
    shift: float
    rounding: str
    wraps: bool
    keeps: bool

    @property
    def step(self) -> Floats:
        """What one step is worth."""
        return np.exp2(-self.fraction)

    def rounded(self, steps: NDArray[Any]) -> Floats:
        """Round to whole steps, in the type given.

        Args:
            steps: Shifted already.

        Returns:
            Whole numbers.
        """
        return np.asarray(_ROUND[self.rounding](steps), dtype=np.float64)


def read_formats(layer: Layer, role: str, shape: Shape) -> Formats:
    """Read one of a layer's quantizers.

    Args:
        layer: The layer.
        role: ``iq``, ``oq``, ``kq``, ``bq``, or ``q`` of a layer that is a quantizer.
        shape: Of what is quantized.

    Returns:
        The formats.

    Raises:
        NetworkError: if it is no fixed-point quantizer, is not in the file, or does
            more than quantize.
    """
    settings = _settings(layer, role)
    kind = str(settings.get("q_type"))
    overflow, mode = (
        str(settings.get(key)).upper() for key in ("overflow_mode", "round_mode")
    )
    mode = mode.removeprefix("S_")  # stochastic in training only
    wraps = overflow == "WRAP"
    for what, value, known in (
        ("q_type", kind, ("kbi", "kif")),
        ("overflow_mode", overflow, _OVERFLOWS),
        ("round_mode", mode, tuple(_MODES)),
    ):
        if value not in known:
            raise layer.refuse(
                f"{role} has {what} {value!r}, expected one of {', '.join(known)}: "
                "train with one of these"
            )
    for key in ("scaler", "affine", "bw_mapper"):
        if settings.get(key) is not None:
            raise layer.refuse(
                f"{role} has the setting {key}, which is not carried: leave it out"
            )
    k, i, f = _bits(layer, role, _STORED[kind, wraps], shape)
    is_dead = k + i + f <= 0
    i = np.maximum(i, -f)
    high = np.where(is_dead, 0, np.exp2(i + f) - 1)
    low = np.where(is_dead, 0, -k * (high if overflow == "SAT_SYM" else high + 1))
    learns = settings.get("is_weight") is True and settings.get("trainable") is True
    keeps = wraps and learns and (kind == "kif" or mode == "RND")
    return Formats(f, low, high, *_MODES[mode], wraps, keeps)


def _settings(layer: Layer, role: str) -> Mapping[str, Any]:
    key = "config" if role == "q" else f"{role}_conf"
    return section(layer.config.get(key), "config")


def _bits(
    layer: Layer, role: str, stored: str, shape: Shape
) -> tuple[Floats, Floats, Floats]:
    arrays = layer.quantizers.get(role, ())
    if len(arrays) < len(stored):
        raise layer.refuse(
            f"the file holds {len(arrays)} arrays of its {role}, expected "
            f"{len(stored)}: save the whole model as .keras"
        )
    found = {
        name: _whole(layer, role, array, shape)
        for name, array in zip(stored, arrays, strict=False)
    }
    k, i = found["k"], found["i"]
    f = found["f"] if "f" in found else found["b"] - i
    if not np.isin(k, (0, 1)).all():
        raise layer.refuse(
            f"k of its {role} is not 0 or 1: the file is damaged, save it again"
        )
    return k, i, f


def _whole(layer: Layer, role: str, array: Array, shape: Shape) -> Floats:
    """Round learned bits as HGQ2 does, and drop the batch axis of data."""
    bits = np.rint(array.astype(np.float64))
    if bits.ndim == len(shape) + 1 and bits.shape[0] == 1:
        bits = bits[0]
    pairs = zip(bits.shape[::-1], shape[::-1], strict=False)
    fits = bits.ndim <= len(shape) and all(a in (1, b) for a, b in pairs)
    if not fits or not (np.abs(bits) <= _MOST).all():
        raise layer.refuse(
            f"its {role} has bits of shape {array.shape} between {array.min():g} and "
            f"{array.max():g}, expected ±{_MOST} at most and a shape that fits "
            f"{shape}: trace the integer bits (trace_minmax), and save the model again"
        )
    return bits


def quantize_constant(formats: Formats, values: Array) -> Floats:
    """Quantize weights in float32, step by step as HGQ2 does.

    Args:
        formats: How.
        values: Weights.

    Returns:
        Multiples of each element's step.
    """
    steps = values * np.exp2(formats.fraction).astype(np.float32)
    whole = formats.rounded(steps + np.float32(formats.shift))
    low, high = formats.low, formats.high
    if formats.wraps and not formats.keeps:
        whole = (whole - low) % (high - low + 1) + low
    elif not formats.wraps:
        whole = np.clip(whole, low, high)
    return np.asarray(whole * formats.step)


_ROUND: dict[str, Callable[[Any], Any]] = {
    "FLOOR": np.floor,
    "CEIL": np.ceil,
    "ROUND": np.rint,
    "DOWN": np.trunc,
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + np.float32(0.5)),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - np.float32(0.5)),
}
"""Mode of QONNX → the same on float32."""
