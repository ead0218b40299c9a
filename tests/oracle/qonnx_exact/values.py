"""What flows through a file: plain numbers of the file, and exact rationals.

An array of dtype object holds Fractions: data, and everything a quantizer made. All
others are constants of the file, on which its operators compute in the file's types.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Attributes = dict[str, Any]


def exact(values: Any) -> Array:
    """Give every number as the Fraction it is."""
    array = np.asarray(values)
    if array.dtype == object:
        return array
    out = np.empty(array.size, dtype=object)
    out[:] = [Fraction(v) for v in array.ravel().tolist()]
    return out.reshape(array.shape)


def alike(arrays: Sequence[Array | None]) -> list[Array]:
    """Drop absent inputs; make all exact if one is."""
    given = [a for a in arrays if a is not None]
    return [exact(a) for a in given] if any(a.dtype == object for a in given) else given


def whole_numbers(values: Array) -> list[int]:
    return [int(v) for v in np.asarray(values).ravel()]


def scalar(values: Array) -> Any:
    return np.asarray(values).reshape(()).item()


def each(function: Any, *arrays: Array) -> Array:
    """Apply a function of Fractions to the elements of arrays that broadcast."""
    return np.asarray(np.frompyfunc(function, len(arrays), 1)(*arrays), dtype=object)
