"""Static timing and power of a mapped netlist, by OpenSTA, with no wire load."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from hawq.errors import ToolError
from hawq.synthesis.activity import Switching
from hawq.synthesis.fetch import sta
from hawq.synthesis.process import first_error, run_tool
from hawq.synthesis.record import CriticalPath, Power, Timing

_HOLD = "-- hold --"

_PIN = re.compile(r"^\s+(-?[\d.]+)\s+(-?[\d.]+) [\^v] (\S+) \((\w+)\)$", re.MULTILINE)
_NET = re.compile(r"^\s+\d+\s+(?:[\d.]+\s+)?(\S+) \(net\)$", re.MULTILINE)
_SLACK = re.compile(r"^\s+(-?[\d.]+)\s+slack \(", re.MULTILINE)
_TOTAL = re.compile(r"^tns (?:max )?(-?[\d.]+)", re.MULTILINE)
_ROW = re.compile(
    r"^(\w+)((?:\s+-?[\d.]+e[+-]\d+){4})\s+[\d.]+%", re.MULTILINE | re.IGNORECASE
)

_SET = """\
proc p {pin activity duty} {
  if {[info commands ::sta::set_power_pin_activity] ne ""} {
    sta::set_power_pin_activity [get_pins $pin] $activity $duty
  } else {
    set_power_activity -pins [get_pins $pin] -activity $activity -duty $duty
  }
}
"""


def _read(netlist: Path, liberty: Path, top: str, clock_ns: float, port: bool) -> str:
    """Give commands that read a design; without a clock port every path is timed."""
    made = f"create_clock -name clk -period {clock_ns:g}"
    clock = f"{made} [get_ports clk]\n"
    if not port:
        clock = (
            f"{made}\nset_input_delay 0 -clock clk [all_inputs]\n"
            "set_output_delay 0 -clock clk [all_outputs]\n"
        )
    return (
        f"read_liberty {{{liberty}}}\nread_verilog {netlist.name}\n"
        f"link_design {top}\n{clock}"
    )


def _run(
    script: str, folder: Path, name: str, seconds: float, memory_gib: float | None
) -> str:
    file, log = folder / f"{name}.tcl", folder / f"{name}.log"
    file.write_text(script, encoding="utf-8")
    program = sta()
    run_tool(
        (str(program.path), "-no_init", "-no_splash", "-exit", file.name),
        log,
        cwd=folder,
        seconds=seconds,
        memory_gib=memory_gib,
        environment=program.environment,
        name="OpenSTA",
    )
    text = log.read_text(encoding="utf-8", errors="replace")
    if line := first_error(text):  # it goes on after errors, and ends well
        raise ToolError(f"OpenSTA failed: {line.removesuffix('.')}; its log is {log}")
    return text


def timing(
    netlist: Path,
    liberty: Path,
    top: str,
    clock_ns: float,
    *,
    clocked: bool,
    seconds: float,
    memory_gib: float | None = None,
) -> Timing:
    """Time a netlist.

    Args:
        netlist: Verilog of cells, every net and port one bit; its folder gets
            ``timing.tcl`` and ``timing.log``.
        liberty: Of the cells.
        top: Name of the module.
        clock_ns: Period of ``clk``.
        clocked: Whether there is a port ``clk``; else inputs come and outputs are
            taken at the clock's edge.
        seconds: Time limit.
        memory_gib: Memory limit.

    Returns:
        Slacks and the slowest path. Its wires have no delay.

    Raises:
        ToolError: if OpenSTA is missing, fails or finds no path.
    """
    checks = "report_checks -format full -fields {input_pin net} -digits 4 -path_delay"
    script = (
        _read(netlist, liberty, top, clock_ns, clocked)
        + f"{checks} max\nreport_tns\nputs {{{_HOLD}}}\n{checks} min\n"
    )
    text = _run(script, netlist.parent, "timing", seconds, memory_gib)
    return read_timing(text, "timing.log", clock_ns)


def read_timing(text: str, file: str, clock_ns: float) -> Timing:
    """Read the log of ``timing``.

    Args:
        text: Of the log.
        file: Its name.
        clock_ns: Period that was asked for.

    Returns:
        What it says.

    Raises:
        ToolError: if there is no path.
    """
    setup, _, hold = text.partition(_HOLD)
    slack, hold_slack, total = (
        pattern.search(part)
        for pattern, part in ((_SLACK, setup), (_SLACK, hold), (_TOTAL, setup))
    )
    arrival = setup.partition("data arrival time")[0]
    pins = _PIN.findall(arrival)
    if slack is None or not pins:
        raise ToolError(
            f"OpenSTA finds no path from register to register; its log is {file}"
        )
    first, last = pins[0], pins[-1]
    cells = [kind for _, _, pin, kind in pins[1:-1:2] if "/" in pin]
    levels = cells[1:] if cells and "/" in first[2] else cells
    return Timing(
        file=file,
        period_ns=clock_ns,
        worst_slack_ns=float(slack[1]),
        total_slack_ns=float(total[1]) if total else None,
        worst_hold_slack_ns=float(hold_slack[1]) if hold_slack else None,
        path=CriticalPath(
            source=first[2],
            destination=last[2],
            delay_ns=float(last[1]) - float(first[1]),
            logic_ns=float(last[1]) - float(first[1]),
            levels=len(levels),
            cells=dict(Counter(levels)),
            nets=tuple(_NET.findall(arrival)),
        ),
    )


def power(
    netlist: Path,
    liberty: Path,
    top: str,
    clock_ns: float,
    activity: Mapping[str, Switching],
    confidence: str,
    *,
    clocked: bool,
    seconds: float,
    memory_gib: float | None = None,
) -> Power:
    """Compute a netlist's power.

    Args:
        netlist: As ``timing`` takes it; its folder gets ``power.tcl``, ``power.log``
            and ``activity.tcl``.
        liberty: Of the cells.
        top: Name of the module.
        clock_ns: Period of the clock.
        activity: ``cell/pin`` → how it switches. OpenSTA takes a cell's internal power
            from its inputs' activity and does not carry a driver's on to them, so all
            pins are needed.
        confidence: What to say of the activity.
        clocked: Whether there is a port ``clk``.
        seconds: Time limit.
        memory_gib: Memory limit.

    Returns:
        In mW, without wires.

    Raises:
        ToolError: if OpenSTA is missing, fails or reports none.
    """
    lines = (f"p {k} {v.toggles:.6g} {v.ones:.6g}\n" for k, v in activity.items())
    (netlist.parent / "activity.tcl").write_text(_SET + "".join(lines))
    script = _read(netlist, liberty, top, clock_ns, clocked) + (
        "report_power > /dev/null\n"  # the first report overwrites what was set
        "source activity.tcl\nreport_power -digits 6\n"
    )
    text = _run(script, netlist.parent, "power", seconds, memory_gib)
    return read_power(text, "power.log", confidence)


def read_power(text: str, file: str, confidence: str) -> Power:
    """Read OpenSTA's table of power.

    Args:
        text: Of the log.
        file: Its name.
        confidence: What to say of the activity.

    Returns:
        In mW; internal and switching power are dynamic.

    Raises:
        ToolError: if there is none.
    """
    rows = {
        name: [1e3 * float(x) for x in numbers.split()]
        for name, numbers in _ROW.findall(text)
    }
    if "Total" not in rows:
        raise ToolError(f"OpenSTA reports no power; its log is {file}")
    internal, switching, leakage, total = rows.pop("Total")
    return Power(
        file=file,
        total_mw=total,
        dynamic_mw=internal + switching,
        static_mw=leakage,
        confidence=confidence,
        components_mw={name: row[3] for name, row in rows.items() if row[3]},
    )
