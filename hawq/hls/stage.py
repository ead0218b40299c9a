"""The ``hls`` stage: QONNX → firmware project."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hawq import plugins
from hawq.records import FirmwareProject
from hawq.stage import StageContext, StageSettings


class Settings(StageSettings):
    """Settings of the ``[hls]`` table."""

    backend: str = Field("hls4ml", description="firmware backend, found by name")
    target: str = Field(
        "Vitis", description="the backend's flavour: Vitis, Vivado, Quartus, Catapult"
    )
    io_type: Literal["io_parallel", "io_stream"] = Field(
        "io_parallel", description="all features at once, or one vector a cycle by FIFO"
    )
    strategy: Literal["latency", "resource"] = Field(
        "latency", description="multipliers in parallel, or shared"
    )
    reuse_factor: int = Field(
        1, ge=1, description="multiplications that share one multiplier"
    )
    reuse_factors: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict, description="the same for single layers, by name"
    )
    part: str = Field("xcvu9p-flga2104-2L-e", description="FPGA part")
    clock_ns: float = Field(5.0, gt=0, description="target clock period in ns")

    def reuse_of(self, layer: str) -> int:
        """Find the reuse factor of a layer.

        Args:
            layer: Its name in the network, for example ``fc1``.

        Returns:
            That of the setting that names the layer, else the default.
        """
        return self.reuse_factors.get(layer, self.reuse_factor)


def run(context: StageContext) -> FirmwareProject:
    """Write the firmware project.

    Args:
        context: With the ``export`` stage among its inputs.

    Returns:
        The project's record; its folder is ``project``.
    """
    settings: Settings = context.settings
    context.progress("converting to HLS", 0.1)
    build = plugins.load("hawq.backend", settings.backend)
    qonnx = context.inputs["export"] / "network.onnx"
    project: FirmwareProject = build(qonnx, context.folder / "project", settings)
    return project
