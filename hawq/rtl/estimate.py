"""How large the unrolled network will be, before hours are spent on it.

Weights count in signed digits: ``n`` digits of an output are ``n - 1`` adders. Sharing
leaves some of them, and each is about as wide as the mean of input and output. The
constants were fitted to alkaid's own cost of dense layers of 238 to 8,067 weights of 4
to 8 bits, of both jet taggers and of small convolutions: LUTs agree to a factor of 1.5,
registers to a factor of 2, seconds to a factor of 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hawq.errors import NetworkError
from hawq.fixed import IntArray
from hawq.integer.graph import Graph
from hawq.integer.nodes import (
    Affine,
    ArgMax,
    Clip,
    Conv,
    Dense,
    LeakyRelu,
    MaxPool,
    Multiply,
    Node,
    Quantize,
    Relu,
    Requantize,
    Sum,
    SumPool,
    Table,
    Threshold,
)
from hawq.integer.tensor import Tensor

MAX_LUTS = 250_000
"""A fifth of the largest common parts; Verilator compiles it in some ten minutes."""

MAX_TRACE_S = 900.0
"""A quarter of an hour; beyond that the search grows faster than its estimate."""

_SHARED = 0.45
"""Adders that are left when common ones are shared, per adder of digits."""

_LIVE = 0.21
"""Register bits of one cut through a matrix product, per LUT of it."""

_SEARCH_S = 4e-7
"""Seconds per squared digit of one matrix."""

_BUILD_S = 9e-4
"""Seconds per adder or multiplexer that is built."""


@dataclass(frozen=True)
class Size:
    """Estimates, none of them measured.

    Attributes:
        multiplications: By weights that are not zero, in one sample.
        adders: Two-input adders, multiplexers and gates.
        luts: Of six inputs.
        depth: Adder levels from input to output.
        registers: Bits, for the adder levels asked for.
        trace_s: Seconds that tracing takes on one core of 2020.
    """

    multiplications: int
    adders: int
    luts: int
    depth: float
    registers: int
    trace_s: float


@dataclass(frozen=True)
class _Part:
    """Of one node: adders, LUTs, depth, multiplications, seconds of search."""

    adders: float = 0
    luts: float = 0
    depth: float = 0
    multiplications: int = 0
    search_s: float = 0


def estimate(graph: Graph, levels: float | None = 5) -> Size:
    """Estimate the size of the unrolled network.

    Args:
        graph: The integer graph.
        levels: Adder levels between registers; None for no registers.

    Returns:
        Estimates.
    """
    parts = [_part(node, graph) for node in graph.nodes]
    bits = sum(
        _bits(graph.tensors[n.output]) for n in graph.nodes if isinstance(n, Quantize)
    )
    bits += sum(_bits(graph.tensors[name]) for name in graph.outputs)
    cut = sum(_LIVE * part.luts * part.depth for part in parts)
    return Size(
        multiplications=sum(part.multiplications for part in parts),
        adders=round(sum(part.adders for part in parts)),
        luts=round(sum(part.luts for part in parts)),
        depth=sum(part.depth for part in parts),
        registers=0 if levels is None else round(bits + cut / levels),
        trace_s=sum(part.search_s + _BUILD_S * part.adders for part in parts),
    )


def require_size(
    graph: Graph, luts: int = MAX_LUTS, trace_s: float = MAX_TRACE_S
) -> Size:
    """Stop a network that is too large to unroll.

    Args:
        graph: The integer graph.
        luts: The most that are accepted.
        trace_s: The most seconds of tracing that are accepted.

    Returns:
        The estimate.

    Raises:
        NetworkError: if the network is too large; it names the largest node.
    """
    size = estimate(graph)
    if size.luts <= luts and size.trace_s <= trace_s:
        return size
    got, limit = f"about {size.luts:,} LUTs", f"{luts:,}"
    if size.luts <= luts:
        got, limit = f"about {size.trace_s:,.0f} s of tracing", f"{trace_s:,.0f}"
    largest = max(graph.nodes, key=lambda node: _part(node, graph).luts)
    raise NetworkError(
        f"unrolled, the network has {size.multiplications:,} multiplications by other "
        f"than 0, an estimated {got}, expected at most {limit}; the largest node is "
        f"{type(largest).__name__} to {largest.output!r}: prune, use fewer bits, raise "
        "the limit, or use the hls4ml backend with io_stream"
    )


def digits(weights: IntArray) -> IntArray:
    """Count the signed digits of integers, the fewest that are possible.

    Args:
        weights: Any shape.

    Returns:
        Counts, same shape.

    >>> digits(np.array([0, 1, 3, 7, -7, 11, 85]))
    array([0, 1, 2, 2, 2, 3, 4])
    """
    counts = [(3 * n ^ n).bit_count() for n in map(abs, weights.ravel().tolist())]
    return np.array(counts, dtype=np.int64).reshape(weights.shape)


def _bits(tensor: Tensor) -> int:
    return tensor.width * math.prod(tensor.shape)


def _part(node: Node, graph: Graph) -> _Part:
    if isinstance(node, Quantize):
        return _Part()
    y = graph.tensors[node.output]
    tensors = [graph.tensors[name] for name in node.inputs]
    if isinstance(node, Dense):
        places = math.prod(y.shape[:-1])
        return _product(node.weights.T, places, places, tensors[0], y)
    if isinstance(node, Conv):
        places = math.prod(y.shape) // len(node.weights)
        rows = node.weights.reshape(node.groups, -1, node.weights[0].size)
        searches = min(places, 3 ** len(node.window.kernel))
        parts = [_product(row, places, searches, tensors[0], y) for row in rows]
        return _Part(
            adders=sum(part.adders for part in parts),
            luts=sum(part.luts for part in parts),
            depth=max(part.depth for part in parts),
            multiplications=sum(part.multiplications for part in parts),
            search_s=sum(part.search_s for part in parts),
        )
    return _elementwise(node, tensors[0], y)


def _product(rows: IntArray, places: int, searches: int, x: Tensor, y: Tensor) -> _Part:
    """Estimate a matrix product; rows of weights are outputs."""
    counts = digits(rows)
    each = counts.sum(axis=1)
    adders = _SHARED * float(np.maximum(each - 1, 0).sum()) * places
    return _Part(
        adders=adders,
        luts=adders * (x.width + y.width) / 2,
        depth=5 + 1.25 * math.log2(max(2, int(each.max(initial=0)))),
        multiplications=int(np.count_nonzero(rows)) * places,
        search_s=_SEARCH_S * float(each.sum()) ** 2 * searches,
    )


def _elementwise(node: Node, x: Tensor, y: Tensor) -> _Part:
    """Estimate a node as operators an element of its output, and LUTs a bit of each."""
    operators, luts, depth = 0.0, 0.0, 0.0
    match node:
        case Relu():
            operators, luts, depth = 1, 0.5 * y.width, 0.0
        case Clip() | LeakyRelu() | Affine():
            operators, luts, depth = 1, 1.0 * y.width, 1.0
        case Requantize():
            operators, luts, depth = 2, 1.0 * x.width, 2.0
        case Sum():
            count = len(node.inputs) - 1
            operators, luts, depth = count, 1.0 * count * y.width, 1.5 * count
        case MaxPool() | SumPool():
            count = math.prod(node.window.kernel) - 1
            operators, luts, depth = count, 1.5 * count * y.width, 1.5 * count**0.5
        case Multiply():
            operators, luts, depth = x.width, 0.75 * x.width**2, 0.2 * x.width
        case Threshold():
            count = node.thresholds.shape[-1]
            operators, luts = 2 * count, 0.6 * count * x.width
            depth = 1 + 1.2 * math.log2(count + 1)
        case ArgMax():
            count = x.shape[node.axis] - 1
            operators, luts = 3 * count, 2.0 * count * x.width
            depth = 2 * math.log2(count + 1)
        case Table():
            operators, depth = 1, max(1.0, 0.8 * (x.width - 6))
            luts = y.width * max(1.0, 2.0 ** (x.width - 6))
    elements = math.prod(y.shape)
    return _Part(operators * elements, luts * elements, depth)
