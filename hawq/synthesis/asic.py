"""Synthesise RTL for standard cells with Yosys; time it and compute power by OpenSTA.

All before layout: wires have no load and no delay, the clock has no tree. So area,
clock frequency and power are optimistic.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hawq.errors import DataError
from hawq.fixed import IntArray
from hawq.records import Record
from hawq.rtl.verilog import TOP
from hawq.stage import Progress, silent
from hawq.synthesis import opensta
from hawq.synthesis.activity import switching
from hawq.synthesis.fetch import corner, sta
from hawq.synthesis.fetch import liberty as find_liberty
from hawq.synthesis.fpga import verilog_sources
from hawq.synthesis.netlists.gates import write_gates
from hawq.synthesis.netlists.ports import read_ports
from hawq.synthesis.process import Limits, Line
from hawq.synthesis.record import Netlist, Power, Resources, SynthesisReport, Usage
from hawq.synthesis.yosys import cells, read_verilog, run_yosys, stat, telling
from hawq.synthesis.yosys import yosys_version as version_of_yosys

STATE = "Yosys: mapped, pre-layout, no wire load"

SAMPLES = 1000
"""Random inputs where none are given."""

_SEED = 0


class AsicTarget(Record):
    """What the cells are, and what tools may take.

    Attributes:
        liberty: Of the cells; None takes osu018 (180 nm).
        clock_ns: Period that mapping aims at. Power is computed at it, or at the
            shortest that is met.
        limit_s: Seconds for one run of one tool.
        memory_gib: For one run of one tool; None is no limit.
    """

    liberty: Path | None = None
    clock_ns: float = Field(default=5.0, gt=0)
    limit_s: float = Field(default=2 * 3600, gt=0)
    memory_gib: float | None = Field(default=None, gt=0)


def require_asic(liberty: Path | None) -> None:
    """Check cells and tools before time is spent; fetch what can be fetched.

    Args:
        liberty: As ``AsicTarget`` has it.

    Raises:
        InputError: if the cells are not there or incomplete.
        ToolError: if a tool is missing and cannot be fetched.
    """
    version_of_yosys()
    find_liberty(liberty)
    sta()


def asic(
    project: Path,
    folder: Path,
    target: AsicTarget,
    progress: Progress = silent,
    inputs: IntArray | None = None,
) -> SynthesisReport:
    """Map an RTL project to standard cells, time it and compute its power.

    Args:
        project: Folder of the project in Verilog, with its sources in ``src``.
        folder: Gets ``netlist.v`` (flat, the ports of the RTL), ``netlist.json``,
            ``stat.json``, ``gates.json`` (from ``write_gates``), scripts and logs.
        target: Cells, clock and limits.
        progress: Told the passes.
        inputs: Integers of the network's inputs for switching activity, one sample a
            clock; shape (samples, elements). None takes random bits.

    Returns:
        All of it as synthesised; files are relative to the folder.

    Raises:
        InputError: if the cells are incomplete.
        StageError: if there is no RTL.
        ToolError: if a tool is missing, fails or exceeds its limits.
    """
    sources = verilog_sources(project)
    cell_file = find_liberty(target.liberty).resolve()
    tools = {"yosys": version_of_yosys(), "opensta": sta().version}
    folder = folder.resolve()
    mapped = _map(sources, cell_file, folder, target, telling(progress, 0.7, 40))
    ports = json.loads((folder / "netlist.json").read_text())["modules"][TOP]["ports"]
    clocked = "clk" in ports
    progress("OpenSTA: timing", 0.75)
    timed = opensta.timing(
        folder / "sta.v",
        cell_file,
        TOP,
        target.clock_ns,
        clocked=clocked,
        seconds=target.limit_s,
        memory_gib=target.memory_gib,
    )
    progress("OpenSTA: power", 0.8)
    bits, source = _bits(project, len(ports["model_inp"]["bits"]), inputs)
    clock_ns = max(target.clock_ns, timed.achieved_ns)
    used = _power(folder, cell_file, target, clock_ns, bits, source, clocked)
    return SynthesisReport(
        tools=tools,
        top=TOP,
        part=str(corner(cell_file)),
        synthesised=mapped.model_copy(update={"timing": timed, "power": used}),
    )


def _power(
    folder: Path,
    liberty: Path,
    target: AsicTarget,
    clock_ns: float,
    bits: NDArray[np.uint8],
    source: str,
    clocked: bool,
) -> Power:
    """Simulate the netlist on bits of its input port for its power."""
    limits = Limits(target.limit_s, target.memory_gib)
    elaborated = write_gates(folder / "netlist.v", [liberty], folder, limits)
    return opensta.power(
        folder / "sta.v",
        liberty,
        TOP,
        clock_ns,
        switching(elaborated, TOP, bits),
        f"{source} simulated without delays (no glitches), one a clock of "
        f"{clock_ns:.4g} ns; no wires, no clock tree",
        clocked=clocked,
        seconds=target.limit_s,
        memory_gib=target.memory_gib,
    )


def _bits(
    project: Path, width: int, inputs: IntArray | None
) -> tuple[NDArray[np.uint8], str]:
    """Give bits of the input port, and say where they come from."""
    if inputs is None:
        drawn = np.random.default_rng(_SEED).integers(0, 2, (SAMPLES, width), np.uint8)
        return drawn, f"{SAMPLES} random inputs"
    words = read_ports(project).inputs.pack(inputs)
    plain = np.ascontiguousarray(words, dtype="<u4").view(np.uint8)
    bits = np.unpackbits(plain, axis=1, bitorder="little")[:, :width]
    return bits, f"{len(inputs)} inputs of the network"


def _map(
    sources: list[Path],
    liberty: Path,
    folder: Path,
    target: AsicTarget,
    on_line: Line,
) -> Netlist:
    """Map to cells; nets keep the names of the RTL, other nets and cells get numbers.

    Returns:
        Cells and area.
    """
    # OpenSTA of 2019 reads no ``assign {...}``: in sta.v nets and ports are one bit.
    folder.mkdir(parents=True, exist_ok=True)
    counted, load = folder / "stat.json", folder / "abc.constr"
    load.write_text("set_load 0 [all_outputs]\n")  # without it ABC buffers nothing
    run_yosys(
        (
            *read_verilog(sources),
            f"synth -flatten -top {TOP}",
            "setundef -zero",
            f'dfflibmap -liberty "{liberty}"',
            f'abc -liberty "{liberty}" -D {1000 * target.clock_ns:.0f} '
            f'-constr "{load}"',
            "opt_clean -purge",
            "rename -enumerate -pattern g%",
            stat(counted, f'-liberty "{liberty}"'),
            "write_json netlist.json",
            "write_verilog -noattr netlist.v",
            "splitnets -ports",
            "opt_clean -purge",
            "write_verilog -noattr -noexpr -nohex -nodec sta.v",
        ),
        folder,
        name="yosys",
        seconds=target.limit_s,
        memory_gib=target.memory_gib,
        on_line=on_line,
    )
    return _counted(counted, _flip_flops(liberty))


def _flip_flops(liberty: Path) -> set[str]:
    """Name the cells with a group ``ff``."""
    found, cell = set(), ""
    for line in liberty.read_text(encoding="utf-8", errors="replace").splitlines():
        head, _, rest = line.strip().partition("(")
        if head.strip() == "cell":
            cell = rest.partition(")")[0].strip(' "')
        elif head.strip() == "ff":
            found.add(cell)
    return found


def _counted(path: Path, flip_flops: set[str]) -> Netlist:
    counts = cells(path)
    modules = json.loads(path.read_text())["modules"]
    area = modules.get(f"\\{TOP}", {}).get("area")
    if area is None:
        raise DataError(f"{path} has no area of {TOP}: run synthesis again")
    usage: Counter[str] = Counter({"FF": 0})
    for kind, count in counts.items():
        usage["FF" if kind in flip_flops else kind] += count
    return Netlist(
        resources=Resources(
            file=path.name,
            state=STATE,
            usage={kind: Usage(used=count) for kind, count in usage.items()},
            primitives=counts,
        ),
        area_um2=area,
    )
