"""The Pareto front: predicted rise of the loss against what the bits cost."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from hawq.records import Allocation, Record
from hawq.report import style
from hawq.report.spelling import grouped

COST_TITLES = {
    "bops": "bit operations a sample, zeros left out (BOPs)",
    "bops_dense": "bit operations a sample, zeros counted (dense BOPs)",
    "memory_bits": "memory of weights and biases [bits]",
    "lut": "look-up tables",
    "latency_ns": "latency [ns]",
    "ebops": "effective bit operations a sample (EBOPs)",
}
"""How costs are written on axes."""

COST_NAMES = {
    "bops": "BOPs",
    "bops_dense": "dense BOPs",
    "memory_bits": "bits of memory",
    "lut": "look-up tables",
    "latency_ns": "ns of latency",
    "ebops": "EBOPs",
}
"""How costs are called in a sentence."""


class Point(Record):
    """An allocation.

    Attributes:
        name: ``front``, ``chosen``, ``uniform bits`` or ``reversed order``.
        used: What it spends of the swept cost.
        loss_rise_nats: Predicted.
        bits: Site → width.
    """

    name: str
    used: float
    loss_rise_nats: float
    bits: dict[str, int]


class Front(Record):
    """The section on the Pareto front; every loss in it is a prediction.

    Attributes:
        cost: Name of the swept cost.
        budget: Its limit, if it has one.
        chosen: The allocation of the flow.
        points: The sweep, rising in cost.
        baselines: What it is compared with, as far as the flow solved them.
        status: Of the solver.
        gap: Of the solver.
        costs: Every cost of the chosen allocation.
        budgets: Every limit.
    """

    cost: str
    budget: float | None
    chosen: Point
    points: tuple[Point, ...]
    baselines: tuple[Point, ...]
    status: str
    gap: float
    costs: dict[str, float]
    budgets: dict[str, float]


def gather(
    allocation: Allocation,
    cost: str,
    uniform: Allocation | None,
    against: Allocation | None,
) -> Front:
    """Collect the sweep and what it is compared with.

    Args:
        allocation: The chosen one.
        cost: The swept cost.
        uniform: Equal bits everywhere, under the same budgets.
        against: Sensitivities in reversed order, under the same budgets.

    Returns:
        The section.
    """
    named = (("uniform bits", uniform), ("reversed order", against))
    return Front(
        cost=cost,
        budget=allocation.budgets.get(cost),
        chosen=_point("chosen", allocation, cost),
        points=tuple(
            Point(
                name="front",
                used=point.used,
                loss_rise_nats=point.loss_rise_nats,
                bits=point.bits,
            )
            for point in sorted(allocation.pareto, key=lambda point: point.used)
        ),
        baselines=tuple(
            _point(name, found, cost) for name, found in named if found is not None
        ),
        status=allocation.status,
        gap=allocation.gap,
        costs=allocation.costs,
        budgets=allocation.budgets,
    )


def _point(name: str, allocation: Allocation, cost: str) -> Point:
    return Point(
        name=name,
        used=allocation.costs[cost],
        loss_rise_nats=allocation.loss_rise_nats,
        bits=allocation.bits(),
    )


@style.sheet()
def draw(front: Front) -> Figure:
    """Draw the front with the chosen point and the baselines.

    Args:
        front: The numbers.

    Returns:
        The figure.
    """
    figure = style.canvas(7.6, 4.2)
    axes = figure.subplots()
    used = [point.used for point in front.points]
    losses = [point.loss_rise_nats for point in front.points]
    if used:
        axes.step(used, losses, where="post", color=style.BLUE, alpha=0.45)
        axes.plot(used, losses, "o", color=style.BLUE, markersize=4, label="front")
    axes.plot(
        front.chosen.used,
        front.chosen.loss_rise_nats,
        "*",
        color=style.VERMILION,
        markersize=15,
        zorder=3,
        markeredgecolor="white",
        markeredgewidth=0.6,
        label="chosen",
    )
    shapes = {"uniform bits": ("s", style.ORANGE), "reversed order": ("v", style.GREY)}
    for point in front.baselines:
        shape, colour = shapes[point.name]
        at = (point.used, point.loss_rise_nats)
        axes.plot(*at, shape, color=colour, markersize=8, label=point.name)
    if front.budget is not None:
        axes.axvline(front.budget, color=style.INK, linestyle=":", linewidth=1)
        axes.annotate(
            "budget ",
            (front.budget, 0.98),
            xycoords=("data", "axes fraction"),
            rotation=90,
            ha="right",
            va="top",
            fontsize=8,
        )
    every = [p.loss_rise_nats for p in (*front.points, *front.baselines, front.chosen)]
    if min(every) > 0:
        axes.set_yscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.set_xlabel(COST_TITLES.get(front.cost, front.cost))
    axes.set_ylabel("predicted rise of the loss [nats]")
    axes.legend(loc="upper right")
    return figure


def _thousands(value: float, position: int | None = None) -> str:
    return grouped(value)
