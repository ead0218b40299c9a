"""Fixed point, defined once: the arithmetic contract.

A fixed-point format holds the integers of ``width`` bits, each worth ``2**-fraction``.
The semantics are those of the vendor's ``ap_fixed<W, I, Q, O>`` and of QONNX ``Quant``
with a power-of-two scale. Fake quantizers, the golden integer graph, the HLS types and
the fault injector all take rounding and overflow from here.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hawq.errors import DataError, FormatError

IntArray = NDArray[Any]
"""int64 (uint64 for unsigned 64-bit formats), or Python integers where it overflows."""

MAX_WIDTH = 64
_INT64_SAFE = 2**62


class Rounding(StrEnum):
    """Where a value between two representable ones goes."""

    HALF_EVEN = "half_even"
    HALF_UP = "half_up"
    HALF_DOWN = "half_down"
    HALF_AWAY = "half_away"
    HALF_ZERO = "half_zero"
    FLOOR = "floor"
    CEIL = "ceil"
    TOWARD_ZERO = "toward_zero"
    AWAY = "away"


class Overflow(StrEnum):
    """What happens to a value outside the range."""

    WRAP = "wrap"
    SATURATE = "saturate"
    SATURATE_SYMMETRIC = "saturate_symmetric"


AP_ROUNDING = {
    Rounding.HALF_EVEN: "RND_CONV",
    Rounding.HALF_UP: "RND",
    Rounding.HALF_DOWN: "RND_MIN_INF",
    Rounding.HALF_AWAY: "RND_INF",
    Rounding.HALF_ZERO: "RND_ZERO",
    Rounding.FLOOR: "TRN",
    Rounding.TOWARD_ZERO: "TRN_ZERO",
}
"""The ``ap_fixed`` quantization modes; rounding up and away from zero have none."""

AP_OVERFLOW = {
    Overflow.WRAP: "WRAP",
    Overflow.SATURATE: "SAT",
    Overflow.SATURATE_SYMMETRIC: "SAT_SYM",
}

_SPELLING = re.compile(
    r"(ap_)?(?P<unsigned>u)?fixed<(?P<width>\d+),(?P<integer>-?\d+)"
    r"(?P<modes>(,[A-Z_]+){0,2})(,0)?>"
)

QONNX_ROUNDING = {
    "ROUND": Rounding.HALF_EVEN,
    "HALF_EVEN": Rounding.HALF_EVEN,
    "HALF_UP": Rounding.HALF_AWAY,
    "HALF_DOWN": Rounding.HALF_ZERO,
    "CEIL": Rounding.CEIL,
    "FLOOR": Rounding.FLOOR,
    "UP": Rounding.AWAY,
    "DOWN": Rounding.TOWARD_ZERO,
}
"""QONNX ``rounding_mode`` strings, as its operator specification defines them."""


@dataclass(frozen=True)
class FixedPoint:
    """A fixed-point format, as in ``ap_fixed<width, integer, rounding, overflow>``.

    Attributes:
        signed: Two's complement if true.
        width: Bits in all, 1 to 64.
        integer: Bits left of the binary point, the sign included; may be negative or
            exceed ``width``.
        rounding: Applied when bits are dropped on the right.
        overflow: Applied when the value does not fit on the left.

    >>> FixedPoint(True, 8, 3).quantize([0.03, 0.046875, 9.0])
    array([  1,   2, 127])
    """

    signed: bool
    width: int
    integer: int
    rounding: Rounding = Rounding.HALF_EVEN
    overflow: Overflow = Overflow.SATURATE

    def __post_init__(self) -> None:
        if not 1 <= self.width <= MAX_WIDTH:
            raise FormatError(
                f"fixed-point width {self.width}: expected 1 to {MAX_WIDTH} bits"
            )
        symmetric = self.overflow is Overflow.SATURATE_SYMMETRIC
        if self.signed and symmetric and self.width == 1:
            raise FormatError(
                "fixed-point width 1, signed and symmetric, holds nothing but 0: use 2 "
                "bits or another overflow mode"
            )

    @classmethod
    def parse(cls, text: str) -> FixedPoint:
        """Read a format as hls4ml and Vitis spell it.

        Args:
            text: ``fixed<16,6>``, ``ap_ufixed<8,0,AP_TRN,AP_WRAP>`` and the like. Modes
                left out are ours, not theirs: half to even, and saturate.

        Returns:
            The format.

        Raises:
            FormatError: if it is not spelt so.

        >>> FixedPoint.parse("fixed<16,6>").ap_type()
        'fixed<16,6,RND_CONV,SAT,0>'
        """
        found = _SPELLING.fullmatch(text.replace(" ", ""))
        modes = (
            [m.removeprefix("AP_") for m in (found["modes"] or "").split(",") if m]
            if found
            else []
        )
        rounding = {spelt: mode for mode, spelt in AP_ROUNDING.items()}
        overflow = {spelt: mode for mode, spelt in AP_OVERFLOW.items()}
        known = (
            modes and modes[0] in rounding and (len(modes) < 2 or modes[1] in overflow)
        )
        if found is None or (modes and not known):
            raise FormatError(
                f"{text!r} is no fixed-point format: expected for example fixed<16,6> "
                "or ufixed<8,0,RND_CONV,SAT>"
            )
        return cls(
            not found["unsigned"],
            int(found["width"]),
            int(found["integer"]),
            rounding[modes[0]] if modes else Rounding.HALF_EVEN,
            overflow[modes[1]] if len(modes) > 1 else Overflow.SATURATE,
        )

    @property
    def fraction(self) -> int:
        """Bits right of the binary point: one step is ``2**-fraction``."""
        return self.width - self.integer

    @property
    def min(self) -> int:
        """The smallest integer; -(2**(w-1) - 1) if saturation is symmetric."""
        if not self.signed:
            return 0
        narrow = self.overflow is Overflow.SATURATE_SYMMETRIC
        return -(1 << (self.width - 1)) + int(narrow)

    @property
    def max(self) -> int:
        """The largest integer."""
        return (1 << (self.width - int(self.signed))) - 1

    @property
    def step(self) -> Fraction:
        """The value of the least significant bit."""
        return Fraction(2) ** -self.fraction

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy integer type that holds every integer of the format."""
        return np.dtype(np.int64 if self.max < 2**63 else np.uint64)

    def ap_type(self) -> str:
        """Spell the format as hls4ml does: ``fixed<8,3,RND_CONV,SAT,0>``.

        Returns:
            The type string.

        Raises:
            FormatError: if ``ap_fixed`` lacks the rounding mode.
        """
        if self.rounding not in AP_ROUNDING:
            raise FormatError(
                f"rounding {self.rounding.value} has no ap_fixed mode: choose one of "
                + ", ".join(sorted(AP_ROUNDING))
            )
        base = "fixed" if self.signed else "ufixed"
        modes = f"{AP_ROUNDING[self.rounding]},{AP_OVERFLOW[self.overflow]}"
        return f"{base}<{self.width},{self.integer},{modes},0>"

    def quantize(self, values: ArrayLike) -> IntArray:
        """Round real values to the integers of this format.

        Args:
            values: Floats of any shape; float64 and narrower are taken exactly.

        Returns:
            Integers of the same shape, worth ``2**-fraction`` each.

        Raises:
            DataError: if a value is NaN or infinite.
        """
        real = np.asarray(values, dtype=np.float64)
        if not np.isfinite(real).all():
            raise DataError(
                f"cannot quantize {np.count_nonzero(~np.isfinite(real))} values that "
                f"are NaN or infinite to {self}: clean the data first"
            )
        return self._fit(
            _round_real(_scale_by_power(real, self.fraction), self.rounding)
        )

    def requantize(self, integers: ArrayLike, fraction: int) -> IntArray:
        """Move integers from another binary point to this format.

        Args:
            integers: Integers worth ``2**-fraction`` each, any shape.
            fraction: Fraction bits of ``integers``.

        Returns:
            Integers of this format, same shape.
        """
        return self._fit(
            shift_right(as_integers(integers), fraction - self.fraction, self.rounding)
        )

    def dequantize(self, integers: ArrayLike) -> NDArray[np.float64]:
        """Give the real values of integers, as float64.

        Args:
            integers: Integers of this format.

        Returns:
            ``integers * 2**-fraction``; exact while the integers have 53 bits or fewer.
        """
        return np.ldexp(np.asarray(integers).astype(np.float64), -self.fraction)

    def _fit(self, integers: IntArray) -> IntArray:
        if self.overflow is not Overflow.WRAP:
            low, high = self.min, self.max
            if integers.dtype != object:
                high = min(high, int(np.iinfo(np.int64).max))
            clipped: IntArray = np.minimum(np.maximum(integers, low), high)
            return clipped.astype(self.dtype)
        if self.width >= MAX_WIDTH - 1:
            integers = integers.astype(object)
        wrapped = integers & ((1 << self.width) - 1)
        if self.signed:
            sign = 1 << (self.width - 1)
            wrapped = (wrapped ^ sign) - sign
        return np.asarray(wrapped).astype(self.dtype)


