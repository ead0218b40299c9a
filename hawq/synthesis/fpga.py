"""Synthesise RTL for FPGAs with Yosys; ``yosys`` is the seam's tool.

Yosys' counts are those after synthesis, before placement. They are not Vivado's: Yosys
puts no two small functions into one LUT, so that its LUTs are more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from hawq.errors import StageError
from hawq.records import Record
from hawq.rtl.verilog import TOP
from hawq.stage import Progress, silent
from hawq.synthesis.nextpnr import nextpnr_version, place_and_route_ecp5
from hawq.synthesis.parts import Family, Part, find_part, require_room
from hawq.synthesis.process import Line
from hawq.synthesis.record import (
    Netlist,
    Resources,
    RoutedSeed,
    SynthesisReport,
    Usage,
)
from hawq.synthesis.yosys import cells, read_verilog, run_yosys, stat, telling
from hawq.synthesis.yosys import yosys_version as version_of_yosys

STATE = "Yosys: synthesised, not placed"

_NO_VERIFICATION = "scratchpad -set abc9.verify false"
"""ABC's check of its own work does not end on large logic without registers; netlists
are compared with the golden executor instead (rung 6)."""

_ECP5_ADDERS = Path(__file__).with_name("ecp5_adders.v")

_KINDS: Mapping[Family, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "xcup": (
        (r"LUT[1-6]", ("LUT", "LUT_LOGIC")),
        (r"SRL16E|SRLC(16|32)E", ("LUT", "LUT_MEMORY", "SRL")),
        (r"RAM\d+(X\d+)?\w*", ("LUT", "LUT_MEMORY", "LUT_RAM")),
        (r"FD[RSCP]E(_1)?", ("FF",)),
        (r"LD[CP]E", ("LATCH",)),
        (r"CARRY[48]", ("CARRY",)),
        (r"DSP48E[12]", ("DSP",)),
        (r"RAMB36E2", ("BRAM_36K",)),
        (r"RAMB18E2", ("BRAM_18K",)),
        (r"(MUXF[789]|INV)", ()),
    ),
    "ecp5": (
        (r"LUT4", ("LUT", "LUT_LOGIC")),
        (r"TRELLIS_DPR16X4", ("LUT_RAM",)),
        (r"TRELLIS_FF", ("FF",)),
        (r"CCU2C", ("CARRY",)),
        (r"PFUMX", ("MUXF5",)),
        (r"L6MUX21", ("MUXF6",)),
        (r"MULT18X18D", ("DSP",)),
        (r"DP16KD", ("BRAM_18K",)),
        (r"INV", ()),
    ),
}
"""Cells and our names of what they are; a cell without one keeps the library's."""

_ALWAYS = ("LUT", "FF", "CARRY", "DSP")


class Target(Record):
    """What the open tools shall make, and what they may take.

    Attributes:
        part: As its maker spells it. ECP5 parts are placed and routed.
        clock_ns: Period that place and route aims at.
        seeds: Of place and route, one run each; none stops after synthesis.
        limit_s: Seconds for one run of one tool.
        memory_gib: For one run of one tool; None is no limit.
        workers: Seeds that are routed at once.
    """

    part: str = "xcvu9p-flga2104-2L-e"
    clock_ns: float = Field(default=5.0, gt=0)
    seeds: tuple[int, ...] = (1, 2, 3)
    limit_s: float = Field(default=2 * 3600, gt=0)
    memory_gib: float | None = Field(default=None, gt=0)
    workers: int = Field(default=1, ge=1)


def yosys(
    project: Path,
    folder: Path,
    target: Target,
    progress: Progress = silent,
    adders: float | None = None,
) -> SynthesisReport:
    """Synthesise an RTL project, and place and route it where nextpnr can.

    Args:
        project: Folder of the project in Verilog, with its sources in ``src``.
        folder: Gets netlists, reports, logs and scripts.
        target: Part, seeds and limits.
        progress: Told the passes.
        adders: alkaid's cost of the adder graph, to refuse what cannot fit the part
            before anything runs; None lets it pass.

    Returns:
        Counts after synthesis and, of ECP5 parts, after place and route with each seed;
        files are relative to the folder.

    Raises:
        InputError: if the part is unknown or too small.
        StageError: if there is no RTL.
        ToolError: if a tool is missing, fails or exceeds its limits.
    """
    part = find_part(target.part)
    require_room(part, adders or 0)
    sources = verilog_sources(project)
    tools = {"yosys": version_of_yosys()}
    routes = part.family == "ecp5" and bool(target.seeds)
    if routes:
        tools["nextpnr-ecp5"] = nextpnr_version()
    share = 0.3 if routes else 1.0
    told = telling(progress, share, 100)
    synthesised = synthesise(sources, TOP, folder, target, told)
    runs: tuple[RoutedSeed, ...] = ()
    if routes:
        runs = place_and_route_ecp5(
            folder / "netlist.json",
            part=part,
            clock_ns=target.clock_ns,
            seeds=target.seeds,
            seconds=target.limit_s,
            memory_gib=target.memory_gib,
            workers=target.workers,
            progress=lambda what, done: progress(what, share + (1 - share) * done),
        )
    return SynthesisReport(
        tools=tools,
        top=TOP,
        part=part.name,
        synthesised=synthesised,
        routed=median_run(runs).netlist if runs else None,
        routed_seeds=runs,
    )


