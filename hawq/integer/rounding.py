"""Rounding modes on floats, which carry integers and fractions of them exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.fixed import Rounding


def _half_up(v: NDArray[Any], out: NDArray[Any]) -> Any:
    return np.floor(np.add(v, 0.5, out=out), out=out)


def _half_down(v: NDArray[Any], out: NDArray[Any]) -> Any:
    return np.ceil(np.subtract(v, 0.5, out=out), out=out)


def _half_away(v: NDArray[Any], out: NDArray[Any]) -> Any:
    return np.copysign(np.floor(np.abs(v) + 0.5), v, out=out)


def _half_zero(v: NDArray[Any], out: NDArray[Any]) -> Any:
    return np.copysign(np.ceil(np.abs(v) - 0.5), v, out=out)


def _away(v: NDArray[Any], out: NDArray[Any]) -> Any:
    return np.copysign(np.ceil(np.abs(v)), v, out=out)


FLOAT_ROUNDING: dict[Rounding, Callable[..., Any]] = {
    Rounding.HALF_EVEN: np.rint,
    Rounding.HALF_UP: _half_up,
    Rounding.HALF_DOWN: _half_down,
    Rounding.HALF_AWAY: _half_away,
    Rounding.HALF_ZERO: _half_zero,
    Rounding.FLOOR: np.floor,
    Rounding.CEIL: np.ceil,
    Rounding.TOWARD_ZERO: np.trunc,
    Rounding.AWAY: _away,
}
"""Functions of (values, out); exact where the float has room for a half more."""

INDIFFERENT = (
    Rounding.FLOOR,
    Rounding.CEIL,
    Rounding.HALF_UP,
    Rounding.HALF_DOWN,
)
"""Modes that treat all integers alike, even or odd, on either side of zero."""


def turns_at_halves(rounding: Rounding) -> bool:
    """Tell where a mode's result changes.

    Args:
        rounding: The mode.

    Returns:
        Whether half way between integers, else at integers.
    """
    return rounding.value.startswith("half")