def as_integers(values: ArrayLike) -> IntArray:
    """Take an array as int64 where it fits, else as Python integers.

    Args:
        values: Integers (or whole floats) of any shape.

    Returns:
        int64, or object if a value does not fit in 63 bits.

    Raises:
        DataError: if a value is not whole.
    """
    array = np.asarray(values)
    if array.dtype.kind == "f":
        if not (np.isfinite(array).all() and (array == np.rint(array)).all()):
            raise DataError("expected integers, got values with a fraction")
        return _whole(array.astype(np.float64))
    if array.dtype.kind == "O" or (array.dtype == np.uint64):
        exact = array.astype(object)
        if any(not isinstance(value, int | np.integer) for value in exact.flat):
            raise DataError("expected integers, got objects of another type")
        small = not exact.size or max(-exact.min(), exact.max()) < _INT64_SAFE
        return exact.astype(np.int64) if small else exact
    return array.astype(np.int64)


def shift_right(integers: IntArray, shift: int, rounding: Rounding) -> IntArray:
    """Divide integers by ``2**shift`` and round.

    Args:
        integers: int64 or object.
        shift: Bits to drop; negative shifts left, exactly.
        rounding: Where the dropped bits send the value.

    Returns:
        Integers of the same shape; object where int64 could overflow.

    >>> shift_right(np.array([-3, -1, 1, 3, 5]), 1, Rounding.HALF_EVEN)
    array([-2,  0,  0,  2,  2])
    """
    x = _widen(integers, shift)
    if shift <= 0:
        return _narrow(x << -shift)
    q = x >> shift
    r = x - (q << shift)  # 0 <= r < 2**shift
    half = 1 << (shift - 1)
    return _narrow(q + _increments(rounding, x, q, r, half))


