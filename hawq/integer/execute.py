"""The golden executor: run an integer graph on a batch, integer by integer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hawq.errors import DataError, NetworkError
from hawq.fixed import IntArray, as_integers
from hawq.integer.bounds import absolute_sum
from hawq.integer.graph import Graph
from hawq.integer.nodes import (
    AddConstant,
    Clip,
    Dense,
    Node,
    Quantize,
    Relu,
    Requantize,
    Reshape,
    Tensor,
)


def run(graph: Graph, x: ArrayLike | Mapping[str, ArrayLike]) -> dict[str, IntArray]:
    """Compute the outputs.

    Args:
        graph: The graph.
        x: Real values, shape (samples, *input shape); with several inputs, by name.

    Returns:
        Output name → integers, shape (samples, *output shape).
    """
    tensors = trace(graph, x)
    return {name: tensors[name] for name in graph.outputs}


def trace(graph: Graph, x: ArrayLike | Mapping[str, ArrayLike]) -> dict[str, IntArray]:
    """Compute every named tensor.

    Args:
        graph: The graph.
        x: Real values, shape (samples, *input shape); with several inputs, by name.

    Returns:
        Tensor name → integers, shape (samples, *tensor shape): int64, or Python integers
        where int64 is too short.
    """
    real = _inputs(graph, x)
    values: dict[str, IntArray] = {}
    for node in graph.nodes:
        source = node.inputs[0]
        if isinstance(node, Quantize):
            values[node.output] = as_integers(node.format.quantize(real[source]))
        else:
            values[node.output] = _compute(node, graph.tensors[source], values[source])
    return values


def _inputs(
    graph: Graph, x: ArrayLike | Mapping[str, ArrayLike]
) -> dict[str, NDArray[np.float64]]:
    given = x if isinstance(x, Mapping) else {graph.inputs[0].name: x}
    arrays: dict[str, NDArray[np.float64]] = {}
    for wanted in graph.inputs:
        if wanted.name not in given:
            raise DataError(f"no data for input {wanted.name!r}, got {sorted(given)}")
        array = np.asarray(given[wanted.name])
        if array.shape[1:] != wanted.shape or array.ndim == 0:
            raise DataError(
                f"input {wanted.name!r} got shape {array.shape}, expected (samples, "
                f"{', '.join(map(str, wanted.shape))})"
            )
        arrays[wanted.name] = array
    return arrays


def _compute(node: Node, tensor: Tensor, x: IntArray) -> IntArray:
    match node:
        case Requantize():
            return as_integers(node.format.requantize(x, tensor.fraction))
        case Dense():
            total = absolute_sum(tensor.lows, tensor.highs, node.weights, node.bias)
            if total < 2**53:
                y = x.astype(np.float64) @ node.weights.astype(np.float64)
                y = y.astype(np.int64)
            elif total < 2**62:
                y = x.astype(np.int64) @ node.weights.astype(np.int64)
            else:
                y = x.astype(object) @ node.weights.astype(object)
            return y if node.bias is None else y + node.bias
        case AddConstant():
            wide = tensor.width + node.shift < 62
            return ((x if wide else x.astype(object)) << node.shift) + node.constant
        case Relu():
            return np.maximum(x, 0)
        case Clip():
            return np.clip(x, node.low, node.high)
        case Reshape():
            return x.reshape(x.shape[0], *node.shape)
        case _:
            raise NetworkError(f"no way to run a {type(node).__name__}")
