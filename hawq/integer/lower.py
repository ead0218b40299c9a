"""Lower a QONNX file to the integer graph, by the ONNX and QONNX specifications.

Each operator is a small function in ``OPERATORS``. What no function carries exactly is
refused with the node's name and the way out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import numpy_helper

from hawq.errors import NetworkError
from hawq.fixed import IntArray, as_integers, power_of_two_exponent
from hawq.integer.bounds import common_scale, output_tensor
from hawq.integer.graph import Graph, build
from hawq.integer.nodes import (
    AddConstant,
    Clip,
    Dense,
    Node,
    Quantize,
    RealInput,
    Relu,
    Requantize,
    Reshape,
    Tensor,
)
from hawq.integer.quantizer import IntegerConstant, Quantizer, read_quantizer

RealConstant = NDArray[Any]
Value = RealInput | Tensor | IntegerConstant | RealConstant

REMEDIES = {
    "BatchNormalization": "fold it into the layer before, then export again "
    "(hawq.model.fold.fold_batch_norm)",
    "Softmax": "export the network without it; the class is the largest logit",
    "Conv": "only dense layers are carried so far",
    "BipolarQuant": "use a Quant of 2 bits or more",
}
"""Operator → what the user can do instead."""


def lower_qonnx(path: str | Path) -> Graph:
    """Read a QONNX file and lower it.

    Args:
        path: The file. Activations and weights pass through ``Quant`` nodes.

    Returns:
        The integer graph; its tensors keep the names they have in the file.

    Raises:
        NetworkError: if the file is damaged or holds a node that cannot be carried.
    """
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model) if False else None
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise NetworkError(f"{path}: not a readable ONNX file ({error})") from error
    return lower_model(model)


def lower_model(model: onnx.ModelProto) -> Graph:
    """Lower a QONNX model in memory; see ``lower_qonnx``.

    Args:
        model: The model.

    Returns:
        The integer graph.

    Raises:
        NetworkError: if it holds a node that cannot be carried.
    """
    state = _State()
    for initializer in model.graph.initializer:
        state.values[initializer.name] = numpy_helper.to_array(initializer)
    inputs = [
        _real_input(value)
        for value in model.graph.input
        if value.name not in state.values
    ]
    state.values.update((i.name, i) for i in inputs)
    for node in _in_order(list(model.graph.node), set(state.values)):
        _lower_node(state, node)
    outputs = [value.name for value in model.graph.output]
    for name in outputs:
        if not isinstance(state.values.get(name), Tensor):
            raise NetworkError(
                f"output {name!r} does not depend on quantized data: put a Quant on the "
                "network's input"
            )
    return build(inputs, state.nodes, outputs)


@dataclass
class _State:
    values: dict[str, Value] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    def emit(self, node: Node) -> None:
        self.values[node.output] = output_tensor(node, self.values)  # type: ignore[arg-type]
        self.nodes.append(node)


@dataclass(frozen=True)
class _Operation:
    """An ONNX node with its inputs looked up."""

    label: str
    operator: str
    attributes: dict[str, Any]
    names: tuple[str, ...]
    values: tuple[Value, ...]
    output: str

    def refuse(self, why: str) -> NetworkError:
        return NetworkError(f"{self.label}: {why}")

    def parameter(self, position: int) -> RealConstant:
        """Give an input that must be a constant of the file."""
        value = self.values[position]
        if not isinstance(value, np.ndarray):
            raise self.refuse(
                f"input {self.names[position]!r} is computed by the network, expected an "
                "initializer: run qonnx-cleanup to fold constants"
            )
        return value

    def data(self, position: int) -> Tensor:
        """Give an input that must be an integer tensor."""
        value = self.values[position]
        if isinstance(value, Tensor):
            return value
        if isinstance(value, RealInput):
            raise self.refuse(
                f"input {self.names[position]!r} is real-valued: put a Quant before it "
                "(brevitas.nn.QuantIdentity)"
            )
        raise self.refuse(
            f"input {self.names[position]!r} is a constant, expected the network's data: "
            "put the data first"
        )

    def constant(self, position: int) -> IntegerConstant:
        """Give an input that must be a quantized constant."""
        value = self.values[position]
        if isinstance(value, IntegerConstant):
            return value
        if isinstance(value, np.ndarray):
            raise self.refuse(
                f"constant {self.names[position]!r} is not quantized: put a Quant on it "
                "(a weight or bias quantizer in Brevitas)"
            )
        raise self.refuse(
            f"input {self.names[position]!r} is computed by the network, expected a "
            "quantized constant"
        )


def _lower_node(state: _State, node: onnx.NodeProto) -> None:
    label = f"node {node.name or node.output[0]!r} ({node.op_type})"
    if node.name:
        label = f"node {node.name!r} ({node.op_type})"
    handler = OPERATORS.get(node.op_type)
    if handler is None:
        remedy = REMEDIES.get(node.op_type, "remove it or replace it by one of these")
        known = ", ".join(sorted(OPERATORS))
        raise NetworkError(
            f"{label}: operator not supported (supported: {known}); {remedy}"
        )
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    names = tuple(name for name in node.input if name)
    operation = _Operation(
        label,
        node.op_type,
        {k: v.decode() if isinstance(v, bytes) else v for k, v in attributes.items()},
        names,
        tuple(state.values[name] for name in names),
        node.output[0],
    )
    handler(state, operation)


def _lower_constant(state: _State, op: _Operation) -> None:
    if "value" not in op.attributes:
        raise op.refuse("only the attribute 'value' is carried: fold constants first")
    state.values[op.output] = numpy_helper.to_array(op.attributes["value"])


def _lower_quant(state: _State, op: _Operation) -> None:
    if len(op.values) != 4:
        raise op.refuse(
            f"{len(op.values)} inputs, expected 4: data, scale, zero point, bit width"
        )
    parameters = (op.parameter(i) for i in (1, 2, 3))
    quantizer = read_quantizer(op.output, *parameters, attributes=op.attributes)
    value = op.values[0]
    if isinstance(value, IntegerConstant | np.ndarray):
        state.values[op.output] = quantizer.constant(value)
    else:
        _quantize_data(state, op, quantizer, isinstance(value, RealInput))


def _quantize_data(
    state: _State, op: _Operation, quantizer: Quantizer, real: bool
) -> None:
    exponent = quantizer.uniform_exponent()
    if exponent is None:
        raise op.refuse(
            "one scale a channel on data is not carried: use one scale a tensor"
        )
    kind = Quantize if real else Requantize
    target = quantizer.format(exponent)
    if quantizer.top is None:
        state.emit(kind((op.names[0],), op.output, target))
        return
    saturated = f"{op.output}/saturated"
    state.emit(kind((op.names[0],), saturated, target))
    state.emit(Clip((saturated,), op.output, 0, quantizer.top))


def _lower_matmul(state: _State, op: _Operation) -> None:
    data, weights = op.data(0), op.constant(1)
    _emit_dense(state, op, data, weights, None)


def _lower_gemm(state: _State, op: _Operation) -> None:
    if op.attributes.get("transA", 0):
        raise op.refuse("transA=1 puts the batch last: export with transA=0")
    data, weights = op.data(0), op.constant(1)
    integers = (
        weights.integers.T if op.attributes.get("transB", 0) else weights.integers
    )
    scaled = _times(
        IntegerConstant(integers, weights.scale), op.attributes.get("alpha", 1.0)
    )
    bias = None
    if len(op.values) > 2:
        bias = _times(op.constant(2), op.attributes.get("beta", 1.0))
    _emit_dense(state, op, data, scaled, bias)


def _times(constant: IntegerConstant, factor: float) -> IntegerConstant:
    exact = Fraction(factor)
    if exact == 0:
        return IntegerConstant(np.zeros_like(constant.integers), constant.scale)
    grid = Fraction(1, exact.denominator)
    integers = constant.integers.astype(object) * exact.numerator
    return IntegerConstant(as_integers(integers), constant.scale * grid)


def _emit_dense(
    state: _State,
    op: _Operation,
    data: Tensor,
    weights: IntegerConstant,
    bias: IntegerConstant | None,
) -> None:
    matrix, scale = weights.integers, weights.scale
    if matrix.ndim != 2:
        raise op.refuse(f"weights of shape {matrix.shape}, expected a matrix")
    integers = None
    if bias is not None:
        grid = common_scale(data.scale * scale, bias.scale)
        shift = _shift(op, data.scale * scale, grid)
        matrix, scale = _shifted(matrix, shift), scale / 2**shift
        integers = _shifted(bias.integers, _shift(op, bias.scale, grid))
        integers = _broadcast(op, integers, (matrix.shape[1],))
    state.emit(Dense((op.names[0],), op.output, matrix, scale, integers))


def _lower_add(state: _State, op: _Operation) -> None:
    first = 0 if isinstance(op.values[0], Tensor | RealInput) else 1
    x, constant = op.data(first), op.constant(1 - first)
    grid = common_scale(x.scale, constant.scale)
    integers = _shifted(constant.integers, _shift(op, constant.scale, grid))
    integers = _broadcast(op, integers, x.shape)
    shift = _shift(op, x.scale, grid)
    state.emit(AddConstant((op.names[first],), op.output, integers, shift))


def _shift(op: _Operation, scale: Fraction, grid: Fraction) -> int:
    shift = power_of_two_exponent(scale / grid)
    if shift is None:
        raise op.refuse(
            f"scales with the ratio {scale / grid} cannot be aligned by a shift: use "
            "power-of-two scales"
        )
    return shift


def _shifted(integers: IntArray, shift: int) -> IntArray:
    return as_integers(integers.astype(object) << shift) if shift else integers


def _broadcast(op: _Operation, constant: IntArray, shape: tuple[int, ...]) -> IntArray:
    """Drop the batch axis of a constant and repeat it to one sample's shape."""
    extra = constant.ndim - len(shape)
    dropped = (
        constant.reshape(constant.shape[extra:]) if _ones(constant, extra) else None
    )
    if dropped is None or not _fits(dropped.shape, shape):
        raise op.refuse(
            f"a constant of shape {constant.shape} does not fit data of shape "
            f"(batch, {', '.join(map(str, shape))})"
        )
    return np.ascontiguousarray(np.broadcast_to(dropped, shape))