def divide(integers: IntArray, divisor: int, rounding: Rounding) -> IntArray:
    """Divide integers and round, once, on the exact quotient.

    Args:
        integers: int64 or object, one axis or more.
        divisor: 1 or more.
        rounding: Where the remainder sends the value.

    Returns:
        Integers of the same shape; object where int64 could overflow.

    >>> divide(np.array([-9, -3, 3, 8, 9]), 6, Rounding.HALF_EVEN)
    array([-2,  0,  0,  1,  2])
    """
    x = integers
    if x.dtype != object and divisor >= _INT64_SAFE // 2:
        x = x.astype(object)
    q = x // divisor
    r = x - q * divisor  # 0 <= r < divisor
    return _narrow(q + _increments(rounding, x, q, 2 * r, divisor))


def _widen(x: IntArray, shift: int) -> IntArray:
    if x.dtype == object or not x.size:
        return x
    top = max(-int(x.min()), int(x.max()))
    grown = top << max(0, -shift)
    return x if grown < _INT64_SAFE and shift < 62 else x.astype(object)


def _narrow(x: IntArray) -> IntArray:
    return as_integers(x) if x.dtype == object else x


def _increments(
    rounding: Rounding, x: IntArray, q: IntArray, r: IntArray, half: int
) -> IntArray:
    above, tie = r > half, r == half
    up: dict[Rounding, Any] = {
        Rounding.FLOOR: lambda: r < 0,
        Rounding.CEIL: lambda: r > 0,
        Rounding.TOWARD_ZERO: lambda: (r > 0) & (x < 0),
        Rounding.AWAY: lambda: (r > 0) & (x >= 0),
        Rounding.HALF_UP: lambda: above | tie,
        Rounding.HALF_DOWN: lambda: above,
        Rounding.HALF_AWAY: lambda: above | (tie & (x >= 0)),
        Rounding.HALF_ZERO: lambda: above | (tie & (x < 0)),
        Rounding.HALF_EVEN: lambda: above | (tie & ((q & 1) == 1)),
    }
    return np.asarray(up[rounding]()).astype(np.int64).astype(x.dtype)


