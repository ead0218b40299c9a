"""How large sums can get: bounds of matrix products and of everything on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.fixed import IntArray, as_integers
from hawq.integer.nodes import (
    Affine,
    Clip,
    Conv,
    Dense,
    LeakyRelu,
    MaxPool,
    Multiply,
    Node,
    Sum,
    SumPool,
)
from hawq.integer.tensor import Tensor

Bounds = tuple[IntArray, IntArray]

_INT64_SAFE = 2**62


def dense_bounds(
    lows: IntArray, highs: IntArray, weights: IntArray, bias: IntArray | None
) -> Bounds:
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
        The largest over outputs of the sum of absolute products and absolute bias, or
        more by less than one part in 2**20.
    """
    reach = np.maximum(_magnitude(lows), _magnitude(highs))
    total = reach @ _magnitude(weights)
    if bias is not None:
        total = total + _magnitude(bias)
    largest = float(np.max(total)) if np.size(total) else 0.0
    return int(largest) if largest < 2**52 else int(largest * (1 + 2**-21))


def _magnitude(x: IntArray) -> NDArray[np.float64]:
    return abs(x.astype(np.float64))


def partial_sums(node: Node, xs: Sequence[Tensor]) -> int:
    """Bound every number a node meets between its inputs and its output.

    Args:
        node: Not a ``Quantize``.
        xs: Its inputs.

    Returns:
        A bound on magnitudes, in any order of summation, and on the node's constants.
    """
    reach = [max(-x.low, x.high, 1) for x in xs]
    match node:
        case Dense():
            total = absolute_sum(xs[0].lows, xs[0].highs, node.weights, node.bias)
            return max(total, _largest(node.weights))
        case Conv():
            lows, highs = channel_bounds(node, xs[0])
            return max(
                _largest(node.weights),
                *(absolute_sum(*part) for part in group_matrices(node, lows, highs)),
            )
        case Affine():
            return _largest(node.multiplier) * reach[0] + _largest(node.constant)
        case Sum():
            return sum(abs(m) * r for m, r in zip(node.multipliers, reach, strict=True))
        case Multiply():
            return reach[0] * reach[1]
        case LeakyRelu():
            return reach[0] * max(abs(node.slope.numerator), node.slope.denominator)
        case Clip():
            return max(*reach, abs(node.low), abs(node.high))
        case SumPool():
            return reach[0] * int(np.prod(node.window.kernel))
        case _:
            return max(reach)


def _largest(array: IntArray) -> int:
    return max(int(array.max()), -int(array.min())) if array.size else 0


def group_matrices(
    node: Conv, lows: IntArray, highs: IntArray
) -> list[tuple[Any, ...]]:
    """Write a convolution as one matrix a group.

    Args:
        node: The convolution.
        lows: Of its input, shape (in,).
        highs: Of its input, shape (in,).

    Returns:
        For each group: lows and highs (in · taps,), weights (in · taps, out), bias.
    """
    outputs, depth = node.weights.shape[:2]
    count = outputs // node.groups
    taps = int(np.prod(node.window.kernel))
    parts = []
    for g in range(node.groups):
        mine = slice(g * count, (g + 1) * count)
        weights = node.weights[mine].reshape(count, -1).T
        low, high = (
            np.repeat(b[g * depth : (g + 1) * depth], taps) for b in (lows, highs)
        )
        parts.append((
            low,
            high,
            weights,
            None if node.bias is None else node.bias[mine],
        ))
    return parts


def channel_bounds(node: Conv | MaxPool | SumPool, x: Tensor) -> Bounds:
    """Bound each channel over its positions; padding holds zeros.

    Args:
        node: With a window.
        x: Its input.

    Returns:
        Lows and highs, shape (channels,).
    """
    axis = len(x.shape) - 1 if node.window.channels_last else 0
    others = tuple(i for i in range(len(x.shape)) if i != axis)
    lows, highs = x.lows.min(axis=others), x.highs.max(axis=others)
    if any(node.window.pads) and not isinstance(node, MaxPool):
        lows, highs = np.minimum(lows, 0), np.maximum(highs, 0)
    return lows, highs
