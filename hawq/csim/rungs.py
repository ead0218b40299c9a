"""The rungs: each runs one form of the network and gives every named tensor.

A rung maps standardised features, shape (samples, features), to tensor name → real
values, float64, shape (samples, elements). Real values are exact here: every tensor has
at most 53 bits, which ``check_widths`` proves before anything runs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qonnx.core.modelwrapper import ModelWrapper

from hawq.csim.firmware import Firmware, from_firmware, to_firmware
from hawq.csim.qonnx_executor import run_qonnx
from hawq.errors import InexactError
from hawq.integer.execute import trace
from hawq.integer.graph import Graph
from hawq.records import FirmwareProject

if TYPE_CHECKING:
    from torch import nn

Values = Mapping[str, NDArray[np.float64]]

FLOAT64_BITS = 53


@dataclass(frozen=True)
class Rung:
    """One form of the network.

    Attributes:
        name: As in the report.
        run: Standardised features → tensor name → real values.
        types: Tensor name → number format, as this form states it.
    """

    name: str
    run: Callable[[NDArray[np.float32]], Values]
    types: Mapping[str, str]


def check_widths(graph: Graph) -> None:
    """Refuse a graph with a tensor that float64 cannot hold.

    Args:
        graph: The integer graph.

    Raises:
        InexactError: if a tensor has more than 53 bits.
    """
    for tensor in graph.tensors.values():
        if tensor.width > FLOAT64_BITS:
            raise InexactError(
                f"tensor {tensor.name!r} needs {tensor.width} bits; the ladder "
                f"compares through float64, which holds {FLOAT64_BITS}: allocate "
                "fewer bits"
            )


def torch_rung(network: nn.Sequential, graph: Graph) -> Rung:
    """Rung 1: the trained Brevitas network in evaluation mode, in double precision.

    Args:
        network: From ``hawq.training``.
        graph: For the types.

    Returns:
        The rung.
    """
    import torch

    double = copy.deepcopy(network).double().eval()

    @torch.no_grad()
    def run(features: NDArray[np.float32]) -> Values:
        value = torch.from_numpy(features).double()
        values = {}
        for name, layer in double.named_children():
            value = layer(value)
            plain = value if isinstance(value, torch.Tensor) else value.value
            values[name] = plain.numpy()
        return values

    return Rung("PyTorch network", run, _graph_types(graph))


def qonnx_rung(path: Path, graph: Graph) -> Rung:
    """Rung 2: the QONNX file, run by the QONNX executor.

    Args:
        path: The file.
        graph: For the types and the widths.

    Returns:
        The rung.
    """
    model = ModelWrapper(str(path))
    widest = max(tensor.width for tensor in graph.tensors.values())

    def run(features: NDArray[np.float32]) -> Values:
        context = run_qonnx(model, features, widest)
        return {
            name: context[name].reshape(len(features), -1).astype(np.float64)
            for name in graph.tensors
        }

    return Rung("QONNX executor", run, _graph_types(graph))


def golden_rung(graph: Graph) -> Rung:
    """Rung 3: the golden executor of the integer graph.

    Args:
        graph: Lowered from the QONNX file.

    Returns:
        The rung.
    """

    def run(features: NDArray[np.float32]) -> Values:
        return {
            name: np.ldexp(
                integers.reshape(len(features), -1).astype(np.float64),
                -graph.tensors[name].fraction,
            )
            for name, integers in trace(graph, features).items()
        }

    return Rung("golden integer graph", run, _graph_types(graph))


def firmware_rung(project: FirmwareProject, library: Path, graph: Graph) -> Rung:
    """Rung 4: the compiled HLS C++.

    Args:
        project: The firmware project.
        library: From ``compile_project``.
        graph: For the sizes.

    Returns:
        The rung.
    """
    firmware = Firmware(library)
    sizes = {tensor: graph.tensors[tensor].lows.size for tensor in project.trace}
    ports = project.outputs
    sources = [t for t, layer in project.trace.items() if layer == project.input]
    layers = {
        layer: sizes[tensor]
        for tensor, layer in project.trace.items()
        if tensor not in ports and tensor not in sources
    }

    def run(features: NDArray[np.float32]) -> Values:
        layout = project.layouts.get(graph.inputs[0].name)
        seen, outputs, traces = firmware.run(
            to_firmware(features, layout), layers, [sizes[tensor] for tensor in ports]
        )
        values = {t: traces.get(layer, seen) for t, layer in project.trace.items()}
        # The ports are what the trigger reads: they stand for their layers.
        values |= dict(zip(ports, outputs, strict=True))
        return {
            tensor: from_firmware(value, project.layouts.get(tensor))
            for tensor, value in values.items()
        }

    return Rung(f"HLS C-simulation ({project.target})", run, project.types)


def _graph_types(graph: Graph) -> dict[str, str]:
    return {name: tensor.format.ap_type() for name, tensor in graph.tensors.items()}
