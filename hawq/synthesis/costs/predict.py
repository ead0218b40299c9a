"""What a network will take, predicted from its integer graph before any synthesis.

The laws of ``hawq.allocation.measured`` are those that the allocator spends its budgets
by. There they price float weights at calibrated scales; here, the integers that were
trained and exported, with the bounds of every single activation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from hawq.allocation.measured import MeasuredCosts, Sums, measured
from hawq.fixed import IntArray, smallest_width
from hawq.integer.evaluate import evaluate
from hawq.integer.graph import Graph
from hawq.integer.nodes import Conv, Dense, Multiply
from hawq.integer.tensor import Tensor
from hawq.records import Record

_bit_length = np.frompyfunc(int.bit_length, 1, 1)


class Prediction(Record):
    """Estimates of a network; none of them is measured.

    Attributes:
        luts: Of UltraScale+ as Yosys counts them, the sum over matrix products.
        ns: Through cells without wires or registers, the sum over matrix products.
        ebops: Effective bit operations.
    """

    luts: float
    ns: float
    ebops: int


def predict(graph: Graph, costs: MeasuredCosts | None = None) -> Prediction:
    """Predict what synthesis will make of a network in distributed arithmetic.

    Layers are added up: what synthesis shares between them, and nodes without weights
    but for the ReLU and rounding behind a product, do not count.

    Args:
        graph: The network.
        costs: The fitted laws; those shipped if None.

    Returns:
        The estimates.
    """
    laws = costs or measured()
    sums = [
        found
        for node in graph.nodes
        if isinstance(node, Dense | Conv)
        and (found := _sums(node, graph.tensors)) is not None
    ]
    return Prediction(
        luts=math.fsum(laws.lut.predict(one) for one in sums),
        ns=math.fsum(laws.delay.predict(one) for one in sums),
        ebops=ebops(graph),
    )


def ebops(graph: Graph) -> int:
    """Count the effective bit operations of a network.

    A product of two numbers counts the bits of one times the bits of the other. A
    weight has those from its highest to its lowest that is not 0, so that a zero costs
    nothing; an activation has those that its own bounds need, with the sign, and none
    if it is constant. Biases and sums do not count.

    Args:
        graph: The network.

    Returns:
        The sum over all products of one sample; padding is no factor.

    Source:
        arXiv:2405.00645, for weights that are constants.
    """
    total = 0
    for node in graph.nodes:
        if not isinstance(node, Dense | Conv | Multiply):
            continue
        tensors = [graph.tensors[name] for name in node.inputs]
        widths = [activation_bits(tensor)[..., None] for tensor in tensors]
        if not isinstance(node, Multiply):
            node = replace(node, weights=weight_bits(node.weights), bias=None)
        total += int(evaluate(node, tensors, widths).sum())
    return total


def weight_bits(weights: IntArray) -> IntArray:
    """Count each weight's bits from its highest to its lowest that is not 0.

    Args:
        weights: Any shape.

    Returns:
        Counts, same shape.

    >>> weight_bits(np.array([0, 1, -2, 3, 12, -40])).tolist()
    [0, 1, 1, 2, 2, 3]
    """
    magnitude = np.abs(weights)
    odd = magnitude // np.maximum(magnitude & -magnitude, 1)
    return np.asarray(_bit_length(odd.astype(object)), dtype=np.int64)


def activation_bits(tensor: Tensor) -> IntArray:
    """Count the bits that each element's bounds need.

    Args:
        tensor: Of the graph.

    Returns:
        Counts, the tensor's shape; 0 for an element that is constant.
    """
    widths = [
        0 if low == high else smallest_width(low, high)[1]
        for low, high in zip(*map(_integers, (tensor.lows, tensor.highs)), strict=True)
    ]
    return np.array(widths, dtype=np.int64).reshape(tensor.shape)


def _sums(node: Dense | Conv, tensors: Mapping[str, Tensor]) -> Sums | None:
    x, y = tensors[node.inputs[0]], tensors[node.output]
    spans = (x.highs - x.lows).astype(np.float64)
    if isinstance(node, Dense):
        weight = node.weights.T
        spans = spans.reshape(-1, len(node.weights)).max(axis=0)
    else:
        last = node.window.channels_last
        channels = spans if last else np.moveaxis(spans, 0, -1)
        most = channels.reshape(-1, channels.shape[-1]).max(axis=0)
        per_output = len(node.weights) // node.groups
        rows = np.repeat(most.reshape(node.groups, -1), per_output, axis=0)
        taps = math.prod(node.window.kernel)
        weight = node.weights.reshape(len(node.weights), -1)
        spans = np.repeat(rows, taps, axis=1)
    copies = math.prod(y.shape) // len(weight)
    return Sums.count(weight, spans, node.bias, signed=x.signed, copies=copies)


def _integers(array: IntArray) -> list[int]:
    integers: list[int] = array.ravel().tolist()
    return integers
