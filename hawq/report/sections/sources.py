"""Who tells what of a design: estimates, simulation, synthesis, place and route."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from hawq.records import Record
from hawq.report.sections.quantities import of_estimate, of_netlist
from hawq.rtl.stage import RtlRecord
from hawq.synthesis.record import Netlist, Spread, SynthesisReport
from hawq.synthesis.stage import SynthesisRecord

TOOLS = {
    "yosys": "Yosys",
    "nextpnr": "nextpnr",
    "opensta": "OpenSTA",
    "sta": "OpenSTA",
    "vivado_hls": "Vivado HLS",
    "vitis_hls": "Vitis HLS",
    "vivado": "Vivado",
}
"""How tools are written; the first that begins a name counts."""

_HLS = ("vitis_hls", "vivado_hls")
SYNTHESISED = "after synthesis"
ROUTED = "after place and route"
"""Names of columns that count cells of a netlist."""


class Column(Record):
    """One source of numbers.

    Attributes:
        name: What it tells of.
        is_estimate: Whether it expects; others count or measure.
    """

    name: str
    is_estimate: bool


class Origin(Record):
    """Where some numbers of a column come from.

    Attributes:
        column: Whose.
        what: Which numbers.
        tool: With its version.
        file: Of the tool, or the record that holds them.
        state: Of the design, in the tool's words; of power, the activity's source.
    """

    column: str
    what: str
    tool: str
    file: str
    state: str


class Source(NamedTuple):
    """A column with its numbers.

    Attributes:
        column: What it is.
        values: Quantity → value, None where it was not reported.
        origins: Where the numbers come from.
        at_most: Quantities that are only bounded.
    """

    column: Column
    values: Mapping[str, float | None]
    origins: tuple[Origin, ...]
    at_most: tuple[str, ...] = ()


def sources(
    name: str, report: SynthesisReport, record: SynthesisRecord, rtl: RtlRecord | None
) -> tuple[Source, ...]:
    """List the sources of a target's numbers.

    Args:
        name: The target.
        report: Of the target.
        record: With what was predicted.
        rtl: What the target was made from; None if it was made from other RTL.

    Returns:
        Estimates first.
    """
    return (
        *_expected(name, record, rtl),
        *_estimated(report),
        *_simulated(report, rtl),
        *_netlists(report, _cycles(report, rtl)),
    )


def _expected(
    name: str, record: SynthesisRecord, rtl: RtlRecord | None
) -> Iterator[Source]:
    """What was expected before any tool ran."""
    if name == "xcup" and record.predicted_luts is not None:
        origin = Origin(
            column="cost model",
            what="LUTs",
            tool="hawq",
            file="synthesis: record.json",
            state="sum over layers, from their bits",
        )
        yield _told(origin, {"LUT": record.predicted_luts}, is_estimate=True)
    if name in {"xcup", "ecp5"} and rtl is not None:
        origin = Origin(
            column="adder graph",
            what="LUTs, registers",
            tool="alkaid",
            file="rtl: record.json",
            state="about one LUT a unit",
        )
        yield _told(origin, {"LUT": rtl.adders, "FF": rtl.registers}, is_estimate=True)


def _told(
    origin: Origin, values: Mapping[str, float | None], *, is_estimate: bool
) -> Source:
    """Make a source of numbers that all come from one place."""
    return Source(
        Column(name=origin.column, is_estimate=is_estimate), values, (origin,)
    )


def _estimated(report: SynthesisReport) -> Iterator[Source]:
    found = report.estimate
    if found is None:
        return
    column, tool = Column(name="HLS", is_estimate=True), _tool(report, *_HLS)
    origins = [
        Origin(
            column=column.name,
            what="timing, latency",
            tool=tool,
            file=found.file,
            state=found.pipeline,
        )
    ]
    if found.resources is not None:
        resources = Origin(
            column=column.name,
            what="resources",
            tool=tool,
            file=found.resources.file,
            state=found.resources.state,
        )
        origins.insert(0, resources)
    yield Source(column, of_estimate(found), tuple(origins))


def _simulated(report: SynthesisReport, rtl: RtlRecord | None) -> Iterator[Source]:
    """Clocks, counted while the RTL ran."""
    column, what = "RTL simulation", "latency"
    values: dict[str, float | None]
    if rtl is not None:
        origin = Origin(
            column=column,
            what=what,
            tool="Verilator",
            file="rtl: record.json",
            state="a new input every clock",
        )
        values = {"latency_cycles": rtl.latency_cycles, "interval_cycles": 1}
        yield _told(origin, values, is_estimate=False)
    elif (cosim := report.cosimulation) is not None:
        origin = Origin(
            column=column,
            what=what,
            tool=_tool(report, *_HLS),
            file=cosim.file,
            state=f"{cosim.language} co-simulation: {cosim.status}",
        )
        values = {
            "latency_cycles": cosim.latency_cycles.maximum,
            "interval_cycles": cosim.interval_cycles.maximum,
        }
        yield _told(origin, values, is_estimate=False)


def _cycles(report: SynthesisReport, rtl: RtlRecord | None) -> float | None:
    """The latency that simulation counted; an estimate is none."""
    if rtl is not None:
        return rtl.latency_cycles
    cosim = report.cosimulation
    return cosim.latency_cycles.maximum if cosim else None


def _netlists(report: SynthesisReport, cycles: float | None) -> Iterator[Source]:
    if report.synthesised is not None:
        column = Column(name=SYNTHESISED, is_estimate=False)
        tools = {
            "resources": _tool(report, "yosys", "vivado"),
            "timing": _tool(report, "opensta", "sta", "vivado", "yosys"),
            "power": _tool(report, "opensta", "sta", "vivado"),
        }
        yield _netlist(report.synthesised, column, tools, cycles)
    if report.routed is not None:
        runs = len(report.routed_seeds)
        name = f"{ROUTED}, median of {runs} seeds" if runs > 1 else ROUTED
        tools = dict.fromkeys(
            ("resources", "timing", "power"), _tool(report, "nextpnr", "vivado")
        )
        found = _netlist(
            report.routed, Column(name=name, is_estimate=False), tools, cycles
        )
        spread = report.fmax_mhz if runs > 1 else None
        ends = {} if spread is None else _ends(spread)
        yield found._replace(values={**found.values, **ends})


def _ends(spread: Spread) -> dict[str, float | None]:
    return {"fmax_minimum_mhz": spread.minimum, "fmax_maximum_mhz": spread.maximum}


def _netlist(
    netlist: Netlist, column: Column, tools: Mapping[str, str], cycles: float | None
) -> Source:
    layout = "" if column.name.startswith(ROUTED) else "before layout; "
    told = (
        ("resources", netlist.resources, netlist.resources and netlist.resources.state),
        ("timing", netlist.timing, layout.removesuffix("; ")),
        (
            "power",
            netlist.power,
            f"{layout}activity: "
            f"{(netlist.power and netlist.power.confidence) or 'not reported'}",
        ),
    )
    origins = tuple(
        Origin(
            column=column.name,
            what=what,
            tool=tools[what],
            file=found.file,
            state=state or "",
        )
        for what, found, state in told
        if found is not None
    )
    at_most = netlist.power.at_most if netlist.power else ()
    return Source(column, of_netlist(netlist, cycles), origins, at_most)


def _tool(report: SynthesisReport, *names: str) -> str:
    """Name the tool that told, the first of those that the report knows."""
    for name in names:
        for tool, version in report.tools.items():
            if tool.startswith(name) and (name != "vivado" or tool == name):
                return f"{TOOLS[name]} {version}"
    return ", ".join(f"{t} {v}" for t, v in report.tools.items()) or "not reported"
