"""Turn operators on integers into operators on values, followed by ``Quant`` nodes.

Source: the ONNX operator specifications of ``QLinearConv``, ``QLinearMatMul``,
``ConvInteger`` and ``MatMulInteger``; onnxruntime's "Contrib operators" for the others
(domain ``com.microsoft``, version 1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import TensorProto, helper

from hawq.errors import NetworkError
from hawq.frontend.qdq import HANDLERS, dequantize, rewrite
from hawq.frontend.rewriting.affine import RANGES, Affine
from hawq.frontend.rewriting.graph import Handler, Integers, Rewriting
from hawq.frontend.rewriting.parameters import (
    attribute,
    input_name,
    read_affine,
    required_input,
)
from hawq.frontend.safety import label

ACCUMULATOR = RANGES[TensorProto.INT32]


def qlinear_to_qonnx(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite a network of operators on integers as QONNX.

    An operator reads and writes the values that its integers stand for; its output
    passes a ``Quant``. A bias has the scale of the accumulator, exactly.
    ``MatMulInteger`` and ``ConvInteger`` compute integers, scale 1.

    Args:
        model: Left as it is. It may hold ``QuantizeLinear`` and ``DequantizeLinear``.

    Returns:
        The network in QONNX; tensors that are still there keep their names.

    Raises:
        NetworkError: if something cannot be carried; see the message.
    """
    return rewrite(model, {**HANDLERS, **QLINEAR})


@dataclass(frozen=True)
class _Standard:
    """The operator on values that an operator on integers stands for.

    Attributes:
        operator: Its type.
        operands: Where its operands stand, each followed by scale and zero point.
        result: Where the scale and zero point of the output stand.
        is_shifted_first: Whether the zero point is added before rounding.
    """

    operator: str
    operands: tuple[int, ...] = (0,)
    result: int = 3
    is_shifted_first: bool = False

    def __call__(self, state: Rewriting, node: onnx.NodeProto) -> None:
        inputs = [_operand(state, node, at) for at in self.operands]
        required_input(node, self.result)
        _write(state, node, self.operator, inputs, self.result, self.is_shifted_first)


def _operand(state: Rewriting, node: onnx.NodeProto, at: int, axis: int = 0) -> str:
    """Give the values of an operand that stands before its scale and zero point."""
    names = required_input(node, at), required_input(node, at + 1)
    return _values(state, node, (*names, input_name(node, at + 2)), axis)


def _values(
    state: Rewriting, node: onnx.NodeProto, names: tuple[str, str, str], axis: int
) -> str:
    wanted = state.fresh(f"{names[0]}_values")
    return dequantize(state, node, names, axis, wanted)


def _write(
    state: Rewriting,
    node: onnx.NodeProto,
    operator: str,
    inputs: list[str],
    result: int,
    is_shifted_first: bool = False,
) -> None:
    """Write an operator on values, and say how its output is quantized."""
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if attributes.pop("channels_last", 0):
        raise NetworkError(
            f"{label(node)}: channels last: quantize the model without onnxruntime's "
            "layout optimizer"
        )
    output = node.output[0]
    if not input_name(node, result):  # QGemm may leave its sums as they are
        state.emit(operator, inputs, output, name=node.name, **attributes)
        return
    real = state.fresh(f"{output}_real")
    state.emit(operator, inputs, real, name=node.name, **attributes)
    names = (required_input(node, result), input_name(node, result + 1))
    affine = read_affine(state, node, *names, axis=1)
    affine = replace(affine, is_shifted_first=is_shifted_first)
    state.integers[output] = Integers(output, real, affine)


def _bias(state: Rewriting, node: onnx.NodeProto, position: int) -> list[str]:
    """Give the values of a bias, whose scale is that of the accumulator."""
    name = input_name(node, position)
    if not name:
        return []
    if name not in state.constants:
        raise NetworkError(
            f"{label(node)}: bias {name!r} is computed from data: export it as a "
            "constant"
        )
    data, weights = (
        read_affine(state, node, required_input(node, at), "", axis=0) for at in (1, 4)
    )
    if data.axis is not None:
        raise NetworkError(
            f"{label(node)}: data with one scale a channel: export one scale a tensor"
        )
    scale = data.scale.astype(np.float64) * weights.scale.astype(np.float64)
    if np.array_equal(scale, scale.astype(np.float32)):
        scale = scale.astype(np.float32)
    axis = 0 if scale.ndim else None
    affine = Affine(scale, np.zeros(scale.shape, np.int64), *ACCUMULATOR, axis)
    wanted = state.fresh(f"{name}_values")
    return [state.quantized_constant(node, name, affine, wanted)]


