"""Operators that do the same to integers as to the values they stand for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from hawq.errors import NetworkError
from hawq.frontend.rewriting.graph import Handler, Integers, Rewriting
from hawq.frontend.rewriting.parameters import attribute, input_name, number
from hawq.frontend.safety import label

REARRANGEMENTS = (
    "Concat",
    "DepthToSpace",
    "Expand",
    "Flatten",
    "Gather",
    "Identity",
    "MaxPool",
    "Reshape",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
)
"""Operators that only choose and rearrange elements."""


def _move(state: Rewriting, node: onnx.NodeProto) -> None:
    found = {
        i: state.integers[n] for i, n in enumerate(node.input) if n in state.integers
    }
    if not found:
        state.keep(node)
        return
    first, *others = found.values()
    affine = first.affine
    if affine.axis is not None:
        raise NetworkError(
            f"{label(node)}: moves integers that have one scale a channel: put "
            "DequantizeLinear before it"
        )
    data = range(len(node.input)) if node.op_type == "Concat" else (0,)
    if set(found) != set(data) or not all(
        affine.same_values(other.affine) for other in others
    ):
        raise NetworkError(
            f"{label(node)}: its inputs are integers of several scales: put "
            "DequantizeLinear before it"
        )
    low = min(one.affine.low for one in found.values())
    high = max(one.affine.high for one in found.values())
    state.keep(node, {i: state.values_of(node, one) for i, one in found.items()})
    moved = replace(affine, low=low, high=high)
    for output in filter(None, node.output):
        state.integers[output] = Integers(output, output, moved, written=True)


def _pad(state: Rewriting, node: onnx.NodeProto) -> None:
    if input_name(node, 0) not in state.integers:
        state.keep(node)
        return
    integers = state.integers[input_name(node, 0)]
    padding = number(state, node, 2) or 0
    is_constant = attribute(node, "mode", "constant") == "constant"
    if is_constant and np.any(integers.affine.zero_point != padding):
        raise NetworkError(
            f"{label(node)}: pads integers with {padding}, which is not their "
            "zero point: pad with zeros before quantizing"
        )
    _move(state, _without(node, 2))


def _without(node: onnx.NodeProto, position: int) -> onnx.NodeProto:
    """Leave out an optional input: its default, 0, is the zero point's value."""
    shorter = onnx.NodeProto()
    shorter.CopyFrom(node)
    if len(shorter.input) > position:
        shorter.input[position] = ""
    while not shorter.input[-1]:
        del shorter.input[-1]
    return shorter


def _resize(state: Rewriting, node: onnx.NodeProto) -> None:
    if (
        input_name(node, 0) in state.integers
        and attribute(node, "mode", "nearest") != "nearest"
    ):
        raise NetworkError(
            f"{label(node)}: interpolates integers: put DequantizeLinear before it"
        )
    _move(state, node)


def _relu(state: Rewriting, node: onnx.NodeProto) -> None:
    integers = state.integers.get(input_name(node, 0))
    if integers is not None and np.any(integers.affine.zero_point):
        raise NetworkError(
            f"{label(node)}: a Relu of integers whose zero point is not 0: put "
            "DequantizeLinear before it"
        )
    _move(state, node)


MOVES: dict[str, Handler] = {
    **dict.fromkeys(REARRANGEMENTS, _move),
    "Pad": _pad,
    "Relu": _relu,
    "Resize": _resize,
    "Upsample": _resize,
}
"""How these operators are rewritten."""
