"""The ``rtl`` stage: Verilog from the integer graph, and rung 5 of the ladder."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pydantic import Field

from hawq.records import Comparison, Record
from hawq.rtl.verilog import Flavour
from hawq.stage import StageContext, StageSettings

if TYPE_CHECKING:
    from hawq.csim.network import Inputs
    from hawq.integer.graph import Graph
    from hawq.rtl.verilog import Rtl

RUNG = "RTL simulation (Verilator)"


class Settings(StageSettings):
    """Settings of the ``[rtl]`` table."""

    flavours: tuple[Flavour, ...] = Field(
        ("verilog", "vhdl"), description="languages to write; verilog is simulated"
    )
    adder_levels: float = Field(
        5, gt=0, description="adder levels between registers, at most"
    )
    clock_ns: float = Field(5.0, gt=0, description="target clock period in ns")
    part: str = Field("xcvu9p-flga2104-2L-e", description="FPGA part")
    samples: int | None = Field(
        None, ge=1, description="test samples to compare; all if absent"
    )
    corner_samples: int = Field(
        1000, ge=2, description="random vectors in each set of corner inputs"
    )
    compile_limit_s: float = Field(
        1800, gt=0, description="seconds that Verilator may take"
    )


class RtlRecord(Record):
    """A network in RTL whose every output integer is equal.

    Attributes:
        folders: Language → folder, relative to the record.
        latency_cycles: Clocks from an input to its output; a new input every clock.
        adders: alkaid's cost of the adder graph: an estimate, about one LUT a unit.
        registers: Bits in pipeline registers.
        multiplications: By weights that are not zero, before they became adders.
        trace_s: Seconds that making the adder graph took.
        compile_s: Seconds that Verilator took.
        samples_per_s: Speed of the simulation.
        comparison: With the golden executor.
    """

    folders: dict[str, str]
    latency_cycles: int
    adders: float
    registers: int
    multiplications: int
    trace_s: float
    compile_s: float
    samples_per_s: float
    comparison: Comparison


def run(context: StageContext) -> RtlRecord:
    """Write RTL and simulate it on the test samples and on corner inputs.

    Args:
        context: With ``data``, ``model`` and ``export`` among its inputs.

    Returns:
        The record; there is none unless every output integer is equal, back to back
        and after idle clocks.
    """
    from hawq.data.dataset import Dataset
    from hawq.integer.lower import lower_qonnx
    from hawq.model.network import load_float, standardise
    from hawq.rtl.trace import operations, trace_graph
    from hawq.rtl.verilog import Rtl

    settings: Settings = context.settings
    graph = lower_qonnx(context.inputs["export"] / "network.onnx")
    context.progress("sharing adders", 0.02)
    start = time.perf_counter()
    logic = trace_graph(graph)
    trace_s = time.perf_counter() - start
    made: dict[str, Rtl] = {}
    for flavour in settings.flavours:
        made[flavour] = Rtl(
            logic,
            context.folder / flavour,
            flavour=flavour,
            levels=settings.adder_levels,
            clock_ns=settings.clock_ns,
            part=settings.part,
        )
        made[flavour].write()
    rtl = made.get("verilog") or Rtl(logic, context.folder / "verilog")
    context.progress("compiling with Verilator", 0.1)
    start = time.perf_counter()
    rtl.compile(settings.compile_limit_s)
    compile_s = time.perf_counter() - start
    context.progress("simulating", 0.7)
    test = Dataset.read(context.inputs["data"] / "test.h5")
    _, model = load_float(context.inputs["model"])
    features = standardise(test.x[: settings.samples], model)
    data = {graph.inputs[0].name: features}
    comparison, speed = compare(graph, rtl, data, settings.corner_samples, context.seed)
    return RtlRecord(
        folders={flavour: flavour for flavour in made},
        latency_cycles=rtl.latency_cycles,
        adders=rtl.adders,
        registers=rtl.registers,
        multiplications=operations(graph),
        trace_s=trace_s,
        compile_s=compile_s,
        samples_per_s=speed,
        comparison=comparison,
    )


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
