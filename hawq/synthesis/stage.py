"""The ``synthesis`` stage: costs in hardware, and rung 6 of the ladder.

Every target is synthesised from the RTL of the ``rtl`` stage; its netlist is simulated
against the golden executor, and compared with the RTL by SAT as far as time allows. A
target that is finished is not made again when the stage is interrupted.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from hawq.records import Comparison, Record
from hawq.stage import StageContext, StageSettings
from hawq.synthesis.record import Proof, SynthesisReport

if TYPE_CHECKING:
    from hawq.allocation.measured import MeasuredCosts

TargetName = Literal["xcup", "ecp5", "asic", "vitis_hls", "vivado"]


class Settings(StageSettings):
    """Settings of the ``[synthesis]`` table."""

    targets: tuple[TargetName, ...] = Field(
        ("xcup", "asic"),
        min_length=1,
        description="xcup: AMD UltraScale+ by Yosys; ecp5: Lattice ECP5 by Yosys and "
        "nextpnr; asic: a Liberty library by Yosys and OpenSTA; vitis_hls, vivado: "
        "AMD's tools, on hls4ml's project",
    )
    xcup_part: str = Field("xcvu9p-flga2104-2L-e", description="UltraScale+ part")
    ecp5_part: str = Field("LFE5U-85F-6BG756C", description="ECP5 part")
    liberty: Path | None = Field(
        None, description="cells of the ASIC; osu018 (180 nm) if absent"
    )
    clock_ns: float = Field(5.0, gt=0, description="target clock period")
    seeds: tuple[int, ...] = Field(
        (1, 2, 3), description="of place and route, one run each; none if empty"
    )
    layers_alone: bool = Field(
        True, description="synthesise each layer alone too, for the first FPGA"
    )
    samples: int = Field(
        1000, ge=1, description="test samples that each netlist is simulated on"
    )
    corner_samples: int = Field(
        100, ge=2, description="random vectors in each set of corner inputs"
    )
    proof_limit_s: float = Field(
        60, ge=0, description="seconds for the proof by SAT; 0 for none"
    )
    tool_limit_s: float = Field(7200, gt=0, description="seconds for one run of a tool")
    memory_gib: float | None = Field(
        None, gt=0, description="memory for one run of a tool; no limit if absent"
    )
    amd_tools: Literal["auto", "never"] = Field(
        "auto", description="add the target vivado or vitis_hls where it is installed"
    )
    host: str | None = Field(
        None,
        pattern=r"^[\w.][\w.@-]*$",
        description="user@host where AMD's tools run, over ssh; this machine if absent",
    )
    host_setup: str | None = Field(
        None, description="script to source on the host: settings64.sh"
    )

    @field_validator("targets", "seeds")
    @classmethod
    def _once(cls, items: tuple[object, ...]) -> tuple[object, ...]:
        if twice := [x for i, x in enumerate(items) if x in items[:i]]:
            raise ValueError(f"{twice[0]!r} stands there twice")
        return items


class TargetResult(Record):
    """One target, synthesised.

    Attributes:
        report: What the network takes, and how fast it is.
        comparison: Rung 6, the netlist with the golden executor; None where the tool
            leaves no netlist that can be simulated here.
        proof: Of netlist and RTL by SAT; None where it was not tried.
        path: The critical path in words of the network; None where no tool timed it.
        seconds: That all of it took.
    """

    report: SynthesisReport
    comparison: Comparison | None = None
    proof: Proof | None = None
    path: str | None = None
    seconds: float


class SynthesisRecord(Record):
    """What the network costs on every target.

    Attributes:
        targets: Target → result, in the order asked for.
        predicted_luts: UltraScale+ LUTs that the cost model expects; an estimate.
        predicted_ns: Delay of the cells that it expects; an estimate.
        ebops: Effective bit operations, which say nothing of a target.
    """

    targets: dict[str, TargetResult]
    predicted_luts: float | None = None
    predicted_ns: float | None = None
    ebops: int | None = None


def run(context: StageContext) -> SynthesisRecord:
    """Synthesise every target and prove its netlist equal.

    Args:
        context: With ``data``, ``model``, ``export`` and ``rtl`` among its inputs; with
            ``allocation``, predictions are by the laws that it was given.

    Returns:
        The record; there is none unless every netlist's integers are equal.
    """
    from hawq.integer.lower import lower_qonnx
    from hawq.synthesis.costs.predict import predict
    from hawq.synthesis.targets import make_targets

    graph = lower_qonnx(context.inputs["export"] / "network.onnx")
    expected = predict(graph, _own_laws(context))
    return SynthesisRecord(
        targets=make_targets(context, graph),
        predicted_luts=expected.luts,
        predicted_ns=expected.ns,
        ebops=expected.ebops,
    )


def _own_laws(context: StageContext) -> MeasuredCosts | None:
    """Read the cost model that replaced the shipped one when bits were chosen."""
    from hawq.allocation.measured import FILE, read

    allocation = context.inputs.get("allocation")
    path = allocation / FILE.name if allocation else None
    return read(path) if path and path.is_file() else None
