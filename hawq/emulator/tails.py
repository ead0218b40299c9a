"""Nodes that turn one element into one element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.emulator.index import broadcast_index
from hawq.emulator.integers import (
    INT32,
    IntegerType,
    stored_type,
    type_for,
)
from hawq.emulator.rescale import Method, plan_rescale
from hawq.emulator.source import Source, Value, varies
from hawq.integer.nodes import (
    Affine,
    Clip,
    LeakyRelu,
    Node,
    Relu,
    Requantize,
    Reshape,
    Table,
    Threshold,
)
from hawq.integer.sums import partial_sums
from hawq.integer.tensor import Tensor

_FEW_THRESHOLDS = 16


def follow(source: Source, node: Node, value: Value, name: str) -> tuple[str, Value]:
    """Spell one node.

    Args:
        source: Takes its constants.
        node: One of ``layout.FOLLOWERS``.
        value: The tile of its input.
        name: Of the variable to define.

    Returns:
        A C++ statement, and the tile it defines.
    """
    x = source.graph.tensors[node.inputs[0]]
    expression, kind = _RULES[type(node)](source, node, x, value)
    return f"const auto {name} = {expression};", Value(name, kind)


Spelt = tuple[str, IntegerType]


def _affine(source: Source, node: Affine, x: Tensor, value: Value) -> Spelt:
    parts = (node.multiplier, node.constant)
    kind = type_for(partial_sums(node, [x]), *(int(p) for a in parts for p in _ends(a)))
    factors = ", ".join(_operand(source, kind, part, x.shape) for part in parts)
    return f"affine<{kind.name}>({value.name}, {factors})", kind


def _ends(array: NDArray[Any]) -> tuple[int, int]:
    return int(array.min()), int(array.max())


def _operand(
    source: Source, kind: IntegerType, array: NDArray[Any], shape: tuple[int, ...]
) -> str:
    if not varies(array):
        return f"{kind.name}({kind.literal(int(array.flat[0]))})"
    table = source.table(kind, array.ravel().tolist())
    return f"{table}[{broadcast_index(array.shape, shape, source.indices)}]"


def _relu(source: Source, node: Relu, x: Tensor, value: Value) -> Spelt:
    return f"relu<{value.kind.name}>({value.name})", value.kind


def _leaky(source: Source, node: LeakyRelu, x: Tensor, value: Value) -> Spelt:
    factors = node.slope.numerator, node.slope.denominator
    kind = type_for(partial_sums(node, [x]), *factors)
    spelt = ", ".join(f"{kind.name}({kind.literal(f)})" for f in factors)
    return f"leaky<{kind.name}>({value.name}, {spelt})", kind


def _clip(source: Source, node: Clip, x: Tensor, value: Value) -> Spelt:
    kind = type_for(x.low, x.high, node.low, node.high)
    spelt = ", ".join(f"{kind.name}({kind.literal(n)})" for n in (node.low, node.high))
    return f"clip<{kind.name}>({value.name}, {spelt})", kind


def _requantize(source: Source, node: Requantize, x: Tensor, value: Value) -> Spelt:
    plan = plan_rescale(x.low, x.high, x.scale / node.grid.scale, node.grid)
    kind, given = plan.kind, value.kind
    if plan.method is Method.SEARCH:
        base, *steps = plan.numbers
        table = source.table(given, steps) if steps else "nullptr"
        low = kind.literal(base)
        return (
            f"stepped<{kind.name}>({value.name}, {table}, {len(steps)}, {low})",
            kind,
        )
    limits = plan.limits
    if limits == (x.low, x.high):
        limits = given.ends
    modes = f"Fit::{plan.fit}, {kind.name}"
    if plan.method is not Method.MULTIPLY:
        modes = f"Rounding::{node.grid.rounding.value}, {modes}"
    grid = ", ".join(
        map(kind.literal, (node.grid.low, node.grid.high, node.grid.zero_point))
    )
    arguments = [*map(given.literal, limits), *map(kind.literal, plan.numbers)]
    return (
        f"{plan.method}<{modes}>({value.name}, {', '.join(arguments)}, "
        f"Grid<{kind.name}>{{{grid}}})",
        kind,
    )


def _reshape(source: Source, node: Reshape, x: Tensor, value: Value) -> Spelt:
    return value.name, value.kind


def _table(source: Source, node: Table, x: Tensor, value: Value) -> Spelt:
    entries = node.entries[x.low - node.low : x.high - node.low + 1]
    stored = stored_type(int(entries.min()), int(entries.max()))
    kind = type_for(int(entries.min()), int(entries.max()), least=stored)
    table = source.table(stored, entries.tolist())
    low = value.kind.literal(x.low)
    return f"look_up<{kind.name}>({value.name}, {low}, {table})", kind


def _threshold(source: Source, node: Threshold, x: Tensor, value: Value) -> Spelt:
    count = node.thresholds.shape[-1]
    if not count:
        return "constant<N, int32_t>(0)", INT32
    # No integer tells a threshold beyond its range from the first one beyond.
    limited = np.clip(node.thresholds.astype(object), x.low, x.high + 1)
    kind = type_for(x.low, x.high + 1)
    search = count > _FEW_THRESHOLDS
    rows = np.sort(limited, axis=-1) if search else limited
    table = source.table(kind, rows.ravel().tolist())
    index = broadcast_index(node.thresholds.shape[:-1], x.shape, source.indices)
    cast = f"cast<{kind.name}>({value.name})"
    row = f"{table} + ({index}) * {count}"
    if search:
        return f"stepped<int32_t>({cast}, {row}, {count}, 0)", INT32
    return f"reached<int32_t>({cast}, {row}, {count})", INT32


_RULES: dict[type, Callable[[Source, Any, Tensor, Value], Spelt]] = {
    Affine: _affine,
    Clip: _clip,
    LeakyRelu: _leaky,
    Relu: _relu,
    Requantize: _requantize,
    Reshape: _reshape,
    Table: _table,
    Threshold: _threshold,
}
