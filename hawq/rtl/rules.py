"""How each node becomes wires: adders, shifts and multiplexers on integers."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from hawq.rtl.decisions import arg_max, multiply, table, threshold
from hawq.rtl.rounding import requantize

Wires = Any
"""alkaid's array of variables, shape of one sample."""


def _requantize(node: Requantize, tensors: list[Tensor], xs: list[Wires]) -> Wires:
    return requantize(node, tensors[0], xs[0])


def _dense(node: Dense, _: list[Tensor], xs: list[Wires]) -> Wires:
    y = xs[0] @ node.weights.astype(np.float64)
    return y if node.bias is None else y + node.bias.astype(np.float64)


def _conv(node: Conv, _: list[Tensor], xs: list[Wires]) -> Wires:
    x = np.moveaxis(xs[0], -1, 0) if node.window.channels_last else xs[0]
    outputs, depth = node.weights.shape[:2]
    count = outputs // node.groups
    sizes = node.window.output_sizes(x.shape[1:])
    y = np.empty((outputs, *sizes), dtype=object)
    solved: dict[Hashable, Any] = {}
    for place in np.ndindex(*sizes):
        for g in range(node.groups):
            taps, index = _seen(x[g * depth : (g + 1) * depth], node.window, place)
            mine = slice(g * count, (g + 1) * count)
            weights = node.weights[mine].reshape(count, depth, -1)[:, :, index]
            matrix = weights.reshape(count, -1).T.astype(np.float32)
            y[(mine, *place)] = _product(taps.ravel(), matrix, solved)
    if node.bias is not None:
        bias = node.bias.astype(np.float64)
        y = y + bias.reshape(-1, *[1] * len(sizes))
    y = _like(xs[0], y)
    return np.moveaxis(y, 0, -1) if node.window.channels_last else y


def _product(x: Wires, matrix: NDArray[Any], solved: dict[Hashable, Any]) -> Any:
    """Multiply by a matrix; places that see alike variables share one search."""
    variables = np.asarray(x)
    if any(sum(v.kif) == 1 for v in variables) or not matrix.any():
        return np.asarray(x @ matrix.astype(np.float64))
    from alkaid.cmvm import cmvm_solve

    given = {
        "qintervals": [(float(v.low), float(v.high), float(v.step)) for v in variables],
        "latencies": [float(v.latency) for v in variables],
    }
    key = (matrix.tobytes(), matrix.shape, repr(given))
    if key not in solved:
        solved[key] = cmvm_solve(
            np.ascontiguousarray(matrix), **given, **x.solver_options
        )
    first, second = solved[key]
    return second(first(variables, quantize=False), quantize=False)


def _seen(x: Wires, window: Window, place: tuple[int, ...]) -> tuple[Wires, list[int]]:
    """Give what a window sees without padding, and which of its elements that is."""
    cells, index = [], []
    for i, tap in enumerate(np.ndindex(*window.kernel)):
        where = [
            p * s + t * d - b
            for p, s, t, d, b in zip(
                place, window.strides, tap, window.dilations, window.pads, strict=False
            )
        ]
        if all(0 <= w < n for w, n in zip(where, x.shape[1:], strict=True)):
            cells.append(x[(slice(None), *where)])
            index.append(i)
    return np.stack(cells, axis=-1), index


def _like(x: Wires, y: Wires) -> Wires:
    """Make an array of wires with the options of another."""
    return type(x)(np.asarray(y, dtype=object), x.solver_options, x.hwconf)


def _affine(node: Affine, _: list[Tensor], xs: list[Wires]) -> Wires:
    return xs[0] * node.multiplier.astype(np.float64) + node.constant.astype(np.float64)


def _sum(node: Sum, _: list[Tensor], xs: list[Wires]) -> Wires:
    y = xs[0] * float(node.multipliers[0])
    for x, m in zip(xs[1:], node.multipliers[1:], strict=True):
        y = y + x * float(m)
    return y


def _relu(node: Relu, _: list[Tensor], xs: list[Wires]) -> Wires:
    return np.maximum(xs[0], 0.0)


def _leaky(node: LeakyRelu, _: list[Tensor], xs: list[Wires]) -> Wires:
    x, slope = xs[0], node.slope
    steep, flat = x * float(slope.denominator), x * float(slope.numerator)
    # Which of the two is larger tells the sign, on either side of slope 1.
    return np.maximum(steep, flat) if slope <= 1 else np.minimum(steep, flat)


def _clip(node: Clip, _: list[Tensor], xs: list[Wires]) -> Wires:
    return np.minimum(np.maximum(xs[0], float(node.low)), float(node.high))


def _pool(x: Wires, window: Window, combine: Callable[[Wires], Any]) -> Wires:
    x = np.moveaxis(x, -1, 0) if window.channels_last else x
    sizes = window.output_sizes(x.shape[1:])
    y = np.empty((x.shape[0], *sizes), dtype=object)
    for place in np.ndindex(*sizes):
        y[(slice(None), *place)] = np.asarray(combine(_seen(x, window, place)[0]))
    y = _like(x, y)
    return np.moveaxis(y, 0, -1) if window.channels_last else y


def _max_pool(node: MaxPool, _: list[Tensor], xs: list[Wires]) -> Wires:
    return _pool(xs[0], node.window, lambda cells: np.max(cells, axis=-1))


def _sum_pool(node: SumPool, _: list[Tensor], xs: list[Wires]) -> Wires:
    return _pool(xs[0], node.window, lambda cells: np.sum(cells, axis=-1))


def _reshape(node: Reshape, _: list[Tensor], xs: list[Wires]) -> Wires:
    return xs[0].reshape(node.shape)


def _transpose(node: Transpose, _: list[Tensor], xs: list[Wires]) -> Wires:
    return xs[0].transpose(node.order)


def _select(node: Select, _: list[Tensor], xs: list[Wires]) -> Wires:
    y = np.asarray(xs[0].ravel())[node.indices]
    if node.indices.min(initial=0) < 0:
        y = np.where(node.indices < 0, float(node.fill), y)
    return _like(xs[0], y)


def _concat(node: Concat, _: list[Tensor], xs: list[Wires]) -> Wires:
    return np.concatenate(xs, axis=node.axis)


RULES: dict[type[Node], Callable[[Any, list[Tensor], list[Wires]], Wires]] = {
    Affine: _affine,
    ArgMax: arg_max,
    Clip: _clip,
    Concat: _concat,
    Conv: _conv,
    Dense: _dense,
    LeakyRelu: _leaky,
    MaxPool: _max_pool,
    Multiply: multiply,
    Relu: _relu,
    Requantize: _requantize,
    Reshape: _reshape,
    Select: _select,
    Sum: _sum,
    SumPool: _sum_pool,
    Table: table,
    Threshold: threshold,
    Transpose: _transpose,
}
"""Node → function of (node, tensors it reads, their variables) → variables."""
