"""Convolutions and pools with every attribute stated, in forms that hls4ml parses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
from onnx import helper

from hawq.errors import NetworkError
from hawq.hls.passes.layout import write_reshape
from hawq.hls.passes.network import CHANNELS_LAST, Network
from hawq.integer.graph import Graph
from hawq.integer.nodes import Conv, MaxPool, SumPool, Window
from hawq.integer.quantizer import IntegerConstant

_POOLS = {
    "MaxPool": "MaxPool",
    "GlobalMaxPool": "MaxPool",
    "AveragePool": "AveragePool",
    "GlobalAveragePool": "AveragePool",
    "ReduceMean": "AveragePool",
}


def normalise_windows(network: Network, graph: Graph) -> None:
    """State kernel, strides, pads and dilations; write global pools as plain ones.

    hls4ml ignores ``auto_pad``, fails without ``dilations``, and takes the channels of
    a global pool for rows.

    Args:
        network: Changed in place.
        graph: The file's.
    """
    kinds = Conv | MaxPool | SumPool
    found = {n.output: n for n in graph.nodes if isinstance(n, kinds)}
    for output in list(found):  # sums with an affine map behind them
        found.setdefault(output.removesuffix(".sums"), found[output])
    for node in network.nodes:
        window = found.get(node.output[0])
        if node.op_type in (*_POOLS, "Conv") and window is not None:
            groups = window.groups if isinstance(window, Conv) else None
            spatial = network.shapes[node.output[0]]
            _state(node, _whole_steps(window.window, spatial), groups)


def _whole_steps(window: Window, shape: tuple[int, ...]) -> Window:
    # With streams hls4ml pools only where windows touch, which it reads off the steps:
    # a window that stands in one place steps by its own size.
    spatial = shape[:-1] if window.channels_last else shape[1:]
    steps = tuple(
        k if n == 1 and s < k else s
        for k, s, n in zip(window.kernel, window.strides, spatial, strict=True)
    )
    return replace(window, strides=steps)


def _state(node: onnx.NodeProto, window: Window, groups: int | None) -> None:
    node.op_type = _POOLS.get(node.op_type, node.op_type)
    node.domain = CHANNELS_LAST if window.channels_last else ""
    attributes = {
        "kernel_shape": window.kernel,
        "strides": window.strides,
        "pads": window.pads,
        "dilations": window.dilations,
    }
    del node.attribute[:]
    if groups is None:
        del node.input[1:]
    else:
        node.attribute.append(helper.make_attribute("group", groups))
    for name, sizes in attributes.items():
        node.attribute.append(helper.make_attribute(name, list(sizes)))


def widen_pools(network: Network) -> None:
    """Give pools over one axis a second one of size 1.

    hls4ml 1.3 takes the length of a one-dimensional pool for its channels.

    Args:
        network: Changed in place; channels are last.
    """
    for node in list(network.nodes):
        if node.op_type not in ("MaxPool", "AveragePool"):
            continue
        sizes = {a.name: list(a.ints) for a in node.attribute}
        if len(sizes["kernel_shape"]) != 1:
            continue
        source, target = node.input[0], node.output[0]
        long, short = (
            network.fresh(f"{node.name}_{side}") for side in ("rows", "pooled")
        )
        channels, before, after = _sizes(network, source, target)
        for name, length in ((long, before), (short, after)):
            network.shapes[name] = (1, length, channels)
        inner = helper.make_node(
            node.op_type,
            [long],
            [short],
            name=node.name,
            domain=CHANNELS_LAST,
            kernel_shape=[1, *sizes["kernel_shape"]],
            strides=[1, *sizes["strides"]],
            dilations=[1, *sizes["dilations"]],
            pads=[0, sizes["pads"][0], 0, sizes["pads"][1]],
        )
        ends = [
            helper.make_node("Reshape", [a], [b], name=f"{node.name}_{side}")
            for a, b, side in ((source, long, "rows"), (short, target, "row"))
        ]
        network.replace(node, ends[0], inner, ends[1])
        write_reshape(network, ends[0], (1, before, channels))
        write_reshape(network, ends[1], (after, channels))


def _sizes(network: Network, source: str, target: str) -> tuple[int, int, int]:
    first, second = network.shapes[source], network.shapes[target]
    if source in network.orders:
        return first[0], first[1], second[1]
    return first[1], first[0], second[0]


def matrices_as_convolutions(network: Network) -> None:
    """Write a matrix that multiplies the last of several axes as a convolution.

    hls4ml 1.3 counts all axes as inputs of such a matrix.

    Args:
        network: Changed in place.

    Raises:
        NetworkError: if the last axis is one of an image.
    """
    for node in network.nodes:
        rank = len(network.shapes[node.output[0]])
        if node.op_type != "Gemm" or rank not in (2, 3):
            continue
        if network.orders.keys() & {node.input[0], node.output[0]}:
            raise NetworkError(
                f"node {node.name!r} (MatMul): multiplies the columns of an image, "
                "which hls4ml does not: use a Conv, or the emulator"
            )
        weights = network.constants[node.input[1]]
        assert isinstance(weights, IntegerConstant)
        inputs, outputs = weights.integers.shape
        kernel = (1,) * (rank - 1)
        turned = weights.integers.T.reshape(outputs, *kernel, inputs)
        node.input[1] = network.constant(
            f"{node.name}_kernel", IntegerConstant(turned, weights.scale)
        )
        node.op_type = "Conv"
        _state(node, Window(kernel, kernel, kernel, (0, 0) * (rank - 1), True), 1)


def normalise_resize(network: Network) -> None:
    """Write ``Upsample`` and ``Resize`` with three inputs, as hls4ml expects it.

    Args:
        network: Changed in place; channels are last.
    """
    for node in network.nodes:
        if node.op_type not in ("Resize", "Upsample"):
            continue
        shapes = []
        for name in (node.input[0], node.output[0]):
            shape, order = network.shapes[name], network.orders.get(name)
            shapes.append([shape[i] for i in order or range(len(shape))])
        factors = [after // before for before, after in zip(*shapes, strict=True)]
        scales = np.array([1, *factors], dtype=np.float32)
        source = node.input[0]
        node.op_type = "Resize"
        del node.attribute[:], node.input[:]
        node.input.extend([
            source,
            network.constant(f"{node.name}_roi", np.zeros(1, dtype=np.float32)),
            network.constant(f"{node.name}_scales", scales),
        ])
        node.attribute.extend([
            helper.make_attribute("mode", "nearest"),
            helper.make_attribute("coordinate_transformation_mode", "asymmetric"),
            helper.make_attribute("nearest_mode", "floor"),
        ])
