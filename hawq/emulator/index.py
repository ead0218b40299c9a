"""Index arithmetic as C++: from an element of the output to one of an input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

OUTSIDE = -(2**40)
"""What a separable index adds for an element that is filled."""

Table = Callable[[NDArray[Any]], str]
"""Writes integers down and gives the name of their table."""


def broadcast_index(
    small: tuple[int, ...], shape: tuple[int, ...], table: Table
) -> str:
    """Spell which element of an array that broadcasts belongs to element ``e``.

    Args:
        small: Shape of the array.
        shape: It broadcasts to this shape.
        table: For shapes that no short expression describes.

    Returns:
        A C++ expression in ``e``.

    >>> broadcast_index((3, 1), (3, 5), table=str)
    'e / 5'
    >>> broadcast_index((5,), (3, 5), table=str)
    'e % 5'
    """
    small = (1,) * (len(shape) - len(small)) + small
    if small == shape:
        return "e"
    varying = [i for i, n in enumerate(small) if n > 1]
    if not varying:
        return "0"
    first, last = varying[0], varying[-1]
    if small[first : last + 1] != shape[first : last + 1]:
        elements = np.arange(int(np.prod(small))).reshape(small)
        return f"{table(np.broadcast_to(elements, shape).ravel())}[e]"
    inner = int(np.prod(shape[last + 1 :]))
    count = int(np.prod(shape[first : last + 1]))
    outer = int(np.prod(shape[:first]))
    return _digit(inner, count, outer)


def _digit(inner: int, count: int, outer: int) -> str:
    divided = "e" if inner == 1 else f"e / {inner}"
    return divided if outer == 1 else f"{divided} % {count}"


def gather_index(indices: NDArray[np.int64], table: Table) -> str:
    """Spell which element is picked for element ``e``; negative: the fill.

    Args:
        indices: Shape of the output; -1 for the fill.
        table: Writes integers down.

    Returns:
        A C++ expression in ``e`` of type int64_t.
    """
    parts = _separate(indices)
    if parts is None:
        return f"{table(indices.ravel())}[e]"
    shape, terms = indices.shape, []
    for axis, part in enumerate(parts):
        if part.size > 1:
            inner = int(np.prod(shape[axis + 1 :]))
            digit = _digit(inner, shape[axis], int(np.prod(shape[:axis])))
            terms.append(f"{table(part)}[{digit}]")
        elif part[0]:
            terms.append(f"INT64_C({part[0]})")
    return " + ".join(terms) or "INT64_C(0)"


def _separate(indices: NDArray[np.int64]) -> list[NDArray[np.int64]] | None:
    """Write indices as a sum of one table an axis, if they are one."""
    inside = np.argwhere(indices >= 0)
    if not inside.size or not indices.ndim:
        return None
    base = tuple(inside[0])
    origin = indices[base]
    parts = []
    for axis in range(indices.ndim):
        line = indices[(*base[:axis], slice(None), *base[axis + 1 :])]
        parts.append(np.where(line < 0, OUTSIDE, line - (origin if axis else 0)))
    total = np.zeros(indices.shape, dtype=np.int64)
    for axis, part in enumerate(parts):
        total += part.reshape(-1, *[1] * (indices.ndim - axis - 1))
    return parts if (np.where(total < 0, -1, total) == indices).all() else None
