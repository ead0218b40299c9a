"""The type of every firmware variable, derived from the integer graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qonnx.core.modelwrapper import ModelWrapper

from hawq.errors import NetworkError
from hawq.fixed import FixedPoint, Overflow, Rounding, smallest_width
from hawq.integer.graph import Graph
from hawq.integer.tensor import Tensor


@dataclass(frozen=True)
class LayerTypes:
    """What one hls4ml layer must compute with.

    Attributes:
        tensor: The graph tensor that the layer's output holds.
        result: Format of the output.
        sums: Whether ``result`` is also the format of the layer's accumulator.
    """

    tensor: str
    result: FixedPoint
    sums: bool


def accumulator_format(tensor: Tensor) -> FixedPoint:
    """Give the narrowest signed format that holds a tensor's proven bounds.

    Sums wrap around, as hardware adders do: partial sums may leave the range, the
    result cannot.

    Args:
        tensor: An accumulator of the integer graph, with a power-of-two scale.

    Returns:
        The format: no bits are dropped on either side.
    """
    _, width = smallest_width(min(tensor.low, -1), tensor.high)
    return FixedPoint(
        signed=True,
        width=width,
        integer=width - tensor.fraction,
        rounding=Rounding.FLOOR,
        overflow=Overflow.WRAP,
    )


def layer_types(model: ModelWrapper, graph: Graph) -> dict[str, LayerTypes]:
    """Derive the types of a chain of dense layers and quantized activations.

    hls4ml makes one layer ``Dense_fc1`` of a matrix product ``fc1`` and the bias behind
    it, and one layer ``relu1`` of a ReLU and the quantizer behind it.

    Args:
        model: The QONNX file.
        graph: The same file, lowered.

    Returns:
        hls4ml layer name → types, the network's input first.

    Raises:
        NetworkError: if the file holds a node that this derivation does not know.
    """
    source = model.graph.input[0].name
    types: dict[str, LayerTypes] = {}
    for node in model.graph.node:
        if all(model.get_initializer(name) is not None for name in node.input):
            continue  # a quantized constant: hls4ml takes its type from the node
        follower = _only_follower(model, node)
        if node.op_type == "MatMul":
            biased = follower is not None and follower.op_type == "Add"
            tensor = (follower if biased else node).output[0]
            form = accumulator_format(graph.tensors[tensor])
            types[f"Dense_{node.name}"] = LayerTypes(tensor, form, sums=True)
        elif node.op_type == "Quant":
            before = model.find_producer(node.input[0])
            merged = before is not None and before.op_type == "Relu"
            name = before.name if merged else source if before is None else node.name
            tensor = node.output[0]
            types[name] = LayerTypes(tensor, graph.tensors[tensor].format, sums=False)
        elif node.op_type not in {"Add", "Relu"}:
            raise NetworkError(
                f"node {node.name!r} is a {node.op_type}: the hls4ml backend carries "
                "MatMul, Add, Relu and Quant so far"
            )
    return types


def _only_follower(model: ModelWrapper, node: Any) -> Any:
    consumers = model.find_consumers(node.output[0])
    return consumers[0] if len(consumers) == 1 else None
