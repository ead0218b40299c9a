"""Read the scale and zero point that belong to an integer tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from hawq.errors import FormatError, NetworkError
from hawq.frontend.rewriting.affine import RANGES, Affine
from hawq.frontend.rewriting.graph import Rewriting
from hawq.frontend.safety import label, type_name


def read_affine(
    state: Rewriting,
    node: onnx.NodeProto,
    scale_name: str,
    zero_point_name: str,
    axis: int,
    default: int = TensorProto.UINT8,
) -> Affine:
    """Read what the integers of one input or output of a node stand for.

    Args:
        state: The graph.
        node: Of the old graph.
        scale_name: A constant.
        zero_point_name: A constant, or empty.
        axis: Of the channels, if there is one scale a channel.
        default: Type of the integers if there is no zero point.

    Returns:
        Scale and zero point of one shape, and the range of the zero point's type.

    Raises:
        NetworkError: if one is computed from data, or of a type or shape that is not
            carried.
        FormatError: if a scale is not a finite number above 0.
    """
    scale = _constant(state, node, scale_name, "scale")
    if scale.dtype not in (np.float32, np.float64):
        raise NetworkError(
            f"{label(node)}: scale {scale_name!r} is {scale.dtype}, so that values "
            "would be rounded to it: export with float32 scales"
        )
    wrong = ~(np.isfinite(scale) & (scale > 0))
    if wrong.any():
        raise FormatError(
            f"{label(node)}: scale {scale[wrong].ravel()[0].item()}, expected a finite "
            "number above 0: calibrate again, or take the dead channel out"
        )
    point, low, high = np.zeros(scale.shape, np.int64), *RANGES[default]
    if zero_point_name:
        given = _constant(state, node, zero_point_name, "zero point")
        kind = helper.np_dtype_to_tensor_dtype(given.dtype)
        point, (low, high) = given.astype(np.int64), integer_range(node, kind)
    return _one_shape(node, scale, point, low, high, axis)


def _one_shape(
    node: onnx.NodeProto,
    scale: NDArray[Any],
    point: NDArray[np.int64],
    low: int,
    high: int,
    axis: int,
) -> Affine:
    if scale.size == 1 and point.size == 1:
        return Affine(scale.reshape(()), point.reshape(()), low, high)
    channels = max(scale.size, point.size)
    if max(scale.ndim, point.ndim) > 1 or min(scale.size, point.size) not in (
        1,
        channels,
    ):
        raise NetworkError(
            f"{label(node)}: scales of shape {list(scale.shape)} and zero points of "
            f"shape {list(point.shape)}, expected one each or one a channel: blocked "
            "quantization is not carried, export one scale a channel"
        )
    return Affine(
        np.broadcast_to(scale.ravel(), channels),
        np.broadcast_to(point.ravel(), channels),
        low,
        high,
        axis,
    )


def integer_range(node: onnx.NodeProto, kind: int) -> tuple[int, int]:
    """Give the range of an integer type.

    Args:
        node: Of the old graph, for messages.
        kind: The type's number.

    Returns:
        Lowest and highest integer.

    Raises:
        NetworkError: if it is no integer type of 4 to 32 bits.
    """
    if kind not in RANGES:
        names = [type_name(k) for k in RANGES]
        raise NetworkError(
            f"{label(node)}: quantizes to {type_name(kind)}, "
            f"expected one of {', '.join(names)}: export with integers"
        )
    return RANGES[kind]


def _constant(
    state: Rewriting, node: onnx.NodeProto, name: str, role: str
) -> NDArray[Any]:
    if name not in state.constants:
        raise NetworkError(
            f"{label(node)}: {role} {name!r} is computed from data: quantize "
            "statically (onnxruntime.quantization.quantize_static)"
        )
    return state.constants[name]


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Give an attribute of a node.

    Args:
        node: The node.
        name: Of the attribute.
        default: What it is if absent.

    Returns:
        Its value; text is decoded.

    Raises:
        NetworkError: if it is of another type than the default.
    """
    for found in node.attribute:
        if found.name == name:
            value = helper.get_attribute_value(found)
            value = (
                value.decode(errors="replace") if isinstance(value, bytes) else value
            )
            if not isinstance(value, type(default)):
                raise NetworkError(
                    f"{label(node)}: attribute {name!r} is {value!r}, expected one "
                    f"like {default!r}: the file is damaged, export it again"
                )
            return value
    return default


def required_input(node: onnx.NodeProto, position: int) -> str:
    """Give the name of an input that must be there.

    Args:
        node: The node.
        position: Of the input.

    Returns:
        The name.

    Raises:
        NetworkError: if it is absent.
    """
    name = input_name(node, position)
    if not name:
        raise NetworkError(
            f"{label(node)}: input {position} is absent: the file is damaged, export "
            "it again"
        )
    return name


def number(state: Rewriting, node: onnx.NodeProto, position: int) -> int | None:
    """Give an optional input that is one whole number.

    Args:
        state: The graph.
        node: The node.
        position: Of the input.

    Returns:
        The number; None if the input is absent.

    Raises:
        NetworkError: if it is computed from data, or not one number.
    """
    name = input_name(node, position)
    if not name:
        return None
    values = state.constants.get(name)
    if values is None or values.size != 1:
        raise NetworkError(
            f"{label(node)}: input {name!r} is computed from data or not one number: "
            "export it as a constant"
        )
    return int(values.item())


def input_name(node: onnx.NodeProto, position: int) -> str:
    """Give the name of an optional input.

    Args:
        node: The node.
        position: Of the input.

    Returns:
        Empty if it is absent.
    """
    return node.input[position] if position < len(node.input) else ""
