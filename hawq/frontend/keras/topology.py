"""Find out which layer reads which: Sequential and Functional models."""

from __future__ import annotations

import graphlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hawq.errors import NetworkError
from hawq.frontend.keras.archive import Archive
from hawq.frontend.keras.layer import PACKAGE, Layer, is_number, section, whole_numbers

Key = tuple[str, int]
"""A layer and which of its calls; a layer may be called more than once."""

Operand = Key | float
"""What a call reads: the result of another, or a number."""


@dataclass(frozen=True, eq=False)
class Call:
    """One use of a layer.

    Attributes:
        layer: The layer.
        index: Which of its uses.
        operands: What it reads.
    """

    layer: Layer
    index: int
    operands: tuple[Operand, ...]

    @property
    def key(self) -> Key:
        """The name by which others read its result."""
        return self.layer.name, self.index


@dataclass(frozen=True, eq=False)
class Topology:
    """A model as calls in an order in which they can be made.

    Attributes:
        inputs: Input → shape of one sample.
        calls: Without the inputs.
        outputs: Whose results the model gives.
    """

    inputs: Mapping[Key, tuple[int, ...]]
    calls: tuple[Call, ...]
    outputs: tuple[Key, ...]


def read_layers(archive: Archive) -> list[Layer]:
    """List the layers of a model.

    Args:
        archive: The file.

    Returns:
        The layers, in the order of the file.

    Raises:
        NetworkError: if two have one name, or one is not float32.
    """
    layers: dict[str, Layer] = {}
    for given in archive.config["config"]["layers"]:
        config = given.get("config") if isinstance(given, dict) else None
        name = config.get("name") if isinstance(config, dict) else None
        if not isinstance(name, str) or not name or not isinstance(config, dict):
            raise NetworkError(
                f"a layer has no settings or no name ({str(given)[:60]}): the file is "
                "damaged, save it again"
            )
        kind = str(given.get("class_name")).removeprefix(PACKAGE)
        module = str(given.get("module") or "")
        weights = archive.weights.get(name, ())
        quantizers = archive.quantizers.get(name, {})
        layer = Layer(name, kind, config, module, weights, quantizers)
        if name in layers:
            raise layer.refuse("another layer has this name: rename one")
        _require_float32(layer)
        layers[name] = layer
    return list(layers.values())


def _require_float32(layer: Layer) -> None:
    given = layer.config.get("dtype")
    policy = section(given, "config").get("name") if isinstance(given, dict) else given
    if layer.kind != "InputLayer" and policy not in (None, "float32"):
        raise layer.refuse(
            f"it computes in {policy}, expected float32: set its dtype to 'float32'"
        )


def read_topology(archive: Archive, layers: list[Layer]) -> Topology:
    """Order the calls of a model.

    Args:
        archive: The file.
        layers: Its layers.

    Returns:
        The topology.

    Raises:
        NetworkError: if the model is neither Sequential nor Functional, or damaged.
    """
    kind = archive.config.get("class_name")
    if not layers:
        raise NetworkError("the model has no layers: build it before it is saved")
    if kind == "Sequential":
        return _sequential(archive.config["config"], layers)
    if kind in ("Functional", "Model"):
        return _functional(archive.config["config"], layers)
    raise NetworkError(
        f"a model of class {kind!r} runs code of its own: build it as Sequential or "
        "Functional"
    )


def _sequential(config: Mapping[str, Any], layers: list[Layer]) -> Topology:
    first = layers[0]
    if first.kind == "InputLayer":
        source, shape, layers = (first.name, 0), _input_shape(first), layers[1:]
    else:
        built = {"batch_shape": config.get("build_input_shape"), **first.config}
        source = (f"{first.name}_input", 0)
        shape = _input_shape(Layer(first.name, first.kind, built))
    calls, last = [], source
    for layer in layers:
        calls.append(Call(layer, 0, (last,)))
        last = calls[-1].key
    return Topology({source: shape}, tuple(calls), (last,))


def _input_shape(layer: Layer) -> tuple[int, ...]:
    given = layer.config.get("batch_shape") or layer.config.get("batch_input_shape")
    if not isinstance(given, list) or len(given) < 2 or not whole_numbers(given[1:]):
        raise layer.refuse(
            f"the input has shape {given}, expected a batch axis and then fixed sizes: "
            "give Input(shape) whole numbers"
        )
    return tuple(given[1:])