def _scale_by_power(real: NDArray[np.float64], power: int) -> NDArray[np.float64]:
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.ldexp(real, power)
    # A value too small for float64 keeps its sign, which directed rounding needs; one
    # too large is a multiple of 2**900, so that any other saturates and wraps alike.
    lost = (scaled == 0) & (real != 0)
    scaled = np.where(lost, np.copysign(2.0**-1000, real), scaled)
    finite: NDArray[np.float64] = np.where(
        np.isinf(scaled), np.copysign(2.0**1000, real), scaled
    )
    return finite


def _round_real(x: NDArray[np.float64], rounding: Rounding) -> IntArray:
    if rounding is Rounding.HALF_EVEN:
        return _whole(np.rint(x))
    part, towards_zero = np.modf(x)  # exact, unlike x - floor(x)
    floor = towards_zero - (part < 0)
    middle = np.where(part < 0, -0.5, 0.5)
    quarters = np.where(part == 0, 0, np.sign(part - middle).astype(np.int64) + 2)
    whole = _whole(floor)
    extra = _increments(rounding, np.where(x < 0, -1, 0), whole, quarters, 2)
    rounded: IntArray = whole + extra.astype(whole.dtype)
    return rounded


def _whole(x: NDArray[np.float64]) -> IntArray:
    if not x.size or np.abs(x).max() < _INT64_SAFE:
        return x.astype(np.int64)
    exact = np.empty(x.shape, dtype=object)
    exact[...] = np.vectorize(int, otypes=[object])(x)
    return exact


def smallest_width(low: int, high: int) -> tuple[bool, int]:
    """Find the narrowest integer format that holds a range.

    Args:
        low: Smallest integer.
        high: Largest integer.

    Returns:
        Whether a sign is needed, and the width in bits (at least 1).

    >>> smallest_width(-129, 5), smallest_width(0, 255), smallest_width(-128, 127)
    ((True, 9), (False, 8), (True, 8))
    """
    if low >= 0:
        return False, max(1, high.bit_length())
    return True, max((-low - 1).bit_length(), max(high, 0).bit_length()) + 1


@functools.cache
def power_of_two_exponent(scale: Fraction) -> int | None:
    """Give ``e`` if ``scale == 2**e``, else None.

    Args:
        scale: A positive rational.

    Returns:
        The exponent, or None if the scale is not a power of two.

    >>> power_of_two_exponent(Fraction(1, 8)), power_of_two_exponent(Fraction(3, 8))
    (-3, None)
    """
    n, d = scale.numerator, scale.denominator
    if n <= 0 or n & (n - 1) or d & (d - 1):
        return None
    return n.bit_length() - d.bit_length()
