"""How far a float executor may be from the exact integers because *it* rounded.

A running error analysis: along the integer graph, on the very samples, each tensor gets
a bound on ``|float value - exact value|`` that holds for any order of summation. Where
all sums fit the float's significand and all scales are powers of two, the bound is 0
and the integers must be equal. Elsewhere a difference within the bound is float noise;
one beyond it is an error.

Source: N. J. Higham, Accuracy and Stability of Numerical Algorithms, section 3.1 (the
constants gamma_n).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.fixed import IntArray, Overflow, power_of_two_exponent
from hawq.integer.evaluate import correlate, evaluate, pool, widened
from hawq.integer.graph import Graph
from hawq.integer.nodes import (
    Affine,
    ArgMax,
    Clip,
    Concat,
    Conv,
    Dense,
    LeakyRelu,
    MaxPool,
    Multiply,
    Node,
    Quantize,
    Relu,
    Requantize,
    Reshape,
    Select,
    Sum,
    SumPool,
    Table,
    Threshold,
    Transpose,
)
from hawq.integer.sums import partial_sums
from hawq.integer.tensor import Tensor

Array = NDArray[np.float64]

_SLACK = 8
"""Roundings of a few elementary operations, and of this analysis itself."""


def error_bounds(
    graph: Graph,
    values: Mapping[str, IntArray],
    real: Mapping[str, NDArray[Any]],
    bits: int = 24,
) -> dict[str, Array]:
    """Bound the error of a float executor on given samples.

    Args:
        graph: The integer graph.
        values: Tensor name → exact integers, shape (samples, *shape), of every tensor.
        real: Input name → real inputs, shape (samples, *shape).
        bits: Significand of the executor's floats: 24 or 53.

    Returns:
        Tensor name → bound on the error in real units, shape of ``values``; 0 where
        the executor computes exactly.
    """
    bounds: dict[str, Array] = {}
    for node in graph.nodes:
        exact = values[node.output]
        if isinstance(node, Quantize):
            bounds[node.output] = _quantize(node, real[node.inputs[0]], bits)
            continue
        tensors = [graph.tensors[name] for name in node.inputs]
        errors = [bounds[name] for name in node.inputs]
        if _is_exact(node, graph.tensors[node.output], tensors, errors, bits):
            bounds[node.output] = np.zeros(exact.shape)
            continue
        given = [_last(_real(values[t.name], t)) for t in tensors]
        case = _Case(tensors, given, [_last(e) for e in errors], 2.0**-bits)
        rule = _RULES[type(node)]
        bounds[node.output] = _first(rule(node, case))
    return bounds


def _is_exact(
    node: Node, y: Tensor, tensors: Sequence[Tensor], errors: Sequence[Array], bits: int
) -> bool:
    """Tell whether a float with so many bits rounds nothing at this node."""
    if any(e.any() for e in errors):
        return False
    if isinstance(node, Relu | Reshape | Transpose | Select | MaxPool | ArgMax):
        return True
    scales = [y.scale, *(t.scale for t in tensors)]
    dyadic = all(power_of_two_exponent(s) is not None for s in scales)
    if not dyadic or isinstance(node, Table):
        return False
    if isinstance(node, SumPool) and node.scale != tensors[0].scale:
        return False
    return bool(max(partial_sums(node, tensors), y.high, -y.low) <= 2**bits)


class _Case:
    """A node's inputs on all samples, the batch last."""

    def __init__(
        self, tensors: list[Tensor], real: list[Array], errors: list[Array], unit: float
    ) -> None:
        self.tensors, self.real, self.errors, self.unit = tensors, real, errors, unit

    def gamma(self, count: int) -> float:
        """Bound the relative error of a sum of ``count`` products."""
        n = (count + _SLACK) * self.unit
        return n / (1 - n) if n < 1 else math.inf


def _real(integers: IntArray, tensor: Tensor) -> Array:
    return np.asarray(integers.astype(np.float64) * float(tensor.scale))


def _last(x: Array) -> Array:
    return np.moveaxis(x, 0, -1)


def _first(x: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(x, -1, 0))