def _conv(state: Rewriting, node: onnx.NodeProto) -> None:
    inputs = [_operand(state, node, 0), _operand(state, node, 3)]
    _write(state, node, "Conv", inputs + _bias(state, node, 8), 6)


def _matmul(state: Rewriting, node: onnx.NodeProto) -> None:
    inputs = [_operand(state, node, 0), _operand(state, node, 3, axis=-1)]
    _write(state, node, "MatMul", inputs, 6)


def _gemm(state: Rewriting, node: onnx.NodeProto) -> None:
    if attribute(node, "alpha", 1.0) != 1.0:
        raise NetworkError(
            f"{label(node)}: alpha is {attribute(node, 'alpha', 1.0):g}, expected 1: "
            "put the factor into the scales"
        )
    channels = 0 if attribute(node, "transB", 0) else 1
    inputs = [_operand(state, node, 0), _operand(state, node, 3, axis=channels)]
    _write(state, node, "Gemm", inputs + _bias(state, node, 6), 7)


def _concat(state: Rewriting, node: onnx.NodeProto) -> None:
    inputs = [_operand(state, node, at) for at in range(2, len(node.input), 3)]
    _write(state, node, "Concat", inputs, 0)


def _integer_product(operator: str, axis: int) -> Handler:
    """Make the handler of an operator that sums products of integers."""

    def write(state: Rewriting, node: onnx.NodeProto) -> None:
        one = state.fresh("one")
        state.constants[one] = np.array(1, dtype="f4")
        inputs = [
            _values(
                state,
                node,
                (required_input(node, i), one, input_name(node, 2 + i)),
                axis,
            )
            for i in (0, 1)
        ]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        output = node.output[0]
        state.emit(operator, inputs, output, name=node.name, **attributes)
        state.integers[output] = Integers(output, output, _unit(), written=True)

    return write


def _unit() -> Affine:
    return Affine(np.array(1, "f4"), np.array(0), *ACCUMULATOR)


def _add(state: Rewriting, node: onnx.NodeProto) -> None:
    """Add integers, of a ``MatMulInteger`` and its bias for instance."""
    if not any(name in state.integers for name in node.input):
        state.keep(node)
        return
    inputs = {}
    for i, name in enumerate(node.input):
        integers = state.integers.get(name)
        if integers is None:
            wanted = state.fresh(f"{name}_values")
            inputs[i] = state.quantized_constant(node, name, _unit(), wanted)
        elif integers.affine.same_values(_unit()):
            inputs[i] = state.values_of(node, integers)
        else:
            raise NetworkError(
                f"{label(node)}: adds the integers {name!r}, which have a scale: put "
                "DequantizeLinear before it"
            )
    state.keep(node, inputs)
    output = node.output[0]
    state.integers[output] = Integers(output, output, _unit(), written=True)


QLINEAR: dict[str, Handler] = {
    "Add": _add,
    "ConvInteger": _integer_product("Conv", axis=0),
    "MatMulInteger": _integer_product("MatMul", axis=-1),
    "QGemm": _gemm,
    "QLinearAdd": _Standard("Add", (0, 3), 6, is_shifted_first=True),
    "QLinearAveragePool": _Standard("AveragePool", is_shifted_first=True),
    "QLinearConcat": _concat,
    "QLinearConv": _conv,
    "QLinearGlobalAveragePool": _Standard("GlobalAveragePool"),
    "QLinearLeakyRelu": _Standard("LeakyRelu"),
    "QLinearMatMul": _matmul,
    "QLinearMul": _Standard("Mul", (0, 3), 6, is_shifted_first=True),
    "QLinearSigmoid": _Standard("Sigmoid"),
}
"""Operators on integers, of ONNX and of onnxruntime."""
