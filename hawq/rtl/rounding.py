"""Requantizers on wires: multiply, divide, round, fit; exact for the tensor's bounds.

Every rounding is ``floor((v + c) / d)``, where ``c`` depends on the mode, and in four
modes on the sign of ``v``. A power of two drops bits. Any other odd ``d`` becomes a
multiplication: with ``m = ceil(2**s / d)`` and ``e = m·d - 2**s``,

    floor(u·m / 2**s) = floor(u / d)   for all  0 <= u <= U

if and only if ``N·e < 2**s``, where ``N`` is the largest ``u <= U`` with
``u mod d = d - 1``; without such a ``u`` every quotient is 0 (Granlund and Montgomery,
PLDI 1994; Warren, Hacker's Delight, 10-9).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from hawq.fixed import Overflow, Rounding, smallest_width
from hawq.integer.nodes import Requantize
from hawq.integer.rounding import INDIFFERENT
from hawq.integer.tensor import Tensor

Wires = Any
"""alkaid's array of variables, shape of one sample."""


def reciprocal(divisor: int, top: int) -> tuple[int, int]:
    """Find the shortest multiplication and shift that divide.

    Args:
        divisor: Odd, 3 or more.
        top: The largest dividend; the smallest is 0.

    Returns:
        ``m`` and ``s`` with ``u * m >> s == u // divisor`` for all u from 0 to ``top``.

    >>> reciprocal(3, 10), reciprocal(7, 255)
    ((11, 5), (293, 11))
    """
    last = (top + 1) // divisor * divisor - 1
    if last < 0:
        return 0, 0
    shift = 0
    while True:
        m = -(-(1 << shift) // divisor)
        if last * (m * divisor - (1 << shift)) < 1 << shift:
            return m, shift
        shift += 1


@dataclass(frozen=True)
class Division:
    """How a requantizer rounds ``x * numerator / divisor``, for bounds of ``x``.

    Attributes:
        numerator: Of the ratio of scales.
        offset: Added to ``x * numerator``: the zero point, where it matters.
        divisor: Of the ratio of scales.
        rounding: The mode.
        low: The smallest ``x * numerator + offset``.
        high: The largest.
    """

    numerator: int
    offset: int
    divisor: int
    rounding: Rounding
    low: int
    high: int

    @classmethod
    def of(cls, node: Requantize, x: Tensor) -> Division:
        """Read a node.

        Args:
            node: The requantizer.
            x: What it reads.

        Returns:
            The division.
        """
        grid = node.grid
        ratio: Fraction = x.scale / grid.scale
        n, d = ratio.numerator, ratio.denominator
        zero = grid.zero_point if grid.rounding not in INDIFFERENT and d > 1 else 0
        if grid.rounding is Rounding.HALF_EVEN:
            zero %= 2
        offset = zero * d
        ends = (x.low * n + offset, x.high * n + offset)
        return cls(n, offset, d, grid.rounding, *ends)

    @property
    def added(self) -> tuple[int, int]:
        """What is added before the floor: to ``v`` of 0 or more, and to others."""
        d = self.divisor
        up, down = d // 2, (d - 1) // 2
        return {
            Rounding.FLOOR: (0, 0),
            Rounding.CEIL: (d - 1, d - 1),
            Rounding.TOWARD_ZERO: (0, d - 1),
            Rounding.AWAY: (d - 1, 0),
            Rounding.HALF_UP: (up, up),
            Rounding.HALF_DOWN: (down, down),
            Rounding.HALF_AWAY: (up, down),
            Rounding.HALF_ZERO: (down, up),
            Rounding.HALF_EVEN: (up, up),
        }[self.rounding]

    @property
    def odd(self) -> int:
        """The divisor without its powers of two."""
        return self.divisor // (self.divisor & -self.divisor)

    @property
    def lift(self) -> int:
        """Multiples of ``odd`` that make every dividend positive.

        With an even numerator the smallest that also makes the sum of all constants a
        multiple of its power of two: alkaid multiplies a constant that is finer than
        the variable it stands with in float32.
        """
        low = self.low // (self.divisor // self.odd)
        least = max(0, -(low // self.odd))
        step = self.numerator & -self.numerator
        constant = self.offset + self.added[0] + least * self.odd
        return least + -constant * pow(self.odd, -1, step) % step

    @property
    def factor(self) -> tuple[int, int]:
        """``m`` and ``s`` that divide by ``odd``; 1 and 0 for a power of two."""
        if self.odd == 1:
            return 1, 0
        return reciprocal(self.odd, self._top)

    @property
    def _top(self) -> int:
        high = (self.high + max(self.added)) // (self.divisor // self.odd)
        return max(0, high) + self.lift * self.odd

    @property
    def constants(self) -> tuple[int, ...]:
        """Numbers that the logic adds and multiplies by."""
        m, _ = self.factor
        return (self.numerator, self.offset, *self.added, m, self.lift * self.odd)

    @property
    def bits(self) -> int:
        """Of the widest product."""
        m, _ = self.factor
        ends = (self.low, self.high + max(self.added), self._top * m)
        return max(end.bit_length() for end in ends) + 1


def requantize(node: Requantize, x: Tensor, wires: Wires) -> Wires:
    """Build a requantizer.

    Args:
        node: What to build.
        x: The tensor it reads.
        wires: Its variables.

    Returns:
        Those of the output.
    """
    grid, division = node.grid, Division.of(node, x)
    y = wires * float(division.numerator)
    if division.divisor > 1:
        y = _divided(y + float(division.offset), division)
        y = y - float(division.offset // division.divisor)
    if grid.overflow is Overflow.WRAP:
        signed = grid.low < 0
        bits = (grid.high - grid.low + 1).bit_length() - 1 - int(signed)
        return y.quantize(signed, bits, 0, "WRAP", "TRN")
    return _saturated(y, grid.low, grid.high)


def _saturated(y: Wires, low: int, high: int) -> Wires:
    """Saturate; at powers of two by looking at bits instead of comparing."""
    if low == 0 and high & (high + 1) == 0:
        return _each(np.maximum(y, 0.0), lambda v: _below_power(v, high))
    if low == -high - 1 and high & (high + 1) == 0:
        return _each(y, lambda v: _between_powers(v, high))
    return np.minimum(np.maximum(y, float(low)), float(high))


def _each(y: Wires, function: Callable[[Any], Any]) -> Wires:
    found = np.empty(y.shape, dtype=object)
    for index, variable in np.ndenumerate(np.asarray(y)):
        found[index] = function(variable)
    return type(y)(found, y.solver_options, y.hwconf)


def _below_power(v: Any, high: int) -> Any:
    """Give ``min(v, high)`` of ``v >= 0``; any higher bit sets all lower ones."""
    if v.high <= high:
        return v
    bits = high.bit_length()
    over = v.quantize(False, int(v.kif[1]), -bits).unary_bit_op("any")
    return over.msb_mux(float(high), v.quantize(False, bits, 0))


def _between_powers(v: Any, high: int) -> Any:
    """Saturate at ``-high - 1`` and ``high``, where higher bits are not all alike."""
    low = -high - 1
    if low <= v.low and v.high <= high:
        return v
    if v.low >= 0:
        return _below_power(v, high)
    bits = high.bit_length()
    upper = v.quantize(True, int(v.kif[1]), -bits)
    over = upper.unary_bit_op("any") & ~upper.unary_bit_op("all")
    end = v.msb_mux(float(low), float(high))
    return over.msb_mux(end, v.quantize(True, bits, 0))


def _divided(v: Wires, division: Division) -> Wires:
    if division.rounding is Rounding.HALF_EVEN and division.divisor % 2 == 0:
        return _half_even(v, division)
    zero_up, below = division.added
    if zero_up != below:
        v = v + np.signbit(v) * float(below - zero_up)
    return _floor(v + float(zero_up), division)


def _half_even(v: Wires, division: Division) -> Wires:
    d = division.divisor
    if division.odd == 1:
        return (v * (1.0 / d)).quantize(
            True, _whole_bits(division), 0, "WRAP", "RND_CONV"
        )
    raised = v + float(d // 2)
    up = _floor(raised, division)
    tie = raised - up * float(d) < 1.0  # the remainder is 0 or more
    is_odd = up.quantize(False, 1, 0, "WRAP", "TRN")
    return up - (tie & is_odd)


def _floor(u: Wires, division: Division) -> Wires:
    """Give ``floor(u / divisor)``; a floor of a floor is the floor of both."""
    odd = division.odd
    halves = division.divisor // odd
    bits = _whole_bits(division)
    if halves > 1:
        u = (u * (1.0 / halves)).quantize(True, bits, 0, "WRAP", "TRN")
    if odd == 1:
        return u
    m, shift = division.factor
    product = (u + float(division.lift * odd)) * float(m)
    quotient = (product * 2.0**-shift).quantize(
        False, (division._top // odd).bit_length() + 1, 0, "WRAP", "TRN"
    )
    return quotient - float(division.lift)


def _whole_bits(division: Division) -> int:
    """Bits left of the point, without the sign, of anything that is rounded."""
    low, high = division.low, division.high + max(division.added)
    return smallest_width(low, high)[1] + 1
