"""What each node computes, on arrays of integers.

Arrays have the batch last: shape (*sample shape, samples). They are int64, Python
integers (object), or floats, whichever bounds prove exact for the node.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.errors import NetworkError
from hawq.fixed import IntArray
from hawq.integer.nodes import (
    Affine,
    ArgMax,
    Clip,
    Concat,
    Conv,
    Dense,
    LeakyRelu,
    MaxPool,
    Multiply,
    Node,
    Relu,
    Requantize,
    Reshape,
    Select,
    Sum,
    SumPool,
    Table,
    Threshold,
    Transpose,
    Window,
)
from hawq.integer.tensor import Tensor


def evaluate(node: Node, tensors: Sequence[Tensor], xs: Sequence[IntArray]) -> IntArray:
    """Run one node.

    Args:
        node: Any but ``Quantize``, which reads real values.
        tensors: Its inputs.
        xs: Their integers, shape (*tensor shape, samples), all of one type in which the
            node's partial sums are exact.

    Returns:
        Integers, shape (*output shape, samples).

    Raises:
        NetworkError: if the node is of an unknown kind.
    """
    rule = _RULES.get(type(node))
    if rule is None:
        raise NetworkError(f"no way to run a {type(node).__name__}")
    return rule(node, tensors, xs)


def _requantize(
    node: Requantize, tensors: Sequence[Tensor], xs: Sequence[IntArray]
) -> IntArray:
    return node.grid.requantize(xs[0], tensors[0].scale)


def _dense(node: Dense, _: Sequence[Tensor], xs: Sequence[IntArray]) -> IntArray:
    y: IntArray = np.matmul(node.weights.T.astype(xs[0].dtype), xs[0])
    return y if node.bias is None else y + node.bias[:, None].astype(y.dtype)


def _conv(node: Conv, _: Sequence[Tensor], xs: Sequence[IntArray]) -> IntArray:
    x = xs[0]
    y = correlate(x, node.weights.astype(x.dtype), node.window, node.groups)
    if node.bias is not None:
        ones = 1 if node.window.channels_last else y.ndim - 1
        y = y + node.bias.astype(y.dtype).reshape(-1, *[1] * ones)
    return y


def correlate(
    x: NDArray[Any], weights: NDArray[Any], window: Window, groups: int
) -> NDArray[Any]:
    """Slide kernels over the padded input, one matrix product an element of the window.

    Args:
        x: Shape (in, *spatial, samples), or (*spatial, in, samples).
        weights: Shape (out, in / groups, *kernel).
        window: How the kernel slides.
        groups: Of channels.

    Returns:
        Shape (out, *windows, samples), or (*windows, out, samples).
    """
    channel = -2 if window.channels_last else 0
    x = np.moveaxis(x, channel, 0)
    outputs, depth = weights.shape[:2]
    shape = (outputs, *window.output_sizes(x.shape[1:-1]), x.shape[-1])
    y = np.zeros((groups, outputs // groups, *shape[1:]), dtype=x.dtype)
    flat = y.reshape(groups, outputs // groups, -1)
    by_tap = np.moveaxis(weights, (0, 1), (-2, -1))
    for index, part in _taps(x, window, 0):
        taps = by_tap[index].reshape(groups, outputs // groups, depth)
        part = part.reshape(groups, depth, -1)
        flat += taps * part if depth == 1 else np.matmul(taps, part)
    return np.moveaxis(y.reshape(shape), 0, channel)


def _taps(
    x: NDArray[Any], window: Window, fill: Any
) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
    """Give, for each element of the window, what it sees: (channels, *windows, n)."""
    spatial = x.shape[1:-1]
    rank = len(spatial)
    sizes = window.output_sizes(spatial)
    if any(window.pads):
        # np.pad would put NumPy's integers, which overflow, among Python's.
        before, after = window.pads[:rank], window.pads[rank:]
        grown = [n + b + a for n, b, a in zip(spatial, before, after, strict=True)]
        padded = np.full((len(x), *grown, x.shape[-1]), fill, dtype=x.dtype)
        inner = (slice(b, b + n) for b, n in zip(before, spatial, strict=True))
        padded[(slice(None), *inner)] = x
        x = padded
    steps = list(zip(sizes, window.strides, window.dilations, strict=True))
    for index in itertools.product(*map(range, window.kernel)):
        cut = [
            slice(k * dilation, k * dilation + (size - 1) * stride + 1, stride)
            for k, (size, stride, dilation) in zip(index, steps, strict=True)
        ]
        yield index, x[(slice(None), *cut)]


def pool(
    x: NDArray[Any],
    window: Window,
    combine: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]],
    fill: Any,
) -> NDArray[Any]:
    """Combine the elements of each window.

    Args:
        x: Shape (channels, *spatial, samples), or (*spatial, channels, samples).
        window: How it slides.
        combine: Of two arrays; associative.
        fill: What padding holds.

    Returns:
        The same shape, with the windows as spatial axes.
    """
    channel = -2 if window.channels_last else 0
    x = np.moveaxis(x, channel, 0)
    parts = (part for _, part in _taps(x, window, fill))
    y = next(parts).copy()
    for part in parts:
        y = combine(y, part)
    return np.moveaxis(y, 0, channel)


def _max_pool(
    node: MaxPool, tensors: Sequence[Tensor], xs: Sequence[IntArray]
) -> IntArray:
    return pool(xs[0], node.window, np.maximum, tensors[0].low)


def _sum_pool(node: SumPool, _: Sequence[Tensor], xs: Sequence[IntArray]) -> IntArray:
    return pool(xs[0], node.window, np.add, 0)


def _affine(node: Affine, _: Sequence[Tensor], xs: Sequence[IntArray]) -> IntArray:
    x = xs[0]
    multiplier, constant = (a[..., None] for a in (node.multiplier, node.constant))
    y: IntArray = x * multiplier.astype(x.dtype) + constant.astype(x.dtype)
    return y


def _sum(node: Sum, tensors: Sequence[Tensor], xs: Sequence[IntArray]) -> IntArray:
    rank = max(len(t.shape) for t in tensors)
    pairs = zip(xs, node.multipliers, strict=True)
    total: IntArray = functools.reduce(np.add, [widened(x, rank) * m for x, m in pairs])
    return total


def widened(x: IntArray, rank: int) -> IntArray:
    """Give one sample's shape leading axes of size 1, so that shapes broadcast.

    Args:
        x: Shape (*sample shape, samples).
        rank: Of the result's sample shape.

    Returns:
        A view of shape (1, ..., *sample shape, samples).
    """
    return x.reshape((1,) * (rank + 1 - x.ndim) + x.shape)


def _multiply(
    node: Multiply, tensors: Sequence[Tensor], xs: Sequence[IntArray]
) -> IntArray:
    rank = max(len(t.shape) for t in tensors)
    return widened(xs[0], rank) * widened(xs[1], rank)


def _relu(node: Relu, _: Sequence[Tensor], xs: Sequence[IntArray]) -> IntArray:
    return np.maximum(xs[0], 0)


def _leaky(node: LeakyRelu, _: Sequence[Tensor], xs: Sequence[IntArray]) -> IntArray:
    x, slope = xs[0], node.slope
    return np.where(x >= 0, x * slope.denominator, x * slope.numerator)


def _clip(node: Clip, _: Sequence[Tensor], xs: Sequence[IntArray]) -> IntArray:
    return np.minimum(np.maximum(xs[0], node.low), node.high)


def _reshape(node: Reshape, _: Sequence[Tensor], xs: Sequence[IntArray]) -> IntArray:
    return xs[0].reshape(*node.shape, xs[0].shape[-1])


def _transpose(
    node: Transpose, _: Sequence[Tensor], xs: Sequence[IntArray]
) -> IntArray:
    return xs[0].transpose(*node.order, len(node.order))


def _select(node: Select, _: Sequence[Tensor], xs: Sequence[IntArray]) -> IntArray:
    flat = xs[0].reshape(-1, xs[0].shape[-1])
    y = flat[node.indices]
    if node.indices.size and node.indices.min() < 0:
        y[node.indices < 0] = node.fill
    return y


def _concat(node: Concat, _: Sequence[Tensor], xs: Sequence[IntArray]) -> IntArray:
    return np.concatenate(xs, axis=node.axis)


def _table(node: Table, _: Sequence[Tensor], xs: Sequence[IntArray]) -> IntArray:
    y: IntArray = node.entries[(xs[0] - node.low).astype(np.int64)]
    return y


def _threshold(
    node: Threshold, _: Sequence[Tensor], xs: Sequence[IntArray]
) -> IntArray:
    x = xs[0]
    shape = np.broadcast_shapes(x.shape, (*node.thresholds.shape[:-1], 1))
    y = np.zeros(shape, dtype=x.dtype)
    for i in range(node.thresholds.shape[-1]):
        y += x >= node.thresholds[..., i, None].astype(x.dtype)
    return y


def _argmax(node: ArgMax, _: Sequence[Tensor], xs: Sequence[IntArray]) -> IntArray:
    x = xs[0]
    if node.last:
        found = x.shape[node.axis] - 1 - np.flip(x, node.axis).argmax(node.axis)
    else:
        found = x.argmax(node.axis)
    return np.expand_dims(np.asarray(found), node.axis).astype(x.dtype)


_RULES: dict[type, Callable[[Any, Sequence[Tensor], Sequence[IntArray]], IntArray]] = {
    Affine: _affine,
    ArgMax: _argmax,
    Clip: _clip,
    Concat: _concat,
    Conv: _conv,
    Dense: _dense,
    LeakyRelu: _leaky,
    MaxPool: _max_pool,
    Multiply: _multiply,
    Relu: _relu,
    Requantize: _requantize,
    Reshape: _reshape,
    Select: _select,
    Sum: _sum,
    SumPool: _sum_pool,
    Table: _table,
    Threshold: _threshold,
    Transpose: _transpose,
}
