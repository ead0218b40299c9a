"""Operators on single elements, and the choice of a class, as ONNX specifies them."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
from qonnx_exact.values import Array, Attributes, alike, each, exact, scalar

DIGITS = 100
"""Decimal digits of transcendental functions."""


def binary(function: Callable[[Array, Array], Array]) -> Any:
    return lambda inputs, _: np.asarray(function(*alike(inputs)))


def unary(function: Callable[[Array], Array]) -> Any:
    return lambda inputs, _: np.asarray(function(inputs[0]))


def divide(a: Array, b: Array) -> Array:
    return a // b if a.dtype.kind in "iu" else np.asarray(a / b)


def batch_normalization(inputs: list[Array], a: Attributes) -> Array:
    """Apply ``(x - mean) * factor + beta``; the factor is a float64."""
    x, gamma, beta, mean, variance = (exact(i) for i in inputs)
    epsilon = Fraction(a.get("epsilon", float(np.float32(1e-5))))
    factor = each(lambda g, v: _nearest_float(g, v + epsilon), gamma, variance)
    shape = (-1, *[1] * (x.ndim - 2))
    factor, beta, mean = (v.reshape(shape) for v in (factor, beta, mean))
    return (x - mean) * factor + beta


def _nearest_float(gamma: Fraction, square: Fraction) -> Fraction:
    with mpmath.workdps(DIGITS):
        root = mpmath.sqrt(mpmath.mpf(square.numerator) / square.denominator)
        return Fraction(float(mpmath.mpf(gamma.numerator) / gamma.denominator / root))


def relu(inputs: list[Array], _: Attributes) -> Array:
    return each(lambda v: max(v, Fraction(0)), exact(inputs[0]))


def leaky_relu(inputs: list[Array], a: Attributes) -> Array:
    slope = Fraction(a.get("alpha", float(np.float32(0.01))))
    return each(lambda v: v if v >= 0 else v * slope, exact(inputs[0]))


def prelu(inputs: list[Array], _: Attributes) -> Array:
    x, slope = (exact(i) for i in inputs)
    return each(lambda v, s: v if v >= 0 else v * s, x, slope)


def clip(inputs: list[Array | None], a: Attributes) -> Array:
    x, *limits = inputs
    given = [None if v is None else scalar(exact(v)) for v in limits]
    low = given[0] if given else a.get("min")
    high = given[1] if len(given) > 1 else a.get("max")
    y = exact(x)
    if low is not None:
        y = each(lambda v: max(v, Fraction(low)), y)
    return y if high is None else each(lambda v: min(v, Fraction(high)), y)


def smooth(function: Callable[[Any], Any]) -> Any:
    """Give a transcendental function to so many digits that no rounding is in doubt."""

    def apply(v: Fraction) -> Fraction:
        with mpmath.workdps(DIGITS):
            y = function(mpmath.mpf(v.numerator) / v.denominator)
            sign, mantissa, exponent, _ = y._mpf_
        return Fraction(int(mantissa)) * Fraction(2) ** exponent * (-1 if sign else 1)

    return lambda inputs, _: each(apply, exact(inputs[0]))


sigmoid = smooth(lambda x: 1 / (1 + mpmath.exp(-x)))
tanh = smooth(mpmath.tanh)


def argmax(inputs: list[Array], a: Attributes) -> Array:
    x, axis = exact(inputs[0]), a.get("axis", 0)
    pick: Any = max if a.get("select_last_index", 0) else min

    def best(row: Array) -> Fraction:
        return Fraction(pick(i for i, v in enumerate(row) if v == max(row)))

    y = np.apply_along_axis(lambda row: np.array([best(row)], dtype=object), axis, x)
    return y if a.get("keepdims", 1) else np.squeeze(y, axis)


def top_k(inputs: list[Array], a: Attributes) -> tuple[Array, Array]:
    x, k, axis = exact(inputs[0]), int(scalar(inputs[1])), a.get("axis", -1)
    sign = -1 if a.get("largest", 1) else 1

    def order(row: Array) -> Array:
        best = sorted(range(len(row)), key=lambda i: (sign * row[i], i))[:k]
        return np.array([Fraction(i) for i in best], dtype=object)

    indices = np.apply_along_axis(order, axis, x)
    values = np.take_along_axis(x, indices.astype(np.int64), axis)
    return values, indices


def cast(inputs: list[Array], a: Attributes) -> Array:
    from onnx import helper

    dtype, x = helper.tensor_dtype_to_np_dtype(a["to"]), inputs[0]
    if x.dtype != object:
        return x.astype(dtype)
    if dtype.kind == "f":
        return x
    return each(lambda v: Fraction(math.trunc(v)), x)
