"""Nodes that hand on what they read: hls4ml 1.3 loses some, and misnames others."""

from __future__ import annotations

import onnx

from hawq.hls.passes.network import Network
from hawq.integer.graph import Graph
from hawq.integer.grid import Grid
from hawq.integer.nodes import Requantize
from hawq.integer.tensor import Tensor

IDENTITIES = ("Identity", "Dropout", "Cast")


def drop_identities(network: Network, graph: Graph) -> None:
    """Remove nodes that change no value, but those that write an output.

    Besides ``Identity`` and its like these are quantizers to a finer and wider grid.

    Args:
        network: Changed in place.
        graph: The file's.
    """
    for node in _idle_nodes(network, graph):
        if node.output[0] not in network.outputs:
            network.bypass(node)


def drop_last_identities(network: Network, graph: Graph) -> None:
    """Remove such nodes that write an output: the node before takes over its name.

    Args:
        network: Changed in place; nothing is looked up by that name in the graph now.
        graph: The file's.
    """
    for node in _idle_nodes(network, graph):
        if network.free(node.input[0]):
            network.bypass(node)


def _idle_nodes(network: Network, graph: Graph) -> list[onnx.NodeProto]:
    quantizers = {n.output: n for n in graph.nodes if isinstance(n, Requantize)}
    found = []
    for node in network.nodes:
        quantizer = quantizers.get(node.output[0])
        if node.op_type in IDENTITIES:
            found.append(node)
        elif quantizer is not None and node.op_type == "Quant":
            x = graph.tensors[quantizer.inputs[0]]
            if network.alive(x.name) == node.input[0] and _is_idle(x, quantizer.grid):
                found.append(node)
    return found


def _is_idle(x: Tensor, grid: Grid) -> bool:
    ratio = x.scale / grid.scale
    inside = grid.low <= x.low * ratio and x.high * ratio <= grid.high
    return ratio.denominator == 1 and inside
