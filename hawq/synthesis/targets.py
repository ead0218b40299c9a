"""Make the targets of the ``synthesis`` stage, side by side, each resumable."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal

from hawq import tools
from hawq.errors import InputError, StageError, ToolError
from hawq.records import Comparison, FirmwareProject
from hawq.rtl.stage import RtlRecord, load_samples
from hawq.stage import Progress, StageContext
from hawq.synthesis.netlists.ports import Ports, read_ports
from hawq.synthesis.process import Limits
from hawq.synthesis.record import CriticalPath, Proof, SynthesisReport
from hawq.synthesis.stage import Settings, TargetName, TargetResult

if TYPE_CHECKING:
    from hawq.csim.network import Inputs
    from hawq.integer.graph import Graph
    from hawq.synthesis.netlists.netlist import Gates

NETLIST = "netlist.v"
RESULT = "result.json"
"""In a target's folder once it is finished."""

NETLISTS = {
    "xcup": "UltraScale+ netlist (Verilator)",
    "ecp5": "ECP5 netlist (Verilator)",
    "asic": "ASIC netlist (Verilator)",
}
"""Targets whose netlists are simulated, and what the ladder calls them."""

_VENDOR = ("vitis_hls", "vivado")


@dataclass(frozen=True)
class Design:
    """What is synthesised, and how.

    Attributes:
        graph: The network.
        data: Input name → real values, the test samples to simulate on.
        project: Folder of the RTL in Verilog.
        rtl: Its record.
        hls: Folder of the stage that wrote hls4ml's project; None without one.
        settings: Of the stage.
        seed: Of corner inputs.
        workers: Processes that may work at once.
        folder: Where targets are made, each in a folder of its own.
    """

    graph: Graph
    data: Inputs
    project: Path
    rtl: RtlRecord
    hls: Path | None
    settings: Settings
    seed: int
    workers: int
    folder: Path


def make_targets(context: StageContext, graph: Graph) -> dict[str, TargetResult]:
    """Make every target, several at once where workers allow it.

    Args:
        context: Of the stage. Targets that an interrupted run had finished are taken
            from its scratch folder.
        graph: The network.

    Returns:
        Target → result; its files are in a folder of the target's name.
    """
    names = choose(context.settings)
    require(names, context.settings, hls="hls" in context.inputs)
    design = _design(context, graph)
    told = _Told(context.progress, names)
    with ThreadPoolExecutor(min(context.workers, len(names))) as pool:
        made = {
            name: pool.submit(make, design, name, partial(told.tell, name))
            for name in names
        }
        try:
            wait(made.values(), return_when=FIRST_EXCEPTION)
            for future in made.values():
                if future.done():
                    future.result()
            results: dict[str, TargetResult] = {
                name: future.result() for name, future in made.items()
            }
        finally:
            told.stopped = True  # what still runs ends at its next line
            for future in made.values():
                future.cancel()
    for name in names:
        shutil.move(design.folder / name, context.folder / name)
    return results


def choose(settings: Settings) -> tuple[TargetName, ...]:
    """Choose the targets: those asked for, and AMD's tools where they are installed.

    Args:
        settings: Of the stage.

    Returns:
        Their names.
    """
    names = settings.targets
    if settings.amd_tools == "auto" and not set(names) & set(_VENDOR):
        if settings.host is not None or tools.version("vivado") is not None:
            return (*names, "vivado")
        if tools.version("vitis_hls") is not None:
            return (*names, "vitis_hls")
    return names


def require(names: tuple[TargetName, ...], settings: Settings, *, hls: bool) -> None:
    """Check parts and tools of every target before hours are spent on one.

    Args:
        names: Targets.
        settings: Of the stage.
        hls: Whether hls4ml's project is there.

    Raises:
        InputError: if a part is unknown or of another family.
        StageError: if hls4ml's project is needed and not there.
    """
    from hawq.synthesis.nextpnr import nextpnr_version
    from hawq.synthesis.parts import find_part
    from hawq.synthesis.yosys import yosys_version

    for name in names:
        if name in _VENDOR and not hls:
            raise StageError(
                f"the target {name} is made from hls4ml's project, which this flow "
                "does not write: add the table [hls], or leave the target out"
            )
        if name in NETLISTS:
            yosys_version()
        if name in {"xcup", "ecp5"}:
            given = settings.xcup_part if name == "xcup" else settings.ecp5_part
            if find_part(given).family != name:
                raise InputError(
                    f"synthesis.{name}_part is {given}, a part of another family: "
                    f"expected one of {name}"
                )
        if name == "ecp5" and settings.seeds:
            nextpnr_version()
        if name == "asic":
            from hawq.synthesis.asic import require_asic

            require_asic(settings.liberty)


