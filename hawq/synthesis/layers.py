"""What each layer takes, synthesised alone.

In the network's netlist logic is shared and moved across layers, so that no cell
belongs to one of them for certain. A layer alone can be counted; the sum over layers
differs from the network's count.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hawq.integer.graph import Graph, build
from hawq.integer.grid import Grid
from hawq.integer.nodes import Conv, Dense, Node, Quantize
from hawq.integer.tensor import RealInput, Tensor
from hawq.rtl.origin import name_layers
from hawq.rtl.trace import trace_graph
from hawq.rtl.verilog import TOP, Rtl
from hawq.stage import Progress, silent
from hawq.synthesis.fpga import Target, synthesise, verilog_sources
from hawq.synthesis.record import Resources


def cut_layers(graph: Graph) -> dict[str, Graph]:
    """Cut a network into its layers, each a graph of its own.

    A layer begins with a matrix product and goes up to the next. Of what it reads from
    before it knows the smallest and the largest integer of the tensor.

    Args:
        graph: The network.

    Returns:
        Layer → graph, in order; a layer has the name of its product with the bias.
    """
    names = name_layers(graph)
    starts = [i for i, n in enumerate(graph.nodes) if isinstance(n, Dense | Conv)]
    ends = [*starts[1:], len(graph.nodes)]
    return {
        names[graph.nodes[start].output]: _cut(graph, graph.nodes[start:end])
        for start, end in zip(starts, ends, strict=True)
    }


def _cut(graph: Graph, nodes: Sequence[Node]) -> Graph:
    written = {node.output for node in nodes}
    inside = {id(node) for node in nodes}
    read = {name for node in nodes for name in node.inputs} - written
    later = {x for node in graph.nodes if id(node) not in inside for x in node.inputs}
    reals, quantizers = [], []
    for name, tensor in graph.tensors.items():
        if name in read:
            reals.append(RealInput(f"{name}_real", tensor.shape))
            quantizers.append(Quantize((f"{name}_real",), name, _grid(tensor)))
    kept = [n.output for n in nodes if n.output in later or n.output in graph.outputs]
    return build(reals, [*quantizers, *nodes], kept)


def _grid(tensor: Tensor) -> Grid:
    return Grid(int(tensor.lows.min()), int(tensor.highs.max()), tensor.scale)


def synthesise_layers(
    graph: Graph, folder: Path, target: Target, progress: Progress = silent
) -> dict[str, Resources]:
    """Synthesise every layer alone, without registers.

    Args:
        graph: The network.
        folder: Gets a folder a layer, with its RTL, netlist and logs.
        target: Part and limits.
        progress: Told each layer.

    Returns:
        Layer → what it takes; files are relative to the folder.
    """
    found: dict[str, Resources] = {}
    layers = cut_layers(graph)
    for i, (name, layer) in enumerate(layers.items()):
        progress(f"synthesising {name} alone", i / len(layers))
        place = folder / f"{i}-{name}"
        Rtl(trace_graph(layer), place, levels=None).write()
        netlist = synthesise(verilog_sources(place), TOP, place, target)
        assert netlist.resources is not None
        file = f"{place.name}/{netlist.resources.file}"
        found[name] = netlist.resources.model_copy(update={"file": file})
    return found
