"""Turn ``QuantizeLinear`` and ``DequantizeLinear`` into QONNX ``Quant`` nodes.

Source: the ONNX operator specifications of both, versions 10 to 25.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from hawq.errors import NetworkError
from hawq.frontend.rewriting.affine import RANGES, Affine
from hawq.frontend.rewriting.bias import accumulator_scale
from hawq.frontend.rewriting.finish import finish
from hawq.frontend.rewriting.graph import Handler, Integers, Rewriting
from hawq.frontend.rewriting.moves import MOVES
from hawq.frontend.rewriting.parameters import (
    attribute,
    input_name,
    integer_range,
    number,
    read_affine,
    required_input,
)
from hawq.frontend.safety import label, name_nodes, sort_nodes, type_name

DOMAINS = ("", "ai.onnx", "com.microsoft")
"""Domains in which the operators of this package mean what is written here."""


def qdq_to_qonnx(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite a QDQ network as QONNX.

    Data that are quantized and dequantized pass one ``Quant`` (two if the zero point is
    odd, see ``rewriting.affine``); a ``Clip`` between the two sets its bit width.
    Integer constants become a ``Quant`` of their values. An integer input of the
    network becomes a real input that is quantized with scale 1; integer outputs become
    the values that the integers stand for.

    Args:
        model: Left as it is.

    Returns:
        The network in QONNX; tensors that are still there keep their names.

    Raises:
        NetworkError: if something cannot be carried; see the message.
    """
    return rewrite(model, HANDLERS)


def rewrite(model: onnx.ModelProto, handlers: dict[str, Handler]) -> onnx.ModelProto:
    """Rewrite a network node by node.

    Args:
        model: Left as it is.
        handlers: Operator → what is written in its place.

    Returns:
        The network in QONNX.
    """
    ordered = onnx.ModelProto()
    ordered.CopyFrom(model)
    sort_nodes(ordered.graph)
    name_nodes(ordered.graph)
    state = Rewriting.of(ordered)
    for node in ordered.graph.node:
        if node.output[0] in state.constants:
            state.keep(node)
        elif node.op_type in handlers and node.domain in DOMAINS:
            handlers[node.op_type](state, node)
        else:
            _require_real(state, node)
            state.keep(node)
    for output in ordered.graph.output:
        if output.name in state.integers:
            writer, integers = state.writers[output.name], state.integers[output.name]
            name = state.values_of(writer, integers)
            if name != output.name:
                state.aliases[output.name] = name
    return finish(state)


def _require_real(state: Rewriting, node: onnx.NodeProto) -> None:
    known = ", ".join(MOVES)
    for name in node.input:
        if name in state.integers:
            raise NetworkError(
                f"{label(node)}: reads the integers {name!r}, which only "
                f"DequantizeLinear, Clip, Cast, QLinear operators and {known} may: "
                "put a DequantizeLinear before it"
            )


def _quantize(state: Rewriting, node: onnx.NodeProto) -> None:
    _require_real(state, node)
    kind = attribute(node, "output_dtype", 0) or TensorProto.UINT8
    integer_range(node, kind)
    names = (required_input(node, 1), input_name(node, 2), attribute(node, "axis", 1))
    _require_whole_channels(node)
    affine = read_affine(state, node, *names, default=kind)
    name = node.output[0]
    state.integers[name] = Integers(name, state.read(required_input(node, 0)), affine)


def _dequantize(state: Rewriting, node: onnx.NodeProto) -> None:
    _require_whole_channels(node)
    axis = attribute(node, "axis", 1)
    dequantized = dequantize(
        state,
        node,
        (required_input(node, 0), required_input(node, 1), input_name(node, 2)),
        axis,
        node.output[0],
    )
    if dequantized != node.output[0]:
        state.aliases[node.output[0]] = dequantized


def _require_whole_channels(node: onnx.NodeProto) -> None:
    if attribute(node, "block_size", 0):
        raise NetworkError(
            f"{label(node)}: blocked quantization is not carried: export one scale a "
            "channel"
        )


def dequantize(
    state: Rewriting,
    node: onnx.NodeProto,
    names: tuple[str, str, str],
    axis: int,
    wanted: str,
) -> str:
    """Give the tensor of the new graph that holds what integers stand for.

    Args:
        state: The graph.
        node: Of the old graph, that reads the integers.
        names: Of the integers, their scale and their zero point (may be empty).
        axis: Of the channels, if there is one scale a channel.
        wanted: Name for the tensor, if it has none yet.

    Returns:
        Its name.

    Raises:
        NetworkError: if the integers are computed in a way that is not carried.
    """
    name, scale, zero_point = names
    if name in state.constants:
        low, high = state.clipped.get(name) or _range_of(node, state.constants[name])
        affine = read_affine(state, node, scale, zero_point, axis)
        exact = accumulator_scale(state, node, affine.scale)
        bounded = Affine(
            exact, affine.zero_point, low, high, _axis(state, name, affine)
        )
        return state.quantized_constant(node, name, bounded, wanted)
    if name not in state.integers:
        raise NetworkError(
            f"{label(node)}: its integers {name!r} are computed by an operator that is "
            "not carried on integers: put QuantizeLinear right before it"
        )
    integers = state.integers[name]
    affine = read_affine(state, node, scale, zero_point, axis)
    if affine.same_values(integers.affine):
        return state.values_of(node, integers)
    return _on_another_scale(state, node, integers, affine, wanted)


