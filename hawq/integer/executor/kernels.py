"""Sums of products in floats: matrices and convolutions, block by block.

A convolution copies what its windows see into columns and multiplies those by one
matrix a group; columns are made for so few rows of windows that they stay in the cache.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hawq.integer.executor.epilogue import Epilogue
from hawq.integer.nodes import Conv, Dense, Window

_BLOCK_ELEMENTS = 1 << 19
"""Elements of a block's columns and sums: two megabytes of float32."""


class Kernel(Protocol):
    """Sums of products, and what follows."""

    def run(self, x: NDArray[Any], out: NDArray[Any], epilogue: Epilogue) -> None:
        """Fill ``out`` from ``x``."""


@dataclass(frozen=True, eq=False)
class Product:
    """A matrix product over the last axis.

    Attributes:
        matrix: Shape (out, in + 1), the bias last.
    """

    matrix: NDArray[Any]

    @classmethod
    def of(cls, node: Dense, unit: float, carrier: str) -> Product:
        """Write a node in floats that hold its partial sums.

        Args:
            node: Its weights and bias are multiplied by ``unit``.
            unit: A power of two.
            carrier: ``float32`` or ``float64``.

        Returns:
            The product.
        """
        count = node.weights.shape[1]
        bias = np.zeros(count) if node.bias is None else node.bias
        rows = [node.weights.astype(np.float64), bias.astype(np.float64)[None]]
        return cls((np.concatenate(rows).T * unit).astype(carrier))

    def run(self, x: NDArray[Any], out: NDArray[Any], epilogue: Epilogue) -> None:
        """Multiply.

        Args:
            x: Shape (..., in + 1, samples), the last row of ones.
            out: Shape (..., out, samples).
            epilogue: What follows.
        """
        if out.dtype == self.matrix.dtype:
            sums = np.matmul(self.matrix, x, out=out)
        else:
            sums = np.matmul(self.matrix, x)
        epilogue.run(sums, out)


@dataclass(frozen=True, eq=False)
class Correlation:
    """A convolution.

    Attributes:
        matrices: Shape (groups, out / groups, in / groups · taps + 1), the bias last.
        window: How the kernel slides.
    """

    matrices: NDArray[Any]
    window: Window

    @classmethod
    def of(cls, node: Conv, unit: float, carrier: str) -> Correlation:
        """Write a node in floats that hold its partial sums.

        Args:
            node: Its weights and bias are multiplied by ``unit``.
            unit: A power of two.
            carrier: ``float32`` or ``float64``.

        Returns:
            The convolution.
        """
        outputs, groups = len(node.weights), node.groups
        bias = np.zeros(outputs) if node.bias is None else node.bias
        matrices = np.concatenate(
            [
                node.weights.astype(np.float64).reshape(groups, outputs // groups, -1),
                bias.astype(np.float64).reshape(groups, outputs // groups, 1),
            ],
            axis=-1,
        )
        return cls((matrices * unit).astype(carrier), node.window)

    def run(self, x: NDArray[Any], out: NDArray[Any], epilogue: Epilogue) -> None:
        """Slide the kernels.

        Args:
            x: Shape (in, *spatial, samples), or (*spatial, in, samples).
            out: Shape (out, *windows, samples), or (*windows, out, samples).
            epilogue: What follows; its columns have the channels first.
        """
        if self.window.channels_last:
            x, out = np.moveaxis(x, -2, 0), np.moveaxis(out, -2, 0)
        x = _padded(x, self.window)
        groups, outputs, depth = self.matrices.shape
        rows, *rest = out.shape[1:]
        row = groups * (depth + outputs) * math.prod(rest)
        block = min(rows, max(1, _BLOCK_ELEMENTS // row))
        size = (groups, depth, block * math.prod(rest))
        columns = np.empty(size, dtype=self.matrices.dtype)
        columns[:, -1] = 1
        sums = np.empty((groups, outputs, size[-1]), dtype=self.matrices.dtype)
        for start in range(0, rows, block):
            count = min(block, rows - start)
            here = count * math.prod(rest)
            shape = (count, *rest)
            self._fill(x, start, columns[:, :-1, :here], shape)
            got = sums[..., :here]
            np.matmul(self.matrices, columns[..., :here], out=got)
            target = out[:, start : start + count]
            epilogue.run(got.reshape(target.shape), target)

    def _fill(
        self,
        x: NDArray[Any],
        start: int,
        columns: NDArray[Any],
        shape: tuple[int, ...],
    ) -> None:
        """Copy what the windows of some rows see, one element of the window a time."""
        window, groups = self.window, len(self.matrices)
        taps = math.prod(window.kernel)
        split = columns.reshape(groups, -1, taps, *shape)
        starts = (start * window.strides[0], *[0] * (len(window.kernel) - 1))
        axes = list(zip(starts, shape, window.strides, window.dilations, strict=False))
        for tap, index in enumerate(itertools.product(*map(range, window.kernel))):
            cut = [
                slice(at := first + k * d, at + (n - 1) * step + 1, step)
                for k, (first, n, step, d) in zip(index, axes, strict=True)
            ]
            seen = x[(slice(None), *cut)]
            split[:, :, tap] = seen.reshape(groups, -1, *seen.shape[1:])


def _padded(x: NDArray[Any], window: Window) -> NDArray[Any]:
    """Put zeros around the spatial axes of (in, *spatial, samples)."""
    if not any(window.pads):
        return x
    pads, rank = window.pads, len(window.kernel)
    pairs = [(0, 0), *zip(pads[:rank], pads[rank:], strict=True), (0, 0)]
    sizes = [n + sum(p) for n, p in zip(x.shape, pairs, strict=True)]
    padded = np.zeros(sizes, dtype=x.dtype)
    inner = [slice(p, p + n) for n, (p, _) in zip(x.shape, pairs, strict=True)]
    padded[tuple(inner)] = x
    return padded
