"""Trace the integer graph with alkaid: adders, shifts, multiplexers on integers.

alkaid's variables hold the integers of the graph, whatever their scale, so that every
scale is carried. This is the only module, with ``verilog``, that knows alkaid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hawq.errors import NetworkError, ToolError
from hawq.fixed import Overflow, Rounding
from hawq.integer.graph import Graph
from hawq.integer.nodes import (
    Affine,
    Clip,
    Concat,
    Conv,
    Dense,
    LeakyRelu,
    MaxPool,
    Node,
    Quantize,
    Relu,
    Requantize,
    Reshape,
    Select,
    Sum,
    SumPool,
    Transpose,
    Window,
)
from hawq.integer.sums import partial_sums
from hawq.integer.tensor import Tensor

Wires = Any
"""alkaid's array of variables, shape of one sample."""

FLOAT64_BITS = 53
"""alkaid keeps bounds as float64."""

MAX_OPERATIONS = 200_000
"""Multiplications of the unrolled network."""

_ROUND_MODES = {
    Rounding.FLOOR: "TRN",
    Rounding.HALF_UP: "RND",
    Rounding.HALF_EVEN: "RND_CONV",
}
_MIRRORED = {Rounding.CEIL: Rounding.FLOOR, Rounding.HALF_DOWN: Rounding.HALF_UP}


def unsupported(graph: Graph) -> list[str]:
    """Say why a graph cannot become RTL.

    Args:
        graph: The integer graph.

    Returns:
        Reasons with the node's output named and the way out; empty if it can.
    """
    reasons = []
    for node in graph.nodes:
        name = type(node).__name__
        if isinstance(node, Quantize):
            continue
        if type(node) not in _RULES:
            reasons.append(f"{name} to {node.output!r} has no RTL: use the emulator")
        elif isinstance(node, Requantize):
            reasons += _rounding_reasons(node, graph.tensors[node.inputs[0]])
        tensors = [graph.tensors[i] for i in node.inputs]
        bits = partial_sums(node, tensors).bit_length() + 1
        if bits > FLOAT64_BITS:
            reasons.append(
                f"{name} to {node.output!r} needs {bits} bits, the RTL generator holds "
                f"{FLOAT64_BITS}: use power-of-two scales or fewer bits"
            )
    total = operations(graph)
    if total > MAX_OPERATIONS:
        reasons.append(
            f"unrolled, the network has {total:,} multiplications by other than 0, "
            f"expected at most {MAX_OPERATIONS:,}: use the hls4ml backend with "
            "io_stream"
        )
    return reasons


def _rounding_reasons(node: Requantize, x: Tensor) -> list[str]:
    grid = node.grid
    reasons = []
    if (x.scale / grid.scale).denominator.bit_count() != 1:
        reasons.append(
            f"Requantize to {node.output!r} divides by "
            f"{(x.scale / grid.scale).denominator}, which is no shift: use "
            "power-of-two scales, or the emulator"
        )
    if grid.rounding not in _ROUND_MODES | _MIRRORED:
        reasons.append(
            f"Requantize to {node.output!r} rounds {grid.rounding.value}: use "
            f"{', '.join(r.value for r in (*_ROUND_MODES, *_MIRRORED))}"
        )
    return reasons


def operations(graph: Graph) -> int:
    """Estimate the size of the unrolled network.

    Args:
        graph: The integer graph.

    Returns:
        Multiplications by weights that are not zero, in one sample.
    """
    total = 0
    for node in graph.nodes:
        if isinstance(node, Dense):
            places = math.prod(graph.tensors[node.output].shape[:-1])
            total += places * int(np.count_nonzero(node.weights))
        elif isinstance(node, Conv):
            y = graph.tensors[node.output].shape
            places = math.prod(y) // len(node.weights)
            total += places * int(np.count_nonzero(node.weights))
    return total


def trace_graph(graph: Graph, hard_dc: int = 5) -> Any:
    """Build the combinational logic from the input integers to the output integers.

    Args:
        graph: The integer graph.
        hard_dc: alkaid's limit on the adder depth beyond the shallowest tree; -1 for
            none, which needs fewer adders and more time.

    Returns:
        alkaid's ``CombLogic``. Inputs are the integers behind each ``Quantize``,
        outputs those of the graph's outputs, flat, one tensor behind the other.

    Raises:
        ToolError: if alkaid is not installed.
        NetworkError: if the graph cannot become RTL.
    """
    reasons = unsupported(graph)
    if reasons:
        raise NetworkError("; ".join(reasons))
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
        wires[node.output] = _RULES[type(node)](node, tensors, xs)
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


def _requantize(node: Requantize, tensors: list[Tensor], xs: list[Wires]) -> Wires:
    grid, ratio = node.grid, tensors[0].scale / node.grid.scale
    x = xs[0] * float(ratio.numerator)
    if ratio.denominator > 1:
        x = _rounded(x * (1.0 / ratio.denominator), tensors[0], node)
    if grid.overflow is Overflow.WRAP:
        signed = grid.low < 0
        bits = (grid.high - grid.low + 1).bit_length() - 1 - int(signed)
        return x.quantize(signed, bits, 0, "WRAP", "TRN")
    return np.minimum(np.maximum(x, float(grid.low)), float(grid.high))


def _rounded(x: Wires, tensor: Tensor, node: Requantize) -> Wires:
    """Round to whole numbers of as many bits as that may need."""
    mode = node.grid.rounding
    if mode in _MIRRORED:
        return -_nearest(-x, tensor, _MIRRORED[mode])
    if mode is Rounding.HALF_EVEN and node.grid.zero_point % 2:
        return _nearest(x + 1.0, tensor, mode) - 1.0
    return _nearest(x, tensor, mode)