def _quantize(node: Quantize, real: NDArray[Any], bits: int) -> Array:
    x = real.astype(np.float64)
    unit = 2.0**-bits
    grid = node.grid
    dyadic = power_of_two_exponent(grid.scale) is not None
    short = max(-grid.low, grid.high) <= 2**bits
    if dyadic and short and node.gain is None and node.offset is None:
        return np.zeros(x.shape)
    gain = 1.0 if node.gain is None else node.gain.astype(np.float64)
    offset = 0.0 if node.offset is None else node.offset.astype(np.float64)
    error = _SLACK * unit * (np.abs(x * gain) + np.abs(offset))
    return _rounded(x * gain + offset, error, grid, unit)


def _rounded(value: Array, error: Array, grid: Any, unit: float) -> Array:
    """Follow an error through a quantizer: 0, or whole steps where it may matter."""
    scale = float(grid.scale)
    steps = value / scale
    reach = error / scale + _SLACK * unit * np.abs(steps) + 2.0**-50
    if grid.overflow is Overflow.WRAP:
        inside = np.ones(steps.shape, dtype=bool)
    else:
        inside = (steps + reach > grid.low - 1) & (steps - reach < grid.high + 1)
    # Boundaries of all rounding modes are multiples of one half.
    distance = np.abs(2 * steps - np.rint(2 * steps)) / 2
    doubtful = inside & (distance <= reach)
    size = np.where(doubtful, np.ceil(reach) * scale, 0.0)
    written = 0.0 if power_of_two_exponent(grid.scale) is not None else 2 * unit
    result = np.clip(np.abs(value), 0, max(-grid.low, grid.high) * scale)
    bound: Array = size + written * (result + size)
    return bound


def _requantize(node: Requantize, case: _Case) -> Array:
    return _rounded(case.real[0], case.errors[0], node.grid, case.unit)


def _dense(node: Dense, case: _Case) -> Array:
    x, error = case.real[0], case.errors[0]
    weights = np.abs(node.weights.astype(np.float64)).T * float(node.weight_scale)
    reach = np.matmul(weights, np.abs(x) + error)
    if node.bias is not None:
        scale = float(case.tensors[0].scale * node.weight_scale)
        reach = reach + np.abs(node.bias.astype(np.float64))[:, None] * scale
    bound: Array = np.matmul(weights, error) + case.gamma(len(node.weights)) * reach
    return bound


def _conv(node: Conv, case: _Case) -> Array:
    x, error = case.real[0], case.errors[0]
    weights = np.abs(node.weights.astype(np.float64)) * float(node.weight_scale)

    def slide(a: Array) -> Array:
        return correlate(a, weights, node.window, node.groups)

    reach = slide(np.abs(x) + error)
    if node.bias is not None:
        scale = float(case.tensors[0].scale * node.weight_scale)
        ones = 1 if node.window.channels_last else reach.ndim - 1
        bias = np.abs(node.bias.astype(np.float64)) * scale
        reach = reach + bias.reshape(-1, *[1] * ones)
    count = math.prod(node.weights.shape[1:])
    bound: Array = slide(error) + case.gamma(count) * reach
    return bound


def _affine(node: Affine, case: _Case) -> Array:
    x, error = case.real[0], case.errors[0]
    scale = float(node.scale / case.tensors[0].scale)
    gain = np.abs(node.multiplier.astype(np.float64))[..., None] * scale
    offset = np.abs(node.constant.astype(np.float64))[..., None] * float(node.scale)
    reach = gain * (np.abs(x) + error) + offset
    bound: Array = gain * error + case.gamma(2) * reach
    return bound


def _sum(node: Sum, case: _Case) -> Array:
    rank = max(x.ndim for x in case.real) - 1
    reach = sum(widened(np.abs(x), rank) for x in case.real)
    error = sum(widened(e, rank) for e in case.errors)
    return np.asarray(error + case.gamma(len(case.real)) * (reach + error))


def _multiply(node: Multiply, case: _Case) -> Array:
    rank = max(x.ndim for x in case.real) - 1
    a, b = (widened(np.abs(x), rank) for x in case.real)
    e, f = (widened(x, rank) for x in case.errors)
    return np.asarray(a * f + b * e + e * f + case.gamma(1) * (a + e) * (b + f))


def _moved(node: Node, case: _Case) -> Array:
    return np.asarray(evaluate(node, case.tensors, case.errors), dtype=np.float64)


def _kept(node: Node, case: _Case) -> Array:
    return case.errors[0]


def _select(node: Select, case: _Case) -> Array:
    zeros = Select(node.inputs, node.output, node.indices, 0)
    return _moved(zeros, case)


