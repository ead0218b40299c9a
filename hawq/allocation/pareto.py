"""The front of least loss against one cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from hawq.allocation.programme import Programme
from hawq.allocation.solver import smallest, solve
from hawq.records import ParetoPoint
from hawq.stage import Progress, silent

Spacing = Literal["log", "linear"]


def sweep(
    programme: Programme,
    cost: str,
    points: int,
    *,
    budgets: Mapping[str, float] | None = None,
    spacing: Spacing = "log",
    also: Iterable[float] = (),
    time_limit_s: float = math.inf,
    progress: Progress = silent,
) -> tuple[ParetoPoint, ...]:
    """Solve under budgets from the smallest feasible to the largest useful one.

    The largest useful budget is what the best widths spend if the cost has no limit.

    Args:
        programme: Decisions and tables.
        cost: The cost whose budget is swept.
        points: Budgets to solve, both ends included.
        budgets: Limits on other costs, kept throughout.
        spacing: Of the budgets.
        also: More budgets to solve, for example the chosen one.
        time_limit_s: For one run of the solver.
        progress: Told the fraction of budgets solved.

    Returns:
        The solutions that differ and are not dominated: with ``used`` the loss falls.
    """
    others = {n: v for n, v in (budgets or {}).items() if n != cost}
    top = solve(programme, others, time_limit_s=time_limit_s).costs[cost]
    least = smallest(programme, cost, others, time_limit_s=time_limit_s).costs[cost]
    bottom = min(least, top)
    limits = {bottom, top, *(v for v in also if v >= bottom)}
    if points > 2 and bottom < top:
        limits.update(_between(bottom, top, points, spacing))
    found = []
    for i, limit in enumerate(sorted(limits)):
        progress(f"budget {i + 1} of {len(limits)}", i / len(limits))
        best = solve(programme, {**others, cost: limit}, time_limit_s=time_limit_s)
        found.append(
            ParetoPoint(
                budget=limit,
                used=best.costs[cost],
                loss_rise_nats=best.loss,
                bits=best.bits,
            )
        )
    return not_dominated(found)


def not_dominated(points: Iterable[ParetoPoint]) -> tuple[ParetoPoint, ...]:
    """Keep the points that no other beats in both spending and loss.

    Args:
        points: In any order.

    Returns:
        By rising ``used`` and falling ``loss_rise_nats``, one of each pair of values,
        that of the smallest budget.
    """
    kept: list[ParetoPoint] = []
    for p in sorted(points, key=lambda p: (p.used, p.loss_rise_nats, p.budget)):
        if not kept or p.loss_rise_nats < kept[-1].loss_rise_nats:
            kept.append(p)
    return tuple(kept)


def _between(bottom: float, top: float, points: int, spacing: Spacing) -> list[float]:
    space = np.geomspace if spacing == "log" and bottom > 0 else np.linspace
    return [float(v) for v in space(bottom, top, points)[1:-1]]
