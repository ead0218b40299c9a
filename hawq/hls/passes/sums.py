"""Matrix products and convolutions with all that is multiplied or added behind them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from hawq.errors import NetworkError
from hawq.hls.passes.constants import dyadic, on_grid
from hawq.hls.passes.network import CHANNELS_LAST, Constant, Network
from hawq.integer.graph import Graph
from hawq.integer.nodes import Affine
from hawq.integer.quantizer import IntegerConstant, exact

AFFINE = ("Add", "Sub", "Mul", "Div", "Neg", "BatchNormalization")
"""Operators that are an affine map where all but one input is constant."""


def normalise_sums(network: Network) -> None:
    """Write ``MatMul`` and ``Gemm`` as ``Gemm(x, weights, bias)``, nothing else to it.

    Weights and biases of ``Gemm`` and ``Conv`` come to be integers on a grid.

    Args:
        network: Changed in place.
    """
    for node in network.nodes:
        if node.op_type not in ("MatMul", "Gemm", "Conv"):
            continue
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        weights = integers(network.constants[node.input[1]])
        bias = network.constants[node.input[2]] if len(node.input) > 2 else None
        if node.op_type != "Conv":
            matrix = weights.integers.T if given.get("transB", 0) else weights.integers
            weights = IntegerConstant(matrix, weights.scale)
            weights = _times(weights, exact(np.array(given.get("alpha", 1.0))))
            if bias is not None and given.get("beta", 1.0) != 1.0:
                bias = _times(integers(bias), exact(np.array(given["beta"])))
            node.op_type = "Gemm"
            del node.attribute[:]
        set_constants(network, node, weights, None if bias is None else integers(bias))


def integers(value: Constant) -> IntegerConstant:
    """Take a constant as integers on a grid of a power of two.

    Args:
        value: Plain, or on any dyadic grid.

    Returns:
        The same values.
    """
    return dyadic(value) if isinstance(value, IntegerConstant) else on_grid(value)


def _times(constant: IntegerConstant, factor: NDArray[Any]) -> IntegerConstant:
    """Multiply by Fractions, exactly."""
    if (factor == 1).all():
        return constant
    return on_grid(np.asarray(constant.exact() * factor, dtype=object))


def set_constants(
    network: Network,
    node: onnx.NodeProto,
    weights: IntegerConstant,
    bias: IntegerConstant | None,
) -> None:
    """Give a node constants of its own.

    Args:
        network: Changed in place.
        node: ``Gemm`` or ``Conv``.
        weights: Its second input.
        bias: Its third, or None for none.
    """
    data = node.input[0]
    del node.input[:]
    node.input.extend([data, network.constant(f"{node.name}_weights", weights)])
    if bias is not None:
        flat = IntegerConstant(bias.integers.reshape(-1), bias.scale)
        node.input.append(network.constant(f"{node.name}_bias", flat))


def fold_affine(network: Network, graph: Graph) -> None:
    """Fold constants that are multiplied or added into the sums before them.

    That is exact: on integers a factor a channel and an offset only widen weights and
    bias. What stands elsewhere becomes a ``Mul`` and an ``Add``.

    Args:
        network: Changed in place.
        graph: The file's; it says exactly what a batch norm multiplies and adds.
    """
    for node in list(network.nodes):
        data = network.data_inputs(node)
        if node.op_type not in AFFINE or len(data) != 1:
            continue
        gain, offset = affine_map(network, graph, data[0], node.output[0])
        before = network.producer(data[0])
        alone = before is not None and network.only_consumer(data[0]) is node
        shape = network.shapes[data[0]]
        if before is not None and alone and _fold(network, before, shape, gain, offset):
            before.output[0] = node.output[0]
            network.nodes.remove(node)
            continue
        idle = (gain == 1).all() and (offset == 0).all()
        if idle and node.output[0] not in network.outputs:
            del node.input[:]
            node.input.append(data[0])
            network.bypass(node)
        else:
            _write_affine(network, node, data[0], gain, offset)
    network.drop_unused()


def affine_map(
    network: Network, graph: Graph, source: str, target: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Give the affine map from one tensor of the graph to another.

    Args:
        network: Knows which tensors hold the same values.
        graph: The graph.
        source: Name of a tensor.
        target: Name of a tensor that ``Affine`` nodes alone make of it.

    Returns:
        Gain and offset, Fractions that broadcast to the tensors.

    Raises:
        TypeError: if another node lies between them.
    """
    makers = {node.output: node for node in graph.nodes}
    gain, offset = exact(np.ones(())), exact(np.zeros(()))
    while network.alive(target) != source:
        node = makers[target]
        if not isinstance(node, Affine):
            raise TypeError(f"{target!r} is no affine map of {source!r}")
        target = node.inputs[0]
        unit = node.scale / graph.tensors[target].scale
        offset = offset + gain * (node.constant.astype(object) * node.scale)
        gain = gain * (node.multiplier.astype(object) * unit)
    return np.asarray(gain, dtype=object), np.asarray(offset, dtype=object)


