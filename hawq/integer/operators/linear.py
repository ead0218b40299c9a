"""Sums of products with constant weights: ``MatMul``, ``Gemm``, ``Conv``.

Weights that are wide only because channels have scales of their own stay narrow: the
sums are made with the narrow integers, and an ``Affine`` multiplies each channel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.fixed import IntArray, as_integers
from hawq.integer.grid import common_scale
from hawq.integer.nodes import Conv, Dense, Node, Transpose
from hawq.integer.operation import Lowering, Operation
from hawq.integer.operators.affine import emit_affine, for_one_sample
from hawq.integer.operators.windows import read_window
from hawq.integer.quantizer import IntegerConstant, exact

_NARROW = 2**15
"""Weights below this are never split into a narrow part and a factor a channel."""


def lower_matmul(state: Lowering, op: Operation) -> None:
    """Lower ``MatMul`` of data and a constant, in either order."""
    if op.is_constant(0) and not op.is_constant(1):
        _lower_constant_first(state, op)
        return
    data, weights = op.data(0), op.constant(1)
    _require_matrix(op, weights)
    _emit(state, op, _dense(op.names[0]), _Weights(weights, data.scale, None, -1))


def _lower_constant_first(state: Lowering, op: Operation) -> None:
    """Lower ``W @ x``: transpose, multiply by the transposed matrix, transpose back."""
    data, weights = op.data(1), op.constant(0)
    _require_matrix(op, weights)
    rank = len(data.shape)
    if rank < 2:
        raise op.refuse("a constant times a vector sums over the batch: put data first")
    order = (*range(rank - 2), rank - 1, rank - 2)
    before, after = f"{op.output}.transposed", f"{op.output}.product"
    state.emit(Transpose((op.names[1],), before, order))
    turned = IntegerConstant(weights.integers.T, weights.scale)
    _emit(state, op, _dense(before), _Weights(turned, data.scale, None, -1), after)
    state.emit(Transpose((after,), op.output, order))


def lower_gemm(state: Lowering, op: Operation) -> None:
    """Lower ``Gemm``."""
    if op.attribute("transA", 0):
        raise op.refuse("transA=1 puts the batch last: export with transA=0")
    data, weights = op.data(0), op.constant(1)
    _require_matrix(op, weights)
    if op.attribute("transB", 0):
        weights = IntegerConstant(weights.integers.T, weights.scale)
    alpha = _finite(op, op.attribute("alpha", 1.0))
    integers = as_integers(weights.integers.astype(object) * alpha.numerator)
    weights = IntegerConstant(integers, weights.scale / alpha.denominator)
    bias = None
    if op.has(2):
        beta = _finite(op, op.attribute("beta", 1.0))
        bias = _per_channel(op, op.rational(2) * beta, integers.shape[1])
    _emit(state, op, _dense(op.names[0]), _Weights(weights, data.scale, bias, -1))


def lower_conv(state: Lowering, op: Operation) -> None:
    """Lower ``Conv``, channels first or last."""
    data, weights = op.data(0), op.constant(1)
    integers = weights.integers
    if integers.ndim < 3:
        raise op.refuse(
            f"weights of shape {integers.shape}, expected (out, in, *kernel)"
        )
    if op.channels_last:
        integers = np.moveaxis(integers, -1, 1)
        weights = IntegerConstant(integers, weights.scale)
    spatial = data.shape[:-1] if op.channels_last else data.shape[1:]
    window = read_window(op, spatial, integers.shape[2:])
    groups = op.attribute("group", 1)
    bias = _per_channel(op, op.rational(2), len(integers)) if op.has(2) else None
    source = op.names[0]

    def make(output: str, weights: IntArray, scale: Fraction, bias: Any) -> Node:
        return Conv((source,), output, weights, scale, window, groups, bias)

    axis = -1 if op.channels_last else -1 - len(window.kernel)
    _emit(state, op, make, _Weights(weights, data.scale, bias, axis, out_axis=0))


Make = Callable[[str, IntArray, Fraction, IntArray | None], Node]


def _dense(source: str) -> Make:
    def make(
        output: str, weights: IntArray, scale: Fraction, bias: IntArray | None
    ) -> Node:
        return Dense((source,), output, weights, scale, bias)

    return make


@dataclass(frozen=True, eq=False)
class _Weights:
    constant: IntegerConstant
    data_scale: Fraction
    bias: NDArray[Any] | None  # Fractions, (out,)
    channel_axis: int  # of the output, counted from its end
    out_axis: int = -1  # of the weights


def _emit(
    state: Lowering, op: Operation, make: Make, given: _Weights, output: str = ""
) -> None:
    """Emit the sums, with the bias if it fits on their grid, else an ``Affine``."""
    output = output or op.output
    integers, scale = given.constant.integers, given.constant.scale
    factors = _channel_factors(integers, given.out_axis)
    one = math.gcd(*factors) or 1
    common = np.array([f // one if f else 1 for f in factors], dtype=object)
    if _largest(integers) < _NARROW * one or (common == 1).all():
        common = np.ones(len(factors), dtype=object)
    column = np.expand_dims(common * one, _others(integers.ndim, given.out_axis))
    narrow, scale = as_integers(integers.astype(object) // column), scale * one
    product = scale * given.data_scale
    split = bool((common != 1).any())
    if given.bias is None and not split:
        state.emit(make(output, narrow, scale, None))
        return
    bias = exact(np.zeros(len(factors))) if given.bias is None else given.bias
    grid = common_scale(product, *(abs(b) for b in bias.flat if b))
    factor = int(product / grid)
    if not split and factor < _NARROW:
        offset = as_integers(np.array([int(b / grid) for b in bias], dtype=object))
        widened = as_integers(narrow.astype(object) * factor)
        state.emit(make(output, widened, scale / factor, offset))
        return
    inner = f"{output}.sums"
    state.emit(make(inner, narrow, scale, None))
    shape = (-1, *[1] * (-1 - given.channel_axis))
    gains = np.array([Fraction(int(c)) for c in common], dtype=object)
    emit_affine(state, op, inner, output, gains.reshape(shape), bias.reshape(shape))


def _channel_factors(integers: IntArray, out_axis: int) -> list[int]:
    rows = np.moveaxis(integers, out_axis, 0).reshape(integers.shape[out_axis], -1)
    if integers.dtype == object:
        return [math.gcd(*(int(v) for v in row)) for row in rows]
    return [int(f) for f in np.gcd.reduce(rows, axis=1)]


def _others(rank: int, axis: int) -> tuple[int, ...]:
    return tuple(i for i in range(rank) if i != axis % rank)


def _largest(integers: IntArray) -> int:
    return max(int(integers.max()), -int(integers.min())) if integers.size else 0


def _require_matrix(op: Operation, weights: IntegerConstant) -> None:
    if weights.integers.ndim != 2:
        raise op.refuse(f"weights of shape {weights.integers.shape}, expected a matrix")


def _finite(op: Operation, factor: float) -> Fraction:
    if not math.isfinite(factor):
        raise op.refuse(f"alpha or beta is {factor}, expected a finite number")
    return Fraction(factor)


def _per_channel(op: Operation, bias: NDArray[Any], channels: int) -> NDArray[Any]:
    inner = for_one_sample(op, np.asarray(bias, dtype=object), (channels,))
    return np.broadcast_to(inner, (channels,)).copy()
