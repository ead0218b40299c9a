"""The nodes of the integer graph. ``docs/integer_graph.md`` specifies them.

Shapes are those of one sample. Windows slide over the spatial axes: all but the first
axis, or with ``channels_last`` all but the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.fixed import IntArray
from hawq.integer.grid import Grid


def _freeze(*arrays: NDArray[Any] | None) -> None:
    for array in arrays:
        if isinstance(array, np.ndarray):
            array.flags.writeable = False


@dataclass(frozen=True, eq=False)
class Quantize:
    """Round ``x * gain + offset`` of a real input to the integers of a grid.

    Attributes:
        inputs: The name of ``x``.
        output: The name of the integers.
        grid: Which integers there are, and what they are worth.
        gain: Fractions that broadcast to ``x``, or None for 1.
        offset: Fractions that broadcast to ``x``, or None for 0.
    """

    inputs: tuple[str]
    output: str
    grid: Grid
    gain: NDArray[Any] | None = None
    offset: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        _freeze(self.gain, self.offset)


@dataclass(frozen=True, eq=False)
class Requantize:
    """Move integers to another grid: multiply by the exact ratio of scales, round, fit.

    Attributes:
        inputs: The name of ``x``.
        output: The name of the integers.
        grid: Which integers there are, and what they are worth.
    """

    inputs: tuple[str]
    output: str
    grid: Grid


@dataclass(frozen=True, eq=False)
class Dense:
    """Multiply the last axis by a matrix: ``y = x @ weights + bias``.

    Attributes:
        inputs: The name of ``x``, shape (..., in).
        output: The name of ``y``, shape (..., out).
        weights: Integers, shape (in, out).
        weight_scale: What one integer of ``weights`` is worth.
        bias: Integers on the grid of ``y``, shape (out,), or None.
    """

    inputs: tuple[str]
    output: str
    weights: IntArray
    weight_scale: Fraction
    bias: IntArray | None = None

    def __post_init__(self) -> None:
        _freeze(self.weights, self.bias)


@dataclass(frozen=True)
class Window:
    """How a window slides over the spatial axes.

    Attributes:
        kernel: Size of the window.
        strides: Steps between windows.
        dilations: Steps between the elements of a window.
        pads: Elements added before each spatial axis, then those after each.
        channels_last: Whether the channels are the last axis, else the first.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    channels_last: bool = False

    def output_sizes(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        """Count the windows along each axis.

        Args:
            spatial: Sizes of the input without its channels.

        Returns:
            Sizes of the output without its channels; not positive if no window fits.
        """
        rank = len(spatial)
        return tuple(
            (size + self.pads[i] + self.pads[i + rank] - 1 - (k - 1) * d) // s + 1
            for i, (size, k, d, s) in enumerate(
                zip(spatial, self.kernel, self.dilations, self.strides, strict=True)
            )
        )


@dataclass(frozen=True, eq=False)
class Conv:
    """Correlate with kernels; padding holds zeros.

    Attributes:
        inputs: The name of ``x``, shape (in, *spatial) or (*spatial, in).
        output: The name of ``y``, its channels where those of ``x`` are.
        weights: Integers, shape (out, in / groups, *kernel).
        weight_scale: What one integer of ``weights`` is worth.
        window: How the kernel slides.
        groups: Channels are split into this many; each output reads its own group.
        bias: Integers on the grid of ``y``, shape (out,), or None.
    """

    inputs: tuple[str]
    output: str
    weights: IntArray
    weight_scale: Fraction
    window: Window
    groups: int = 1
    bias: IntArray | None = None

    def __post_init__(self) -> None:
        _freeze(self.weights, self.bias)


@dataclass(frozen=True, eq=False)
class Affine:
    """Multiply and add constants: ``y = x * multiplier + constant``.

    Attributes:
        inputs: The name of ``x``.
        output: The name of ``y``.
        multiplier: Integers that broadcast to ``x``.
        constant: Integers on the grid of ``y`` that broadcast to ``x``.
        scale: What one integer of ``y`` is worth.
    """

    inputs: tuple[str]
    output: str
    multiplier: IntArray
    constant: IntArray
    scale: Fraction

    def __post_init__(self) -> None:
        _freeze(self.multiplier, self.constant)


@dataclass(frozen=True, eq=False)
class Sum:
    """Add tensors: ``y = x0 * m0 + x1 * m1 + ...``.

    Attributes:
        inputs: Names; the shapes broadcast.
        output: The name of ``y``.
        multipliers: One an input; scale of ``xi`` = ``abs(mi)`` · scale of ``y``.
    """

    inputs: tuple[str, ...]
    output: str
    multipliers: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Multiply:
    """Multiply two tensors element by element.

    Attributes:
        inputs: Two names; the shapes broadcast.
        output: The name of the product; its scale is the product of the scales.
    """

    inputs: tuple[str, str]
    output: str


@dataclass(frozen=True, eq=False)
class Relu:
    """Replace negative integers by zero."""

    inputs: tuple[str]
    output: str


@dataclass(frozen=True, eq=False)
class LeakyRelu:
    """Multiply negative integers by a slope's numerator, others by its denominator.

    Attributes:
        inputs: The name of ``x``.
        output: The name of ``y``; its scale is that of ``x`` over the denominator.
        slope: Exact.
    """

    inputs: tuple[str]
    output: str
    slope: Fraction


@dataclass(frozen=True, eq=False)
class Clip:
    """Limit integers: ``y = min(max(x, low), high)``."""

    inputs: tuple[str]
    output: str
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class MaxPool:
    """Take the largest integer of each window; padding is never the largest."""

    inputs: tuple[str]
    output: str
    window: Window


@dataclass(frozen=True, eq=False)
class SumPool:
    """Add the integers of each window; padding holds zeros.

    Attributes:
        inputs: The name of ``x``.
        output: The name of ``y``.
        window: How it slides.
        scale: What one integer of ``y`` is worth: that of ``x``, or for an average
            that of ``x`` over the number of elements.
    """

    inputs: tuple[str]
    output: str
    window: Window
    scale: Fraction


@dataclass(frozen=True, eq=False)
class Reshape:
    """Give one sample's integers another shape, in C order."""

    inputs: tuple[str]
    output: str
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Transpose:
    """Put axis ``order[i]`` of the input at axis ``i``."""

    inputs: tuple[str]
    output: str
    order: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Select:
    """Pick elements: slices, splits, padding, upsampling, depth to space.

    Attributes:
        inputs: The name of ``x``.
        output: The name of ``y``.
        indices: Shape of ``y``; each is the index of an element of ``x`` in C order,
            or -1 for ``fill``.
        fill: An integer on the grid of ``x``.
    """

    inputs: tuple[str]
    output: str
    indices: NDArray[np.int64]
    fill: int = 0

    def __post_init__(self) -> None:
        _freeze(self.indices)


@dataclass(frozen=True, eq=False)
class Concat:
    """Join tensors of one scale along an axis.

    Attributes:
        inputs: Names, in order.
        output: The name of ``y``.
        axis: Of one sample, 0 or more.
    """

    inputs: tuple[str, ...]
    output: str
    axis: int


@dataclass(frozen=True, eq=False)
class Table:
    """Look integers up: ``y = entries[x - low]``.

    Attributes:
        inputs: The name of ``x``, whose bounds lie within the table.
        output: The name of ``y``.
        low: The integer of the first entry.
        entries: Integers, shape (inputs,).
        grid: Of the entries.
    """

    inputs: tuple[str]
    output: str
    low: int
    entries: IntArray
    grid: Grid

    def __post_init__(self) -> None:
        _freeze(self.entries)


@dataclass(frozen=True, eq=False)
class Threshold:
    """Count the thresholds that an integer reaches: ``y = sum(x >= t)``.

    Attributes:
        inputs: The name of ``x``.
        output: The name of ``y``, of scale 1.
        thresholds: Integers, shape (*broadcasts to ``x``, thresholds).
    """

    inputs: tuple[str]
    output: str
    thresholds: IntArray

    def __post_init__(self) -> None:
        _freeze(self.thresholds)


@dataclass(frozen=True, eq=False)
class ArgMax:
    """Give the index of the largest integer along an axis, the first of equals.

    Attributes:
        inputs: The name of ``x``.
        output: The name of ``y``, of scale 1.
        axis: Of one sample, 0 or more; it stays, with size 1.
        last: Take the last of equals instead.
    """

    inputs: tuple[str]
    output: str
    axis: int
    last: bool = False


Node = (
    Quantize
    | Requantize
    | Dense
    | Conv
    | Affine
    | Sum
    | Multiply
    | Relu
    | LeakyRelu
    | Clip
    | MaxPool
    | SumPool
    | Reshape
    | Transpose
    | Select
    | Concat
    | Table
    | Threshold
    | ArgMax
)
"""Each has ``inputs`` (names) and ``output`` (a name)."""