def _fold(
    network: Network,
    node: onnx.NodeProto,
    shape: tuple[int, ...],
    gain: NDArray[Any],
    offset: NDArray[Any],
) -> bool:
    """Fold a map into sums, unless it differs within a channel."""
    if node.op_type not in ("Gemm", "Conv"):
        return False
    last = node.op_type == "Gemm" or node.domain != ""
    axis = len(shape) - 1 if last else 0
    per_channel = []
    for values in (gain, offset):
        full = np.broadcast_to(values, (1,) * (len(shape) - values.ndim) + values.shape)
        if any(n != 1 for i, n in enumerate(full.shape) if i != axis):
            return False
        per_channel.append(np.broadcast_to(full.reshape(-1), (shape[axis],)))
    gain, offset = per_channel
    weights = network.constants[node.input[1]]
    assert isinstance(weights, IntegerConstant)
    wide = (
        (1, -1) if node.op_type == "Gemm" else (-1, *[1] * (weights.integers.ndim - 1))
    )
    if len(node.input) > 2:
        bias = network.constants[node.input[2]]
        assert isinstance(bias, IntegerConstant)
        offset = offset + gain * bias.exact()
    folded = on_grid(np.asarray(offset, dtype=object)) if any(offset) else None
    set_constants(network, node, _times(weights, gain.reshape(wide)), folded)
    return True


def _write_affine(
    network: Network,
    node: onnx.NodeProto,
    source: str,
    gain: NDArray[Any],
    offset: NDArray[Any],
) -> None:
    """Write a map as a batch norm, which hls4ml carries with a constant a channel."""
    shape = network.shapes[source]
    channels = [n for n in (gain.size, offset.size) if n > 1]
    axes = {_axis(values, len(shape)) for values in (gain, offset) if values.size > 1}
    if len(axes) > 1 or axes - {0, len(shape) - 1} or len(set(channels)) > 1:
        raise NetworkError(
            f"node {node.name!r} ({node.op_type}): constants that differ within a "
            "channel are not carried by hls4ml: use one a channel, or the emulator"
        )
    last = len(shape) > 1 and axes == {len(shape) - 1}
    count = channels[0] if channels else 1
    made = batch_norm(network, node, (source, node.output[0]), (gain, offset), count)
    made.domain = CHANNELS_LAST if last else ""
    network.replace(node, made)


def _axis(values: NDArray[Any], rank: int) -> int:
    """Find the axis along which constants differ; -1 if there are several."""
    long = [rank - values.ndim + i for i, n in enumerate(values.shape) if n > 1]
    return long[0] if len(long) == 1 else -1


def batch_norm(
    network: Network,
    node: onnx.NodeProto,
    ends: tuple[str, str],
    values: tuple[NDArray[Any], NDArray[Any]],
    count: int,
) -> onnx.NodeProto:
    """Make a ``BatchNormalization`` whose mean is 0 and variance 1.

    Args:
        network: Gets the constants.
        node: Gives the name.
        ends: Names of input and output.
        values: Gain and offset, Fractions, of 1 or ``count`` elements.
        count: Channels.

    Returns:
        The node, with ``epsilon`` 0.

    Raises:
        NetworkError: if a float64 cannot hold a constant.
    """
    fractions = [np.broadcast_to(v.reshape(-1), (count,)) for v in values]
    full = [v.astype(np.float64) for v in fractions]
    if any((exact(a) != v).any() for a, v in zip(full, fractions, strict=True)):
        raise NetworkError(
            f"node {node.name!r}: its constants need more than the 53 bits of a "
            "float64: round them to fewer bits, or use the emulator"
        )
    full += [np.zeros(count), np.ones(count)]
    names = [
        network.constant(f"{node.name}_{stem}", array)
        for stem, array in zip(
            ("gain", "offset", "mean", "variance"), full, strict=True
        )
    ]
    return helper.make_node(
        "BatchNormalization", [ends[0], *names], [ends[1]], name=node.name, epsilon=0.0
    )


def split_bias(network: Network) -> None:
    """Write ``Gemm`` as ``MatMul`` and a batch norm that adds the bias.

    hls4ml reads no ``Gemm``; it fuses the batch norm back, but would move an ``Add``
    behind the next one.

    Args:
        network: Changed in place.
    """
    for node in list(network.nodes):
        if node.op_type != "Gemm":
            continue
        data, weights, *bias = node.input
        output = node.output[0]
        inner = network.fresh(f"{output}_product") if bias else output
        made = [helper.make_node("MatMul", [data, weights], [inner], name=node.name)]
        if bias:
            network.shapes[inner] = network.shapes[output]
            constant = network.constants[bias[0]]
            assert isinstance(constant, IntegerConstant)
            count = network.shapes[output][-1]
            values = (exact(np.ones(1)), constant.exact())
            norm = batch_norm(network, node, (inner, output), values, count)
            norm.name = f"{node.name}_bias"
            made.append(norm)
        network.replace(node, *made)
