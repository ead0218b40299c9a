"""Many integer graphs as one, so that one compilation serves all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hawq.integer.graph import Graph, build
from hawq.integer.tensor import RealInput


def merged(graphs: Mapping[str, Graph]) -> Graph:
    """Put graphs side by side.

    Args:
        graphs: Prefix → graph.

    Returns:
        One graph, whose names are those of the graphs behind prefix and dot.
    """
    inputs, nodes, outputs = [], [], []
    for prefix, graph in graphs.items():
        inputs += [RealInput(f"{prefix}.{x.name}", x.shape) for x in graph.inputs]
        outputs += [f"{prefix}.{name}" for name in graph.outputs]
        nodes += [
            replace(
                node,
                inputs=tuple(f"{prefix}.{name}" for name in node.inputs),
                output=f"{prefix}.{node.output}",
            )
            for node in graph.nodes
        ]
    return build(inputs, nodes, outputs)
