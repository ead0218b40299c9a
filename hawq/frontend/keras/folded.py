"""QKeras convolutions that fold a batch norm into their weights.

Unlike a batch norm of its own, the fold is part of the model: QKeras quantizes the
weights behind it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hawq.frontend.keras.layer import Array, Layer
from hawq.frontend.keras.linear import write_conv, write_depthwise
from hawq.frontend.keras.quantizers import read_quantizer
from hawq.frontend.keras.weights import quantize_weights
from hawq.frontend.keras.writer import Writer

_NOISE = np.float32(2.0**-21)
"""Machines compute ``1/sqrt`` in float32 to a few units of the last place."""


def write_folded(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``QConv2DBatchnorm`` or ``QDepthwiseConv2DBatchnorm``."""
    is_depthwise = "Depthwise" in layer.kind
    kernel, bias, inverse, noise = _fold(layer, is_depthwise)
    roles = (
        ("depthwise_quantizer" if is_depthwise else "kernel_quantizer", True),
        (
            "bias_quantizer",
            False,
        ),
    )
    channels = kernel.shape[-2:] if is_depthwise else kernel.shape[-1:]
    inverse, wide = inverse.reshape(channels), noise.reshape(channels)
    kernel = inverse * kernel
    for (role, trained), values, spread in zip(
        roles, (kernel, bias), (wide, noise), strict=True
    ):
        _require_sure(layer, role, trained, values, spread)
    plain = Layer(
        layer.name,
        layer.kind.removesuffix("Batchnorm"),
        {**layer.config, "use_bias": True},
        layer.module,
        (kernel, bias),
    )
    return (write_depthwise if is_depthwise else write_conv)(out, plain, xs)


def _fold(layer: Layer, is_depthwise: bool) -> tuple[Array, Array, Array, Array]:
    """Give the kernel, the folded bias, the factors, and how sure they are."""
    if not layer.flag("center", True):
        raise layer.refuse("center=False is not carried: set it to True")
    if not layer.weights or layer.weights[0].ndim < 3:
        raise layer.refuse("the file holds no kernel of it: save the whole model")
    kernel = layer.weights[0]
    kernel = layer.weight(0, *kernel.shape)
    count = int(np.prod(kernel.shape[-2:] if is_depthwise else kernel.shape[-1:]))
    zero, one = np.zeros(count, np.float32), np.ones(count, np.float32)
    position, found = 1, []
    for there, absent in (
        (layer.flag("use_bias", True), zero),
        (layer.flag("scale", True), one),
        (True, zero),
        (True, zero),
        (True, one),
    ):
        found.append(layer.weight(position, count) if there else absent)
        position += there
    bias, gamma, beta, mean, variance = found
    total = variance + np.float32(layer.number("epsilon", default=1e-3))
    if not (total > 0).all():
        raise layer.refuse("its variance plus epsilon is not above 0: train again")
    inverse = gamma / np.sqrt(total)
    wide = inverse.astype(np.float64) ** 2 * total
    noise = np.where(wide == gamma.astype(np.float64) ** 2, np.float32(0), _NOISE)
    return kernel, inverse * (bias - mean) + beta, inverse, noise


def _require_sure(
    layer: Layer, role: str, trained: bool, values: Array, noise: Array
) -> None:
    quantizer = read_quantizer(layer, role, trained)
    if quantizer is None:
        return
    low, high = (
        quantize_weights(quantizer, values * (1 + sign * noise)) for sign in (-1, 1)
    )
    if (low.values != high.values).any():
        raise quantizer.refuse(
            "a folded weight lies on the border of two steps, so that machines differ: "
            "use QConv2D and QBatchNormalization"
        )
