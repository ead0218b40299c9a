"""The nodes and tensors of the integer graph. ``docs/integer_graph.md`` specifies them.

Every tensor holds integers; one integer is worth ``scale``, an exact rational. Shapes
are those of one sample: the batch axis, always the first, is left out.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from hawq.errors import FormatError, InexactError
from hawq.fixed import (
    MAX_WIDTH,
    FixedPoint,
    IntArray,
    Overflow,
    Rounding,
    power_of_two_exponent,
    smallest_width,
)


@dataclass(frozen=True)
class RealInput:
    """A real-valued input of the network; only ``Quantize`` may read it.

    Attributes:
        name: As in the file.
        shape: Of one sample.
    """

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Tensor:
    """A named tensor of integers with proven bounds.

    Attributes:
        name: As in the file the graph was lowered from.
        shape: Of one sample.
        scale: What one integer is worth.
        lows: Smallest integer of each element, shape ``shape``.
        highs: Largest integer of each element, shape ``shape``.
        declared: The format a quantizer gave the tensor; None for accumulators.
    """

    name: str
    shape: tuple[int, ...]
    scale: Fraction
    lows: IntArray
    highs: IntArray
    declared: FixedPoint | None = None

    def __post_init__(self) -> None:
        _freeze(self.lows, self.highs)

    @functools.cached_property
    def low(self) -> int:
        """The smallest integer any element can take."""
        return int(self.lows.min()) if self.lows.size else 0

    @functools.cached_property
    def high(self) -> int:
        """The largest integer any element can take."""
        return int(self.highs.max()) if self.highs.size else 0

    @property
    def signed(self) -> bool:
        """Whether a negative integer can occur."""
        return self.low < 0

    @property
    def width(self) -> int:
        """Bits of the narrowest integer type that holds ``low`` to ``high``."""
        return smallest_width(self.low, self.high)[1]

    @property
    def fraction(self) -> int:
        """Bits right of the binary point.

        Returns:
            ``f`` with ``scale == 2**-f``.

        Raises:
            InexactError: if the scale is not a power of two.
        """
        exponent = power_of_two_exponent(self.scale)
        if exponent is None:
            raise InexactError(
                f"tensor {self.name!r}: scale {self.scale} is not a power of two, so "
                "no fixed-point format holds it: retrain with power-of-two scales"
            )
        return -exponent

    @property
    def format(self) -> FixedPoint:
        """The declared format, else the narrowest fixed-point format that is exact.

        Returns:
            For accumulators: no rounding or overflow can occur, so they are ``floor``
            and ``wrap``, which cost no hardware.

        Raises:
            FormatError: if the tensor needs more than 64 bits.
        """
        if self.declared is not None:
            return self.declared
        signed, width = smallest_width(self.low, self.high)
        if width > MAX_WIDTH:
            raise FormatError(
                f"tensor {self.name!r}: integers from {self.low} to {self.high} need "
                f"{width} bits, expected at most {MAX_WIDTH}: use fewer bits upstream"
            )
        return FixedPoint(
            signed, width, width - self.fraction, Rounding.FLOOR, Overflow.WRAP
        )


@dataclass(frozen=True, eq=False)
class Quantize:
    """Round a real input to the integers of a format."""

    inputs: tuple[str]
    output: str
    format: FixedPoint


@dataclass(frozen=True, eq=False)
class Requantize:
    """Move integers to another format: shift, round, then overflow."""

    inputs: tuple[str]
    output: str
    format: FixedPoint


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


@dataclass(frozen=True, eq=False)
class AddConstant:
    """Add a constant on a grid at least as fine: ``y = x * 2**shift + constant``.

    Attributes:
        inputs: The name of ``x``.
        output: The name of ``y``; its scale is that of ``x`` divided by ``2**shift``.
        constant: Integers on the grid of ``y``, of the shape of ``x``.
        shift: Not negative.
    """

    inputs: tuple[str]
    output: str
    constant: IntArray
    shift: int = 0

    def __post_init__(self) -> None:
        _freeze(self.constant)


@dataclass(frozen=True, eq=False)
class Relu:
    """Replace negative integers by zero."""

    inputs: tuple[str]
    output: str


@dataclass(frozen=True, eq=False)
class Reshape:
    """Give one sample's integers another shape, in C order."""

    inputs: tuple[str]
    output: str
    shape: tuple[int, ...]


Node = Quantize | Requantize | Dense | AddConstant | Relu | Reshape
"""Each has ``inputs`` (names) and ``output`` (a name)."""


def _freeze(*arrays: IntArray | None) -> None:
    for array in arrays:
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
