"""Where registers go: a latency in clocks or nanoseconds becomes a number of stages.

Delays are counted in adder levels: one for an adder, half for a multiplexer or a gate.
What a level takes in nanoseconds is an estimate that the user gives; place and route
measures it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hawq.errors import InfeasibleError
from hawq.rtl.delays import count_levels

LEVEL_NS = 0.8
"""For UltraScale+ of speed grade 2. ECP5 takes some 2.5."""

MAX_STAGES = 200


@dataclass(frozen=True)
class Target:
    """What the pipeline has to meet.

    Attributes:
        latency_cycles: Clocks from the first registers to the last, at most.
        latency_ns: The same in nanoseconds.
        clock_ns: Period of the clock.
        level_ns: Delay of an adder level: an estimate.
    """

    latency_cycles: int | None = None
    latency_ns: float | None = None
    clock_ns: float = 5.0
    level_ns: float = LEVEL_NS

    @property
    def cycles(self) -> int:
        """The clocks that both limits allow.

        Returns:
            1 or more.

        Raises:
            InfeasibleError: if the latency is shorter than a clock.
        """
        limits = [self.latency_cycles] if self.latency_cycles is not None else []
        if self.latency_ns is not None:
            limits.append(int(self.latency_ns / self.clock_ns + 1e-9))
        if min(limits) < 1:
            raise InfeasibleError(
                f"a latency of {self.latency_ns:g} ns is shorter than a clock of "
                f"{self.clock_ns:g} ns: give at least one clock, or a faster one"
            )
        return min(limits)


def stages_for(logic: Any, target: Target) -> int:
    """Find the fewest stages whose levels fit the clock.

    Args:
        logic: From ``trace_graph``.
        target: With a latency.

    Returns:
        Stages of logic between registers: the latency in clocks.

    Raises:
        InfeasibleError: if no number within the latency fits; it names what would.
    """
    most, levels = target.cycles, target.clock_ns / target.level_ns
    first = max(1, int(count_levels(logic).latency[1] / levels))
    for stages in range(first, MAX_STAGES):
        if deepest(logic, stages) <= levels:
            break
    else:
        stages = 0
    if 0 < stages <= most:
        return stages
    within = deepest(logic, most)
    slower = within * target.level_ns
    ways = f"a clock of {slower:.3g} ns ({slower * most:.3g} ns in all)"
    if stages:
        ways = f"{stages} clocks ({stages * target.clock_ns:.3g} ns in all), or " + ways
    raise InfeasibleError(
        f"a latency of {most} clocks of {target.clock_ns:g} ns leaves {within:.1f} "
        f"adder levels a clock, an estimated {target.level_ns:g} ns each; "
        f"{levels:.1f} fit: allow {ways}, or use fewer bits"
    )


def deepest(logic: Any, stages: int) -> float:
    """Find the most adder levels between two registers.

    Args:
        logic: From ``trace_graph``.
        stages: Of logic between registers.

    Returns:
        Levels, of the slowest path of the slowest stage.
    """
    from alkaid.trace.pipeline import to_pipeline

    fsm = to_pipeline(count_levels(logic), n_stages=stages, verbose=False)
    return max(map(_depth, fsm.logic.values()), default=0.0)


def _depth(logic: Any) -> float:
    """Follow the slowest path from a stage's inputs; alkaid's latencies are totals."""
    own: list[float] = []
    for op in logic.ops:
        inputs = op.input_ids
        total = max((logic.ops[i].latency for i in inputs), default=op.latency)
        own.append(max((own[i] for i in inputs), default=0.0) + op.latency - total)
    return max(own, default=0.0)
