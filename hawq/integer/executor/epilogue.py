"""What follows a sum of products, in floats: affine map, bend, rounding, clip.

Where a float is exact at every step, the result is. Where it is not, as with scales
that are no power of two, both ends of an interval around the float are rounded: the
true value lies between. If the ends differ, the element is done in Python integers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.fixed import IntArray, power_of_two_exponent
from hawq.integer.executor.normal_form import NormalForm
from hawq.integer.rounding import FLOAT_ROUNDING, turns_at_halves

EXACT_UP_TO = {"float32": 2**24, "float64": 2**53, "int64": 2**62}
"""Carrier → magnitude up to which sums, products and shifts of integers are exact.

``object`` (Python integers) has no limit.
"""

MAX_SHIFT = 60
"""Binary places a float may shift: far from float32's smallest normal number."""

RELATIVE_ERROR = 2.0**-49
"""Relative error of ``x * a + b`` in float64 with rounded constants, eight times over.

Each of the two constants, the product, the sum and the bend errs by 2**-53 at most.
"""

HUGE = 2**400

Operation = tuple[Callable[..., Any], tuple[Any, ...]]


def bend(v: NDArray[Any], slope: float, out: NDArray[Any]) -> NDArray[Any]:
    """Multiply what is negative.

    Args:
        v: Floats.
        slope: Not negative.
        out: Where results go; may be ``v``.

    Returns:
        ``out``.
    """
    steeper = np.minimum if slope > 1 else np.maximum
    return np.asarray(steeper(v, v * v.dtype.type(slope), out=out))


@dataclass(frozen=True, eq=False)
class Filter:
    """Where a float64 may round to the wrong integer, and what is right there.

    Attributes:
        doubt: Bound on the error, shape of the operations' columns.
        relative: Whether an error in proportion to the value is added, so that a zero
            has none.
        form: The exact form.
        factor: Of ``form``, as a column.
        offset: Of ``form``, as a column.
    """

    doubt: NDArray[np.float64]
    relative: bool
    form: NormalForm
    factor: IntArray
    offset: IntArray


@dataclass(frozen=True, eq=False)
class Epilogue:
    """Element by element from sums to results.

    Attributes:
        carrier: The float that computes.
        before: Functions of (x, arguments, out), up to the rounding.
        after: The rounding and what follows.
        filter: None where ``carrier`` is exact.
    """

    carrier: str
    before: tuple[Operation, ...] = ()
    after: tuple[Operation, ...] = ()
    filter: Filter | None = None

    def run(self, x: NDArray[Any], out: NDArray[Any]) -> None:
        """Compute a block.

        Args:
            x: Sums; left as they are unless they are ``out``.
            out: Where results go, same shape.
        """
        if x.dtype.kind != "f":
            x = x.astype(self.carrier)
        mine = out.dtype == self.carrier and self.filter is None
        v = out if mine else np.empty_like(x, self.carrier)
        y = _apply(self.before, x, v)
        y = self._filtered(x, y) if self.filter else _apply(self.after, y, v)
        if y is not out:
            np.copyto(out, y, casting="same_kind")

    def _filtered(self, x: NDArray[Any], v: NDArray[Any]) -> NDArray[Any]:
        assert self.filter is not None
        doubt: NDArray[Any] = self.filter.doubt
        if self.filter.relative:
            doubt = np.abs(v) * RELATIVE_ERROR + doubt
        low, unsure = decide(v, doubt, self.after)
        if unsure.any():
            factor, offset = (
                np.broadcast_to(a, x.shape)[unsure]
                for a in (self.filter.factor, self.filter.offset)
            )
            sums = x[unsure].astype(np.int64).astype(object)
            low[unsure] = self.filter.form.exact(sums, factor, offset)
        return low