def median_run(runs: Sequence[RoutedSeed]) -> RoutedSeed:
    """Choose the run with the median clock frequency, of two the slower.

    Args:
        runs: At least one.

    Returns:
        One of them.
    """
    ordered = sorted(runs, key=lambda run: run.fmax_mhz)
    return ordered[(len(ordered) - 1) // 2]


def verilog_sources(project: Path) -> list[Path]:
    """List the Verilog of an RTL project, without the wrapper for simulation.

    Args:
        project: Its folder.

    Returns:
        Paths in alphabetical order.

    Raises:
        StageError: if there is none.
    """
    found = sorted((project / "src").rglob("*.v"))
    found = [path for path in found if not path.stem.endswith("_wrapper")]
    if not found:
        raise StageError(f"{project / 'src'} has no Verilog: run rtl")
    return found


def synthesise_xilinx(
    sources: Sequence[Path],
    top: str,
    folder: Path,
    *,
    part: Part,
    seconds: float,
    memory_gib: float | None = None,
    on_line: Line | None = None,
) -> Netlist:
    """Synthesise for AMD UltraScale+.

    Args:
        sources: Verilog.
        top: Name of the module.
        folder: Gets ``netlist.v`` (flat, the ports of the RTL), ``netlist.json``,
            ``stat.json``, ``yosys.ys`` and ``yosys.log``.
        part: For what is available.
        seconds: Time limit.
        memory_gib: Memory limit.
        on_line: Told what Yosys prints.

    Returns:
        What is counted after synthesis, a cell counted once.
    """
    passes = (f"synth_xilinx -family xcup -flatten -noiopad -noclkbuf -top {top}",)
    return _synthesise(sources, passes, folder, part, seconds, memory_gib, on_line)


def synthesise_ecp5(
    sources: Sequence[Path],
    top: str,
    folder: Path,
    *,
    part: Part,
    seconds: float,
    memory_gib: float | None = None,
    on_line: Line | None = None,
) -> Netlist:
    """Synthesise for Lattice ECP5.

    Synchronous resets that Yosys infers become logic again: a slice has one reset, and
    packing by resets spreads a pipeline out.

    Args:
        sources: Verilog.
        top: Name of the module.
        folder: Gets the files that ``synthesise_xilinx`` leaves.
        part: For what is available.
        seconds: Time limit.
        memory_gib: Memory limit.
        on_line: Told what Yosys prints.

    Returns:
        What is counted after synthesis, a cell counted once. A ``CARRY`` (CCU2C) adds
        two bits and takes the place of two LUTs.
    """
    passes = (
        f"synth_ecp5 -top {top} -run :map_gates",
        f"techmap -map {_ECP5_ADDERS}",
        f"synth_ecp5 -top {top} -run map_gates:map_ffs",
        "dffunmap -srst-only",
        "opt_clean",
        f"synth_ecp5 -top {top} -run map_ffs:",
    )
    return _synthesise(sources, passes, folder, part, seconds, memory_gib, on_line)


def synthesise(
    sources: Sequence[Path],
    top: str,
    folder: Path,
    target: Target,
    on_line: Line | None = None,
) -> Netlist:
    """Synthesise for the family of a target's part.

    Args:
        sources: Verilog.
        top: Name of the module.
        folder: Gets the files that ``synthesise_xilinx`` leaves.
        target: Part and limits.
        on_line: Told what Yosys prints.

    Returns:
        What is counted after synthesis.
    """
    part = find_part(target.part)
    return _SYNTHESISE[part.family](
        sources,
        top,
        folder,
        part=part,
        seconds=target.limit_s,
        memory_gib=target.memory_gib,
        on_line=on_line,
    )


_SYNTHESISE: Mapping[Family, Callable[..., Netlist]] = {
    "xcup": synthesise_xilinx,
    "ecp5": synthesise_ecp5,
}


def _synthesise(
    sources: Sequence[Path],
    passes: Sequence[str],
    folder: Path,
    part: Part,
    seconds: float,
    memory_gib: float | None,
    on_line: Line | None,
) -> Netlist:
    folder.mkdir(parents=True, exist_ok=True)
    counted = folder / "stat.json"
    run_yosys(
        (
            _NO_VERIFICATION,
            *read_verilog(sources),
            *passes,
            stat(counted),
            "write_json netlist.json",
            "write_verilog -noattr netlist.v",
        ),
        folder,
        name="yosys",
        seconds=seconds,
        memory_gib=memory_gib,
        on_line=on_line,
    )
    counts = cells(counted)
    return Netlist(resources=resources(counts, part, counted.name))


def resources(counts: Mapping[str, int], part: Part, file: str) -> Resources:
    """Say what cells are to an FPGA.

    Args:
        counts: Type of cell to count.
        part: For its family and what it has.
        file: That the counts come from.

    Returns:
        Usage by our names. Multiplexers and inverters stand apart: they take no LUT of
        their own (an inverter goes into the logic behind it).
    """
    usage: Counter[str] = Counter(dict.fromkeys(_ALWAYS, 0))
    for cell, count in counts.items():
        for kind in _kinds(cell, part.family):
            usage[kind] += count
    return Resources(
        file=file,
        state=STATE,
        usage={
            kind: Usage(used=count, available=part.available.get(kind))
            for kind, count in usage.items()
        },
        primitives=dict(counts),
    )


def _kinds(cell: str, family: Family) -> tuple[str, ...]:
    for pattern, kinds in _KINDS[family]:
        if re.fullmatch(pattern, cell):
            return kinds or (cell,)
    return (cell,)
