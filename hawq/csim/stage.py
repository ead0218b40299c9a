"""The ``csim`` stage: prove that the firmware computes the network's integers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from hawq.csim.record import LadderRecord
from hawq.stage import StageContext, StageSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hawq.csim.rungs import Rung
    from hawq.integer.graph import Graph

JETS = "test_jets"


class Settings(StageSettings):
    """Settings of the ``[csim]`` table."""

    samples: int | None = Field(
        None, ge=1, description="test samples to compare; all if absent"
    )
    corner_samples: int = Field(
        1000, ge=2, description="random vectors in each set of corner inputs"
    )


def run(context: StageContext) -> LadderRecord:
    """Climb rungs 1 to 4.

    Writes ``outputs.npz``: the firmware's output ``integers`` (samples, classes), the
    float network's ``float_logits`` and the labels ``y``, in the test split's order.

    Args:
        context: With ``data``, ``model``, ``allocation``, ``training``, ``export`` and
            ``hls`` among its inputs.

    Returns:
        The record; there is none unless every integer is equal.
    """
    import numpy as np
    import torch

    from hawq.csim.corners import corner_inputs
    from hawq.csim.firmware import compile_project
    from hawq.csim.ladder import climb
    from hawq.csim.rungs import check_widths, golden_rung, qonnx_rung, torch_rung
    from hawq.data.dataset import Dataset
    from hawq.integer.lower import lower_qonnx
    from hawq.model.network import load_float, standardise
    from hawq.training.stage import load_quantized

    settings: Settings = context.settings
    network, model = load_float(context.inputs["model"])
    test = Dataset.read(context.inputs["data"] / "test.h5")
    labels = test.y[: settings.samples]
    features = standardise(test.x[: settings.samples], model)
    qonnx = context.inputs["export"] / "network.onnx"
    graph = lower_qonnx(qonnx)
    check_widths(graph)

    context.progress("compiling the firmware with g++", 0.05)
    start = time.perf_counter()
    project = context.inputs["hls"] / "project"
    library = compile_project(project, context.folder / "firmware.so")
    compile_s = time.perf_counter() - start

    firmware = _firmware(context, library, graph)
    golden = golden_rung(graph)
    quantized = load_quantized(context.inputs)
    rungs = [torch_rung(quantized, graph), qonnx_rung(qonnx, graph), golden, firmware]
    corners = corner_inputs(graph, context.seed, settings.corner_samples)
    comparisons, values = climb(
        rungs,
        graph,
        {JETS: features, **corners},
        lambda what, done: context.progress(f"running the {what}", 0.5 + done / 2),
    )
    output = graph.outputs[0]
    fraction = graph.tensors[output].fraction
    integers = np.ldexp(values[JETS][output], fraction).astype(np.int64)
    with torch.no_grad():
        float_logits = network(torch.from_numpy(features)).numpy()
    np.savez(
        context.folder / "outputs.npz",
        integers=integers,
        float_logits=float_logits,
        y=labels,
    )
    accuracy = float(np.mean(integers.argmax(1) == labels))
    return LadderRecord(
        comparisons=tuple(comparisons),
        integers=sum(row.integers for c in comparisons for row in c.tensors),
        compile_s=compile_s,
        csim_samples_per_s=_speed(firmware, features[:2000]),
        golden_samples_per_s=_speed(golden, features),
        accuracy=accuracy,
        accuracy_error=float(np.sqrt(accuracy * (1 - accuracy) / len(labels))),
        agreement=float(np.mean(integers.argmax(1) == float_logits.argmax(1))),
        output=output,
        output_fraction=fraction,
    )


def _firmware(context: StageContext, library: Path, graph: Graph) -> Rung:
    from hawq.csim.rungs import firmware_rung
    from hawq.records import FirmwareProject

    record = (context.inputs["hls"] / "record.json").read_text()
    return firmware_rung(FirmwareProject.model_validate_json(record), library, graph)


def _speed(rung: Rung, features: NDArray[np.float32]) -> float:
    start = time.perf_counter()
    rung.run(features)
    return len(features) / (time.perf_counter() - start)
