"""How integers move to another grid: shift, multiplication, division or search.

A requantizer that saturates is a staircase. Its steps are known exactly, so that a
multiplication and a shift are taken where they climb every step at the right integer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from hawq.emulator.integers import INT32, INT64, IntegerType, type_for
from hawq.errors import NetworkError
from hawq.fixed import Overflow, Rounding, power_of_two_exponent
from hawq.integer.grid import Grid

MAX_STEPS = 2**16


class Method(StrEnum):
    """The C++ function that does it."""

    SHIFT = "shifted"
    MULTIPLY = "scaled"
    DIVIDE = "divided"
    SEARCH = "stepped"


@dataclass(frozen=True)
class Rescale:
    """A requantizer in C++.

    Attributes:
        method: Which function.
        kind: The type it computes in.
        limits: The integers beyond which nothing changes.
        fit: ``none``, ``saturate`` or ``wrap``.
        numbers: Factor and shift; multiplier, offset and shift; factor and divisor; or
            the lowest level and the steps.
    """

    method: Method
    kind: IntegerType
    limits: tuple[int, int]
    fit: str
    numbers: tuple[int, ...]


def plan_rescale(low: int, high: int, ratio: Fraction, grid: Grid) -> Rescale:
    """Choose a method.

    Args:
        low: The smallest integer.
        high: The largest integer.
        ratio: What one integer is worth, in integers of the grid.
        grid: Where to.

    Returns:
        The cheapest that is exact.

    Raises:
        NetworkError: if none is; the caller says for which tensor.
    """
    stairs = Staircase(ratio, grid)
    limits = stairs.limits(low, high)
    ends = tuple(stairs.level(n) for n in limits)
    inside = grid.low <= ends[0] and ends[1] <= grid.high
    fit = "none" if inside else _fit(grid)
    shift = power_of_two_exponent(Fraction(1, ratio.denominator))
    numerator, denominator = ratio.numerator, ratio.denominator
    reach = max(map(abs, limits)) * numerator + (abs(grid.zero_point) + 1) * denominator
    needed = (2 * reach, 2 * grid.low, 2 * grid.high, ends[0], ends[1])
    if shift is not None and max(map(abs, needed)) <= INT64.reach:
        kind = type_for(*needed)
        return Rescale(Method.SHIFT, kind, limits, fit, (numerator, -shift))
    steps = None
    if grid.overflow is not Overflow.WRAP and ends[1] - ends[0] <= MAX_STEPS:
        levels = range(max(ends[0], grid.low), min(ends[1], grid.high) + 1)
        steps = {k: stairs.step(k) for k in levels[1:]}
        for kind in (INT32, INT64):
            numbers = _multiplier(steps, limits, levels, ratio, kind)
            if numbers is not None:
                return Rescale(Method.MULTIPLY, kind, limits, fit, numbers)
    try:
        kind = type_for(*needed, least=INT32)
    except NetworkError:
        if steps is None:
            raise
        kind = type_for(grid.low, grid.high, least=INT32)
        base = min(max(ends[0], grid.low), grid.high)
        return Rescale(Method.SEARCH, kind, limits, fit, (base, *steps.values()))
    if shift is not None:
        return Rescale(Method.SHIFT, kind, limits, fit, (numerator, -shift))
    return Rescale(Method.DIVIDE, kind, limits, fit, (numerator, denominator))


def _fit(grid: Grid) -> str:
    return "wrap" if grid.overflow is Overflow.WRAP else "saturate"


@dataclass(frozen=True)
class Staircase:
    """The exact step function of a requantizer, before its grid ends.

    Attributes:
        ratio: What one integer is worth, in integers of the grid.
        grid: For rounding and zero point.
    """

    ratio: Fraction
    grid: Grid

    def step(self, level: int) -> int:
        """Find where a level begins.

        Args:
            level: An integer of the grid.

        Returns:
            The smallest integer that is rounded to ``level`` or more.
        """
        twice, reached = _boundary(level + self.grid.zero_point, self.grid.rounding)
        edge = Fraction(twice, 2) - self.grid.zero_point
        exact = edge / self.ratio
        whole, rest = divmod(exact.numerator, exact.denominator)
        return whole if reached and not rest else whole + 1

    def level(self, integer: int) -> int:
        """Round one integer.

        Args:
            integer: Any.

        Returns:
            Its level, whether or not the grid has it.
        """
        level = (integer * self.ratio).__floor__()
        return max(k for k in (level - 1, level, level + 1) if self.step(k) <= integer)

    def limits(self, low: int, high: int) -> tuple[int, int]:
        """Narrow a range to where the result changes.

        Args:
            low: The smallest integer.
            high: The largest integer.

        Returns:
            Two integers of the range: whatever lies beyond is rounded and fitted as
            they are.
        """
        if self.grid.overflow is Overflow.WRAP:
            return low, high
        least = self.step(self.grid.low + 1) - 1
        most = max(self.step(self.grid.high), least)
        return min(max(low, least), high), max(min(high, most), low)


def _boundary(level: int, rounding: Rounding) -> tuple[int, bool]:
    """Give twice the value at which rounding reaches a level, or from which."""
    half = 2 * level - 1
    match rounding:
        case Rounding.FLOOR:
            return 2 * level, True
        case Rounding.CEIL:
            return 2 * level - 2, False
        case Rounding.TOWARD_ZERO:
            return (2 * level, True) if level > 0 else (2 * level - 2, False)
        case Rounding.AWAY:
            return (2 * level - 2, False) if level > 0 else (2 * level, True)
        case Rounding.HALF_UP:
            return half, True
        case Rounding.HALF_DOWN:
            return half, False
        case Rounding.HALF_AWAY:
            return half, half > 0
        case Rounding.HALF_ZERO:
            return half, half < 0
        case Rounding.HALF_EVEN:
            return half, level % 2 == 0


def _multiplier(
    steps: dict[int, int],
    limits: tuple[int, int],
    levels: range,
    ratio: Fraction,
    kind: IntegerType,
) -> tuple[int, int, int] | None:
    """Find multiplier, offset and shift that climb every step where it is."""
    room = kind.reach // 4
    reach = max(*map(abs, limits), 1)
    shift = (Fraction(room) / (reach * ratio)).__floor__().bit_length() - 1
    shift = min(shift, 8 * kind.bytes - 2)
    if shift < 0 or not levels:
        return None
    multiplier = round(ratio * 2**shift)
    lowest = (levels[0] << shift) - limits[0] * multiplier
    highest = ((levels[-1] + 1) << shift) - 1 - limits[1] * multiplier
    for level, step in steps.items():
        edge = level << shift
        lowest = max(lowest, edge - step * multiplier)
        highest = min(highest, edge - 1 - (step - 1) * multiplier)
    offset = (lowest + highest) // 2
    if lowest > highest or reach * multiplier + abs(offset) > kind.reach:
        return None
    return multiplier, offset, shift
