"""Nodes that read many elements to make one: how each begins a loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.emulator.index import broadcast_index, gather_index
from hawq.emulator.integers import INT32, IntegerType, type_for
from hawq.emulator.matrix import Matrix, write_rows
from hawq.emulator.real import quantize
from hawq.emulator.source import Source, Value
from hawq.integer.nodes import (
    ArgMax,
    Conv,
    Dense,
    MaxPool,
    Multiply,
    Node,
    Quantize,
    Select,
    Sum,
    SumPool,
    Transpose,
    Window,
)
from hawq.integer.sums import channel_bounds, partial_sums
from hawq.integer.tensor import Tensor


@dataclass(frozen=True)
class Head:
    """The beginning of a step.

    Attributes:
        setup: Statements before the loops.
        loops: Of each loop, its opening, and statements that follow it. The innermost
            has the element's index as ``e``.
        value: The tile that the innermost loop begins with.
    """

    setup: tuple[str, ...]
    loops: tuple[tuple[str, ...], ...]
    value: Value


def head(source: Source, node: Node) -> Head:
    """Spell the beginning of a step.

    Args:
        source: Takes its constants.
        node: Any but ``Concat``.

    Returns:
        Setup, loops and the first tile.
    """
    if isinstance(node, Quantize):
        lines, value = quantize(source, node)
        return Head((), (_flat(source, node, *lines),), value)
    xs = [source.graph.tensors[name] for name in node.inputs]
    rule = _RULES.get(type(node), _loaded)
    setup = tuple(source.pointer(f"x{i}", x.name) for i, x in enumerate(xs))
    made = rule(source, node, xs)
    return Head((*setup, *made.setup), made.loops, made.value)


def _flat(source: Source, node: Node, *lines: str) -> tuple[str, ...]:
    size = source.graph.tensors[node.output].lows.size
    return (f"for (size_t e = 0; e < {size}; e++) {{", *lines)


def _simple(
    source: Source, node: Node, kind: IntegerType, expression: str, *more: str
) -> Head:
    qualifier = "" if more else "const "
    line = f"{qualifier}auto t0 = {expression};"
    return Head((), (_flat(source, node, line, *more),), Value("t0", kind))


def _loaded(source: Source, node: Node, xs: list[Tensor]) -> Head:
    kind = source.stored(xs[0].name)
    return _simple(source, node, kind, f"load<{kind.name}, N>(x0, e)")


def _dense(source: Source, node: Dense, xs: list[Tensor]) -> Head:
    inputs, outputs = node.weights.shape
    ends = [b.reshape(-1, inputs) for b in (xs[0].lows, xs[0].highs)]
    matrix = Matrix(
        list(node.weights.T),
        [np.arange(inputs)] * outputs,
        [np.maximum(-ends[0].min(axis=0), ends[1].max(axis=0))] * outputs,
        node.bias,
    )
    rows, kind, _ = write_rows(source, matrix, partial_sums(node, xs), xs[0])
    expression = f"dense<{kind.name}, N>(x0, rows, e)"
    if xs[0].lows.size > inputs:
        expression = (
            f"dense<{kind.name}, N>(x0 + e / {outputs} * {inputs} * N, rows, "
            f"e % {outputs})"
        )
    made = _simple(source, node, kind, expression)
    return Head((rows,), made.loops, made.value)


def _window(
    window: Window, x: Tensor, y: Tensor
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], int]:
    """Spell the window, the loops over places and channels, and a channel's stride."""
    last = window.channels_last
    spatial = x.shape[:-1] if last else x.shape[1:]
    sizes = y.shape[:-1] if last else y.shape[1:]
    channels, places = (y.shape[-1] if last else y.shape[0]), math.prod(sizes)
    rank = len(sizes)
    numbers = (
        spatial,
        sizes,
        window.kernel,
        window.strides,
        window.dilations,
        window.pads[:rank],
    )
    spelt = ", ".join(f"{{{', '.join(map(str, n))}}}" for n in numbers)
    step = x.shape[-1] if last else 1
    element = f"p * {channels} + c" if last else f"c * {places} + p"
    loops = (
        (
            f"for (size_t p = 0; p < {places}; p++) {{",
            f"const Places<{rank}, {math.prod(window.kernel)}> places(window, p);",
        ),
        (
            f"for (size_t c = 0; c < {channels}; c++) {{",
            f"const size_t e = {element};",
        ),
    )
    setup = (f"const Window<{rank}> window = {{{spelt}, {step}}};",)
    return setup, loops, 1 if last else math.prod(spatial)


def _windowed(
    window: Window,
    x: Tensor,
    y: Tensor,
    kind: IntegerType,
    expression: str,
    *setup: str,
) -> Head:
    before, (places, channels), stride = _window(window, x, y)
    line = f"const auto t0 = {expression.replace('STRIDE', str(stride))};"
    return Head((*before, *setup), (places, (*channels, line)), Value("t0", kind))


