"""The type of every firmware variable, derived from the integer graph."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from hawq.errors import FormatError, InexactError
from hawq.fixed import (
    FixedPoint,
    Overflow,
    Rounding,
    power_of_two_exponent,
    smallest_width,
)
from hawq.hls.passes.constants import on_grid, power_of_two_part
from hawq.hls.passes.network import FLOAT64_BITS
from hawq.integer.graph import Graph
from hawq.integer.nodes import SumPool
from hawq.integer.tensor import Tensor


@dataclass(frozen=True)
class LayerTypes:
    """What one hls4ml layer must compute with.

    Attributes:
        tensor: The graph tensor that the layer's output holds.
        result: Format of the output.
        others: hls4ml's name → format of the layer's other types: ``accum_t`` of sums
            and pools, ``param_t`` of a slope, ``scale_t`` and ``bias_t``.
        node: The node of the prepared file whose settings hls4ml reads.
        merges: Whether hls4ml merges the nodes behind it into this layer, for which it
            must be free to choose the type.
    """

    tensor: str
    result: FixedPoint
    others: Mapping[str, FixedPoint] = field(default_factory=dict)
    node: str = ""
    merges: bool = False


def accumulator_format(tensor: Tensor, factor: int = 1) -> FixedPoint:
    """Give the narrowest signed format that holds a tensor's proven bounds.

    Sums wrap around, as hardware adders do: partial sums may leave the range, the
    result cannot.

    Args:
        tensor: An accumulator of the integer graph, on a dyadic scale.
        factor: How many times the tensor's bounds the accumulator reaches.

    Returns:
        The format: no bits are dropped on either side.
    """
    form = exact_format(tensor, factor)
    if form.signed:
        return form
    return replace(form, signed=True, width=form.width + 1, integer=form.integer + 1)


def exact_format(tensor: Tensor, factor: int = 1) -> FixedPoint:
    """Give a tensor's format: the quantizer's, else the narrowest that is exact.

    Args:
        tensor: On a dyadic scale.
        factor: How many times its bounds the format must reach.

    Returns:
        The format.

    Raises:
        InexactError: if the scale is not dyadic.
        FormatError: if more than 53 bits are needed.
    """
    declared = tensor.declared
    if declared is not None and declared.fixed_point is not None and factor == 1:
        return declared.fixed_point
    if tensor.scale.denominator.bit_count() != 1:
        raise InexactError(
            f"tensor {tensor.name!r}: its scale {float(tensor.scale):g} is no multiple "
            "of a power of two, so no ap_fixed holds it: use power-of-two scales, or "
            "the emulator"
        )
    step = power_of_two_part(tensor.scale)
    times = int(tensor.scale / step) * factor
    _, width = smallest_width(tensor.low * times, tensor.high * times)
    if width > FLOAT64_BITS:
        raise FormatError(
            f"tensor {tensor.name!r} needs {width} bits, expected at most "
            f"{FLOAT64_BITS}, which C-simulation hands over: use fewer bits upstream, "
            "or the emulator"
        )
    return _narrowest(tensor.low * times, tensor.high * times, step)


def _narrowest(low: int, high: int, step: Fraction) -> FixedPoint:
    signed, width = smallest_width(low, high)
    exponent = power_of_two_exponent(step)
    assert exponent is not None
    return FixedPoint(signed, width, width + exponent, Rounding.FLOOR, Overflow.WRAP)


def layer_types(model: onnx.ModelProto, graph: Graph) -> dict[str, LayerTypes]:
    """Foresee the layers that hls4ml makes of a prepared file, and their types.

    hls4ml makes one layer ``Dense_fc1`` of a matrix product ``fc1`` and the bias behind
    it, and merges a quantizer into the layer before it.

    Args:
        model: The prepared file.
        graph: The same file, lowered.

    Returns:
        hls4ml layer name → types, the network's input first.
    """
    return _Plan(model, graph).layers()


MERGING = ("MatMul", "Conv", "Relu", "LeakyRelu", "BatchNormalization")
"""Nodes into which hls4ml merges a quantizer that alone reads them."""


REARRANGING = ("Reshape", "Transpose", "Resize")
"""Nodes whose output hls4ml gives the type of their input."""


class _Plan:
    def __init__(self, model: onnx.ModelProto, graph: Graph) -> None:
        self.graph = graph
        self.outputs = {value.name for value in model.graph.output}
        self.arrays = {
            t.name: numpy_helper.to_array(t) for t in model.graph.initializer
        }
        self.nodes = [n for n in model.graph.node if n.input[0] not in self.arrays]
        self.makers = {n.output[0]: n for n in self.nodes}
        self.input = model.graph.input[0].name

    def layers(self) -> dict[str, LayerTypes]:
        found: dict[str, LayerTypes] = {}
        done: set[str] = set()
        for node in self.nodes:
            if node.name in done:
                continue
            if node.input[0] == self.input:
                tensor = node.output[0]
                form = exact_format(self.graph.tensors[tensor])
                found.setdefault(self.input, LayerTypes(tensor, form, node=self.input))
                continue
            if node.op_type == "Reshape":
                continue  # the same elements in the same places
            chain = self._merged(node)
            done.update(n.name for n in chain)
            found[self._layer(node)] = self._types(chain)
        return found

    def _merged(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Follow the nodes that hls4ml merges into one layer."""
        chain = [node]
        if node.op_type == "MatMul":
            bias = self._follower(node)
            if bias is not None and bias.name == f"{node.name}_bias":
                chain.append(bias)
        after = self._follower(chain[-1])
        takes = node.op_type in MERGING and not _is_depthwise(node)
        if takes and after is not None and after.op_type == "Quant":
            chain.append(after)
        return chain

    def _follower(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        name = node.output[0]
        readers = [n for n in self.nodes for i in n.input if i == name]
        return readers[0] if len(readers) == 1 and name not in self.outputs else None

    def _layer(self, node: onnx.NodeProto) -> str:
        if node.op_type == "Conv":
            rank = len(self.graph.tensors[node.output[0]].shape) - 1
            depthwise = "Depthwise" if _is_depthwise(node) else ""
            return f"{depthwise}Conv{rank}D_{node.name}"
        return {"MatMul": "Dense_{}", "Quant": "{}_act"}.get(node.op_type, "{}").format(
            node.name
        )

    def _types(self, chain: list[onnx.NodeProto]) -> LayerTypes:
        node, last = chain[0], chain[-1]
        sums = next(n for n in reversed(chain) if n.op_type != "Quant" or n is node)
        before = self.graph.tensors[sums.output[0]]
        tensor = self.graph.tensors[last.output[0]]
        result = exact_format(self._source(tensor.name))
        others = {}
        if node.op_type in ("MatMul", "Conv"):
            others["accum_t"] = accumulator_format(before)
            result = others["accum_t"] if sums is last else result
            if sums is not node:
                others["bias_t"] = number_format(self.arrays[sums.input[2]])
        elif node.op_type == "MaxPool":
            others["accum_t"] = result
        elif node.op_type == "AveragePool":
            others["accum_t"] = accumulator_format(before, self._count(node))
        elif node.op_type == "LeakyRelu":
            slope = next(a.f for a in node.attribute if a.name == "alpha")
            others["param_t"] = number_format(np.array([slope]))
        elif node.op_type == "BatchNormalization":
            for i, name in ((1, "scale_t"), (2, "bias_t")):
                others[name] = number_format(self.arrays[node.input[i]])
        return LayerTypes(
            last.output[0], result, others, node.name, merges=len(chain) > 1
        )

    def _source(self, name: str) -> Tensor:
        """Find the tensor whose type a tensor has: that of what it rearranges."""
        while (node := self.makers.get(name)) and node.op_type in REARRANGING:
            name = node.input[0]
        return self.graph.tensors[name]

    def _count(self, node: onnx.NodeProto) -> int:
        pool = next(n for n in self.graph.nodes if n.output == node.output[0])
        assert isinstance(pool, SumPool)
        return math.prod(pool.window.kernel)


def _is_depthwise(node: onnx.NodeProto) -> bool:
    return any(a.name == "group" and a.i > 1 for a in node.attribute)


def number_format(values: NDArray[Any]) -> FixedPoint:
    """Give the narrowest format that holds numbers exactly.

    Args:
        values: Floats.

    Returns:
        The format.
    """
    constant = on_grid(values.astype(np.float64))
    low, high = int(constant.integers.min()), int(constant.integers.max())
    return _narrowest(low, high, constant.scale)
