"""What the network costs in hardware: target by target, number by number, file by file.

A column of a target's table is one source: estimates have columns of their own. A
number that a source could give and did not is None; one that is not its to give is not
among its values.
"""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.figure import Figure

from hawq.records import Record
from hawq.report import style
from hawq.report.sections.quantities import COUNTS, QUANTITIES, available_in, of_netlist
from hawq.report.sections.sources import (
    ROUTED,
    SYNTHESISED,
    Column,
    Origin,
    Source,
    sources,
)
from hawq.rtl.stage import RtlRecord
from hawq.synthesis.record import Spread, SynthesisReport
from hawq.synthesis.stage import SynthesisRecord, TargetResult

TITLES = {
    "xcup": "AMD UltraScale+",
    "ecp5": "Lattice ECP5",
    "asic": "ASIC",
    "vitis_hls": "Vitis HLS, on hls4ml’s project",
    "vivado": "Vivado, on hls4ml’s project",
}
"""How targets are written."""

_FROM_RTL = ("xcup", "ecp5", "asic")


class Row(Record):
    """One quantity of a target.

    Attributes:
        quantity: What.
        unit: Empty for a count.
        values: Column → value, None where it was not reported; a column that cannot
            tell is absent.
        available: In the part, if known.
        at_most: Columns whose value is only an upper bound.
    """

    quantity: str
    unit: str
    values: dict[str, float | None]
    available: float | None = None
    at_most: tuple[str, ...] = ()

    @property
    def is_count(self) -> bool:
        """Whether it is counted."""
        return self.unit in COUNTS

    def share(self, column: str) -> float | None:
        """Give the part that is used.

        Args:
            column: Of the value.

        Returns:
            Per cent; None if one of the two numbers is missing.
        """
        used = self.values.get(column)
        if used is None or not self.available:
            return None
        return 100 * used / self.available


class SeedRun(Record):
    """Place and route with one seed.

    Attributes:
        seed: Of the placer.
        fmax_mhz: Highest clock frequency.
        worst_slack_ns: To the clock asked for.
        luts: After it, if reported.
        seconds: It took.
    """

    seed: int
    fmax_mhz: float
    worst_slack_ns: float | None
    luts: float | None
    seconds: float


class Path(Record):
    """The slowest path.

    Attributes:
        column: Whose netlist.
        words: From where to where, in the network; None if it cannot be named.
        source: The pin it starts from.
        destination: The pin it ends at.
        delay_ns: Logic and route.
        logic_ns: In cells, if reported.
        route_ns: In wires, if reported.
        levels: Cells of logic on it, if reported.
    """

    column: str
    words: str | None
    source: str
    destination: str
    delay_ns: float
    logic_ns: float | None
    route_ns: float | None
    levels: int | None


class Target(Record):
    """One target.

    Attributes:
        name: As in the flow file.
        title: Written out.
        part: As the tool spells it.
        columns: Estimates first.
        rows: Quantity by quantity.
        origins: Where each column comes from.
        seeds: Of place and route, in the order asked for.
        fmax_mhz: Over the seeds; None without any.
        clock_mhz: Asked of place and route; None if none was.
        path: The slowest; None if no tool timed one.
        black_boxes: Cells without content, whose insides no count has.
        csim_errors: Counted by the vendor's C-simulation.
        seconds: That all of it took.
    """

    name: str
    title: str
    part: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    origins: tuple[Origin, ...]
    seeds: tuple[SeedRun, ...]
    fmax_mhz: Spread | None
    clock_mhz: float | None
    path: Path | None
    black_boxes: dict[str, int]
    csim_errors: int | None
    seconds: float

    @property
    def size(self) -> Row:
        """The row that tells its size: look-up tables, or area."""
        return self.rows[0]


class Synthesis(Record):
    """The section on hardware.

    Attributes:
        targets: In the order asked for.
    """

    targets: tuple[Target, ...]


def gather(record: SynthesisRecord, rtl: RtlRecord | None) -> Synthesis:
    """Collect what every target reported.

    Args:
        record: Of the stage.
        rtl: What the open targets were made from.

    Returns:
        The section.
    """
    return Synthesis(
        targets=tuple(
            _target(name, result, record, rtl)
            for name, result in record.targets.items()
        )
    )