def _range_of(node: onnx.NodeProto, values: NDArray[Any]) -> tuple[int, int]:
    return integer_range(node, helper.np_dtype_to_tensor_dtype(values.dtype))


def _axis(state: Rewriting, name: str, affine: Affine) -> int | None:
    """Take the only axis of a bias, whatever the file says (its default is 1)."""
    if affine.axis is not None and state.constants[name].ndim == 1:
        return 0
    return affine.axis


def _on_another_scale(
    state: Rewriting,
    node: onnx.NodeProto,
    integers: Integers,
    affine: Affine,
    wanted: str,
) -> str:
    """Write integers that were quantized with one scale and are read with another."""
    own = integers.affine
    if own.axis is not None or affine.axis is not None:
        raise NetworkError(
            f"{label(node)}: reads {integers.name!r} with other scales, one a channel, "
            "than it was quantized with: export it again"
        )
    x = integers.source
    if own.scale != 1:
        divisor = state.constant(own.scale, f"{wanted}_divisor")
        x = state.emit("Div", (x, divisor), state.fresh(f"{wanted}_quotient"))
    shift = int(own.zero_point - affine.zero_point)
    steps: list[tuple[str, np.float32]] = []
    if shift:
        steps.append(("Add", np.float32(shift)))
    if affine.scale != 1:
        steps.append(("Mul", np.float32(affine.scale)))
    unit = replace(own, scale=np.array(1, "f4"))
    whole = (own.low, own.high) == RANGES[TensorProto.INT32]  # exact sums
    if not whole:
        x = state.quantize(node, x, state.fresh(f"{wanted}_integers"), unit)
    for operator, value in steps:
        constant = state.constant(value, f"{wanted}_{operator.lower()}")
        x = state.emit(operator, (x, constant), state.fresh(f"{wanted}_real"))
    return x


def _clip(state: Rewriting, node: onnx.NodeProto) -> None:
    name, output = required_input(node, 0), node.output[0]
    before, constant = state.integers.get(name), state.constants.get(name)
    if before is not None:
        affine = before.affine
        low, high = _bounds(state, node, affine.low, affine.high)
        source = before.name if before.written else before.source
        clipped = replace(affine, low=low, high=high)
        state.integers[output] = Integers(output, source, clipped)
    elif constant is not None and constant.dtype.kind != "f":
        low, high = _bounds(state, node, *_range_of(node, constant))
        state.constants[output] = constant.astype(np.int64).clip(low, high)
        state.clipped[output] = low, high
    else:
        state.keep(node)


def _bounds(
    state: Rewriting, node: onnx.NodeProto, low: int, high: int
) -> tuple[int, int]:
    """Read the bounds of a ``Clip`` of integers from ``low`` to ``high``."""
    given = number(state, node, 1), number(state, node, 2)
    return (
        low if given[0] is None else max(low, given[0]),
        high if given[1] is None else min(high, given[1]),
    )


def _cast(state: Rewriting, node: onnx.NodeProto) -> None:
    name, output = required_input(node, 0), node.output[0]
    if name not in state.integers:
        state.keep(node)
        return
    kind = attribute(node, "to", 0)
    low, high = RANGES.get(kind, (0, -1))
    integers = state.integers[name]
    if low <= integers.affine.low and integers.affine.high <= high:
        state.integers[output] = integers
        return
    if kind != TensorProto.FLOAT:
        raise NetworkError(
            f"{label(node)}: casts the integers {name!r} to {type_name(kind)}, "
            "expected float32, or integers that hold them: cast to float32"
        )
    itself = Affine(np.array(1, "f4"), np.array(0), *RANGES[TensorProto.INT32])
    if itself.same_values(integers.affine):
        state.aliases[output] = state.values_of(node, integers)
    else:
        state.aliases[output] = _on_another_scale(
            state, node, integers, itself, state.fresh(f"{output}_cast")
        )


def _dynamic(state: Rewriting, node: onnx.NodeProto) -> None:
    raise NetworkError(
        f"{label(node)}: scales that are computed from the data as it comes cannot be "
        "carried: quantize statically (onnxruntime.quantization.quantize_static)"
    )


HANDLERS: dict[str, Handler] = {
    **MOVES,
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
    "DynamicQuantizeLinear": _dynamic,
    "DynamicQuantizeLSTM": _dynamic,
    "DynamicQuantizeMatMul": _dynamic,
    "Clip": _clip,
    "Cast": _cast,
}
"""Operators on integers."""