def _leaky(node: LeakyRelu, case: _Case) -> Array:
    steep = max(1.0, abs(float(node.slope)))
    reach = steep * (np.abs(case.real[0]) + case.errors[0])
    bound: Array = steep * case.errors[0] + case.gamma(1) * reach
    return bound


def _clip(node: Clip, case: _Case) -> Array:
    scale = float(case.tensors[0].scale)
    limit = max(abs(node.low), abs(node.high)) * scale
    written = 0.0 if power_of_two_exponent(case.tensors[0].scale) is not None else limit
    bound: Array = case.errors[0] + case.unit * written
    return bound


def _max_pool(node: MaxPool, case: _Case) -> Array:
    return pool(case.errors[0], node.window, np.maximum, 0.0)


def _sum_pool(node: SumPool, case: _Case) -> Array:
    count = math.prod(node.window.kernel)
    factor = float(node.scale / case.tensors[0].scale)
    reach = pool(np.abs(case.real[0]) + case.errors[0], node.window, np.add, 0.0)
    error = pool(case.errors[0], node.window, np.add, 0.0)
    bound: Array = factor * (error + case.gamma(count) * reach)
    return bound


def _table(node: Table, case: _Case) -> Array:
    scale = case.tensors[0].scale
    steps = np.ceil(case.errors[0] / float(scale)).astype(np.int64)
    index = np.rint(case.real[0] / float(scale)).astype(np.int64) - node.low
    last = len(node.entries) - 1
    entries = node.entries.astype(np.float64)
    low = entries[np.clip(index - steps, 0, last)]
    high = entries[np.clip(index + steps, 0, last)]
    # The float function may round to a neighbour: one entry more.
    bound: Array = (np.abs(high - low) + 1) * float(node.grid.scale)
    return bound


def _threshold(node: Threshold, case: _Case) -> Array:
    x, error = case.real[0], case.errors[0]
    scale = float(case.tensors[0].scale)
    near = np.zeros(x.shape)
    for i in range(node.thresholds.shape[-1]):
        t = node.thresholds[..., i, None].astype(np.float64) * scale
        reach = error + 2 * case.unit * np.abs(t) + scale * (error > 0)
        near = near + (np.abs(x - t) <= reach)
    return near


def _argmax(node: ArgMax, case: _Case) -> Array:
    x, error = case.real[0], case.errors[0]
    best = (x - error).max(axis=node.axis, keepdims=True)
    rivals = (x + error >= best).sum(axis=node.axis, keepdims=True)
    return np.where(rivals > 1, float(x.shape[node.axis]), 0.0)


_RULES: dict[type, Callable[[Any, _Case], Array]] = {
    Affine: _affine,
    ArgMax: _argmax,
    Clip: _clip,
    Concat: _moved,
    Conv: _conv,
    Dense: _dense,
    LeakyRelu: _leaky,
    MaxPool: _max_pool,
    Multiply: _multiply,
    Relu: _kept,
    Requantize: _requantize,
    Reshape: _moved,
    Select: _select,
    Sum: _sum,
    SumPool: _sum_pool,
    Table: _table,
    Threshold: _threshold,
    Transpose: _moved,
}


def compare_floats(
    integers: IntArray, tensor: Tensor, floats: NDArray[Any], bound: Array
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Sort the differences between exact integers and an executor's floats.

    Args:
        integers: Exact, any shape.
        tensor: What they are of.
        floats: The executor's values, same shape.
        bound: From ``error_bounds``, same shape.

    Returns:
        Where the float is the exact value, or for a quantized tensor stands for its
        integer; and where it is not, but lies within the bound.
    """
    scale = tensor.scale
    given = floats.astype(np.float64)
    near = integers.astype(np.float64) * float(scale)
    if power_of_two_exponent(scale) is not None and tensor.width <= 53:
        equal = given == near
    elif tensor.declared is not None:
        equal = np.rint(given / float(scale)) == integers.astype(np.float64)
    else:
        equal = np.zeros(given.shape, dtype=bool)
        for index in zip(*np.nonzero(np.isclose(given, near)), strict=True):
            equal[index] = Fraction(float(given[index])) == int(integers[index]) * scale
    rounding = 2.0**-50 * np.abs(near)
    return equal, ~equal & (np.abs(given - near) <= bound + rounding * (bound > 0))