def _ones(constant: IntArray, extra: int) -> bool:
    return extra <= 0 or constant.shape[:extra] == (1,) * extra


def _fits(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    pairs = zip(reversed(small), reversed(large), strict=False)
    return len(small) <= len(large) and all(s in (1, n) for s, n in pairs)


def _lower_relu(state: _State, op: _Operation) -> None:
    op.data(0)
    state.emit(Relu((op.names[0],), op.output))


def _lower_identity(state: _State, op: _Operation) -> None:
    value = op.values[0]
    if isinstance(value, Tensor):
        state.emit(Reshape((op.names[0],), op.output, value.shape))
    else:
        state.values[op.output] = value


def _lower_transpose(state: _State, op: _Operation) -> None:
    value, order = op.values[0], op.attributes.get("perm")
    if isinstance(value, np.ndarray):
        state.values[op.output] = np.transpose(value, order)
    elif isinstance(value, IntegerConstant):
        turned = np.transpose(value.integers, order)
        state.values[op.output] = IntegerConstant(turned, value.scale)
    else:
        raise op.refuse(
            "transposing data is not carried: transpose the weights instead"
        )


def _lower_reshape(state: _State, op: _Operation) -> None:
    target = [int(n) for n in op.parameter(1).ravel()]
    value = op.values[0]
    if isinstance(value, np.ndarray):
        state.values[op.output] = value.reshape(target)
        return
    x = op.data(0)
    shape = [
        x.shape[i - 1] if n == 0 and 0 < i <= len(x.shape) else n
        for i, n in enumerate(target)
    ]
    if not shape or shape[0] not in (-1, 0, 1):
        raise op.refuse(f"shape {target} does not keep the batch as the first axis")
    _emit_reshape(state, op, x, shape[1:])


def _lower_flatten(state: _State, op: _Operation) -> None:
    if op.attributes.get("axis", 1) != 1:
        raise op.refuse("only axis=1, which keeps the batch, is carried")
    _emit_reshape(state, op, op.data(0), [-1])


def _emit_reshape(state: _State, op: _Operation, x: Tensor, shape: list[int]) -> None:
    try:
        resolved = np.empty(x.shape, dtype=np.bool_).reshape(shape).shape
    except ValueError:
        raise op.refuse(f"a sample of shape {x.shape} does not fit {shape}") from None
    state.emit(Reshape((op.names[0],), op.output, resolved))


OPERATORS: dict[str, Callable[[_State, _Operation], None]] = {
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


def _real_input(value: onnx.ValueInfoProto) -> RealInput:
    dimensions = value.type.tensor_type.shape.dim
    if len(dimensions) < 2 or any(d.dim_value < 1 for d in dimensions[1:]):
        shape = [d.dim_value or d.dim_param or "?" for d in dimensions]
        raise NetworkError(
            f"input {value.name!r} has shape {shape}: expected a batch axis and then "
            "known sizes"
        )
    return RealInput(value.name, tuple(d.dim_value for d in dimensions[1:]))


def _in_order(nodes: list[onnx.NodeProto], known: set[str]) -> list[onnx.NodeProto]:
    ordered: list[onnx.NodeProto] = []
    while nodes:
        ready = [n for n in nodes if known.issuperset(name for name in n.input if name)]
        if not ready:
            reads = {name for n in nodes for name in n.input if name} - known
            raise NetworkError(
                "the graph has a cycle or reads tensors nobody writes: "
                + ", ".join(sorted(reads))
            )
        ordered += ready
        known = known.union(*(n.output for n in ready))
        nodes = [n for n in nodes if not known.issuperset(n.output)]
    return ordered
