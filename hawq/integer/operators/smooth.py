"""Smooth functions become tables, correctly rounded, where a quantizer follows."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np

from hawq.errors import NetworkError
from hawq.fixed import IntArray, as_integers
from hawq.integer.grid import Grid
from hawq.integer.operation import Lowering, Operation, Smooth
from hawq.integer.tensor import Tensor

MAX_ENTRIES = 2**16
"""Entries of the largest table."""

_DIGITS = 60
"""Decimal digits: a tie of a transcendental value cannot come this close."""


def lower_smooth(state: Lowering, op: Operation, function: str) -> None:
    """Remember a smooth function until a quantizer makes it a table.

    Args:
        state: What has been lowered.
        op: The operation.
        function: ``Sigmoid`` or ``Tanh``.
    """
    op.data(0)
    state.values[op.output] = Smooth(function, op.names[0])


def table_entries(
    op: Operation, function: str, x: Tensor, grid: Grid
) -> tuple[int, IntArray]:
    """Evaluate a function at every integer of a tensor, correctly rounded.

    Args:
        op: The quantizer, for messages.
        function: ``Sigmoid`` or ``Tanh``.
        x: What the function is of.
        grid: What its values are rounded to.

    Returns:
        The first integer, and the entries from there on.

    Raises:
        NetworkError: if the table would have more than ``MAX_ENTRIES`` entries.
    """
    count = x.high - x.low + 1
    if count > MAX_ENTRIES:
        raise NetworkError(
            f"{op.label}: a table of {function} over {x.name!r} has {count} entries, "
            f"expected at most {MAX_ENTRIES}: quantize {x.name!r} to fewer bits"
        )
    entries = np.empty(count, dtype=object)
    with localcontext() as context:
        context.prec = _DIGITS
        for i in range(count):
            argument = (x.low + i) * x.scale
            value = Fraction(_FUNCTIONS[function](_decimal(argument)))
            whole = np.array([value.numerator], dtype=object)
            entries[i] = grid.requantize(whole, Fraction(1, value.denominator))[0]
    return x.low, as_integers(entries)


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def _sigmoid(x: Decimal) -> Decimal:
    if not x:
        return Decimal("0.5")
    small = (-abs(x)).exp()
    return 1 / (1 + small) if x > 0 else small / (1 + small)


def _tanh(x: Decimal) -> Decimal:
    if not x:
        return Decimal(0)
    small = (-2 * abs(x)).exp()
    value = (1 - small) / (1 + small)
    return value if x > 0 else -value


_FUNCTIONS: dict[str, Callable[[Decimal], Decimal]] = {
    "Sigmoid": _sigmoid,
    "Tanh": _tanh,
}
