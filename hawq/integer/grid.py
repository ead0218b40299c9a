"""The numbers a quantizer gives: integers from low to high, each worth an exact scale.

A :class:`~hawq.fixed.FixedPoint` is the grid whose scale is a power of two and whose
ends are those of a number of bits. Grids of other scales, with a zero point or with
ends of their own, come from files that were quantized elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.errors import FormatError
from hawq.fixed import (
    MAX_WIDTH,
    FixedPoint,
    IntArray,
    Overflow,
    Rounding,
    as_integers,
    divide,
    power_of_two_exponent,
    smallest_width,
)
from hawq.integer.rounding import FLOAT_ROUNDING, INDIFFERENT, turns_at_halves

_INT64_SAFE = 2**62
_FLOAT64_SAFE = 2**53
_DOUBT = 2.0**-48
"""Relative error, several times over, of one product and two sums in float64."""

_TINY = 2.0**-1000
"""Error, many times over, of a product that is too small for float64."""


@dataclass(frozen=True)
class Grid:
    """What a quantizer rounds to: ``low`` to ``high``, each integer worth ``scale``.

    Attributes:
        low: Smallest integer.
        high: Largest integer.
        scale: What one integer is worth, above 0.
        rounding: Where values between two integers go.
        overflow: What happens beyond ``low`` and ``high``. ``wrap`` needs ends that are
            those of a number of bits.
        zero_point: The file's integer is ours plus this. It changes nothing but which
            of two integers is the even one, or lies nearer to the file's zero.
    """

    low: int
    high: int
    scale: Fraction
    rounding: Rounding = Rounding.HALF_EVEN
    overflow: Overflow = Overflow.SATURATE
    zero_point: int = 0

    def __post_init__(self) -> None:
        if not (self.low <= self.high and self.scale > 0):
            raise FormatError(
                f"no grid from {self.low} to {self.high} of scale {self.scale}: "
                "expected low <= high and a scale above 0"
            )
        if (
            self.overflow is Overflow.WRAP
            and (self.high - self.low + 1).bit_count() != 1
        ):
            raise FormatError(
                f"a grid from {self.low} to {self.high} cannot wrap: expected a power "
                "of two of integers"
            )

    @classmethod
    def of(cls, form: FixedPoint) -> Grid:
        """Give the grid of a fixed-point format.

        Args:
            form: The format.

        Returns:
            The same integers, rounding and overflow.
        """
        return cls(form.min, form.max, form.step, form.rounding, form.overflow)

    @property
    def fixed_point(self) -> FixedPoint | None:
        """The fixed-point format that is this grid, or None."""
        exponent = power_of_two_exponent(self.scale)
        signed, width = smallest_width(self.low, self.high)
        if exponent is None or width > MAX_WIDTH or not self._rounds_as_from_zero:
            return None
        overflow = self.overflow
        for mode in dict.fromkeys((overflow, *Overflow)):
            if (mode is Overflow.WRAP) != (overflow is Overflow.WRAP):
                continue
            if mode is Overflow.SATURATE_SYMMETRIC and signed and width == 1:
                continue
            form = FixedPoint(signed, width, width + exponent, self.rounding, mode)
            if (form.min, form.max) == (self.low, self.high):
                return form
        return None

    @property
    def _rounds_as_from_zero(self) -> bool:
        """Whether the zero point changes no rounding."""
        if self.rounding is Rounding.HALF_EVEN:
            return self.zero_point % 2 == 0
        return self.rounding in INDIFFERENT or self.zero_point == 0

    def fit(self, integers: IntArray) -> IntArray:
        """Bring rounded integers into the grid.

        Args:
            integers: int64 or object, any shape.

        Returns:
            Integers from ``low`` to ``high``.
        """
        if self.overflow is Overflow.WRAP:
            count = self.high - self.low + 1
            wide = count >= _INT64_SAFE or abs(self.low) >= _INT64_SAFE
            x = integers.astype(object) if wide else integers
            return as_integers((x - self.low) % count + self.low)
        if integers.dtype != object and max(-self.low, self.high) >= 2**63:
            integers = integers.astype(object)
        return as_integers(np.minimum(np.maximum(integers, self.low), self.high))

    def requantize(self, integers: IntArray, scale: Fraction) -> IntArray:
        """Move integers from another scale to this grid.

        Args:
            integers: int64 or object, each worth ``scale``; one axis or more.
            scale: Above 0.

        Returns:
            Integers of this grid, same shape.
        """
        return self.fit(self.rounded(integers, scale))

    def rounded(self, integers: IntArray, scale: Fraction) -> IntArray:
        """Round to this grid's integers, without its ends.

        Args:
            integers: int64 or object, each worth ``scale``; one axis or more.
            scale: Above 0.

        Returns:
            Integers, same shape.
        """
        ratio = scale / self.scale
        return self._round(integers, ratio.numerator, 0, ratio.denominator)

    def quantize(
        self,
        real: NDArray[np.float64],
        gain: NDArray[Any] | None = None,
        offset: NDArray[Any] | None = None,
    ) -> IntArray:
        """Round ``real * gain + offset`` to this grid, exactly.

        Nearly all values are decided in float64; those that lie so near a boundary
        that its error could matter are decided in Python integers.

        Args:
            real: Finite; any shape.
            gain: Fractions that broadcast to ``real``, or None for 1.
            offset: Fractions that broadcast to ``real``, or None for 0.

        Returns:
            Integers of this grid, shape of ``real``.
        """
        if not real.ndim:
            return np.asarray(self.quantize(real.reshape(1), gain, offset)[0])
        form = self.fixed_point
        if form is not None and gain is None and offset is None:
            return form.quantize(real)
        unit = 1 / self.scale
        slope = np.asarray(unit if gain is None else gain * unit, dtype=object)
        intercept = np.asarray(0 if offset is None else offset * unit, dtype=object)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            low, high = self._between(real, slope, intercept)
        unsure = np.asarray(low != high)  # NaN, of an infinity, is unsure
        low[unsure] = 0
        whole = low.astype(np.int64)
        if not self._clips:
            whole = self.fit(whole)
        if unsure.any():
            exact = self.fit(self._exactly(real, slope, intercept, unsure))
            whole = whole if exact.dtype != object else whole.astype(object)
            whole[unsure] = exact
        return whole

    def _between(
        self, real: NDArray[np.float64], slope: NDArray[Any], intercept: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Round both ends of an interval in which the true value lies."""
        a, b = slope.astype(np.float64), intercept.astype(np.float64)
        value = real * a
        doubt = (np.abs(value) + np.abs(b)) * _DOUBT
        if not turns_at_halves(self.rounding):
            doubt += (real != 0) * _TINY  # the product may have vanished
        value += b
        if self.rounding not in INDIFFERENT:
            value += self.zero_point
            doubt += abs(self.zero_point) * _DOUBT
        ends = []
        for end in (value - doubt, value + doubt):
            rounded = FLOAT_ROUNDING[self.rounding](end, out=end)
            if self.rounding not in INDIFFERENT:
                rounded -= self.zero_point
            if self._clips:
                np.clip(rounded, self.low, self.high, out=rounded)
            ends.append(rounded)
        return ends[0], ends[1]

    @property
    def _clips(self) -> bool:
        """Whether limits can be applied in float64."""
        fits = max(-self.low, self.high) <= _FLOAT64_SAFE
        return fits and self.overflow is not Overflow.WRAP

    def _exactly(
        self,
        real: NDArray[np.float64],
        slope: NDArray[Any],
        intercept: NDArray[Any],
        where: NDArray[np.bool_],
    ) -> IntArray:
        """Round some elements in Python integers."""
        if slope.size == intercept.size == 1:  # often the same few
            few, places = np.unique(real[where], return_inverse=True)
            one = (slope.reshape(()), intercept.reshape(()))
            return self._exactly_each(few, *one)[places]
        constants = (np.broadcast_to(a, real.shape)[where] for a in (slope, intercept))
        return self._exactly_each(real[where], *constants)

    def _exactly_each(
        self, real: NDArray[np.float64], slope: NDArray[Any], intercept: NDArray[Any]
    ) -> IntArray:
        p, q, r, s = (
            np.frompyfunc(part, 1, 1)(constant)
            for constant in (slope, intercept)
            for part in (_numerator, _denominator)
        )
        mantissas, exponents = np.frexp(real)
        whole = np.ldexp(mantissas, 53).astype(np.int64).astype(object)
        power = exponents.astype(object) - 53
        down, up = np.maximum(-power, 0), np.maximum(power, 0)
        # whole · 2**power · p / q + r / s as one fraction
        return self._round(whole, p * s << up, r * q << down, q * s << down)

    def _round(
        self,
        integers: IntArray,
        factor: Any,
        offset: Any,
        divisor: Any,
    ) -> IntArray:
        """Round ``(integers * factor + offset) / divisor``; see ``zero_point``."""
        shift = offset + self.zero_point * divisor
        x = _wide_enough(integers, factor, shift)
        rounded = divide(x * factor + shift, divisor, self.rounding)
        return rounded - self.zero_point if self.zero_point else rounded


def _numerator(value: Fraction | int) -> int:
    return value.numerator


def _denominator(value: Fraction | int) -> int:
    return value.denominator


def _wide_enough(x: IntArray, factor: Any, offset: Any) -> IntArray:
    if x.dtype == object or not x.size:
        return x
    top = max(-int(x.min()), int(x.max()), 1) * abs(factor) + abs(offset)
    return x.astype(object) if 2 * top >= _INT64_SAFE else x


def common_scale(*scales: Fraction) -> Fraction:
    """Find the coarsest grid on which all the grids lie.

    Args:
        scales: Positive rationals.

    Returns:
        Their greatest common divisor.

    >>> common_scale(Fraction(1, 4), Fraction(1, 32), Fraction(3, 16))
    Fraction(1, 32)
    """
    numerator, denominator = 0, 1
    for s in set(scales):
        lcm = math.lcm(denominator, s.denominator)
        numerator = math.gcd(
            numerator * (lcm // denominator), s.numerator * (lcm // s.denominator)
        )
        denominator = lcm
    return Fraction(numerator, denominator)
