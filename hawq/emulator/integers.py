"""C++ integer types, and how their values are spelt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hawq.errors import NetworkError

MAX_BITS = 126
"""Of a sign and a magnitude: room is left to add two of them."""


@dataclass(frozen=True)
class IntegerType:
    """A C++ integer type.

    Attributes:
        name: As C++ spells it.
        bytes: Its size.
        reach: The largest magnitude that may stand in it.
    """

    name: str
    bytes: int
    reach: int

    def literal(self, value: int) -> str:
        """Spell a value.

        Args:
            value: Fits the type.

        Returns:
            A C++ expression.

        >>> INT32.literal(-5), INT128.literal(2**64 + 1)
        ('-5', 'wide(1, 1ull)')
        """
        if -(2**31) < value < 2**31:
            return str(value)
        if -(2**63) < value < 2**63:
            return f"INT64_C({value})"
        if value == -(2**63):
            return "INT64_MIN"
        return f"wide({value >> 64}, {value & (2**64 - 1)}ull)"

    @property
    def ends(self) -> tuple[int, int]:
        """The lowest and highest value a variable of the type is given."""
        return -self.reach, self.reach


INT16 = IntegerType("int16_t", 2, 2**15 - 1)
INT32 = IntegerType("int32_t", 4, 2**31 - 1)
INT64 = IntegerType("int64_t", 8, 2**63 - 1)
INT128 = IntegerType("int128", 16, 2**MAX_BITS - 1)
TYPES = (INT16, INT32, INT64, INT128)


def type_for(*values: int, least: IntegerType = INT16) -> IntegerType:
    """Find the narrowest type for values of both signs.

    Args:
        *values: Every magnitude up to the largest of theirs must fit.
        least: The narrowest type to take.

    Returns:
        The type.

    Raises:
        NetworkError: if there is none; the caller says for which tensor.
    """
    reach = max(map(abs, values))
    for kind in TYPES:
        if kind.bytes >= least.bytes and reach <= kind.reach:
            return kind
    raise NetworkError(
        f"integers of {reach.bit_length() + 1} bits, expected at most {MAX_BITS + 1}"
    )


def stored_type(low: int, high: int) -> IntegerType:
    """Find the narrowest type that holds a range.

    Args:
        low: Smallest integer.
        high: Largest integer.

    Returns:
        The type.
    """
    return type_for(-low - 1 if low < 0 else 0, high)


def words(low: int, high: int) -> int:
    """Count the 64-bit words of an integer that is handed out.

    Args:
        low: Smallest integer.
        high: Largest integer.

    Returns:
        1, or 2 if int64 is too short.
    """
    return 1 if low >= -(2**63) and high < 2**63 else 2


def spelt_values(kind: IntegerType, values: Iterable[int]) -> str:
    """Spell the values of a table.

    Args:
        kind: Their type.
        values: At least one.

    Returns:
        What stands between the braces.
    """
    return ", ".join(kind.literal(int(v)) for v in values)
