"""Layers with weights: dense, convolutions, batch norm."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hawq.frontend.keras.activations import activate
from hawq.frontend.keras.layer import Array, Layer
from hawq.frontend.keras.quantizers import read_quantizer
from hawq.frontend.keras.weights import constant
from hawq.frontend.keras.windows import require_channels_last, slide
from hawq.frontend.keras.writer import CHANNELS_LAST, Shape, Writer

_DEPTHWISE = ("depthwise_quantizer", "depthwise_kernel")


def write_dense(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``Dense`` or ``QDense``, over the last axis."""
    *outer, inner = out.shapes[xs[0]]
    units = layer.whole("units", 0)
    values = layer.weight(0, inner, units)
    quantizer = read_quantizer(layer, "kernel_quantizer", trained=True)
    kernel = constant(out, quantizer, values, "kernel")
    shape = (*outer, units)
    x = out.add("MatMul", [xs[0], kernel], shape)
    bias = _bias(out, layer, 1, units)
    if bias:
        x = out.add("Add", [x, *bias], shape)
    return activate(out, layer, x)


def _bias(out: Writer, layer: Layer, position: int, channels: int) -> list[str]:
    if not layer.flag("use_bias", True):
        return []
    values = layer.weight(position, channels)
    return [constant(out, read_quantizer(layer, "bias_quantizer"), values, "bias")]


def spatial(out: Writer, layer: Layer, x: str) -> tuple[Shape, int]:
    """Give the axes of a sample, which must be as many as the layer's name says.

    Args:
        out: The graph.
        layer: A convolution.
        x: What it reads.

    Returns:
        Sizes of the spatial axes, and channels.

    Raises:
        NetworkError: if there are more axes or fewer.
    """
    require_channels_last(layer)
    *sizes, channels = out.shapes[x]
    rank = 2 if "2D" in layer.kind else 1
    if len(sizes) != rank:
        raise layer.refuse(
            f"samples have shape {out.shapes[x]}, expected {rank} axes and channels"
        )
    return tuple(sizes), channels


def write_conv(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``Conv1D``, ``Conv2D`` or QKeras's, with groups and dilation."""
    sizes, channels = spatial(out, layer, xs[0])
    rank, filters = len(sizes), layer.whole("filters", 0)
    groups = layer.whole("groups", 1)
    if groups < 1 or channels % groups:
        raise layer.refuse(f"{groups} groups do not divide {channels} channels")
    kernel = layer.sizes("kernel_size", rank)
    values = layer.weight(0, *kernel, channels // groups, filters)
    quantizer = read_quantizer(layer, "kernel_quantizer", trained=True)
    weights = constant(out, quantizer, values, "kernel", filters_first)
    inputs = [xs[0], weights, *_bias(out, layer, 1, filters)]
    x = convolve(out, layer, inputs, kernel, filters, groups)
    return activate(out, layer, x)


def filters_first(kernel: Array) -> Array:
    """Move the filters of a kernel of Keras, its last axis, to the front.

    Args:
        kernel: Shape (*kernel, channels, filters).

    Returns:
        Shape (filters, *kernel, channels).
    """
    return np.moveaxis(kernel, -1, 0)


def _one_filter_a_channel(kernel: Array) -> Array:
    """Turn (*kernel, channels, multiplier) into (channels · multiplier, *kernel, 1)."""
    joined = kernel.reshape(*kernel.shape[:-2], -1)
    return np.moveaxis(joined, -1, 0)[..., None]


def convolve(
    out: Writer,
    layer: Layer,
    inputs: list[str],
    kernel: Shape,
    filters: int,
    groups: int,
) -> str:
    """Add the convolution that a layer's settings describe.

    Args:
        out: The graph.
        layer: The layer.
        inputs: Data, weights with the filters first, and bias if there is one.
        kernel: Sizes of the window.
        filters: How many.
        groups: Of channels.

    Returns:
        Name of the result.
    """
    sizes = out.shapes[inputs[0]][:-1]
    rank = len(sizes)
    strides = layer.sizes("strides", rank)
    dilations = layer.sizes("dilation_rate", rank)
    window = slide(layer, sizes, kernel, strides, dilations)
    return out.add(
        "Conv",
        inputs,
        (*window.sizes, filters),
        domain=CHANNELS_LAST,
        group=groups,
        **window.attributes(dilations=True),
    )


def _depthwise(
    out: Writer, layer: Layer, x: str, bias: Callable[[int], list[str]]
) -> str:
    sizes, channels = spatial(out, layer, x)
    multiplier = layer.whole("depth_multiplier", 1)
    kernel = layer.sizes("kernel_size", len(sizes))
    values = layer.weight(0, *kernel, channels, multiplier)
    role, what = _DEPTHWISE
    quantizer = read_quantizer(layer, role, trained=True)
    weights = constant(out, quantizer, values, what, _one_filter_a_channel)
    filters = channels * multiplier
    inputs = [x, weights, *bias(filters)]
    return convolve(out, layer, inputs, kernel, filters, channels)


def write_depthwise(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``DepthwiseConv1D``, ``DepthwiseConv2D`` or ``QDepthwiseConv2D``."""
    x = _depthwise(out, layer, xs[0], lambda n: _bias(out, layer, 1, n))
    return activate(out, layer, x)


def write_separable(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``SeparableConv`` as a depthwise and a 1 × 1 convolution."""
    x = _depthwise(out, layer, xs[0], lambda n: [])
    *sizes, channels = out.shapes[x]
    filters, ones = layer.whole("filters", 0), (1,) * len(sizes)
    values = layer.weight(1, *ones, channels, filters)
    quantizer = read_quantizer(layer, "pointwise_quantizer", trained=True)
    weights = constant(out, quantizer, values, "pointwise_kernel", filters_first)
    x = out.add(
        "Conv",
        [x, weights, *_bias(out, layer, 2, filters)],
        (*sizes, filters),
        domain=CHANNELS_LAST,
        kernel_shape=ones,
        strides=ones,
        dilations=ones,
        pads=(0,) * (2 * len(ones)),
        group=1,
    )
    return activate(out, layer, x)


def write_batch_norm(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``BatchNormalization`` or QKeras's, with its moving statistics."""
    shape = out.shapes[xs[0]]
    axis = _axis(layer, len(shape))
    channels = shape[axis - 1]
    roles = ("gamma", "beta", "mean", "variance")
    there = (layer.flag("scale", True), layer.flag("center", True), True, True)
    inputs, position = [xs[0]], 0
    for role, given, absent in zip(roles, there, (1.0, 0.0, None, None), strict=True):
        if not given:
            inputs.append(out.constant(role, np.full(channels, absent)))
            continue
        values = layer.weight(position, channels)
        trained = role in ("gamma", "variance")
        quantizer = read_quantizer(layer, f"{role}_quantizer", trained)
        inputs.append(constant(out, quantizer, values, role))
        position += 1
    epsilon = layer.number("epsilon", default=1e-3)
    # ONNX normalises the first axis behind the batch.
    domain = "" if axis == 1 else CHANNELS_LAST
    return out.add("BatchNormalization", inputs, shape, domain=domain, epsilon=epsilon)


def _axis(layer: Layer, rank: int) -> int:
    given = layer.config.get("axis", -1)
    axes = given if isinstance(given, list) else [given]
    if axes not in ([1], [rank], [-1]):
        raise layer.refuse(f"axis {given!r} is not carried: normalise the last axis")
    return rank if axes == [-1] else int(axes[0])
