"""Windows over spatial axes: padding as Keras counts it, and pooling layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hawq.frontend.keras.activations import activate
from hawq.frontend.keras.layer import Layer
from hawq.frontend.keras.quantizers import read_quantizer
from hawq.frontend.keras.weights import constant
from hawq.frontend.keras.writer import CHANNELS_LAST, Shape, Writer


@dataclass(frozen=True)
class Window:
    """A window that slides over the spatial axes.

    Attributes:
        kernel: Its size.
        strides: Its steps.
        dilations: Distance of its elements.
        pads: Before each axis, then behind each.
        sizes: How many windows there are.
    """

    kernel: Shape
    strides: Shape
    dilations: Shape
    pads: Shape
    sizes: Shape

    def attributes(self, *, dilations: bool) -> dict[str, Any]:
        """Give ONNX attributes.

        Args:
            dilations: Whether the operator has them.

        Returns:
            Name → value.
        """
        given = {
            "kernel_shape": self.kernel,
            "strides": self.strides,
            "pads": self.pads,
        }
        return {**given, "dilations": self.dilations} if dilations else given

    @property
    def is_even(self) -> bool:
        """Whether as much is padded before each axis as behind it."""
        rank = len(self.kernel)
        return self.pads[:rank] == self.pads[rank:]


def require_channels_last(layer: Layer) -> None:
    """Refuse layers whose channels come first.

    Args:
        layer: The layer.

    Raises:
        NetworkError: if they do.
    """
    given = layer.config.get("data_format")
    if given not in (None, "channels_last"):
        raise layer.refuse(
            f"data_format is {given!r}, expected 'channels_last': build the model with "
            "channels last"
        )


def slide(
    layer: Layer, spatial: Shape, kernel: Shape, strides: Shape, dilations: Shape
) -> Window:
    """Place the windows as the layer's padding says.

    Args:
        layer: The layer.
        spatial: Sizes of its input.
        kernel: Size of the window.
        strides: Its steps.
        dilations: Distance of its elements.

    Returns:
        The window. ``same`` pads more behind than before.

    Raises:
        NetworkError: if the padding is unknown, or no window fits.
    """
    padding = str(layer.config.get("padding", "valid")).lower()
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    if padding == "same":
        total = [
            max((-(-n // s) - 1) * s + span - n, 0)
            for n, s, span in zip(spatial, strides, spans, strict=True)
        ]
        before = [t // 2 for t in total]
    elif padding == "causal" and len(spatial) == 1:
        total = before = [spans[0] - 1]
    elif padding == "valid":
        total = before = [0] * len(spatial)
    else:
        raise layer.refuse(f"padding {padding!r} is not carried: use 'same' or 'valid'")
    sizes = [
        (n + t - span) // s + 1
        for n, t, s, span in zip(spatial, total, strides, spans, strict=True)
    ]
    if min(sizes) < 1:
        raise layer.refuse(
            f"a window of {tuple(spans)} does not fit samples of {spatial}: use a "
            "smaller one"
        )
    behind = [t - b for t, b in zip(total, before, strict=True)]
    return Window(kernel, strides, dilations, (*before, *behind), tuple(sizes))


def write_pool(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``MaxPooling`` or ``AveragePooling``, 1D or 2D, also QKeras's."""
    require_channels_last(layer)
    *spatial, channels = out.shapes[xs[0]]
    rank = 2 if layer.kind.endswith("2D") else 1
    if len(spatial) != rank:
        raise layer.refuse(f"samples of shape {out.shapes[xs[0]]} have no {rank} axes")
    kernel = layer.sizes("pool_size", rank, 2)
    strides = kernel
    if layer.config.get("strides") is not None:
        strides = layer.sizes("strides", rank)
    window = slide(layer, tuple(spatial), kernel, strides, (1,) * rank)
    operator = "MaxPool" if "Max" in layer.kind else "AveragePool"
    shape = (*window.sizes, channels)
    given = window.attributes(dilations=False)
    if operator == "MaxPool" and window.is_even:
        return out.add(operator, xs, shape, domain=CHANNELS_LAST, **given)
    x = channels_first(out, xs[0])
    x = out.add(operator, [x], (channels, *window.sizes), **given)
    x = channels_last(out, x)
    return _requantized(out, layer, x, math.prod(kernel))


def write_global_pool(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``GlobalAveragePooling`` or ``GlobalMaxPooling``, also QKeras's."""
    require_channels_last(layer)
    *spatial, channels = out.shapes[xs[0]]
    if len(spatial) != (2 if layer.kind.endswith("2D") else 1):
        raise layer.refuse(f"samples of shape {out.shapes[xs[0]]} do not fit it")
    ones = (1,) * len(spatial)
    operator = "GlobalMaxPool" if "Max" in layer.kind else "GlobalAveragePool"
    x = out.add(operator, [channels_first(out, xs[0])], (channels, *ones))
    shape = (*ones, channels) if layer.flag("keepdims", False) else (channels,)
    x = reshape(out, x, shape)
    return _requantized(out, layer, x, math.prod(spatial))


def _requantized(out: Writer, layer: Layer, x: str, area: int) -> str:
    """Average as QKeras does: the sum times the quantized inverse of the area."""
    quantizer = read_quantizer(layer, "average_quantizer")
    shape = out.shapes[x]
    if quantizer is not None:
        inverse = np.asarray([1.0 / area], dtype=np.float32)
        x = out.add("Mul", [x, out.constant("area", area)], shape)
        factor = constant(out, quantizer, inverse, "inverse_area")
        x = out.add("Mul", [x, factor], shape)
    return activate(out, layer, x)


def channels_first(out: Writer, x: str) -> str:
    """Move the channels before the spatial axes.

    Args:
        out: The graph.
        x: Name of the tensor.

    Returns:
        Name of the result.
    """
    *spatial, channels = out.shapes[x]
    rank = len(spatial)
    perm = [0, rank + 1, *range(1, rank + 1)]
    return out.add("Transpose", [x], (channels, *spatial), perm=perm)


def channels_last(out: Writer, x: str) -> str:
    """Move the channels behind the spatial axes.

    Args:
        out: The graph.
        x: Name of the tensor.

    Returns:
        Name of the result.
    """
    channels, *spatial = out.shapes[x]
    perm = [0, *range(2, len(spatial) + 2), 1]
    return out.add("Transpose", [x], (*spatial, channels), perm=perm)


def reshape(out: Writer, x: str, shape: Shape) -> str:
    """Reshape samples.

    Args:
        out: The graph.
        x: Name of the tensor.
        shape: Of one sample.

    Returns:
        Name of the result.
    """
    target = out.constant("shape", (1, *shape), np.int64)
    return out.add("Reshape", [x, target], shape)
