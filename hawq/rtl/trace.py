"""Trace the integer graph with alkaid: adders, shifts, multiplexers on integers.

alkaid's variables hold the integers of the graph, whatever their scale, so that every
scale is carried.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hawq.errors import NetworkError, ToolError
from hawq.integer.graph import Graph
from hawq.integer.nodes import Quantize
from hawq.rtl.estimate import MAX_LUTS, MAX_TRACE_S, require_size
from hawq.rtl.rules import RULES, Wires
from hawq.rtl.support import unsupported


def trace_graph(
    graph: Graph,
    hard_dc: int = 5,
    *,
    luts: int = MAX_LUTS,
    trace_s: float = MAX_TRACE_S,
) -> Any:
    """Build the combinational logic from the input integers to the output integers.

    Args:
        graph: The integer graph.
        hard_dc: alkaid's limit on the adder depth beyond the shallowest tree; -1 for
            none, which needs fewer adders and more time.
        luts: The most, by an estimate, that are accepted.
        trace_s: The most seconds of tracing, by an estimate, that are accepted.

    Returns:
        alkaid's ``CombLogic``. Inputs are the integers behind each ``Quantize``,
        outputs those of the graph's outputs, flat, one tensor behind the other.

    Raises:
        ToolError: if alkaid is not installed.
        NetworkError: if the graph cannot become RTL, or is too large.
    """
    reasons = unsupported(graph)
    if reasons:
        raise NetworkError("; ".join(reasons))
    require_size(graph, luts, trace_s)
    try:
        from alkaid.trace import FVArray, HWConfig, trace
    except ModuleNotFoundError as error:
        raise ToolError(
            "RTL needs alkaid, which is not installed: pip install 'hawq[synthesis]'"
        ) from error
    options: Any = {"hard_dc": hard_dc}
    wires: dict[str, Wires] = {}
    inputs = []
    for node in graph.nodes:
        if isinstance(node, Quantize):
            shape = graph.tensors[node.output].shape
            ends = (
                np.full(shape, float(end)) for end in (node.grid.low, node.grid.high)
            )
            variables = FVArray.from_lhs(
                *ends, np.ones(shape), HWConfig(1, 1, -1), 0.0, options
            )
            wires[node.output] = variables
            inputs.append(variables.ravel())
            continue
        tensors = [graph.tensors[name] for name in node.inputs]
        xs = [wires[name] for name in node.inputs]
        wires[node.output] = RULES[type(node)](node, tensors, xs)
    outputs = np.concatenate([wires[name].ravel() for name in graph.outputs])
    return trace(np.concatenate(inputs), FVArray(outputs, options))


def input_integers(graph: Graph) -> tuple[str, ...]:
    """Name the tensors whose integers the RTL reads.

    Args:
        graph: The integer graph.

    Returns:
        Outputs of the ``Quantize`` nodes, in order.
    """
    return tuple(n.output for n in graph.nodes if isinstance(n, Quantize))
