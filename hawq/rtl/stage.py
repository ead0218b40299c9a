"""The ``rtl`` stage: Verilog from the integer graph, and rung 5 of the ladder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from hawq.records import Comparison, Record
from hawq.rtl.estimate import MAX_LUTS, MAX_TRACE_S
from hawq.rtl.pipeline import LEVEL_NS
from hawq.rtl.verilog import Flavour
from hawq.stage import StageContext, StageSettings

if TYPE_CHECKING:
    from hawq.csim.network import Inputs
    from hawq.integer.graph import Graph
    from hawq.rtl.verilog import Rtl

RUNG = "RTL simulation (Verilator)"


class Settings(StageSettings):
    """Settings of the ``[rtl]`` table.

    Registers stand between ``adder_levels`` (5 if nothing is said), or where a latency
    in clocks or nanoseconds asks for them.
    """

    flavours: tuple[Flavour, ...] = Field(
        ("verilog", "vhdl"), description="languages to write; verilog is simulated"
    )
    adder_levels: float | None = Field(
        None, gt=0, description="adder levels between registers, at most; else 5"
    )
    latency_cycles: int | None = Field(
        None, ge=1, description="clocks from first to last register, at most"
    )
    latency_ns: float | None = Field(
        None, gt=0, description="the same in ns, at the period of the clock"
    )
    clock_ns: float = Field(5.0, gt=0, description="target clock period in ns")
    adder_level_ns: float = Field(
        LEVEL_NS,
        gt=0,
        description="estimated ns of an adder level, for the latency: 0.8 in "
        "UltraScale+, 2.5 in ECP5",
    )
    part: str = Field("xcvu9p-flga2104-2L-e", description="FPGA part")
    lut_limit: int = Field(
        MAX_LUTS, ge=1, description="estimated LUTs beyond which nothing is started"
    )
    trace_limit_s: float = Field(
        MAX_TRACE_S, gt=0, description="estimated seconds of tracing, likewise"
    )
    samples: int | None = Field(
        None, ge=1, description="test samples to compare; all if absent"
    )
    corner_samples: int = Field(
        1000, ge=2, description="random vectors in each set of corner inputs"
    )
    bench: bool = Field(
        True, description="run the cocotb bench: latency, stalls, resets, idle clocks"
    )
    bench_samples: int = Field(
        100, ge=1, description="samples of each set among the bench's vectors"
    )
    compile_limit_s: float = Field(
        1800, gt=0, description="seconds that Verilator may take"
    )

    @model_validator(mode="after")
    def _one_target(self) -> Settings:
        latency = self.latency_cycles is not None or self.latency_ns is not None
        if self.adder_levels is not None and latency:
            raise ValueError(
                "adder_levels and a latency both place the registers: give one of them"
            )
        return self


class RtlRecord(Record):
    """A network in RTL whose every output integer is equal.

    Attributes:
        folders: Language → folder, relative to the record.
        latency_cycles: Clocks from the first registers to the last; a new input every
            clock.
        adders: alkaid's cost of the adder graph: an estimate, about one LUT a unit.
        estimated_luts: What was expected before tracing.
        registers: Bits in pipeline registers.
        adder_levels: On the slowest path between two registers.
        multiplications: By weights that are not zero, before they became adders.
        trace_s: Seconds that making the adder graph took.
        compile_s: Seconds that Verilator took.
        samples_per_s: Speed of the simulation.
        bench_tests: Tests of valid, ready and reset that passed, all of them; None if
            the bench was not run.
        comparison: With the golden executor.
    """

    folders: dict[str, str]
    latency_cycles: int
    adders: float
    estimated_luts: int | None = None
    registers: int
    adder_levels: float | None = None
    multiplications: int
    trace_s: float
    compile_s: float
    samples_per_s: float
    bench_tests: int | None = None
    comparison: Comparison


def run(context: StageContext) -> RtlRecord:
    """Write RTL and simulate it on the test samples and on corner inputs.

    Args:
        context: With ``data``, ``model`` and ``export`` among its inputs.

    Returns:
        The record; there is none unless every output integer is equal, back to back,
        after idle clocks, and with the bench also after stalls and resets.
    """
    from hawq.integer.lower import lower_qonnx
    from hawq.rtl.bench import require_cocotb
    from hawq.rtl.estimate import require_size
    from hawq.rtl.interface import write_top
    from hawq.rtl.pipeline import deepest
    from hawq.rtl.trace import trace_graph

    settings: Settings = context.settings
    if settings.bench:
        require_cocotb()
    graph = lower_qonnx(context.inputs["export"] / "network.onnx")
    size = require_size(graph, settings.lut_limit, settings.trace_limit_s)
    context.progress(
        f"sharing adders (an estimated {size.luts:,} LUTs, {size.trace_s:,.0f} s)", 0.02
    )
    start = time.perf_counter()
    logic = trace_graph(graph, luts=settings.lut_limit, trace_s=settings.trace_limit_s)
    trace_s = time.perf_counter() - start
    made = _write(logic, context.folder, settings)
    rtl = made["verilog"]
    write_top(graph, rtl)
    context.progress("compiling with Verilator", 0.1)
    start = time.perf_counter()
    rtl.compile(settings.compile_limit_s)
    compile_s = time.perf_counter() - start
    context.progress("simulating", 0.5)
    data = load_samples(context, graph)
    comparison, speed = compare(graph, rtl, data, settings.corner_samples, context.seed)
    context.progress("stalls and resets", 0.7)
    bench_tests = _bench(graph, rtl, data, context)
    return RtlRecord(
        folders={flavour: flavour for flavour in made},
        latency_cycles=rtl.latency_cycles,
        adders=rtl.adders,
        estimated_luts=size.luts,
        registers=rtl.registers,
        adder_levels=deepest(logic, rtl.latency_cycles),
        multiplications=size.multiplications,
        trace_s=trace_s,
        compile_s=compile_s,
        samples_per_s=speed,
        bench_tests=bench_tests,
        comparison=comparison,
    )


def _write(logic: Any, folder: Path, settings: Settings) -> dict[str, Rtl]:
    """Place registers and write every language, Verilog among them."""
    from hawq.rtl.pipeline import Target, stages_for
    from hawq.rtl.verilog import Rtl

    stages = None
    if settings.latency_cycles is not None or settings.latency_ns is not None:
        target = Target(
            settings.latency_cycles,
            settings.latency_ns,
            settings.clock_ns,
            settings.adder_level_ns,
        )
        stages = stages_for(logic, target)
    made: dict[str, Rtl] = {}
    for flavour in dict.fromkeys((*settings.flavours, "verilog")):
        made[flavour] = Rtl(
            logic,
            folder / flavour,
            flavour=flavour,
            levels=settings.adder_levels or 5,
            stages=stages,
            clock_ns=settings.clock_ns,
            part=settings.part,
        )
        made[flavour].write()
    return made


def load_samples(context: StageContext, graph: Graph) -> Inputs:
    """Read the test samples as the network takes them.

    Args:
        context: With ``data`` and ``model`` among its inputs; its settings say how many
            ``samples``.
        graph: The network, of one input.

    Returns:
        Input name → real values, shape (samples, features).
    """
    from hawq.data.dataset import Dataset
    from hawq.model.network import load_float, standardise

    test = Dataset.read(context.inputs["data"] / "test.h5")
    _, model = load_float(context.inputs["model"])
    features = standardise(test.x[: context.settings.samples], model)
    return {graph.inputs[0].name: features}


def _bench(graph: Graph, rtl: Rtl, data: Inputs, context: StageContext) -> int | None:
    """Write the bench, and run it if asked to."""
    from hawq.csim.network import make_sets
    from hawq.rtl.bench import run_bench, write_bench

    settings: Settings = context.settings
    count = settings.bench_samples
    sets = make_sets(graph, data, samples=count, corners=count, seed=context.seed)
    golden = [{name: v[:count] for name, v in s.items()} for s in sets.golden.values()]
    folder = write_bench(graph, rtl, golden)
    if not settings.bench:
        return None
    return run_bench(folder, seed=context.seed, seconds=settings.compile_limit_s)


def compare(
    graph: Graph, rtl: Rtl, data: Inputs | None, corners: int, seed: int
) -> tuple[Comparison, float]:
    """Compare the simulation's outputs with the golden executor's.

    Args:
        graph: The integer graph.
        rtl: Compiled.
        data: Input name → real values, or None for corner inputs alone.
        corners: Random vectors in each set of corner inputs.
        seed: Of the corners.

    Returns:
        The comparison, and samples a second. A difference raises a MismatchError.
    """
    from hawq.csim.simulation import compare_simulation

    return compare_simulation(graph, RUNG, rtl, data, corners=corners, seed=seed)
