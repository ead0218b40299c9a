"""Interval analysis: the exact range of every tensor, from its inputs' ranges.

Each element has its own interval, so the bounds of a dense layer on quantized inputs
are attained by a corner input. Correlations between elements are not followed: deeper
layers get sound bounds that may be wider than what any input reaches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from hawq.errors import NetworkError
from hawq.fixed import FixedPoint, IntArray, Overflow, as_integers, shift_right
from hawq.integer.nodes import (
    AddConstant,
    Dense,
    Node,
    Quantize,
    RealInput,
    Relu,
    Requantize,
    Reshape,
    Tensor,
)

_INT64_SAFE = 2**62


def output_tensor(node: Node, values: Mapping[str, RealInput | Tensor]) -> Tensor:
    """Derive shape, scale and bounds of a node's output.

    Args:
        node: The node.
        values: Its inputs, and possibly other tensors, by name.

    Returns:
        The output tensor.

    Raises:
        NetworkError: if an input is missing or of the wrong kind, or its shape does
            not fit the node.
    """
    name = node.inputs[0]
    x = values.get(name)
    if isinstance(node, Quantize):
        if not isinstance(x, RealInput):
            raise NetworkError(
                f"Quantize to {node.output!r} reads {name!r}, which is not a real input"
            )
        return _quantized(node, x.shape)
    if not isinstance(x, Tensor):
        raise NetworkError(
            f"{type(node).__name__} to {node.output!r} reads {name!r}, which is not an "
            "integer tensor"
        )
    return _derive(node, x)


def dense_bounds(
    lows: IntArray, highs: IntArray, weights: IntArray, bias: IntArray | None
) -> tuple[IntArray, IntArray]:
    """Bound ``x @ weights + bias`` where ``lows <= x <= highs``, element by element.

    Args:
        lows: Shape (..., in).
        highs: Shape (..., in).
        weights: Shape (in, out).
        bias: Shape (out,), or None.

    Returns:
        Lows and highs, shape (..., out); both are attained.

    >>> dense_bounds(np.array([-8]), np.array([7]), np.array([[3, -2]]), None)
    (array([-24, -14]), array([21, 16]))
    """
    if absolute_sum(lows, highs, weights, bias) >= _INT64_SAFE:
        lows, highs, weights = (a.astype(object) for a in (lows, highs, weights))
    up, down = np.maximum(weights, 0), np.minimum(weights, 0)
    offset = 0 if bias is None else bias
    return (
        as_integers(lows @ up + highs @ down + offset),
        as_integers(highs @ up + lows @ down + offset),
    )


def absolute_sum(
    lows: IntArray, highs: IntArray, weights: IntArray, bias: IntArray | None
) -> int:
    """Bound every partial sum of ``x @ weights + bias`` in any order of summation.

    Args:
        lows: Shape (..., in).
        highs: Shape (..., in).
        weights: Shape (in, out).
        bias: Shape (out,), or None.

    Returns:
        The largest over outputs of the sum of absolute products and absolute bias.
    """
    reach = np.maximum(abs(lows.astype(object)), abs(highs.astype(object)))
    total = reach @ abs(weights.astype(object))
    if bias is not None:
        total = total + abs(bias.astype(object))
    return int(np.max(total)) if np.size(total) else 0


def _quantized(node: Quantize, shape: tuple[int, ...]) -> Tensor:
    target = node.format
    lows, highs = _full(shape, target.min), _full(shape, target.max)
    return Tensor(node.output, shape, target.step, lows, highs, target)


def _derive(node: Node, x: Tensor) -> Tensor:
    match node:
        case Requantize():
            lows, highs = requantize_bounds(x.lows, x.highs, x.fraction, node.format)
            step = node.format.step
            return Tensor(node.output, x.shape, step, lows, highs, node.format)
        case Dense():
            return _dense(node, x)
        case AddConstant():
            if node.constant.shape != x.shape or node.shift < 0:
                raise NetworkError(
                    f"AddConstant to {node.output!r}: constant of shape "
                    f"{node.constant.shape} and shift {node.shift}, expected shape "
                    f"{x.shape} and a shift of 0 or more"
                )
            c = node.constant.astype(object)
            lows = as_integers((x.lows.astype(object) << node.shift) + c)
            highs = as_integers((x.highs.astype(object) << node.shift) + c)
            scale = x.scale / 2**node.shift
            return Tensor(node.output, x.shape, scale, lows, highs)
        case Relu():
            lows, highs = np.maximum(x.lows, 0), np.maximum(x.highs, 0)
            return Tensor(node.output, x.shape, x.scale, lows, highs)
        case Reshape():
            return _reshape(node, x)
        case _:
            raise NetworkError(f"no bounds for a {type(node).__name__}")


def _dense(node: Dense, x: Tensor) -> Tensor:
    if not x.shape or x.shape[-1] != node.weights.shape[0]:
        raise NetworkError(
            f"Dense to {node.output!r}: weights of shape {node.weights.shape} do not "
            f"fit {node.inputs[0]!r} of shape {x.shape}"
        )
    lows, highs = dense_bounds(x.lows, x.highs, node.weights, node.bias)
    shape = (*x.shape[:-1], node.weights.shape[1])
    return Tensor(node.output, shape, x.scale * node.weight_scale, lows, highs)


def _reshape(node: Reshape, x: Tensor) -> Tensor:
    if int(np.prod(node.shape, dtype=np.int64)) != x.lows.size:
        raise NetworkError(
            f"Reshape to {node.output!r}: shape {x.shape} does not fit {node.shape}"
        )
    lows, highs = x.lows.reshape(node.shape), x.highs.reshape(node.shape)
    return Tensor(node.output, node.shape, x.scale, lows, highs, x.declared)


def requantize_bounds(
    lows: IntArray, highs: IntArray, fraction: int, target: FixedPoint
) -> tuple[IntArray, IntArray]:
    """Bound a requantization, element by element.

    Args:
        lows: Integers worth ``2**-fraction``.
        highs: Integers worth ``2**-fraction``, same shape.
        fraction: Fraction bits of both.
        target: The format moved to.

    Returns:
        Lows and highs in ``target``; attained, but for intervals that wrap around,
        which give the whole range.
    """
    new_lows = target.requantize(lows, fraction)
    new_highs = target.requantize(highs, fraction)
    if target.overflow is not Overflow.WRAP:
        return new_lows, new_highs
    drop = fraction - target.fraction
    turn = [
        (shift_right(ends, drop, target.rounding).astype(object) - target.min)
        >> target.width
        for ends in (lows, highs)
    ]
    wraps = turn[0] != turn[1]
    return (
        np.where(wraps, target.min, new_lows),
        np.where(wraps, target.max, new_highs),
    )


def _full(shape: tuple[int, ...], value: int) -> IntArray:
    fits = -_INT64_SAFE < value < _INT64_SAFE
    return np.full(shape, value, dtype=np.int64 if fits else object)


def common_scale(*scales: Fraction) -> Fraction:
    """Find the coarsest grid on which all the grids lie.

    Args:
        scales: Positive rationals.

    Returns:
        Their greatest common divisor.

    >>> common_scale(Fraction(1, 4), Fraction(1, 32))
    Fraction(1, 32)
    """
    common = scales[0]
    for s in scales[1:]:
        d = common.denominator * s.denominator
        common = Fraction(math.gcd(int(common * d), int(s * d)), d)
    return common
