"""Batch normalization of HGQ2: folded into weights that are quantized afterwards.

γ/√(variance + ε) is taken in float64. Keras takes it in float32, in an order and with
roots that depend on the machine; a weight so near to a tie that this could tell is
refused.

Source: the behaviour of HGQ2 0.2.0 in inference, found by experiment.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hawq.frontend.keras import hgq
from hawq.frontend.keras.hgq_formats import quantize_constant, read_formats
from hawq.frontend.keras.layer import Layer
from hawq.frontend.keras.writer import Writer

_LAST_BITS = 2.0**-20
"""How much float32 may be off, relative to the largest term."""

Floats = NDArray[np.float64]


def write_batch_norm(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``QBatchNormalization``: times a factor, plus a term, both quantized."""
    x = hgq.before(out, layer, xs[0])
    shape = out.shapes[x]
    if layer.config.get("axis", -1) not in (-1, len(shape), [-1], [len(shape)]):
        raise layer.refuse("only the last axis is carried: set axis to -1")
    channels, trained = shape[-1], hgq.vectors(layer)
    gamma = trained.pop(0) if layer.flag("scale", True) else np.ones(channels)
    # Without centre, HGQ2 adds 1.
    beta = trained.pop(0) if layer.flag("center", True) else np.ones(channels)
    mean, variance = _of_channels(layer, trained, channels)
    factor = gamma / np.sqrt(variance + layer.number("epsilon", default=1e-3))
    term = beta - mean * factor
    size = np.abs(beta) + np.abs(mean * factor)
    for what, operator, values, terms in (
        ("kernel", "Mul", factor, np.abs(factor)),
        ("bias", "Add", term, size),
    ):
        constant = _quantized(out, layer, what, values, terms)
        x = out.add(operator, [x, constant], shape)
    return hgq.after(out, layer, x)


def write_dense(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``QBatchNormDense``, which normalizes what it reads."""
    x = hgq.before(out, layer, xs[0])
    *outer, inner = out.shapes[x]
    units = layer.whole("units", 0)
    kernel, bias = (
        layer.weight(i, *s).astype(np.float64)
        for i, s in enumerate(((inner, units), (units,)))
    )
    trained = hgq.vectors(layer)[1:]
    gamma = trained.pop(0) if layer.flag("scale", True) else np.ones(inner)
    mean, variance = _of_channels(layer, trained, inner)
    factor = gamma / np.sqrt(variance + layer.number("epsilon", default=1e-3))
    values = factor[:, None] * kernel
    weights = _quantized(out, layer, "kernel", values, np.abs(values))
    x = out.add("MatMul", [x, weights], (*outer, units))
    # HGQ2 takes the mean to the outputs by the kernel alone, without the factor.
    size = np.abs(bias) + np.abs(mean) @ np.abs(kernel)
    constant = _quantized(out, layer, "bias", bias - mean @ kernel, size)
    x = out.add("Add", [x, constant], out.shapes[x])
    return hgq.finish(out, layer, x)


def _of_channels(
    layer: Layer, trained: list[Floats], channels: int
) -> tuple[Floats, Floats]:
    if len(trained) != 2 or any(v.shape != (channels,) for v in trained):
        raise layer.refuse(
            f"the file holds statistics of shapes {[v.shape for v in trained]}, "
            f"expected mean and variance of {channels} channels: save the model again"
        )
    return trained[0], trained[1]


def _quantized(
    out: Writer, layer: Layer, what: str, values: Floats, size: Floats
) -> str:
    """Add a quantized constant that no last bit of float32 decides."""
    formats = read_formats(layer, f"{what[0]}q", values.shape)
    near, single = size * _LAST_BITS, values.astype(np.float32)
    low, high = (
        quantize_constant(formats, (values + sign * near).astype(np.float32))
        for sign in (-1, 1)
    )
    if (low != high).any():
        raise layer.refuse(
            f"its {what} is rounded by the last bits of a root, which differ between "
            "machines: change the weights slightly, or fold the normalization"
        )
    return hgq.add_constant(out, what, quantize_constant(formats, single))
