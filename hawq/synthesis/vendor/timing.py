"""Vivado's ``report_timing_summary`` and ``report_timing``."""

from __future__ import annotations

import re
from pathlib import Path

from hawq.errors import DataError
from hawq.synthesis.record import CriticalPath, Netlist, SynthesisReport, Timing
from hawq.synthesis.vendor.state import header, placed
from hawq.synthesis.vendor.table import head, number

_SUMMARY = re.compile(r"^ *(WNS\(ns\)[^\n]*)\n[ -]+\n *([^\n]*\S)", re.MULTILINE)
_CLOCK = re.compile(r"^ *(\S+) +\{[-\d. ]+\} +([\d.]+) +[\d.]+ *$", re.MULTILINE)
_SLACK = re.compile(r"^Slack[^:\n]*: +(-?[\d.]+)ns", re.MULTILINE)
_NET = re.compile(r"net \(fo=\d+, (\w+)\)")

_Worst = tuple[float, float, CriticalPath | None]
"""Slack, requirement and course of a path, ns."""


def read_timing(text: str, path: Path) -> SynthesisReport:
    """Read a timing report: the summary's totals where it has them, and the worst path.

    Args:
        text: The report.
        path: Where it came from.

    Returns:
        Timing in the field of the design's stage.

    Raises:
        DataError: if no path was checked for setup, or the design is not routed yet.
    """
    report, state = header(text)
    paths = _paths(text)
    summary = _SUMMARY.search(text)
    totals = _totals(summary) if summary else {}
    worst = min(paths, key=lambda entry: entry[0], default=None)
    slack = totals.get("WNS(ns)", worst[0] if worst else None)
    period = _period(text, slack, worst)
    if slack is None or period is None:
        raise DataError(
            f"{path}: expected the slack and the clock of the worst setup path, found "
            "none: there is no clock (create_clock) or the report is cut short"
        )
    timing = Timing(
        file=path.name,
        period_ns=period,
        worst_slack_ns=slack,
        total_slack_ns=totals.get("TNS(ns)"),
        worst_hold_slack_ns=totals.get("WHS(ns)"),
        total_hold_slack_ns=totals.get("THS(ns)"),
        worst_pulse_slack_ns=totals.get("WPWS(ns)"),
        failing=_whole(totals.get("TNS Failing Endpoints")),
        endpoints=_whole(totals.get("TNS Total Endpoints")),
        failing_hold=_whole(totals.get("THS Failing Endpoints")),
        path=worst[2] if worst else None,
    )
    after = placed(_stage(text, state, path), path)
    netlist = Netlist(timing=timing)
    return report.model_copy(update={"routed" if after else "synthesised": netlist})


def _stage(text: str, state: str, path: Path) -> str:
    """Tell the stage from the wires: those of a placed design are only estimated."""
    wires = set(_NET.findall(text))
    if "routed" in wires:
        return "routed"
    if "estimated" in wires:
        raise DataError(
            f"{path}: the design is placed but not routed, so its delays are guesses: "
            "report timing after route_design"
        )
    return "synthesized" if "unplaced" in wires else state


def _totals(summary: re.Match[str]) -> dict[str, float | None]:
    names = re.split(r" {2,}", summary[1].strip())
    return dict(zip(names, map(number, summary[2].split()), strict=False))


def _period(text: str, slack: float | None, worst: _Worst | None) -> float | None:
    """Find the period of the clock whose slack is the design's, or the worst path's."""
    for name, period in _CLOCK.findall(text):
        row = rf"^ *{re.escape(name)} +(-?\d+\.\d+) "
        found = re.findall(row, text, re.MULTILINE)
        if slack in [float(value) for value in found]:
            return float(period)
    return worst[1] if worst and worst[0] == slack else None


def _paths(text: str) -> list[_Worst]:
    """Read every setup path: slack, requirement and where it goes."""
    starts = list(_SLACK.finditer(text))
    ends = [*(start.start() for start in starts[1:]), len(text)]
    found = []
    for start, end in zip(starts, ends, strict=False):
        block = text[start.start() : end]
        lines = head(block)
        required = number(lines.get("requirement", "-"))
        if required is None or not re.match("Setup|Max", lines.get("path type", "")):
            continue
        found.append((float(start[1]), required, _path(lines)))
    return found


def _path(lines: dict[str, str]) -> CriticalPath | None:
    delay = lines.get("data path delay", "")
    if (total := number(delay)) is None:
        return None
    shares = re.search(r"logic ([\d.]+)ns.*route (-?[\d.]+)ns", delay)
    levels = lines.get("logic levels", "")
    return CriticalPath(
        source=lines.get("source", ""),
        destination=lines.get("destination", ""),
        delay_ns=total,
        logic_ns=float(shares[1]) if shares else None,
        route_ns=float(shares[2]) if shares else None,
        levels=_whole(number(levels)),
        cells={name: int(n) for name, n in re.findall(r"(\w+)=(\d+)", levels)},
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
