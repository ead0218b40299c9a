"""Quant, BipolarQuant, Trunc and MultiThreshold, as QONNX specifies them."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
from qonnx_exact.values import Array, Attributes, each, exact, scalar

HALF = Fraction(1, 2)


def _nearest(value: Fraction, tie_outward: bool) -> int:
    whole, rest = divmod(abs(value), 1)
    up = rest > HALF or (rest == HALF and tie_outward)
    return int(whole + up) * (1 if value >= 0 else -1)


ROUNDINGS: dict[str, Callable[[Fraction], int]] = {
    "ROUND": round,
    "HALF_EVEN": round,
    "HALF_UP": lambda v: _nearest(v, tie_outward=True),
    "HALF_DOWN": lambda v: _nearest(v, tie_outward=False),
    "CEIL": math.ceil,
    "FLOOR": math.floor,
    "UP": lambda v: math.ceil(v) if v >= 0 else math.floor(v),
    "DOWN": math.trunc,
}


def _ends(bits: int, signed: int, narrow: int) -> tuple[int, int]:
    if signed:
        return -(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1
    return 0, 2**bits - 1 - narrow


def quant(inputs: list[Array], a: Attributes) -> Array:
    x, scale, zero_point, width = (exact(i) for i in inputs)
    bits, signed = int(scalar(width)), a.get("signed", 1)
    low, high = _ends(bits, signed, a.get("narrow", 0))
    rounded = ROUNDINGS[a.get("rounding_mode", "ROUND").upper()]
    if bits == 1 and signed:
        levels = each(lambda v: Fraction(1 if v >= 0 else -1), x / scale + zero_point)
    else:
        levels = each(
            lambda v: Fraction(max(low, min(high, rounded(v)))), x / scale + zero_point
        )
    return (levels - zero_point) * scale


def bipolar_quant(inputs: list[Array], _: Attributes) -> Array:
    x, scale = (exact(i) for i in inputs)
    return each(lambda v: Fraction(1 if v >= 0 else -1), x) * scale


def trunc(inputs: list[Array], a: Attributes) -> Array:
    x, scale, zero_point, *rest = (exact(i) for i in inputs)
    rounded = ROUNDINGS[a.get("rounding_mode", "FLOOR").upper()]
    whole = each(lambda v: Fraction(round(v)), x / scale + zero_point)
    if len(rest) == 2:  # version 1: input width, output width
        width, output_width = rest
        divisor = Fraction(2) ** int(scalar(width) - scalar(output_width))
        levels = each(lambda v: Fraction(rounded(v)), whole / divisor)
        return (levels - zero_point) * scale
    _, output_scale, output_width = rest
    ratio = scalar(output_scale) / scalar(scale)
    divisor = Fraction(2) ** round(math.log2(ratio))
    ends = _ends(int(scalar(output_width)), a.get("signed", 1), a.get("narrow", 0))
    low, high = ends
    levels = each(lambda v: Fraction(max(low, min(high, rounded(v)))), whole / divisor)
    return (levels - zero_point / divisor) * output_scale


def multi_threshold(inputs: list[Array], a: Attributes) -> Array:
    x, thresholds = (exact(i) for i in inputs)
    layout = a.get("data_layout") or {2: "NC", 3: "NWC", 4: "NCHW"}.get(x.ndim, "")
    axis = layout.index("C") if "C" in layout else 1
    rows = [sorted(row) for row in thresholds.tolist()]
    counts = np.empty(x.shape, dtype=object)
    for index in np.ndindex(x.shape):
        row = rows[index[axis] if len(rows) > 1 else 0]
        counts[index] = Fraction(sum(x[index] >= t for t in row))
    gain, offset = Fraction(a.get("out_scale", 1.0)), Fraction(a.get("out_bias", 0.0))
    return counts * gain + offset