def _nearest(x: Wires, tensor: Tensor, mode: Rounding) -> Wires:
    bits = tensor.width + 2
    return x.quantize(True, bits, 0, "WRAP", _ROUND_MODES[mode])


def _dense(node: Dense, _: list[Tensor], xs: list[Wires]) -> Wires:
    y = xs[0] @ node.weights.astype(np.float64)
    return y if node.bias is None else y + node.bias.astype(np.float64)


def _conv(node: Conv, _: list[Tensor], xs: list[Wires]) -> Wires:
    x = np.moveaxis(xs[0], -1, 0) if node.window.channels_last else xs[0]
    outputs, depth = node.weights.shape[:2]
    count = outputs // node.groups
    sizes = node.window.output_sizes(x.shape[1:])
    y = np.empty((outputs, *sizes), dtype=object)
    for place in np.ndindex(*sizes):
        for g in range(node.groups):
            taps, index = _seen(x[g * depth : (g + 1) * depth], node.window, place)
            mine = slice(g * count, (g + 1) * count)
            weights = node.weights[mine].reshape(count, depth, -1)[:, :, index]
            matrix = weights.reshape(count, -1).T.astype(np.float64)
            y[(mine, *place)] = np.asarray(taps.ravel() @ matrix)
    if node.bias is not None:
        bias = node.bias.astype(np.float64)
        y = y + bias.reshape(-1, *[1] * len(sizes))
    y = _like(xs[0], y)
    return np.moveaxis(y, 0, -1) if node.window.channels_last else y


def _seen(x: Wires, window: Window, place: tuple[int, ...]) -> tuple[Wires, list[int]]:
    """Give what a window sees without padding, and which of its elements that is."""
    cells, index = [], []
    for i, tap in enumerate(np.ndindex(*window.kernel)):
        where = [
            p * s + t * d - b
            for p, s, t, d, b in zip(
                place, window.strides, tap, window.dilations, window.pads, strict=False
            )
        ]
        if all(0 <= w < n for w, n in zip(where, x.shape[1:], strict=True)):
            cells.append(x[(slice(None), *where)])
            index.append(i)
    return np.stack(cells, axis=-1), index


def _like(x: Wires, y: Wires) -> Wires:
    """Make an array of wires with the options of another."""
    return type(x)(np.asarray(y, dtype=object), x.solver_options, x.hwconf)


def _affine(node: Affine, _: list[Tensor], xs: list[Wires]) -> Wires:
    return xs[0] * node.multiplier.astype(np.float64) + node.constant.astype(np.float64)


def _sum(node: Sum, _: list[Tensor], xs: list[Wires]) -> Wires:
    y = xs[0] * float(node.multipliers[0])
    for x, m in zip(xs[1:], node.multipliers[1:], strict=True):
        y = y + x * float(m)
    return y


def _relu(node: Relu, _: list[Tensor], xs: list[Wires]) -> Wires:
    return np.maximum(xs[0], 0.0)


def _leaky(node: LeakyRelu, _: list[Tensor], xs: list[Wires]) -> Wires:
    x, slope = xs[0], node.slope
    steep, flat = x * float(slope.denominator), x * float(slope.numerator)
    # Which of the two is larger tells the sign, on either side of slope 1.
    return np.maximum(steep, flat) if slope <= 1 else np.minimum(steep, flat)


def _clip(node: Clip, _: list[Tensor], xs: list[Wires]) -> Wires:
    return np.minimum(np.maximum(xs[0], float(node.low)), float(node.high))


def _pool(x: Wires, window: Window, combine: Callable[[Wires], Any]) -> Wires:
    x = np.moveaxis(x, -1, 0) if window.channels_last else x
    sizes = window.output_sizes(x.shape[1:])
    y = np.empty((x.shape[0], *sizes), dtype=object)
    for place in np.ndindex(*sizes):
        y[(slice(None), *place)] = np.asarray(combine(_seen(x, window, place)[0]))
    y = _like(x, y)
    return np.moveaxis(y, 0, -1) if window.channels_last else y


def _max_pool(node: MaxPool, _: list[Tensor], xs: list[Wires]) -> Wires:
    return _pool(xs[0], node.window, lambda cells: np.max(cells, axis=-1))


def _sum_pool(node: SumPool, _: list[Tensor], xs: list[Wires]) -> Wires:
    return _pool(xs[0], node.window, lambda cells: np.sum(cells, axis=-1))


def _reshape(node: Reshape, _: list[Tensor], xs: list[Wires]) -> Wires:
    return xs[0].reshape(node.shape)


def _transpose(node: Transpose, _: list[Tensor], xs: list[Wires]) -> Wires:
    return xs[0].transpose(node.order)


def _select(node: Select, _: list[Tensor], xs: list[Wires]) -> Wires:
    y = np.asarray(xs[0].ravel())[node.indices]
    if node.indices.min(initial=0) < 0:
        y = np.where(node.indices < 0, float(node.fill), y)
    return _like(xs[0], y)


def _concat(node: Concat, _: list[Tensor], xs: list[Wires]) -> Wires:
    return np.concatenate(xs, axis=node.axis)


_RULES: dict[type[Node], Callable[[Any, list[Tensor], list[Wires]], Wires]] = {
    Affine: _affine,
    Clip: _clip,
    Concat: _concat,
    Conv: _conv,
    Dense: _dense,
    LeakyRelu: _leaky,
    MaxPool: _max_pool,
    Relu: _relu,
    Requantize: _requantize,
    Reshape: _reshape,
    Select: _select,
    Sum: _sum,
    SumPool: _sum_pool,
    Transpose: _transpose,
}
