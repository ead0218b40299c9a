"""Convolutions of large images by oneDNN, through torch.

oneDNN computes float32 convolutions directly, as sums of products in some order, unless
it is asked for another algorithm: exact where every partial sum is below 2**24. It is
called by name, because ``torch.nn.functional.conv2d`` may choose NNPACK, whose
transforms round. Its 8-bit kernels are no alternative: without VNNI they add pairs of
products in 16 bits, and saturate.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hawq.integer.executor.epilogue import Epilogue, bend
from hawq.integer.nodes import Conv, Window
from hawq.integer.rounding import FLOAT_ROUNDING

_BLOCK_ELEMENTS = 1 << 16
"""Elements an epilogue goes over at a time: 256 KiB, half a second-level cache."""

_FUSES = hasattr(torch.ops.mkldnn, "_convolution_pointwise")
"""Whether this torch lends oneDNN's fused operations, which save passes over memory."""


@contextmanager
def exact(threads: int | None) -> Iterator[None]:
    """Let torch convolve in true float32, whatever the program chose before.

    Args:
        threads: That each convolution may use; None leaves it to torch.
    """
    convolutions: Any = getattr(torch.backends.mkldnn, "conv")  # noqa: B009
    precision, count = convolutions.fp32_precision, torch.get_num_threads()
    convolutions.fp32_precision = "ieee"
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        convolutions.fp32_precision = precision
        if threads is not None:
            torch.set_num_threads(count)


def suits(node: Conv) -> bool:
    """Tell whether a convolution may be one of images.

    Args:
        node: The convolution.

    Returns:
        Whether it has two spatial axes and torch has oneDNN.
    """
    return len(node.window.kernel) == 2 and bool(torch.backends.mkldnn.enabled)


@dataclass(frozen=True, eq=False)
class ImageConvolution:
    """A convolution of images whose channels lie together.

    Attributes:
        weights: Shape (out, in / groups, *kernel).
        bias: Shape (out,).
        window: How the kernel slides.
        groups: Of channels.
        after: What oneDNN does with a sum while it has it at hand, by torch's name.
        scalars: Its arguments.
    """

    weights: torch.Tensor
    bias: torch.Tensor
    window: Window
    groups: int
    after: str = "none"
    scalars: tuple[float, ...] = ()

    @classmethod
    def of(cls, node: Conv, unit: float) -> ImageConvolution:
        """Write a node in float32, which must hold its partial sums.

        Args:
            node: Its weights and bias are multiplied by ``unit``.
            unit: A power of two.

        Returns:
            The convolution.
        """
        bias = np.zeros(len(node.weights)) if node.bias is None else node.bias
        weights, biases = (
            torch.from_numpy((a.astype(np.float64) * unit).astype(np.float32))
            for a in (node.weights, bias)
        )
        lying = weights.contiguous(memory_format=torch.channels_last)
        return cls(lying, biases, node.window, node.groups)

    def fused(self, epilogue: Epilogue) -> tuple[ImageConvolution, Epilogue]:
        """Let oneDNN do a part of what follows, in the same pass over memory.

        Args:
            epilogue: What follows.

        Returns:
            The convolution with that part, and the rest.
        """
        if epilogue.carrier != "float32" or epilogue.filter or not _FUSES:
            return self, epilogue
        match epilogue.before, epilogue.after:
            case ((function, (slope,)), *rest), _ if function is bend and slope <= 1:
                mine = replace(self, after="leaky_relu", scalars=(slope,))
                return mine, replace(epilogue, before=tuple(rest))
            case (), (*rest, (function, (low, high))) if function is np.clip:
                # Limits are integers, which every rounding leaves alone.
                rounds = all(f in FLOAT_ROUNDING.values() for f, _ in rest)
                if rounds and np.isfinite([low, high]).all():
                    mine = replace(self, after="hardtanh", scalars=(low, high))
                    return mine, replace(epilogue, after=tuple(rest))
        return self, epilogue

    def run(self, x: NDArray[Any], out: NDArray[Any], epilogue: Epilogue) -> None:
        """Slide the kernels.

        Args:
            x: Shape (in, *spatial, samples), or (*spatial, in, samples).
            out: Shape (out, *windows, samples), or (*windows, out, samples).
            epilogue: What follows; its columns have the channels first.
        """
        if self.window.channels_last:
            out = np.moveaxis(out, -2, 0)
        else:
            x = np.moveaxis(x, 0, 2)
        sums = self._sums(np.moveaxis(x, -1, 0)).transpose(3, 1, 2, 0)
        rows = out.shape[1]
        block = max(1, _BLOCK_ELEMENTS * rows // max(1, out.size))
        for start in range(0, rows, block):
            part = slice(start, start + block)
            epilogue.run(sums[:, part], out[:, part])

    def _sums(self, images: NDArray[Any]) -> NDArray[Any]:
        """Convolve: shape (samples, rows, columns, channels)."""
        window, pads = self.window, self.window.pads[:2]
        images = images.astype(np.float32, copy=False)
        if pads != window.pads[2:]:
            images, pads = _padded(images, window), (0, 0)
        # Torch tells how channels lie by the strides, even by that of one sample.
        straight = images.reshape(-1).reshape(images.shape)
        given = (
            torch.from_numpy(straight).permute(0, 3, 1, 2),
            self.weights,
            self.bias,
            list(pads),
            list(window.strides),
            list(window.dilations),
            self.groups,
        )
        with torch.inference_mode():
            if self.after == "none":
                sums = torch.mkldnn_convolution(*given)
            else:
                fused = torch.ops.mkldnn._convolution_pointwise
                sums = fused(*given, self.after, list(self.scalars), "")
            return np.asarray(sums.permute(0, 2, 3, 1).numpy())


def _padded(images: NDArray[Any], window: Window) -> NDArray[Any]:
    """Put zeros around images: torch knows no pads that differ before and after."""
    (top, left, bottom, right), (n, rows, columns, depth) = window.pads, images.shape
    sizes = (n, top + rows + bottom, left + columns + right, depth)
    padded = np.zeros(sizes, dtype=images.dtype)
    padded[:, top : top + rows, left : left + columns] = images
    return padded
