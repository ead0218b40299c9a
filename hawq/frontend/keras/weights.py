"""QKeras quantizers on weights: the values they give in inference, and their scale.

All steps are taken in float32, as QKeras takes them. Only means are taken in float64
and rounded once: a float32 sum depends on the order in which a machine adds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hawq.frontend.keras.layer import Array
from hawq.frontend.keras.quantizers import Quantizer, fixed_step, ternary_threshold
from hawq.frontend.keras.writer import Shape, Writer

_EPSILON = np.float32(1e-7)
_TIE = 1e-6
"""Machines may differ in how they round logarithms nearer than this to a tie."""


@dataclass(frozen=True, eq=False)
class Levels:
    """A quantized constant.

    Attributes:
        values: Integers times the scale, rounded to float32.
        scale: What one integer is worth; broadcasts to the values.
        bits: Width of the integers.
        is_signed: Whether they may be below 0.
        is_narrow: Whether the lowest one is left out.
    """

    values: Array
    scale: Array
    bits: int
    is_signed: bool = True
    is_narrow: bool = False


def quantize_weights(quantizer: Quantizer, x: Array) -> Levels:
    """Quantize a constant as QKeras does in inference.

    Args:
        quantizer: How.
        x: In the layout of Keras, channels last.

    Returns:
        The quantized constant.

    Raises:
        NetworkError: if the quantizer is not carried on weights, or its result depends
            on the last bit of a logarithm.
    """
    if quantizer.kind not in _ON_WEIGHTS:
        raise quantizer.refuse(
            "this quantizer is carried for data only: use quantized_bits on weights"
        )
    with np.errstate(all="ignore"):  # a channel of zeros has no scale until the end
        levels = _ON_WEIGHTS[quantizer.kind](quantizer, x)
    least, most = np.finfo(np.float32).tiny, np.finfo(np.float32).max
    if not ((levels.scale >= least) & (levels.scale <= most)).all():
        raise quantizer.refuse("its scale is no float32 number above 0: use fewer bits")
    return levels


def write_levels(
    out: Writer, levels: Levels, what: str, layout: Callable[[Array], Array]
) -> str:
    """Add a quantized constant.

    Args:
        out: The graph.
        levels: The constant.
        what: Ends its name.
        layout: Moves the axes of Keras to those of ONNX.

    Returns:
        Name of the quantized constant.
    """
    values = layout(levels.values)
    scale = _narrowest(layout(np.broadcast_to(levels.scale, levels.values.shape)))
    return out.quant(
        out.constant(f"{what}/values", values),
        scale,
        levels.bits,
        is_signed=levels.is_signed,
        is_narrow=levels.is_narrow,
        shape=values.shape,
        what=what,
    )


def _narrowest(scale: Array) -> Array:
    """Keep one number along axes on which the scale does not vary."""
    for axis in range(scale.ndim):
        first = scale.take([0], axis)
        scale = first if (scale == first).all() else scale
    return scale.reshape(()) if scale.size == 1 else scale


def _fixed(q: Quantizer, x: Array) -> Levels:
    alpha, is_signed, step = q.alpha, q.flag("keep_negative"), fixed_step(q)
    if isinstance(alpha, str):
        if q.kind == "quantized_linear":
            raise q.refuse(
                f"alpha={alpha!r} depends on the version of QKeras: use quantized_bits"
            )
        return _automatic(q, x, alpha)
    scale = _fitting(q, alpha * np.float32(step), x.shape)
    if q.bits == 1 and is_signed:
        return Levels(np.where(x >= 0, scale, -scale), scale, 1)
    divisor = scale if q.kind == "quantized_linear" else np.float32(step)
    high = 2.0 ** (q.bits - is_signed)
    is_narrow = is_signed and q.flag("symmetric")
    low = -high + is_narrow if is_signed else 0.0
    integers = np.clip(np.rint(x / divisor), low, high - 1).astype(np.float32)
    return Levels(integers * scale, scale, q.bits, is_signed, is_narrow)


def _fitting(q: Quantizer, scale: Array, shape: Shape) -> Array:
    try:
        np.broadcast_to(scale, shape)
    except ValueError:
        raise q.refuse(
            f"alpha of shape {scale.shape} does not fit weights of shape {shape}: give "
            "one number a channel"
        ) from None
    return scale


def _automatic(q: Quantizer, x: Array, alpha: str) -> Levels:
    """Fit the scale of ``quantized_bits`` to the weights."""
    # 'auto' takes the largest weight of a channel to the largest integer; 'auto_po2'
    # then rounds the weights and takes the power of two nearest to the least squares
    # fit, five times, and leaves the integers one step behind the scale.
    if q.bits == 1:
        raise q.refuse(f"one bit has no alpha={alpha!r}: use binary")
    most = np.float32(2 ** (q.bits - 1) - 1)
    unit = np.float32(2.0 ** q.whole("integer"))
    x = x / unit
    axes = tuple(range(max(x.ndim - 1, 1)))
    scale = np.abs(x).max(axes, keepdims=True) * np.float32(2) / (2 * most)
    if alpha == "auto":
        integers = _half_away(x, scale, most)
    else:
        scale = _nearest_power(q, scale)
        for _ in range(5):
            integers = _half_away(x, scale, most)
            scale = _nearest_power(q, _least_squares(x, integers))
    scale = np.where(scale > 0, scale, np.float32(1)) * unit
    return Levels(integers * scale, scale, q.bits, is_narrow=True)


def _half_away(x: Array, scale: Array, most: np.float32) -> Array:
    magnitude = np.floor(np.abs(x) / scale + np.float32(0.5))
    return np.sign(x) * np.where(magnitude < most, magnitude, most)


def _least_squares(x: Array, q: Array) -> Array:
    """Give ``mean(x q) / mean(q q)`` for each channel; a vector has a channel each."""
    xq, qq = x * q, q * q
    if x.ndim > 1:
        axes = tuple(range(x.ndim - 1))
        xq, qq = (a.mean(axes, np.float64, keepdims=True) for a in (xq, qq))
    ratio = xq.astype(np.float32) / (qq.astype(np.float32) + _EPSILON)
    return np.asarray(ratio, dtype=np.float32)


def _nearest_power(q: Quantizer, scale: Array) -> Array:
    return np.exp2(_rounded_log(q, scale + _EPSILON)).astype(np.float32)


def _rounded_log(q: Quantizer, x: Array) -> NDArray[np.float64]:
    exponents = np.log2(x.astype(np.float64))
    if (np.abs(exponents - np.floor(exponents) - 0.5) < _TIE).any():
        raise q.refuse(
            "a power of two is chosen by the last bit of a logarithm, which differs "
            "between machines: change the weights slightly, or give alpha numbers"
        )
    return np.rint(exponents)


def _binary(q: Quantizer, x: Array) -> Levels:
    alpha, has_01 = q.alpha, q.flag("use_01")
    sign = np.where(x >= 0, np.float32(1), np.float32(0 if has_01 else -1))
    scale = _scale(q, alpha, x, sign)
    return Levels(sign * scale, scale, 1, is_signed=not has_01)


def _scale(q: Quantizer, alpha: Array | str, x: Array, integers: Array) -> Array:
    if not isinstance(alpha, str):
        return _fitting(q, alpha, x.shape)
    scale = _least_squares(x, integers)
    if alpha == "auto_po2":
        scale = _nearest_power(q, scale)
    return np.where(scale > 0, scale, np.float32(1))


def _ternary(q: Quantizer, x: Array) -> Levels:
    alpha = q.alpha
    if not isinstance(alpha, str):
        threshold = np.float32(ternary_threshold(q))
        signs = np.where(np.abs(x) >= threshold, np.sign(x), np.float32(0))
        scale = _fitting(q, alpha, x.shape)
        return Levels(signs * scale, scale, 2, is_narrow=True)
    if q.settings["threshold"] is not None:
        raise q.refuse("alpha 'auto' finds the threshold itself: leave threshold out")
    axes = tuple(range(max(x.ndim - 1, 1)))
    scale = np.float32(2) * np.abs(x).max(axes, keepdims=True) / np.float32(3)
    if alpha == "auto_po2":
        scale = _nearest_power(q, scale)
    signs = np.zeros_like(x)
    for _ in range(q.whole("number_of_unrolls")):
        rounded = scale * np.rint(x / scale)
        signs = np.where(np.abs(rounded) >= scale / 2, np.sign(x), np.float32(0))
        scale = _scale(q, alpha, x, signs)
    return Levels(signs * scale, scale, 2, is_narrow=True)


def _power_of_two(q: Quantizer, x: Array) -> Levels:
    """Take each weight to a power of two of its own, which becomes its scale."""
    one_sided = q.kind == "quantized_relu_po2"
    if one_sided and q.number("negative_slope"):
        raise q.refuse("negative_slope is not carried on weights: use quantized_po2")
    most, squared = q.number("max_value"), q.flag("quadratic_approximation")
    if q.settings["log2_rounding"] != "rnd":
        raise q.refuse("log2_rounding is not 'rnd', which alone is carried")
    # An exponent of either sign takes one bit of its own.
    bits = q.bits - (not one_sided) - (most is None or most > 1)
    low, high = -(2.0**bits), 2.0**bits - 1
    high = 2 * (high // 2) if squared else high
    size = np.maximum(x, 0) if one_sided else np.abs(x)
    filtered = np.where(size < _EPSILON, _EPSILON, size)
    if most is not None:
        filtered = np.where(filtered >= most, np.float32(most), filtered)
    factor = 2 if squared else 1
    root = np.sqrt(filtered) if squared else filtered
    exponents = factor * np.clip(_rounded_log(q, root), low, high)
    scale = np.exp2(np.where(size < _EPSILON, low, exponents)).astype(np.float32)
    signs = np.where(one_sided | (x >= 0), np.float32(1), np.float32(-1))
    return Levels(signs * scale, scale, 2, is_narrow=True)


_ON_WEIGHTS: dict[str, Callable[[Quantizer, Array], Levels]] = {
    "quantized_bits": _fixed,
    "quantized_linear": _fixed,
    "quantized_po2": _power_of_two,
    "quantized_relu_po2": _power_of_two,
    "binary": _binary,
    "ternary": _ternary,
}


def constant(
    out: Writer,
    quantizer: Quantizer | None,
    values: Array,
    what: str,
    layout: Callable[[Array], Array] = lambda x: x,
) -> str:
    """Add a layer's weight, quantized if it has a quantizer.

    Args:
        out: The graph.
        quantizer: How, or None.
        values: In the layout of Keras.
        what: Ends its name.
        layout: Moves the axes of Keras to those of ONNX.

    Returns:
        Its name.
    """
    if quantizer is None:
        return out.constant(what, layout(values))
    return write_levels(out, quantize_weights(quantizer, values), what, layout)
