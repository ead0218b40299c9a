"""Comparisons, tables and products of variables, on wires."""

from __future__ import annotations

from typing import Any

import numpy as np

from hawq.integer.nodes import ArgMax, Multiply, Table, Threshold
from hawq.integer.tensor import Tensor

Wires = Any
"""alkaid's array of variables, shape of one sample."""


def multiply(node: Multiply, tensors: list[Tensor], xs: list[Wires]) -> Wires:
    """Build products, element by element.

    Args:
        node: What to build.
        tensors: What it reads.
        xs: Their variables.

    Returns:
        Those of the output.
    """
    return xs[0] * xs[1]


def threshold(node: Threshold, tensors: list[Tensor], xs: list[Wires]) -> Wires:
    """Build a sum of comparisons; those that bounds decide cost nothing.

    Args:
        node: What to build.
        tensors: What it reads.
        xs: Its variables.

    Returns:
        Those of the output.
    """
    x = xs[0]
    shape = (*x.shape, node.thresholds.shape[-1])
    counts = np.empty(x.shape, dtype=object)
    limits = np.broadcast_to(node.thresholds, shape)
    for index in np.ndindex(x.shape):
        counts[index] = _reached(np.asarray(x)[index], limits[index].tolist())
    return type(x)(counts, x.solver_options, x.hwconf)


def _reached(x: Any, limits: list[int]) -> Any:
    """Count the limits that a variable reaches: adjacent partial sums are as short."""
    counts = [1.0 * (limit <= x.low) for limit in limits if _decided(x, limit)]
    waiting = [x >= float(limit) for limit in limits if not _decided(x, limit)]
    while len(waiting) > 1:
        pairs = [a + b for a, b in zip(waiting[::2], waiting[1::2], strict=False)]
        waiting = pairs + waiting[len(pairs) * 2 :]
    return waiting[0] + sum(counts) if waiting else sum(counts)


def _decided(x: Any, limit: int) -> bool:
    return bool(limit <= x.low or limit > x.high)


def arg_max(node: ArgMax, tensors: list[Tensor], xs: list[Wires]) -> Wires:
    """Build a tournament of neighbours, which keeps the order of equals.

    Args:
        node: What to build.
        tensors: What it reads.
        xs: Its variables.

    Returns:
        Those of the output.
    """
    x = xs[0]
    rows = np.moveaxis(np.asarray(x), node.axis, -1)
    winners = np.empty(rows.shape[:-1], dtype=object)
    for index in np.ndindex(winners.shape):
        winners[index] = _winner(list(rows[index]), node.last)
    return type(x)(np.expand_dims(winners, node.axis), x.solver_options, x.hwconf)


def _winner(values: list[Any], last: bool) -> Any:
    players: list[tuple[Any, Any]] = [(v, float(i)) for i, v in enumerate(values)]
    while len(players) > 1:
        pairs = zip(players[::2], players[1::2], strict=False)
        players = [_match(a, b, last) for a, b in pairs] + players[
            len(players) // 2 * 2 :
        ]
    return players[0][1]


def _match(a: tuple[Any, Any], b: tuple[Any, Any], last: bool) -> tuple[Any, Any]:
    if a[0].low > b[0].high or (a[0].low == b[0].high and not last):
        return a
    if a[0].high < b[0].low or (a[0].high == b[0].low and last):
        return b
    first = a[0] > b[0] if last else a[0] >= b[0]
    return first.msb_mux(a[0], b[0]), first.msb_mux(a[1], b[1])


def table(node: Table, tensors: list[Tensor], xs: list[Wires]) -> Wires:
    """Build a table of the integers that each variable can take.

    Args:
        node: What to build.
        tensors: What it reads.
        xs: Its variables.

    Returns:
        Those of the output.
    """
    x = xs[0]
    made = np.empty(x.shape, dtype=object)
    for index in np.ndindex(x.shape):
        made[index] = _looked_up(node, np.asarray(x)[index])
    return type(x)(made, x.solver_options, x.hwconf)


def _looked_up(node: Table, v: Any) -> Any:
    inputs = np.arange(int(v.low), int(v.high) + 1, max(int(v.step), 1)) - node.low
    entries = node.entries[inputs].astype(np.float64)
    return v.lookup(entries) if len(entries) > 1 else entries[0]