def _target(
    name: str, result: TargetResult, record: SynthesisRecord, rtl: RtlRecord | None
) -> Target:
    report = result.report
    ours = rtl if name in _FROM_RTL else None
    told = sources(name, report, record, ours)
    timing = report.routed.timing if report.routed else None
    return Target(
        name=name,
        title=TITLES.get(name, name),
        part=report.part,
        columns=tuple(source.column for source in told),
        rows=tuple(_rows(name == "asic", report, told)),
        origins=tuple(origin for source in told for origin in source.origins),
        seeds=_seeds(report),
        fmax_mhz=report.fmax_mhz,
        clock_mhz=1000 / timing.period_ns if timing else None,
        path=_path(result),
        black_boxes={
            cell: count
            for netlist in (report.synthesised, report.routed)
            if netlist and netlist.resources
            for cell, count in netlist.resources.black_boxes.items()
        },
        csim_errors=report.csim_errors,
        seconds=result.seconds,
    )


def _rows(
    asic: bool, report: SynthesisReport, told: tuple[Source, ...]
) -> Iterator[Row]:
    available = available_in(report)
    for key, quantity in QUANTITIES.items():
        values = {s.column.name: s.values[key] for s in told if key in s.values}
        known = any(value is not None for value in values.values())
        if values and asic in quantity.of and (known or quantity.always):
            yield Row(
                quantity=quantity.title,
                unit=quantity.unit,
                values=values,
                available=available.get(key),
                at_most=tuple(s.column.name for s in told if key in s.at_most),
            )


def _seeds(report: SynthesisReport) -> tuple[SeedRun, ...]:
    return tuple(
        SeedRun(
            seed=run.seed,
            fmax_mhz=run.fmax_mhz,
            worst_slack_ns=run.netlist.timing.worst_slack_ns
            if run.netlist.timing
            else None,
            luts=of_netlist(run.netlist, None)["LUT"],
            seconds=run.seconds,
        )
        for run in report.routed_seeds
    )


def _path(result: TargetResult) -> Path | None:
    report = result.report
    for name, netlist in (
        (ROUTED, report.routed),
        (SYNTHESISED, report.synthesised),
    ):
        if netlist and netlist.timing and (found := netlist.timing.path):
            return Path(
                column=name,
                words=result.path,
                source=found.source,
                destination=found.destination,
                delay_ns=found.delay_ns,
                logic_ns=found.logic_ns,
                route_ns=found.route_ns,
                levels=found.levels,
            )
    return None


@style.sheet()
def draw_seeds(synthesis: Synthesis) -> Figure:
    """Draw the clock frequency that every seed of place and route reached.

    Args:
        synthesis: With at least one target that has seeds.

    Returns:
        The figure: a row a target.
    """
    routed = [target for target in synthesis.targets if target.fmax_mhz]
    figure = style.canvas(7.6, 0.55 * len(routed) + 0.95)
    axes = figure.subplots()
    for y, target in enumerate(routed):
        assert target.fmax_mhz is not None
        found = [run.fmax_mhz for run in target.seeds]
        spread = target.fmax_mhz
        axes.plot(
            [spread.minimum, spread.maximum],
            [y, y],
            color=style.BLUE,
            alpha=0.35,
            linewidth=6,
            solid_capstyle="butt",
        )
        axes.plot(
            found, [y] * len(found), "o", color=style.BLUE, label="" if y else "a seed"
        )
        axes.plot(
            [spread.median] * 2,
            [y - 0.28, y + 0.28],
            color=style.INK,
            label="" if y else "median",
        )
        if target.clock_mhz is not None:
            axes.plot(
                [target.clock_mhz] * 2,
                [y - 0.38, y + 0.38],
                ":",
                color=style.VERMILION,
                linewidth=2,
                label="" if y else "asked for",
            )
    axes.set_yticks(range(len(routed)), [target.title for target in routed])
    axes.set_ylim(len(routed) - 0.4, -0.6)
    axes.margins(x=0.08)
    style.categories(axes, "y")
    axes.set_xlabel("highest clock frequency after place and route [MHz]")
    figure.legend(loc="outside upper right", ncols=3)
    return figure
