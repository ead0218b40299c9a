"""Channels last, as hls4ml has them; where axes meet a flat vector, weights are moved.

qonnx's own conversion leaves transposes at forks and dies of biases of one axis. Here
every image of the file, a group of tensors that share their axes, is turned at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper

from hawq.errors import NetworkError
from hawq.hls.passes.network import CHANNELS_LAST, Layout, Network, ordered
from hawq.hls.passes.sums import set_constants
from hawq.integer.quantizer import IntegerConstant

WINDOWS = ("Conv", "MaxPool", "AveragePool")
ELEMENTWISE = (
    "Quant",
    "Relu",
    "LeakyRelu",
    "Add",
    "Sub",
    "Mul",
    "Concat",
    "BatchNormalization",
    "Resize",
    "Upsample",
)
"""Operators whose inputs and outputs of data share their axes."""


def channels_last(network: Network) -> None:
    """Turn every image so that its channels are the last axis.

    Args:
        network: Changed in place; its windows are normal. ``layouts`` says what moved.
    """
    for name in _images(network):
        rank = len(network.shapes[name])
        if rank > 1:
            network.orders[name] = (*range(1, rank), 0)
    for name, order in network.orders.items():
        network.layouts[name] = Layout(network.shapes[name], order)
    for node in list(network.nodes):
        _turn(network, node)
    for node in list(network.nodes):
        if node.op_type == "Transpose":
            _absorb_transpose(network, node)
    network.drop_unused()


def _images(network: Network) -> set[str]:
    """Find the tensors whose channels are the first axis."""
    group: dict[str, str] = {}

    def find(name: str) -> str:
        while group.setdefault(name, name) != name:
            name = group[name]
        return name

    seeds: list[str] = []
    last: list[onnx.NodeProto] = []
    for node in network.nodes:
        names = [*network.data_inputs(node), *node.output]
        if node.op_type in (*WINDOWS, *ELEMENTWISE):
            for name in names[1:]:
                group[find(name)] = find(names[0])
        if node.domain == CHANNELS_LAST:
            last.append(node)
        elif _has_channels(network, node):
            seeds.append(names[0])
    roots = {find(name) for name in seeds}
    for node in last:
        if find(node.output[0]) in roots:
            raise NetworkError(
                f"node {node.name!r} ({node.op_type}): takes the last axis for the "
                "channels, nodes around it the first: put a Transpose between them"
            )
    return {name for name in group if find(name) in roots}


def _has_channels(network: Network, node: onnx.NodeProto) -> bool:
    if node.op_type == "BatchNormalization":
        constant = network.constants[node.input[1]]
        return isinstance(constant, np.ndarray) and constant.size > 1
    return node.op_type in WINDOWS


def _turn(network: Network, node: onnx.NodeProto) -> None:
    source = next(iter(network.data_inputs(node)), "")
    before, after = network.orders.get(source), network.orders.get(node.output[0])
    if node.op_type in ("Reshape", "Flatten", "Squeeze", "Unsqueeze"):
        _reshape(network, node, before, after)
    elif node.op_type == "Transpose":
        _transpose(network, node, before, after)
    elif node.op_type == "BatchNormalization":
        _spread(network, node, source, before)
    elif before is None:
        return
    elif node.op_type in WINDOWS:
        if node.op_type == "Conv":
            _turn_kernel(network, node)
        node.domain = CHANNELS_LAST
    elif node.op_type == "Concat":
        axis = next(a for a in node.attribute if a.name == "axis")
        axis.i = before.index((axis.i - 1) % len(before)) + 1


def _spread(
    network: Network, node: onnx.NodeProto, source: str, order: tuple[int, ...] | None
) -> None:
    """Give a batch norm as many constants as there are channels."""
    shape = ordered(network.shapes[source], order)
    node.domain = CHANNELS_LAST if len(shape) > 1 else ""
    for i, name in enumerate(node.input[1:], 1):
        values = network.constants[name]
        assert isinstance(values, np.ndarray)
        full = np.broadcast_to(values, shape[-1:]).copy()
        node.input[i] = network.constant(f"{name}_full", full)


def _turn_kernel(network: Network, node: onnx.NodeProto) -> None:
    weights = network.constants[node.input[1]]
    assert isinstance(weights, IntegerConstant)
    turned = IntegerConstant(np.moveaxis(weights.integers, 1, -1), weights.scale)
    node.input[1] = network.constant(f"{node.name}_kernel", turned)


def _transpose(
    network: Network,
    node: onnx.NodeProto,
    before: tuple[int, ...] | None,
    after: tuple[int, ...] | None,
) -> None:
    rank = len(network.shapes[node.output[0]])
    given = next((list(a.ints) for a in node.attribute if a.name == "perm"), None)
    perm = [i - 1 for i in (given or [0, *range(rank, 0, -1)])[1:]]
    old, new = (order or tuple(range(rank)) for order in (before, after))
    wanted = [old.index(perm[i]) for i in new]
    if wanted == list(range(rank)):
        network.bypass(node)
        return
    _set_perm(node, wanted)


def _set_perm(node: onnx.NodeProto, order: Sequence[int]) -> None:
    del node.attribute[:]
    node.attribute.append(helper.make_attribute("perm", [0, *(i + 1 for i in order)]))


def _reshape(
    network: Network,
    node: onnx.NodeProto,
    before: tuple[int, ...] | None,
    after: tuple[int, ...] | None,
) -> None:
    """Let a reshape see the elements in the file's order, or move what follows."""
    source, target = node.input[0], node.output[0]
    shape = network.shapes[source]
    if before is not None and not _same_memory(shape, before):
        if after is None and _absorb(network, node, Layout(shape, before)):
            before = None
        else:
            inverse = tuple(before.index(i) for i in range(len(before)))
            node.input[0] = _transposed(network, node, source, inverse)
    whole = network.shapes[target]
    if after is not None and not _same_memory(whole, after):
        plain = network.fresh(f"{target}_plain")
        network.shapes[plain] = whole
        node.output[0] = plain
        turn = helper.make_node(
            "Transpose", [plain], [target], name=f"{node.name}_turn"
        )
        _set_perm(turn, after)
        network.nodes.insert(network.nodes.index(node) + 1, turn)
        after = None
    write_reshape(network, node, ordered(whole, after))


