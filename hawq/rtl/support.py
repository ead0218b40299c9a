"""What can become RTL, and why the rest cannot."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hawq.fixed import IntArray, Overflow
from hawq.integer.graph import Graph
from hawq.integer.nodes import (
    Affine,
    Clip,
    Conv,
    Dense,
    LeakyRelu,
    Node,
    Quantize,
    Requantize,
    Select,
    Sum,
    Table,
    Threshold,
)
from hawq.integer.sums import partial_sums
from hawq.integer.tensor import Tensor
from hawq.rtl.rounding import Division
from hawq.rtl.rules import RULES

FLOAT64_BITS = 53
"""alkaid keeps bounds as float64."""

CONSTANT_BITS = 23
"""alkaid keeps constants as float32, and may add two of them."""

TABLE_BITS = 12
"""Of the widest input of a table: each bit more doubles its LUTs."""


def unsupported(graph: Graph) -> list[str]:
    """Say why a graph cannot become RTL, whatever its size.

    Args:
        graph: The integer graph.

    Returns:
        Reasons with the node's output named and the way out; empty if it can.
    """
    reasons = []
    for node in graph.nodes:
        name = f"{type(node).__name__} to {node.output!r}"
        if isinstance(node, Quantize):
            continue
        if type(node) not in RULES:
            reasons.append(f"{name} has no RTL: use the emulator")
            continue
        tensors = [graph.tensors[i] for i in node.inputs]
        bits = _bits(node, tensors)
        if bits > FLOAT64_BITS:
            reasons.append(
                f"{name} needs {bits} bits, the RTL generator holds {FLOAT64_BITS}: "
                "use power-of-two scales or fewer bits"
            )
        largest = max(map(abs, _constants(node, tensors)), default=0)
        if largest > 1 << CONSTANT_BITS:
            reasons.append(
                f"{name} has the constant {largest}, the RTL generator holds "
                f"{CONSTANT_BITS} bits: use power-of-two scales or fewer bits"
            )
        if isinstance(node, Table) and tensors[0].width > TABLE_BITS:
            reasons.append(
                f"{name} looks up {tensors[0].width} bits, expected at most "
                f"{TABLE_BITS}: requantize its input to fewer bits"
            )
    return reasons


def _bits(node: Node, tensors: list[Tensor]) -> int:
    if isinstance(node, Requantize):
        return Division.of(node, tensors[0]).bits
    return partial_sums(node, tensors).bit_length() + 1


def _constants(node: Node, tensors: list[Tensor]) -> list[int]:
    """List ends of what the logic adds or compares, and odd parts of its factors."""
    match node:
        case Dense() | Conv():
            return [*_odd_parts(node.weights), *_ends(node.bias)]
        case Affine():
            return [*_odd_parts(node.multiplier), *_ends(node.constant)]
        case Sum():
            return _odd_parts(np.array(node.multipliers))
        case LeakyRelu():
            return _odd_parts(
                np.array([node.slope.numerator, node.slope.denominator], dtype=object)
            )
        case Clip():
            return _between(tensors[0].low, (node.low, node.high), tensors[0].high)
        case Requantize():
            return _requantizer_constants(node, Division.of(node, tensors[0]))
        case Select():
            return [node.fill]
        case Table():
            return _ends(node.entries)
        case Threshold():
            x = tensors[0]
            return _between(x.low, node.thresholds.ravel().tolist(), x.high)
    return []


def _requantizer_constants(node: Requantize, division: Division) -> list[int]:
    found = [*division.added, division.offset, division.lift * division.odd]
    factors = np.array([division.numerator, division.factor[0]], dtype=object)
    found += _odd_parts(factors)
    if node.grid.overflow is not Overflow.WRAP:
        low = division.low // division.divisor
        high = -(-division.high // division.divisor)
        found += _between(low, (node.grid.low, node.grid.high), high)
    return found


def _between(low: int, values: Iterable[int], high: int) -> list[int]:
    """Keep what a variable can reach: nothing is compared with the rest."""
    return [value for value in values if low <= value <= high]


def _ends(array: IntArray | None) -> list[int]:
    if array is None or not np.size(array):
        return []
    return [int(array.min()), int(array.max())]


def _odd_parts(array: IntArray) -> list[int]:
    values = {abs(int(value)) for value in np.unique(array)} - {0}
    return [max((v // (v & -v) for v in values), default=0)]
