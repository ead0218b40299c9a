"""Give nodes and tensors the names of the network's layers."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from hawq.errors import NetworkError

FEATURES = "features"
_WEIGHT_PARTS = ("value", "scale", "zero_point", "bits")
_QUANTIZERS = ("Quant", "BipolarQuant", "Trunc")
_SCOPES = "pkg.torch.onnx.name_scopes"
_PROXY = re.compile(r"\.(?:(?P<part>weight|bias)|\w+)_quant(?:\..*)?$")


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


class NameAfterModules(Transformation):  # type: ignore[misc]
    """Name the tensors of any exported graph after the modules that made them.

    The exporter notes the module of each node. What leaves a module ``block.conv`` is
    ``block_conv``; what an activation is before its quantizer, ``block_relu_real``;
    constants are ``block_conv_weight`` and ``block_conv_bias``. Of equal names the
    later get a number. The graph's input is ``features``.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Rename everything.

        Args:
            model: With the exporter's notes on its nodes.

        Returns:
            The graph, and False: one application is enough.
        """
        nodes = list(model.graph.node)
        names = _module_names(model, nodes)
        # The exporter's own names go first: they may be those that others are to get.
        for i, node in enumerate(nodes):
            rename_tensor(model, node.output[0], f"hawq.{i}")
        rename_tensor(model, model.graph.input[0].name, FEATURES)
        for node, name in zip(nodes, names, strict=True):
            rename_tensor(model, node.output[0], name)
            node.name = f"{name}_{node.op_type.lower()}"
            if node.op_type in _QUANTIZERS:
                _name_constants(model, node, name)
        return model, False


def _module_names(model: ModelWrapper, nodes: Sequence[Any]) -> list[str]:
    owners = {node.output[0]: _owner(node) for node in nodes}
    taken = {FEATURES}
    names = []
    for node in nodes:
        owner, part = owners[node.output[0]]
        readers = model.find_consumers(node.output[0]) or []
        if part:
            name = f"{owner}_{part}"
        elif all(owners[reader.output[0]][0] != owner for reader in readers):
            name = owner
        elif all(reader.op_type in _QUANTIZERS for reader in readers):
            name = f"{owner}_real"
        else:
            name = f"{owner}_{node.op_type.lower()}"
        names.append(_unique(name, taken))
    return names


def _owner(node: Any) -> tuple[str, str]:
    """Give the module that made a node, and which of its parameters, if one."""
    notes = {note.key: note.value for note in node.metadata_props}
    scopes = ast.literal_eval(notes.get(_SCOPES, "[]")) or [node.name]
    path = next((scope for scope in reversed(scopes[:-1]) if scope), scopes[-1])
    found = _PROXY.search(path)
    owner = re.sub(r"\W", "_", path[: found.start()] if found else path)
    if owner[0].isdigit():
        owner = f"layer_{owner}"
    return owner, (found["part"] or "") if found else ""


def _unique(name: str, taken: set[str]) -> str:
    found, number = name, 2
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    taken.add(found)
    return found


def _name_constants(model: ModelWrapper, node: Any, owner: str) -> None:
    for index, part in enumerate(_WEIGHT_PARTS[: len(node.input)]):
        value = model.get_initializer(node.input[index])
        if value is not None:
            node.input[index] = f"{owner}_{part}"
            model.set_initializer(node.input[index], value)


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
