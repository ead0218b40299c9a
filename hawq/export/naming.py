"""Give nodes and tensors the names of the network's layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from hawq.errors import NetworkError

FEATURES = "features"
_WEIGHT_PARTS = ("value", "scale", "zero_point", "bits")


class NameAfterLayers(Transformation):  # type: ignore[misc]
    """Name the tensors of a chain of layers as the network does.

    A layer ``fc1`` gives ``fc1_product`` (before the bias) and ``fc1``; ``relu1`` gives
    ``relu1_real`` (before quantization) and ``relu1``; constants are
    ``fc1_weight`` and ``fc1_bias``. The graph's input is ``features``.
    """

    def __init__(self, layers: Sequence[str]) -> None:
        super().__init__()
        self.layers = list(layers)

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Rename everything.

        Args:
            model: A chain of Quant, MatMul, Add and Relu nodes.

        Returns:
            The graph, and False: one application is enough.

        Raises:
            NetworkError: if the chain has more or fewer layers than there are names.
        """
        names = iter(self.layers)
        current = ""
        rename_tensor(model, model.graph.input[0].name, FEATURES)
        for node in _chain(model):
            follows = model.find_producer(node.input[0])
            if node.op_type in {"MatMul", "Relu"} or follows is None:
                current = next(names, "")
                if not current:
                    raise NetworkError(f"no layer name left for node {node.name!r}")
            _name_node(model, node, current)
        left = list(names)
        if left:
            raise NetworkError(f"layers without a node in the graph: {left}")
        return model, False


def _chain(model: ModelWrapper) -> list[Any]:
    nodes = []
    tensor = model.graph.input[0].name
    while consumers := model.find_consumers(tensor):
        if len(consumers) > 1:
            raise NetworkError(f"tensor {tensor!r} has {len(consumers)} consumers")
        nodes.append(consumers[0])
        tensor = consumers[0].output[0]
    return nodes


def _name_node(model: ModelWrapper, node: Any, layer: str) -> None:
    after = model.find_consumers(node.output[0])
    kind = node.op_type
    if kind == "MatMul" and after and after[0].op_type == "Add":
        node.name, tensor = layer, f"{layer}_product"
    elif kind == "Relu" and after and after[0].op_type == "Quant":
        node.name, tensor = layer, f"{layer}_real"
    else:
        node.name, tensor = f"{layer}_{kind.lower()}", layer
    rename_tensor(model, node.output[0], tensor)
    if kind == "Quant":
        _name_parameters(model, node, layer)
    for name in list(node.input):
        producer = model.find_producer(name)
        if kind in {"MatMul", "Add"} and producer is not None:
            constant = f"{layer}_{'weight' if kind == 'MatMul' else 'bias'}"
            if model.get_initializer(producer.input[0]) is not None:
                rename_tensor(model, name, constant)
                producer.name = f"{constant}_quant"
                rename_tensor(model, producer.input[0], f"{constant}_value")
                _name_parameters(model, producer, constant)


def _name_parameters(model: ModelWrapper, node: Any, owner: str) -> None:
    for index, part in enumerate(_WEIGHT_PARTS[1:], start=1):
        value = model.get_initializer(node.input[index])
        name = f"{owner}_{part}"
        model.set_initializer(name, value)
        node.input[index] = name


def rename_tensor(model: ModelWrapper, old: str, new: str) -> None:
    """Rename a tensor everywhere; a name already right is left alone.

    Args:
        model: The graph, changed in place.
        old: The name it has.
        new: The name it gets.
    """
    if old != new:
        model.rename_tensor(old, new)
