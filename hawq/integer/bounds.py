"""Interval analysis: the exact range of every tensor, from its inputs' ranges.

Each element has its own interval, so the bounds of a dense layer on quantized inputs
are attained by a corner input. Correlations between elements are not followed: deeper
layers get sound bounds that may be wider than what any input reaches. Convolutions give
one interval a channel, which their inner windows attain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from hawq.errors import NetworkError
from hawq.fixed import IntArray, Overflow, as_integers
from hawq.integer.evaluate import evaluate
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
    Quantize,
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
from hawq.integer.sums import (
    Bounds,
    channel_bounds,
    dense_bounds,
    group_matrices,
    partial_sums,
)
from hawq.integer.tensor import RealInput, Tensor

_INT64_SAFE = 2**62
ELEMENTWISE = (Affine, Clip, LeakyRelu, Multiply, Relu, Sum, Threshold)
"""Nodes whose elements depend only on the same elements of their inputs."""

_LARGE = 2**14
"""Elements from which equal bounds along an axis are stored once."""


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
    if isinstance(node, Quantize):
        x = values.get(node.inputs[0])
        if not isinstance(x, RealInput):
            raise NetworkError(
                f"Quantize to {node.output!r} reads {node.inputs[0]!r}, which is not a "
                "real input"
            )
        lows, highs = (_full(x.shape, end) for end in (node.grid.low, node.grid.high))
        grid = node.grid
        return Tensor(node.output, x.shape, grid.scale, lows, highs, grid)
    xs = [_integer_input(node, name, values) for name in node.inputs]
    rule = _RULES.get(type(node))
    if rule is None:
        raise NetworkError(f"no bounds for a {type(node).__name__}")
    scale, lows, highs = rule(node, xs)
    made = node.grid if isinstance(node, Requantize | Table) else None
    lows, highs = _compact(np.asarray(lows)), _compact(np.asarray(highs))
    return Tensor(node.output, lows.shape, scale, lows, highs, made)


def _integer_input(
    node: Node, name: str, values: Mapping[str, RealInput | Tensor]
) -> Tensor:
    x = values.get(name)
    if not isinstance(x, Tensor):
        raise NetworkError(
            f"{type(node).__name__} to {node.output!r} reads {name!r}, which is not an "
            "integer tensor"
        )
    return x


def _misfit(node: Node, why: str) -> NetworkError:
    return NetworkError(f"{type(node).__name__} to {node.output!r}: {why}")


def _require_window(node: Conv | MaxPool | SumPool, x: Tensor) -> tuple[int, ...]:
    rank = len(node.window.kernel)
    if len(x.shape) != rank + 1:
        raise _misfit(
            node, f"a window over {rank} axes does not fit samples of shape {x.shape}"
        )
    spatial = x.shape[:-1] if node.window.channels_last else x.shape[1:]
    sizes = node.window.output_sizes(spatial)
    if min(sizes) < 1:
        raise _misfit(node, f"the window does not fit into samples of shape {x.shape}")
    return sizes


def _over_channels(
    bounds: IntArray, sizes: tuple[int, ...], window: Window
) -> IntArray:
    if window.channels_last:
        return np.broadcast_to(bounds, (*sizes, bounds.size))
    shape = (bounds.size, *sizes)
    return np.broadcast_to(bounds.reshape(-1, *[1] * len(sizes)), shape)


def _conv(node: Conv, xs: Sequence[Tensor]) -> tuple[Fraction, IntArray, IntArray]:
    (x,) = xs
    sizes = _require_window(node, x)
    channels = x.shape[-1] if node.window.channels_last else x.shape[0]
    outputs, depth = node.weights.shape[:2]
    if channels != depth * node.groups or outputs % node.groups:
        raise _misfit(
            node,
            f"weights of shape {node.weights.shape} in {node.groups} groups do not fit "
            f"samples of shape {x.shape}",
        )
    parts = [dense_bounds(*p) for p in group_matrices(node, *channel_bounds(node, x))]
    lows, highs = (np.concatenate([p[i] for p in parts]) for i in (0, 1))
    return (
        x.scale * node.weight_scale,
        _over_channels(lows, sizes, node.window),
        _over_channels(highs, sizes, node.window),
    )


def _sum_pool(
    node: SumPool, xs: Sequence[Tensor]
) -> tuple[Fraction, IntArray, IntArray]:
    sizes = _require_window(node, xs[0])
    count = int(np.prod(node.window.kernel))
    lows, highs = channel_bounds(node, xs[0])
    if partial_sums(node, xs) >= _INT64_SAFE:
        lows, highs = lows.astype(object), highs.astype(object)
    return (
        node.scale,
        _over_channels(lows * count, sizes, node.window),
        _over_channels(highs * count, sizes, node.window),
    )


def _dense(node: Dense, xs: Sequence[Tensor]) -> tuple[Fraction, IntArray, IntArray]:
    (x,) = xs
    if not x.shape or x.shape[-1] != node.weights.shape[0]:
        raise _misfit(
            node,
            f"weights of shape {node.weights.shape} do not fit {x.name!r} of shape "
            f"{x.shape}",
        )
    scale = x.scale * node.weight_scale
    return scale, *dense_bounds(x.lows, x.highs, node.weights, node.bias)


def _requantize(
    node: Requantize, xs: Sequence[Tensor]
) -> tuple[Fraction, IntArray, IntArray]:
    (x,) = xs
    grid = node.grid
    lows, highs = (grid.rounded(_small(end), x.scale) for end in (x.lows, x.highs))
    if grid.overflow is Overflow.WRAP:
        inside = (lows >= grid.low) & (highs <= grid.high)
        lows = np.where(inside, lows, grid.low)
        highs = np.where(inside, highs, grid.high)
    else:
        lows, highs = (
            np.minimum(np.maximum(end, grid.low), grid.high) for end in (lows, highs)
        )
    low, high = (np.broadcast_to(as_integers(end), x.shape) for end in (lows, highs))
    return grid.scale, low, high


def _affine(node: Affine, xs: Sequence[Tensor]) -> tuple[Fraction, IntArray, IntArray]:
    (x,) = xs
    for part in (node.multiplier, node.constant):
        if np.broadcast_shapes(part.shape, x.shape) != x.shape:
            raise _misfit(
                node,
                f"a constant of shape {part.shape} does not fit samples of shape "
                f"{x.shape}",
            )
    return node.scale, *_both_ends(node, xs)


def _sum(node: Sum, xs: Sequence[Tensor]) -> tuple[Fraction, IntArray, IntArray]:
    scales = {x.scale / abs(m) for x, m in zip(xs, node.multipliers, strict=True) if m}
    if len(scales) != 1:
        raise _misfit(node, f"its inputs have the scales {sorted(map(str, scales))}")
    _common_shape(node, xs)
    pairs = list(zip(xs, node.multipliers, strict=True))
    lows = [x.lows if m > 0 else x.highs for x, m in pairs]
    highs = [x.highs if m > 0 else x.lows for x, m in pairs]
    return scales.pop(), _run(node, xs, lows), _run(node, xs, highs)


def _common_shape(node: Node, xs: Sequence[Tensor]) -> None:
    try:
        np.broadcast_shapes(*(x.shape for x in xs))
    except ValueError:
        shapes = " and ".join(str(x.shape) for x in xs)
        raise _misfit(node, f"samples of shapes {shapes} do not fit") from None


def _multiply(
    node: Multiply, xs: Sequence[Tensor]
) -> tuple[Fraction, IntArray, IntArray]:
    _common_shape(node, xs)
    a, b = xs
    corners = [
        _run(node, xs, [p, q]) for p in (a.lows, a.highs) for q in (b.lows, b.highs)
    ]
    low, high = corners[0], corners[0]
    for corner in corners[1:]:
        low, high = np.minimum(low, corner), np.maximum(high, corner)
    return a.scale * b.scale, low, high


def _kept(node: Node, xs: Sequence[Tensor]) -> tuple[Fraction, IntArray, IntArray]:
    return xs[0].scale, *_both_ends(node, xs)


def _leaky(
    node: LeakyRelu, xs: Sequence[Tensor]
) -> tuple[Fraction, IntArray, IntArray]:
    x = xs[0]
    lows, highs = _both_ends(node, xs)
    if node.slope < 0:  # a valley at zero
        lows = np.where((x.lows <= 0) & (x.highs >= 0), 0, lows)
    return x.scale / node.slope.denominator, lows, highs


def _max_pool(
    node: MaxPool, xs: Sequence[Tensor]
) -> tuple[Fraction, IntArray, IntArray]:
    sizes = _require_window(node, xs[0])
    pads, size = node.window.pads, node.window.kernel
    reach = [(k - 1) * d for k, d in zip(size, node.window.dilations, strict=True)]
    if any(p > r for p, r in zip(pads, [*reach, *reach], strict=True)):
        raise _misfit(node, f"pads {pads} leave windows with nothing but padding")
    if xs[0].lows.size < _LARGE:
        return _kept(node, xs)
    lows, highs = channel_bounds(node, xs[0])
    return (
        xs[0].scale,
        _over_channels(lows, sizes, node.window),
        _over_channels(highs, sizes, node.window),
    )


def _reshape(
    node: Reshape, xs: Sequence[Tensor]
) -> tuple[Fraction, IntArray, IntArray]:
    if int(np.prod(node.shape)) != xs[0].lows.size:
        raise _misfit(node, f"shape {xs[0].shape} does not fit the shape {node.shape}")
    return _kept(node, xs)


def _select(node: Select, xs: Sequence[Tensor]) -> tuple[Fraction, IntArray, IntArray]:
    x = xs[0]
    if (
        node.indices.size
        and not -1 <= node.indices.min() <= node.indices.max() < x.lows.size
    ):
        raise _misfit(node, f"indices beyond the {x.lows.size} elements of {x.name!r}")
    return _kept(node, xs)


def _concat(node: Concat, xs: Sequence[Tensor]) -> tuple[Fraction, IntArray, IntArray]:
    shapes = [(*x.shape[: node.axis], *x.shape[node.axis + 1 :]) for x in xs]
    if len(set(shapes)) > 1 or node.axis >= len(xs[0].shape):
        given = ", ".join(str(x.shape) for x in xs)
        raise _misfit(node, f"shapes {given} cannot be joined along axis {node.axis}")
    if len({x.scale for x in xs}) > 1:
        raise _misfit(node, f"its inputs have scales {[str(x.scale) for x in xs]}")
    lows, highs = (
        np.concatenate(ends, axis=node.axis)
        for ends in ([x.lows for x in xs], [x.highs for x in xs])
    )
    return xs[0].scale, lows, highs


def _table(node: Table, xs: Sequence[Tensor]) -> tuple[Fraction, IntArray, IntArray]:
    x = xs[0]
    if x.low < node.low or x.high >= node.low + len(node.entries):
        raise _misfit(
            node,
            f"{x.name!r} goes from {x.low} to {x.high}, beyond the table's "
            f"{node.low} to {node.low + len(node.entries) - 1}",
        )
    used = node.entries[x.low - node.low : x.high - node.low + 1]
    lows, highs = (_full(x.shape, int(end)) for end in (used.min(), used.max()))
    return node.grid.scale, lows, highs


def _threshold(
    node: Threshold, xs: Sequence[Tensor]
) -> tuple[Fraction, IntArray, IntArray]:
    if np.broadcast_shapes(node.thresholds.shape[:-1], xs[0].shape) != xs[0].shape:
        raise _misfit(
            node,
            f"thresholds of shape {node.thresholds.shape} do not fit samples of shape "
            f"{xs[0].shape}",
        )
    return Fraction(1), *_both_ends(node, xs)


def _argmax(node: ArgMax, xs: Sequence[Tensor]) -> tuple[Fraction, IntArray, IntArray]:
    shape = list(xs[0].shape)
    last = shape[node.axis] - 1
    shape[node.axis] = 1
    return Fraction(1), _full(tuple(shape), 0), _full(tuple(shape), last)


def _both_ends(node: Node, xs: Sequence[Tensor]) -> Bounds:
    """Bound a node that is monotone in each element."""
    first = _run(node, xs, [x.lows for x in xs])
    last = _run(node, xs, [x.highs for x in xs])
    return np.minimum(first, last), np.maximum(first, last)


def _run(node: Node, xs: Sequence[Tensor], ends: Sequence[IntArray]) -> IntArray:
    wide = partial_sums(node, xs) >= _INT64_SAFE
    elementwise = isinstance(node, ELEMENTWISE)
    arrays = [_small(e) if elementwise else e for e in ends]
    if wide or any(e.dtype == object for e in arrays):
        arrays = [e.astype(object) for e in arrays]
    y = as_integers(evaluate(node, xs, [e[..., None] for e in arrays])[..., 0])
    if not elementwise:
        return y
    return np.broadcast_to(y, np.broadcast_shapes(*(x.shape for x in xs)))


def _small(array: IntArray) -> IntArray:
    """Give one element of each axis along which nothing changes."""
    steps = zip(array.strides, array.shape, strict=True)
    return array[tuple(slice(0, 1 if step == 0 and n else None) for step, n in steps)]


def _full(shape: tuple[int, ...], value: int) -> IntArray:
    fits = -_INT64_SAFE < value < _INT64_SAFE
    return np.broadcast_to(np.array(value, dtype=np.int64 if fits else object), shape)


def _compact(array: IntArray) -> IntArray:
    """Store a large array once along the axes where it does not change."""
    if array.size < _LARGE:
        return array
    small = _small(array)
    for axis in range(array.ndim):
        first = small[(slice(None),) * axis + (slice(0, 1),)]
        if (small == first).all():
            small = first
    return np.broadcast_to(small.copy(), array.shape)


_RULES: dict[
    type, Callable[[Any, Sequence[Tensor]], tuple[Fraction, IntArray, IntArray]]
] = {
    Affine: _affine,
    ArgMax: _argmax,
    Clip: _kept,
    Concat: _concat,
    Conv: _conv,
    Dense: _dense,
    LeakyRelu: _leaky,
    MaxPool: _max_pool,
    Multiply: _multiply,
    Relu: _kept,
    Requantize: _requantize,
    Reshape: _reshape,
    Select: _select,
    Sum: _sum,
    SumPool: _sum_pool,
    Table: _table,
    Threshold: _threshold,
    Transpose: _kept,
}
