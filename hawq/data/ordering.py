"""A stable order of keys, written out: NumPy's in numba takes seconds to compile."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hawq.data.compiled import compiled

Key = TypeVar("Key", np.int64, np.float64)


@compiled
def stable_order(keys: NDArray[Key]) -> NDArray[np.int64]:
    """Order keys by merging runs; equal keys keep their order.

    Args:
        keys: Shape (count,).

    Returns:
        Indices that sort the keys, shape (count,).
    """
    count = keys.size
    order = np.arange(count)
    other = np.empty(count, np.int64)
    run = 1
    while run < count:
        for begin in range(0, count, 2 * run):
            middle = min(begin + run, count)
            end = min(begin + 2 * run, count)
            left, right = begin, middle
            for place in range(begin, end):
                if left < middle and (
                    right == end or keys[order[left]] <= keys[order[right]]
                ):
                    other[place] = order[left]
                    left += 1
                else:
                    other[place] = order[right]
                    right += 1
        order, other = other, order
        run *= 2
    return order