def write_reshape(
    network: Network, node: onnx.NodeProto, shape: tuple[int, ...]
) -> None:
    """Make a node a ``Reshape``.

    Args:
        network: Gets the shape as a constant.
        node: Changed in place.
        shape: Of one sample.
    """
    source = node.input[0]
    node.op_type = "Reshape"
    del node.attribute[:], node.input[:]
    sizes = np.array([1, *shape], dtype=np.int64)
    node.input.extend([source, network.constant(f"{node.name}_shape", sizes)])


def _transposed(
    network: Network, node: onnx.NodeProto, source: str, order: tuple[int, ...]
) -> str:
    name = network.fresh(f"{source}_plain")
    turn = helper.make_node("Transpose", [source], [name], name=f"{node.name}_turn")
    _set_perm(turn, order)
    network.shapes[name] = network.shapes[source]
    network.nodes.insert(network.nodes.index(node), turn)
    return name


def _same_memory(shape: Sequence[int], order: Sequence[int]) -> bool:
    """Tell whether reordering the axes moves no element."""
    real = [i for i in order if shape[i] != 1]
    return real == sorted(real)


def _absorb(network: Network, node: onnx.NodeProto, layout: Layout) -> bool:
    """Give the matrix behind a flattened image its rows in the firmware's order."""
    name, moved = node.output[0], []
    while len(network.shapes[name]) == 1:
        moved.append(name)
        reader = network.only_consumer(name)
        if reader is None:
            return False
        if reader.op_type == "Gemm":
            _move_rows(network, reader, layout)
            network.layouts.update(dict.fromkeys(moved, layout))
            return True
        if reader.op_type not in ("Quant", "Relu", "LeakyRelu", "Flatten", "Reshape"):
            return False
        name = reader.output[0]
    return False


def _absorb_transpose(network: Network, node: onnx.NodeProto) -> None:
    """Remove a transpose that only a flattened matrix product reads.

    hls4ml 1.3 does so too, but takes every transpose for one from channels last.
    """
    reader = network.only_consumer(node.output[0])
    if reader is None or reader.op_type != "Reshape":
        return
    order = [i - 1 for i in next(a.ints for a in node.attribute)[1:]]
    name = node.output[0]
    shape = ordered(network.shapes[name], network.orders.get(name))
    inverse = tuple(order.index(i) for i in range(len(order)))
    if _absorb(network, reader, Layout(shape, inverse)):
        network.bypass(node)


def _move_rows(network: Network, node: onnx.NodeProto, layout: Layout) -> None:
    weights = network.constants[node.input[1]]
    assert isinstance(weights, IntegerConstant)
    rows = np.arange(math.prod(layout.shape)).reshape(layout.shape)
    chosen = rows.transpose(layout.order).reshape(-1)
    bias = network.constants[node.input[2]] if len(node.input) > 2 else None
    assert bias is None or isinstance(bias, IntegerConstant)
    moved = IntegerConstant(weights.integers[chosen], weights.scale)
    set_constants(network, node, moved, bias)