def _conv(source: Source, node: Conv, xs: list[Tensor]) -> Head:
    y = source.graph.tensors[node.output]
    outputs, depth = node.weights.shape[:2]
    taps = math.prod(node.window.kernel)
    spatial = xs[0].lows.size // (depth * node.groups)
    stride = 1 if node.window.channels_last else spatial
    channel = np.repeat(np.arange(depth), taps)
    reach = np.maximum(*(abs(b) for b in channel_bounds(node, xs[0])))
    groups = [g * depth + channel for g in range(node.groups)]
    mine = [groups[i // (outputs // node.groups)] for i in range(outputs)]
    matrix = Matrix(
        list(node.weights.reshape(outputs, -1)),
        [channels * stride for channels in mine],
        [reach[channels] for channels in mine],
        node.bias,
    )
    rows, kind, terms = write_rows(source, matrix, partial_sums(node, xs), xs[0])
    spelt = ", ".join(str(t % taps) for t in terms or [0])
    table = source.constant("uint16_t", f"{{{spelt}}}")
    expression = f"conv<{kind.name}, N>(x0, rows, {table}, places, c)"
    return _windowed(node.window, xs[0], y, kind, expression, rows)


def _sum_pool(source: Source, node: SumPool, xs: list[Tensor]) -> Head:
    kind = type_for(partial_sums(node, xs))
    y = source.graph.tensors[node.output]
    expression = f"sum_pool<{kind.name}, N>(x0, places, c * STRIDE)"
    return _windowed(node.window, xs[0], y, kind, expression)


def _max_pool(source: Source, node: MaxPool, xs: list[Tensor]) -> Head:
    kind = source.stored(xs[0].name)
    y = source.graph.tensors[node.output]
    least = f"{kind.name}({kind.literal(xs[0].low)})"
    expression = f"max_pool<{kind.name}, N>(x0, places, c * STRIDE, {least})"
    return _windowed(node.window, xs[0], y, kind, expression)


def _sum(source: Source, node: Sum, xs: list[Tensor]) -> Head:
    kind = type_for(partial_sums(node, xs), *node.multipliers)
    shape = source.graph.tensors[node.output].shape
    terms = [
        f"add_scaled(t0, x{i}, {broadcast_index(x.shape, shape, source.indices)}, "
        f"{kind.name}({kind.literal(m)}));"
        for i, (x, m) in enumerate(zip(xs, node.multipliers, strict=True))
    ]
    return _simple(source, node, kind, f"constant<N, {kind.name}>(0)", *terms)


def _multiply(source: Source, node: Multiply, xs: list[Tensor]) -> Head:
    kind = type_for(partial_sums(node, xs), *(n for x in xs for n in (x.low, x.high)))
    shape = source.graph.tensors[node.output].shape
    a, b = (broadcast_index(x.shape, shape, source.indices) for x in xs)
    return _simple(
        source,
        node,
        kind,
        f"load<{kind.name}, N>(x0, {a})",
        f"multiply(t0, x1, {b});",
    )


def _transpose(source: Source, node: Transpose, xs: list[Tensor]) -> Head:
    indices = np.arange(xs[0].lows.size).reshape(xs[0].shape).transpose(node.order)
    return _gathered(source, node, xs[0], indices, 0)


def _select(source: Source, node: Select, xs: list[Tensor]) -> Head:
    return _gathered(source, node, xs[0], node.indices, node.fill)


def _gathered(
    source: Source, node: Node, x: Tensor, indices: NDArray[np.int64], fill: int
) -> Head:
    kind = type_for(x.low, x.high, fill)
    at = f"const int64_t at = {gather_index(indices, source.indices)};"
    loaded = f"load<{kind.name}, N>(x0, static_cast<size_t>(at))"
    if indices.min() < 0:
        filled = f"constant<N, {kind.name}>({kind.literal(fill)})"
        loaded = f"at < 0 ? {filled} : {loaded}"
    line = f"const auto t0 = {loaded};"
    return Head((), (_flat(source, node, at, line),), Value("t0", kind))


def _arg_max(source: Source, node: ArgMax, xs: list[Tensor]) -> Head:
    shape = xs[0].shape
    count, inner = shape[node.axis], math.prod(shape[node.axis + 1 :])
    first = f"e / {inner} * {count * inner} + e % {inner}"
    last = "true" if node.last else "false"
    expression = f"arg_max<int32_t, {last}, N>(x0, {first}, {count}, {inner})"
    return _simple(source, node, INT32, expression)


_RULES: dict[type, Callable[[Source, Any, list[Tensor]], Head]] = {
    ArgMax: _arg_max,
    Conv: _conv,
    Dense: _dense,
    MaxPool: _max_pool,
    Multiply: _multiply,
    Select: _select,
    Sum: _sum,
    SumPool: _sum_pool,
    Transpose: _transpose,
}
