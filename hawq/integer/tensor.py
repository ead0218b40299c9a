"""What flows between the nodes: real inputs, and tensors of integers with bounds.

Every tensor holds integers; one integer is worth ``scale``, an exact rational. Shapes
are those of one sample: the batch axis, always the first, is left out.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from fractions import Fraction

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
from hawq.integer.grid import Grid


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
        declared: The grid a quantizer gave the tensor; None for others.
    """

    name: str
    shape: tuple[int, ...]
    scale: Fraction
    lows: IntArray
    highs: IntArray
    declared: Grid | None = None

    def __post_init__(self) -> None:
        for bounds in (self.lows, self.highs):
            bounds.flags.writeable = False

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
                "no fixed-point format holds it: use power-of-two scales"
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
        if self.declared is not None and self.declared.fixed_point is not None:
            return self.declared.fixed_point
        signed, width = smallest_width(self.low, self.high)
        if width > MAX_WIDTH:
            raise FormatError(
                f"tensor {self.name!r}: integers from {self.low} to {self.high} need "
                f"{width} bits, expected at most {MAX_WIDTH}: use fewer bits upstream"
            )
        return FixedPoint(
            signed, width, width - self.fraction, Rounding.FLOOR, Overflow.WRAP
        )
