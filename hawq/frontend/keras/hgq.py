"""Layers of HGQ2, each element of their weights and data in a format of its own.

Weights become constants on the coarsest grid that holds them. Data is brought to whole
steps, rounded by a ``Quant``, brought between its ends unless its proven bounds lie
there, and back to values; what wraps in HGQ2 wraps here too, though QONNX's ``Quant``
saturates: n - s · floor((n - low) / s) for s integers from ``low``. A real input
saturates beyond ±2^23 steps, where float32, in which Keras computes, no longer tells
halves of a step.

Source: the behaviour of HGQ2 0.2.0 in inference, found by experiment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.errors import HawqError
from hawq.frontend.keras.activations import activate
from hawq.frontend.keras.hgq_formats import (
    Floats,
    Formats,
    quantize_constant,
    read_formats,
)
from hawq.frontend.keras.layer import Layer
from hawq.frontend.keras.linear import convolve, filters_first, spatial
from hawq.frontend.keras.writer import Shape, Writer
from hawq.integer.lower import lower_model

_WIDE = 24
"""Bits of the integers that wrap: float32 holds no more."""


def write_quantizer(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write a ``Quantizer`` that is a layer."""
    return _quantize(out, layer, "q", xs[0])


def write_dense(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``QDense``, over the last axis."""
    x = before(out, layer, xs[0])
    *outer, inner = out.shapes[x]
    units = layer.whole("units", 0)
    kernel = _constant(out, layer, "kernel", 0, (inner, units))
    x = out.add("MatMul", [x, kernel], (*outer, units))
    for bias in _bias(out, layer, units):
        x = out.add("Add", [x, bias], out.shapes[x])
    return finish(out, layer, x)


def write_conv(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``QConv1D`` and ``QConv2D``."""
    x = before(out, layer, xs[0])
    axes, channels = spatial(out, layer, x)
    filters, groups = layer.whole("filters", 0), layer.whole("groups", 1)
    if groups < 1 or channels % groups:
        raise layer.refuse(f"{groups} groups do not divide {channels} channels")
    kernel = layer.sizes("kernel_size", len(axes))
    shape = (*kernel, channels // groups, filters)
    weights = _constant(out, layer, "kernel", 0, shape, filters_first)
    inputs = [x, weights, *_bias(out, layer, filters)]
    x = convolve(out, layer, inputs, kernel, filters, groups)
    return finish(out, layer, x)


def before(out: Writer, layer: Layer, x: str) -> str:
    """Quantize what a layer reads, unless it has no quantizer there.

    Args:
        out: The graph.
        layer: The layer.
        x: What it reads.

    Returns:
        Name of the result.
    """
    return _quantize(out, layer, "iq", x) if layer.flag("enable_iq", True) else x


def after(out: Writer, layer: Layer, x: str) -> str:
    """Quantize a layer's result, if it has a quantizer there.

    Args:
        out: The graph.
        layer: The layer.
        x: Its result.

    Returns:
        Name of the quantized result.
    """
    return _quantize(out, layer, "oq", x) if layer.flag("enable_oq", False) else x


def finish(out: Writer, layer: Layer, x: str) -> str:
    """Apply a layer's activation, then its quantizer.

    Args:
        out: The graph.
        layer: The layer.
        x: Its sums.

    Returns:
        Name of the result.
    """
    return after(out, layer, activate(out, layer, x))


def vectors(layer: Layer) -> list[Floats]:
    """Give the weights of a layer that have one axis, in order."""
    return [w.astype(np.float64) for w in layer.weights if w.ndim == 1]


def _bias(out: Writer, layer: Layer, channels: int) -> list[str]:
    if not layer.flag("use_bias", True):
        return []
    return [_constant(out, layer, "bias", 1, (channels,))]


def _constant(
    out: Writer,
    layer: Layer,
    what: str,
    position: int,
    shape: Shape,
    layout: Callable[[NDArray[Any]], NDArray[Any]] = lambda x: x,
) -> str:
    """Add a weight, quantized, on the coarsest grid that holds all its elements."""
    formats = read_formats(layer, f"{what[0]}q", shape)
    values = quantize_constant(formats, layer.weight(position, *shape))
    return add_constant(out, what, layout(values))


def add_constant(out: Writer, what: str, values: Floats) -> str:
    """Add a constant on the coarsest grid that holds all its elements.

    Args:
        out: The graph.
        what: Ends its name.
        values: Dyadic.

    Returns:
        Its name.
    """
    mantissas, exponents = np.frexp(values[values != 0])
    # The lowest bit that is set in a float64 of 53 bits.
    whole = (mantissas * 2.0**53).astype(np.int64)
    lowest = np.log2((whole & -whole).astype(np.float64)) - 53 + exponents
    step = float(np.exp2(lowest.min())) if len(lowest) else 1.0
    most = int(np.abs(values / step).max(initial=0))
    return out.quant(
        out.constant(f"{what}/values", values),
        step,
        max(2, most.bit_length() + 1),
        is_narrow=True,
        shape=values.shape,
        what=what,
    )


def _quantize(out: Writer, layer: Layer, role: str, x: str) -> str:
    """Quantize data, each element to its own format."""
    shape = out.shapes[x]
    formats = read_formats(layer, role, shape)
    # Steps of one size need no multiplication: they are the scale of the Quant.
    step = formats.step
    unit = float(step.flat[0]) if (step == step.flat[0]).all() else None
    if unit is None:
        x = _times(out, x, 1 / step, f"{role}/steps")
    scale = 1.0 if unit is None else unit
    if formats.shift:
        shift = out.constant(f"{role}/shift", formats.shift * scale)
        x = out.add("Add", [x, shift], shape, what=f"{role}/shifted")
    bounds = _bounds(out, formats, x, scale)
    fits = bounds is not None and bool(
        (bounds[0] >= formats.low).all() and (bounds[1] <= formats.high).all()
    )
    if formats.wraps and not fits:
        _require_narrow(layer, role, bounds)
        x = out.quant(x, scale, _WIDE, rounding=formats.rounding, what=f"{role}/whole")
        x = _wrap(out, formats, role, x, scale)
    x = _saturate(out, formats, role, x, scale, fits)
    return x if unit is not None else _times(out, x, step, f"{role}/values")


def _bounds(
    out: Writer, formats: Formats, x: str, scale: float
) -> tuple[Floats, Floats] | None:
    """Prove bounds of the whole steps; nothing is known of a real input."""
    try:
        tensor = lower_model(out.until(x)).tensors[x]
    except HawqError:
        return None
    unit = float(tensor.scale) / scale
    low, high = (
        formats.rounded(bounds.astype(np.float64) * unit)
        for bounds in (tensor.lows, tensor.highs)
    )
    return low, high


def _require_narrow(
    layer: Layer, role: str, bounds: tuple[Floats, Floats] | None
) -> None:
    most = 0.0 if bounds is None else max(-bounds[0].min(), bounds[1].max())
    if most >= 2 ** (_WIDE - 1):
        raise layer.refuse(
            f"its {role} wraps values of up to {most:.3g} steps, expected fewer than "
            f"2^{_WIDE - 1}, which float32 holds: train with overflow_mode SAT"
        )


def _wrap(out: Writer, formats: Formats, role: str, x: str, scale: float) -> str:
    """Take away the multiple of the number of integers that leads between the ends."""
    shape, size = out.shapes[x], formats.high - formats.low + 1
    turns = _plus(out, x, -formats.low * scale, f"{role}/from_low")
    turns = _times(out, turns, 1 / (size * scale), f"{role}/turns")
    turns = out.quant(turns, 1.0, _WIDE, rounding="FLOOR", what=f"{role}/whole_turns")
    turns = _times(out, turns, size * scale, f"{role}/overflow")
    return out.add("Sub", [x, turns], shape, what=f"{role}/wrapped")


def _saturate(
    out: Writer, formats: Formats, role: str, x: str, scale: float, fits: bool
) -> str:
    """Round to whole steps and bring between the ends, an element at a time."""
    low, high = formats.low, formats.high
    signed = bool((low < 0).any())
    most = int(max(high.max(), -low.min() - 1, signed))
    bits = max(1, most.bit_length()) + signed
    top, bottom = 2.0 ** (bits - signed) - 1, -signed * 2.0 ** (bits - 1)
    narrow = signed and bool((low == -top).all())
    x = out.quant(
        x,
        scale,
        bits,
        is_signed=signed,
        is_narrow=narrow,
        rounding=formats.rounding,
        what=role,
    )
    if fits:
        return x
    if (high < top).any():  # the smaller of x and high is high - relu(high - x)
        x = _minimum(out, x, high * scale, f"{role}/high")
    if (low > bottom + narrow).any():
        x = _maximum(out, x, low * scale, f"{role}/low")
    return x


def _minimum(out: Writer, x: str, ends: Floats, what: str) -> str:
    shape = out.shapes[x]
    end = out.constant(what, ends)
    below = out.add("Sub", [end, x], shape, what=f"{what}/below")
    below = out.add("Relu", [below], shape, what=f"{what}/rectified")
    return out.add("Sub", [end, below], shape, what=f"{what}/smaller")


def _maximum(out: Writer, x: str, ends: Floats, what: str) -> str:
    shape = out.shapes[x]
    above = out.add("Relu", [_plus(out, x, -ends, what)], shape, what=f"{what}/above")
    return _plus(out, above, ends, f"{what}/larger")


def _times(out: Writer, x: str, factors: Floats, what: str) -> str:
    constant = out.constant(f"{what}/factors", factors)
    return out.add("Mul", [x, constant], out.shapes[x], what=what)


def _plus(out: Writer, x: str, terms: Floats, what: str) -> str:
    constant = out.constant(f"{what}/terms", terms)
    return out.add("Add", [x, constant], out.shapes[x], what=what)