def decide(
    v: NDArray[np.float64], doubt: NDArray[np.float64], after: tuple[Operation, ...]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Round both ends of an interval.

    Args:
        v: Its middle; written over.
        doubt: Half its length.
        after: The rounding and what follows.

    Returns:
        The results of the low ends, and where those of the high ends differ.
    """
    high = v + doubt
    high = _apply(after, high, high)
    low = _apply(after, np.subtract(v, doubt, out=v), v)
    return low, np.asarray(low != high)


def _apply(
    operations: tuple[Operation, ...], x: NDArray[Any], out: NDArray[Any]
) -> NDArray[Any]:
    for function, arguments in operations:
        x = function(x, *arguments, out=out)
    return x


def exact_epilogue(
    form: NormalForm, reach: int, carrier: str, rank: int
) -> Epilogue | None:
    """Write a form in floats that are exact.

    Args:
        form: The form.
        reach: Bound on every number on the way, in units of ``1 / divisor``.
        carrier: ``float32`` or ``float64``.
        rank: Axes of ``x`` without the samples.

    Returns:
        The epilogue, or None if the float is not exact.
    """
    shift = power_of_two_exponent(form.divisor)
    slope = power_of_two_exponent(form.slope.denominator)
    room = reach if shift is not None else 8 * reach  # division rounds once more
    if slope is None or room > EXACT_UP_TO[carrier]:
        return None
    if shift is not None and shift > MAX_SHIFT:
        return None
    unit = 1.0 if shift is None else 2.0**-shift
    before: list[Operation] = []
    factor, offset = (
        column(a, rank, carrier) * np.dtype(carrier).type(unit)
        for a in (form.factor, form.offset)
    )
    if (factor != 1).any():
        before.append((np.multiply, (factor,)))
    if offset.any():
        before.append((np.add, (offset,)))
    if form.slope != 1:
        before.append((bend, (float(form.slope),)))
    if shift is None:
        before.append((np.divide, (float(form.divisor),)))
    return Epilogue(carrier, tuple(before), after_affine(form))


def filtered_epilogue(form: NormalForm, largest: int, rank: int) -> Epilogue | None:
    """Write a form in float64 that tells where it may be wrong.

    Args:
        form: The form.
        largest: Bound on the magnitude of ``x``, at most 2**53.
        rank: Axes of ``x`` without the samples.

    Returns:
        The epilogue, or None if too much would be in doubt.
    """
    if form.rounding is None or form.reach(largest) // form.divisor >= HUGE:
        return None
    factor, offset = (column(a, rank, "object") for a in (form.factor, form.offset))
    a, b = ((c / form.divisor).astype(np.float64) for c in (factor, offset))
    low = form.bottom if form.low is None else form.low
    high = form.top if form.high is None else form.high
    reach = max(abs(low), abs(high))
    steep = max(1.0, float(form.slope))
    is_half = turns_at_halves(form.rounding)
    doubt = (steep * np.abs(b) + (reach + 2.0 if is_half else 0.0)) * RELATIVE_ERROR
    tiny = (a != 0) & (np.abs(a) < 1 / HUGE) | (factor != 0) & (a == 0)
    if tiny.any() or doubt.max() > 2.0**-3 or (reach + 2) * RELATIVE_ERROR > 2.0**-3:
        return None
    before: list[Operation] = [(np.multiply, (a,)), (np.add, (b,))]
    if form.slope != 1:
        before.append((bend, (float(form.slope),)))
    chosen = Filter(doubt, not is_half, form, factor, offset)
    return Epilogue("float64", tuple(before), after_affine(form), chosen)


def after_affine(form: NormalForm) -> tuple[Operation, ...]:
    """Write what follows the affine map and the bend.

    Args:
        form: The form.

    Returns:
        Functions of (x, arguments, out).
    """
    after: list[Operation] = []
    if form.rounding is not None:
        after.append((FLOAT_ROUNDING[form.rounding], ()))
    if form.lift:
        after.append((np.subtract, (float(form.lift),)))
    if form.low is not None or form.high is not None:
        low = -np.inf if form.low is None else float(form.low)
        high = np.inf if form.high is None else float(form.high)
        after.append((np.clip, (low, high)))
    return tuple(after)


def column(values: IntArray, rank: int, carrier: str) -> NDArray[Any]:
    """Give constants the axes of a sample, and one of the samples.

    Args:
        values: Integers.
        rank: Axes of a sample.
        carrier: Their number type.

    Returns:
        Shape (*shape that broadcasts to a sample, 1).
    """
    shape = (1,) * (rank - values.ndim) + values.shape + (1,)
    return values.reshape(shape).astype(carrier)