def _design(context: StageContext, graph: Graph) -> Design:
    made = context.inputs["rtl"]
    record = RtlRecord.model_validate_json((made / "record.json").read_text())
    return Design(
        graph=graph,
        data=load_samples(context, graph),
        project=made / record.folders["verilog"],
        rtl=record,
        hls=context.inputs.get("hls"),
        settings=context.settings,
        seed=context.seed,
        workers=context.workers,
        folder=context.scratch,
    )


class _Told:
    """Adds up the progress of targets that are made at once."""

    def __init__(self, progress: Progress, names: tuple[str, ...]) -> None:
        self._progress = progress
        self._done = dict.fromkeys(names, 0.0)
        self._lock = Lock()
        self.stopped = False

    def tell(self, name: str, what: str, fraction: float) -> None:
        if self.stopped:
            raise ToolError(f"{name} was ended: the stage stopped")
        with self._lock:
            self._done[name] = fraction
            done = sum(self._done.values()) / len(self._done)
            self._progress(f"{name}: {what}", done)


def make(design: Design, name: TargetName, progress: Progress) -> TargetResult:
    """Synthesise a target, simulate its netlist, and try to prove it.

    Args:
        design: What, and where.
        name: The target.
        progress: Told each step.

    Returns:
        The result, also written into the target's folder; read from there if it is.
    """
    folder = design.folder / name
    kept = folder / RESULT
    if kept.exists():
        return TargetResult.model_validate_json(kept.read_text())
    start = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    simulated = name in NETLISTS
    share = 0.6 if simulated else 1.0
    report = _SYNTHESISE[name](design, folder, _part(progress, 0, share))
    comparison = proof = None
    if simulated:
        progress("reading the netlist", share)
        ports = read_ports(design.project)
        gates = _gates(design, name, folder, ports)
        progress("simulating the netlist", 0.7)
        comparison = _simulate(design, name, folder, gates, ports)
        if design.settings.proof_limit_s:
            progress("proving the netlist", 0.9)
            proof = _prove(design, folder, gates, ports)
    timing = next(
        (n.timing for n in (report.routed, report.synthesised) if n and n.timing), None
    )
    result = TargetResult(
        report=report,
        comparison=comparison,
        proof=proof,
        path=None if timing is None or not simulated else _words(design, timing.path),
        seconds=time.perf_counter() - start,
    )
    result.save(kept)
    return result


def _part(progress: Progress, low: float, high: float) -> Progress:
    return lambda what, done: progress(what, low + (high - low) * done)


def _fpga(
    part: str, design: Design, folder: Path, progress: Progress
) -> SynthesisReport:
    from hawq.synthesis.fpga import Target, yosys
    from hawq.synthesis.layers import synthesise_layers
    from hawq.synthesis.parts import find_part

    settings = design.settings
    target = Target(
        part=part,
        clock_ns=settings.clock_ns,
        seeds=settings.seeds,
        limit_s=settings.tool_limit_s,
        memory_gib=settings.memory_gib,
        workers=design.workers,
    )
    first = next(n for n in settings.targets if n in {"xcup", "ecp5"})
    layers_too = settings.layers_alone and find_part(part).family == first
    adders, share = design.rtl.adders, 0.6 if layers_too else 1.0
    report = yosys(design.project, folder, target, _part(progress, 0, share), adders)
    if not layers_too:
        return report
    layers = synthesise_layers(
        design.graph, folder / "layers", target, _part(progress, share, 1)
    )
    return report.model_copy(update={"layers_alone": layers})


