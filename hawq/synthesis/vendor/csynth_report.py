"""The text reports of Vivado HLS and Vitis HLS: C-synthesis and co-simulation."""

from __future__ import annotations

import re
from pathlib import Path

from hawq.errors import DataError
from hawq.synthesis.record import (
    Cosimulation,
    HlsEstimate,
    Module,
    Resources,
    Span,
    SynthesisReport,
    Usage,
)
from hawq.synthesis.vendor.kinds import kind
from hawq.synthesis.vendor.table import (
    Table,
    head,
    nanoseconds,
    number,
    span,
    tables,
)

TITLE = re.compile(r"== (Vivado|Vitis) HLS Report for '([^']+)'")


def read_csynth(text: str, path: Path) -> SynthesisReport:
    """Read ``<top>_csynth.rpt`` of Vivado HLS 2018 to Vitis HLS 2025.

    Args:
        text: The report, or a dump of several that has it inside.
        path: Where it came from.

    Returns:
        The estimate.

    Raises:
        DataError: if timing, latency or resources are missing.
    """
    title = TITLE.search(text)
    tool = f"{title[1].lower()}_hls" if title else "vitis_hls"
    lines = head(text[title.start() :] if title else text)
    found: dict[str, Table] = {}
    instances: list[Table] = []
    for table in tables(text):
        if table.columns[:3] == ("Clock", "Target", "Estimated"):
            found.setdefault("Timing", table)
        elif table.columns[:1] == ("min",):
            found.setdefault("Latency", table)
        elif table.columns[:2] == ("Name", "BRAM_18K"):
            found.setdefault("Utilization", table)
        elif table.columns[:2] == ("Instance", "Module"):
            instances.append(table)
    for section in ("Timing", "Latency", "Utilization"):
        if section not in found or not found[section].rows:
            raise DataError(
                f"{path}: the HLS report has no table of {section}: it is cut short or "
                f"of a version that hawq does not know ({lines.get('version', 'none')})"
            )
    clock, timing = found["Timing"].rows[0], found["Timing"]
    target = nanoseconds(clock[1])
    if target is None:
        raise DataError(f"{path}: target clock: expected a period, got {clock[1]!r}")
    latency, interval, pipeline = _cycles(found["Latency"], found["Latency"].rows[0])
    margin = timing.column("Uncertainty")
    estimate = HlsEstimate(
        file=path.name,
        target_clock_ns=target,
        clock_ns=nanoseconds(clock[2]),
        uncertainty_ns=None if margin is None else nanoseconds(clock[margin]),
        latency_cycles=latency,
        interval_cycles=interval,
        pipeline=pipeline,
        resources=_resources(found["Utilization"], path),
        modules=_modules(instances),
    )
    version = lines.get("version", "").split()
    return SynthesisReport(
        tools={tool: version[0]} if version else {},
        top=title[2] if title else "",
        part=lines.get("target device", ""),
        estimate=estimate,
    )


def _cycles(table: Table, row: tuple[str, ...]) -> tuple[Span, Span, str]:
    """Latency, interval and pipeline; Vitis has the latency in time between them."""
    at = [index for index, name in enumerate(table.columns) if name == "min"]
    first, last = at[0], at[-1]
    pipeline = row[last + 2] if len(row) > last + 2 else ""
    return span(*row[first : first + 2]), span(*row[last : last + 2]), pipeline


def _resources(table: Table, path: Path) -> Resources:
    kinds = [kind(name) or name for name in table.columns[1:]]
    rows = {
        row[0]: dict(zip(kinds, map(number, row[1:]), strict=False))
        for row in table.rows
    }
    total, available = rows.get("Total", {}), rows.get("Available", {})
    if all(value is None for value in total.values()):
        raise DataError(
            f"{path}: the utilisation estimate has no row Total: it is cut short"
        )
    return Resources(
        file=path.name,
        state="estimated by HLS",
        usage={
            name: Usage(used=used, available=available.get(name))
            for name, used in total.items()
            if used is not None
        },
        parts={
            part: numbers
            for part, row in rows.items()
            if not part.startswith(("Total", "Available", "Utilization"))
            and (numbers := {k: v for k, v in row.items() if v is not None})
        },
    )


def _modules(instances: list[Table]) -> tuple[Module, ...]:
    """Join the instances' rows of cycles and of resources."""
    found: dict[str, Module] = {}
    for table in instances:
        for row in table.rows:
            if row[0] == "Total":
                continue
            module = found.get(row[0]) or Module(
                instance=row[0], module=row[1], depth=1
            )
            if "min" in table.columns:
                latency, interval, pipeline = _cycles(table, row)
                update = {
                    "latency_cycles": latency,
                    "interval_cycles": interval,
                    "pipeline": pipeline,
                }
            else:
                cells = zip(table.columns[2:], map(number, row[2:]), strict=False)
                update = {"usage": {kind(k) or k: v for k, v in cells if v is not None}}
            found[row[0]] = module.model_copy(update=update)
    return tuple(found.values())


def read_csim(text: str, _path: Path) -> SynthesisReport:
    """Read the verdict of C-simulation from a log.

    Args:
        text: The log.

    Returns:
        The errors that the test bench counted.
    """
    verdict = re.search(r"CSim done with (\d+) errors", text)
    return SynthesisReport(csim_errors=int(verdict[1]) if verdict else None)


def read_cosimulation(text: str, path: Path) -> SynthesisReport:
    """Read ``<top>_cosim.rpt``.

    Args:
        text: The report.
        path: Where it came from.

    Returns:
        The cycles counted in the language that was simulated; nothing if none was.

    Raises:
        DataError: if there is no row of a language.
    """
    drawn = re.findall(r"^\| *((?:VHDL|Verilog) *\|.*)\|$", text, re.MULTILINE)
    rows = [[cell.strip() for cell in row.split("|")] for row in drawn]
    rows = [row for row in rows if len(row) >= 8]
    if not rows:
        raise DataError(
            f"{path}: the co-simulation report has no row of Verilog or VHDL: it is "
            "cut short"
        )
    for language, status, *cells in rows:
        if status not in ("NA", ""):
            run = Cosimulation(
                file=path.name,
                language=language,
                status=status,
                latency_cycles=span(cells[0], cells[2], cells[1]),
                interval_cycles=span(cells[3], cells[5], cells[4]),
            )
            return SynthesisReport(cosimulation=run)
    return SynthesisReport()
