"""How each ONNX and QONNX operator becomes integer nodes.

Source: the ONNX operator specification, and QONNX's of ``Quant``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
from onnx import TensorProto

from hawq.fixed import IntArray, as_integers, power_of_two_exponent
from hawq.integer.bounds import common_scale
from hawq.integer.nodes import (
    AddConstant,
    Dense,
    Quantize,
    RealInput,
    Relu,
    Requantize,
    Reshape,
    Tensor,
)
from hawq.integer.operation import (
    Lowering,
    Operation,
    RealConstant,
    Value,
    read_tensor,
)
from hawq.integer.quantizer import IntegerConstant, Quantizer, read_quantizer


def _lower_constant(state: Lowering, op: Operation) -> None:
    value = op.attributes.get("value")
    if not isinstance(value, TensorProto):
        raise op.refuse(
            f"attribute {next(iter(op.attributes), 'none')!r}, expected a tensor "
            "'value': fold constants first (qonnx-cleanup)"
        )
    state.values[op.output] = read_tensor(value, op.label)


def _lower_quant(state: Lowering, op: Operation) -> None:
    scale, zero_point, width = (op.parameter(i) for i in (1, 2, 3))
    quantizer = read_quantizer(
        op.output,
        scale,
        zero_point,
        width,
        is_signed=bool(op.attribute("signed", 1)),
        is_narrow=bool(op.attribute("narrow", 0)),
        rounding_mode=op.attribute("rounding_mode", "ROUND"),
    )
    value = op.values[0]
    if isinstance(value, IntegerConstant | np.ndarray):
        state.values[op.output] = quantizer.constant(value)
    else:
        _quantize_data(state, op, quantizer, value)


def _quantize_data(
    state: Lowering, op: Operation, quantizer: Quantizer, value: RealInput | Tensor
) -> None:
    exponent = quantizer.uniform_exponent()
    if exponent is None:
        raise op.refuse(
            "data with one scale a channel is not carried: use one scale a tensor"
        )
    if quantizer.top is not None:
        raise op.refuse(
            f"unsigned data with narrow=1 saturates at {quantizer.top}, which no "
            "fixed-point type does: use narrow=0"
        )
    kind = Quantize if isinstance(value, RealInput) else Requantize
    state.emit(kind((op.names[0],), op.output, quantizer.format(exponent)))


def _lower_matmul(state: Lowering, op: Operation) -> None:
    _emit_dense(state, op, op.data(0), op.constant(1), None)


def _lower_gemm(state: Lowering, op: Operation) -> None:
    if op.attribute("transA", 0):
        raise op.refuse("transA=1 puts the batch last: export with transA=0")
    data, weights = op.data(0), op.constant(1)
    if op.attribute("transB", 0):
        weights = IntegerConstant(weights.integers.T, weights.scale)
    weights = _times(op, weights, op.attribute("alpha", 1.0))
    bias = None
    if len(op.values) > 2:
        bias = _times(op, op.constant(2), op.attribute("beta", 1.0))
    _emit_dense(state, op, data, weights, bias)


def _times(op: Operation, constant: IntegerConstant, factor: float) -> IntegerConstant:
    """Multiply by a float, which is a whole number of powers of two."""
    if not math.isfinite(factor):
        raise op.refuse(f"alpha or beta is {factor}, expected a finite number")
    exact = Fraction(factor)
    integers = as_integers(constant.integers.astype(object) * exact.numerator)
    return IntegerConstant(integers, constant.scale / exact.denominator)


def _emit_dense(
    state: Lowering,
    op: Operation,
    data: Tensor,
    weights: IntegerConstant,
    bias: IntegerConstant | None,
) -> None:
    matrix, scale = weights.integers, weights.scale
    if matrix.ndim != 2:
        raise op.refuse(f"weights of shape {matrix.shape}, expected a matrix")
    offset = None
    if bias is not None:
        grid = common_scale(data.scale * scale, bias.scale)
        shift = _shift(op, data.scale * scale, grid)
        matrix, scale = _shifted(matrix, shift), scale / 2**shift
        offset = _shifted(bias.integers, _shift(op, bias.scale, grid))
        offset = _for_one_sample(op, offset, (matrix.shape[1],))
    state.emit(Dense((op.names[0],), op.output, matrix, scale, offset))


def _lower_add(state: Lowering, op: Operation) -> None:
    swapped = isinstance(op.value(0), IntegerConstant | np.ndarray)
    position = 1 if swapped else 0
    x, constant = op.data(position), op.constant(1 - position)
    grid = common_scale(x.scale, constant.scale)
    integers = _shifted(constant.integers, _shift(op, constant.scale, grid))
    integers = _for_one_sample(op, integers, x.shape)
    shift = _shift(op, x.scale, grid)
    state.emit(AddConstant((op.names[position],), op.output, integers, shift))


def _shift(op: Operation, scale: Fraction, grid: Fraction) -> int:
    shift = power_of_two_exponent(scale / grid)
    if shift is None:
        raise op.refuse(
            f"scales {scale} and {grid} differ by no power of two: use power-of-two "
            "scales"
        )
    return shift


def _shifted(integers: IntArray, shift: int) -> IntArray:
    return as_integers(integers.astype(object) << shift) if shift else integers


def _for_one_sample(
    op: Operation, constant: IntArray, shape: tuple[int, ...]
) -> IntArray:
    """Drop a constant's batch axis and repeat it to one sample's shape."""
    extra = max(0, constant.ndim - len(shape))
    inner = constant.shape[extra:]
    pairs = zip(reversed(inner), reversed(shape), strict=False)
    if constant.shape[:extra] != (1,) * extra or any(c not in (1, n) for c, n in pairs):
        raise op.refuse(
            f"a constant of shape {constant.shape} does not fit samples of shape "
            f"{shape}"
        )
    return np.broadcast_to(constant.reshape(inner), shape).copy()


def _lower_relu(state: Lowering, op: Operation) -> None:
    op.data(0)
    state.emit(Relu((op.names[0],), op.output))


def _lower_identity(state: Lowering, op: Operation) -> None:
    value = op.value(0)
    if isinstance(value, Tensor):
        state.emit(Reshape((op.names[0],), op.output, value.shape))
    else:
        state.values[op.output] = value


def _lower_transpose(state: Lowering, op: Operation) -> None:
    value = op.value(0)
    if isinstance(value, RealInput | Tensor):
        raise op.refuse(
            "transposing data is not carried: transpose the weights instead"
        )
    array = value.integers if isinstance(value, IntegerConstant) else value
    order = op.attribute("perm", list(range(array.ndim))[::-1])
    if sorted(order) != list(range(array.ndim)):
        raise op.refuse(f"perm {order} does not fit a constant of shape {array.shape}")
    state.values[op.output] = _like(value, np.transpose(array, order))


def _like(value: IntegerConstant | RealConstant, array: IntArray) -> Value:
    """Make a constant of the same kind."""
    if isinstance(value, IntegerConstant):
        return IntegerConstant(array, value.scale)
    return array


def _lower_reshape(state: Lowering, op: Operation) -> None:
    target = [int(n) for n in op.parameter(1).ravel()]
    value = op.value(0)
    if isinstance(value, IntegerConstant | np.ndarray):
        array = value.integers if isinstance(value, IntegerConstant) else value
        state.values[op.output] = _like(value, array.reshape(_sizes(op, array, target)))
        return
    x = op.data(0)
    if not target or target[0] not in (-1, 0, state.batch):
        raise op.refuse(f"shape {target} does not keep the batch as the first axis")
    shape = _sizes(op, x.lows, target[1:])
    state.emit(Reshape((op.names[0],), op.output, shape))


def _lower_flatten(state: Lowering, op: Operation) -> None:
    axis = op.attribute("axis", 1)
    if axis != 1:
        raise op.refuse(f"axis {axis}, expected 1, which keeps the batch")
    shape = _sizes(op, op.data(0).lows, [-1])
    state.emit(Reshape((op.names[0],), op.output, shape))


def _sizes(op: Operation, array: IntArray, target: Sequence[int]) -> tuple[int, ...]:
    """Resolve ONNX's 0 (keep this size) and -1 (whatever is left)."""
    old = array.shape
    kept = [old[i] if n == 0 and i < len(old) else n for i, n in enumerate(target)]
    try:
        return array.reshape(kept).shape
    except ValueError:
        raise op.refuse(f"shape {old} does not fit the shape {kept}") from None


OPERATORS: dict[str, Callable[[Lowering, Operation], None]] = {
    "Add": _lower_add,
    "Constant": _lower_constant,
    "Flatten": _lower_flatten,
    "Gemm": _lower_gemm,
    "Identity": _lower_identity,
    "IntQuant": _lower_quant,
    "MatMul": _lower_matmul,
    "Quant": _lower_quant,
    "Relu": _lower_relu,
    "Reshape": _lower_reshape,
    "Transpose": _lower_transpose,
}
"""Operator → the function that lowers it."""

REMEDIES = {
    "BatchNormalization": "fold it into the layer before and export again "
    "(hawq.model.fold.fold_batch_norm)",
    "BipolarQuant": "use a Quant of 2 bits or more",
    "Softmax": "export the network without it; the class is that of the largest logit",
}
"""Operator that is not carried → what the user can do instead."""