def _xcup(design: Design, folder: Path, progress: Progress) -> SynthesisReport:
    return _fpga(design.settings.xcup_part, design, folder, progress)


def _ecp5(design: Design, folder: Path, progress: Progress) -> SynthesisReport:
    return _fpga(design.settings.ecp5_part, design, folder, progress)


def _asic(design: Design, folder: Path, progress: Progress) -> SynthesisReport:
    from hawq.csim.simulation import input_integers
    from hawq.synthesis.asic import AsicTarget, asic

    settings = design.settings
    target = AsicTarget(
        liberty=settings.liberty,
        clock_ns=settings.clock_ns,
        limit_s=settings.tool_limit_s,
        memory_gib=settings.memory_gib,
    )
    inputs = input_integers(design.graph, design.data)
    return asic(design.project, folder, target, progress, inputs)


def _vendor(
    tool: Literal["vitis_hls", "vivado"],
    design: Design,
    folder: Path,
    progress: Progress,
) -> SynthesisReport:
    """Run AMD's HLS on a copy of hls4ml's project, and Vivado on what it wrote."""
    from hawq.synthesis.vendor import run
    from hawq.synthesis.vendor.read import join

    assert design.hls is not None
    settings = design.settings
    firmware = FirmwareProject.model_validate_json(
        (design.hls / "record.json").read_text()
    )
    project = folder / "project"
    shutil.copytree(design.hls / firmware.folder, project, dirs_exist_ok=True)
    target = run.Target(
        host=settings.host, setup=settings.host_setup, limit_s=settings.tool_limit_s
    )
    share = 1.0 if tool == "vitis_hls" else 0.3
    reports = [run.vitis_hls(project, firmware, target, _part(progress, 0, share))]
    if tool == "vivado":
        told = _part(progress, share, 1)
        reports.append(run.vivado(project, firmware, target, told))
    return join(reversed(reports))


_Synthesise = Callable[[Design, Path, Progress], SynthesisReport]

_SYNTHESISE: Mapping[TargetName, _Synthesise] = {
    "xcup": _xcup,
    "ecp5": _ecp5,
    "asic": _asic,
    "vitis_hls": partial(_vendor, "vitis_hls"),
    "vivado": partial(_vendor, "vivado"),
}


def _gates(design: Design, name: TargetName, folder: Path, ports: Ports) -> Gates:
    from hawq.synthesis.netlists.gates import (
        GATES,
        read_netlist,
        vendor_models,
        write_gates,
    )

    written = folder / GATES
    if name != "asic":  # whose power needed them before
        models = vendor_models({"xcup": "xilinx"}.get(name, name))
        written = write_gates(folder / NETLIST, models, folder, _limits(design))
    gates = read_netlist(written, folder / NETLIST, ports)
    written.unlink()  # it is large, and netlist and models say the same
    return gates


def _simulate(
    design: Design, name: TargetName, folder: Path, gates: Gates, ports: Ports
) -> Comparison:
    from hawq.synthesis.netlists.gates import compare_netlist

    scratch = folder / "simulation"
    comparison, _ = compare_netlist(
        design.graph,
        gates,
        ports,
        scratch,
        design.data,
        upper=NETLISTS[name],
        corners=design.settings.corner_samples,
        seed=design.seed,
        limits=_limits(design),
    )
    shutil.rmtree(scratch)
    return comparison


def _prove(design: Design, folder: Path, gates: Gates, ports: Ports) -> Proof:
    from hawq.synthesis.fpga import verilog_sources
    from hawq.synthesis.netlists.satisfy import prove

    return prove(
        gates,
        verilog_sources(design.project),
        folder / "proof",
        ports=ports,
        seconds=design.settings.proof_limit_s,
        limits=_limits(design),
        seed=design.seed,
    )


def _limits(design: Design) -> Limits:
    return Limits(design.settings.tool_limit_s, design.settings.memory_gib)


def _words(design: Design, path: CriticalPath | None) -> str | None:
    """Say which neurons a path begins and ends at."""
    from hawq.rtl.origin import Origins

    if path is None:
        return None
    origins = Origins(design.graph, design.project, design.seed)
    return origins.path((path.source, *path.nets, path.destination))