def _functional(config: Mapping[str, Any], layers: list[Layer]) -> Topology:
    nodes = {
        str(given["config"]["name"]): given.get("inbound_nodes") or []
        for given in config["layers"]
    }
    calls: dict[Key, Call] = {}
    shapes: dict[Key, tuple[int, ...]] = {}
    for layer in layers:
        if layer.kind == "InputLayer":
            shapes[layer.name, 0] = _input_shape(layer)
            continue
        for index, node in enumerate(_list(layer, nodes[layer.name])):
            call = Call(layer, index, tuple(_operands(layer, node)))
            calls[call.key] = call
    inputs = {}
    for key in _references(config.get("input_layers")):
        if key not in shapes:
            raise NetworkError(
                f"input {key[0]!r} is no InputLayer: save the model again"
            )
        inputs[key] = shapes[key]
    outputs = tuple(_references(config.get("output_layers")))
    return Topology(inputs, _ordered(calls, inputs, outputs), outputs)


def _ordered(
    calls: Mapping[Key, Call],
    inputs: Mapping[Key, tuple[int, ...]],
    outputs: tuple[Key, ...],
) -> tuple[Call, ...]:
    """Sort the calls that the outputs need."""
    needs: dict[Key, list[Key]] = {}
    waiting = list(outputs)
    while waiting:
        key = waiting.pop()
        if key in needs or key in inputs:
            continue
        if key not in calls:
            raise NetworkError(
                f"a layer or an output reads {key[0]!r}, which the model does not "
                "have: the file is damaged, save it again"
            )
        needs[key] = [o for o in calls[key].operands if isinstance(o, tuple)]
        waiting += needs[key]
    try:
        order = list(graphlib.TopologicalSorter(needs).static_order())
    except graphlib.CycleError as error:
        raise NetworkError(
            f"layer {error.args[1][0][0]!r} reads its own result: unroll the network"
        ) from error
    return tuple(calls[key] for key in order if key in calls)


def _references(value: Any) -> Iterator[Key]:
    """Walk ``[layer, call, tensor]`` lists, nested to any depth."""
    if not isinstance(value, list):
        raise NetworkError(
            f"inputs or outputs are given as {value!r}, expected lists of layers: "
            "build the model with lists of tensors"
        )
    if value and isinstance(value[0], str):
        yield _reference(value)
        return
    for item in value:
        yield from _references(item)


def _reference(value: list[Any]) -> Key:
    if len(value) < 3 or not whole_numbers(value[1:3]):
        raise NetworkError(
            f"{value!r} names no result of a layer: the file is damaged, save it again"
        )
    name, index, tensor = value[:3]
    if tensor:
        raise NetworkError(
            f"result {tensor} of layer {name!r} is read, but only layers with one "
            "result are carried: split the layer"
        )
    return name, index


def _operands(layer: Layer, node: Any) -> Iterator[Operand]:
    """Read a node as Keras 3 writes it (a dict) or as Keras 2 does (lists)."""
    if isinstance(node, dict):
        _require_plain_call(layer, section(node, "kwargs"))
        yield from _arguments(layer, node.get("args") or [])
        return
    if isinstance(node, list) and node and isinstance(node[0], str):
        node = [node]
    for value in _list(layer, node):
        if isinstance(value, list) and len(value) > 3:
            _require_plain_call(layer, section({"": value[3]}, ""))
        yield from _references(value)


def _list(layer: Layer, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise layer.refuse(
            f"its inputs are given as {str(value)[:60]}, expected a list: the file is "
            "damaged, save it again"
        )
    return value


def _arguments(layer: Layer, value: Any) -> Iterator[Operand]:
    if isinstance(value, list):
        for item in value:
            yield from _arguments(layer, item)
    elif isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        yield from _references(section(value, "config").get("keras_history"))
    elif is_number(value):
        yield float(value)
    else:
        raise layer.refuse(
            f"it is called with {str(value)[:60]}, expected tensors and numbers: use "
            "layers"
        )


def _require_plain_call(layer: Layer, arguments: Mapping[str, Any]) -> None:
    for key, value in arguments.items():
        if key not in ("training", "mask") or value not in (None, False):
            raise layer.refuse(
                f"it is called with {key}={str(value)[:60]}, which is not carried: "
                "leave it out"
            )
