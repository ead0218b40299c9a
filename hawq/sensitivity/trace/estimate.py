"""What every estimator of a trace takes and gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Product: TypeAlias = Callable[[Floats], Floats]
"""A symmetric matrix times vectors: rows in, rows out, shape (vectors, dimension)."""


@dataclass(frozen=True)
class Estimate:
    """A trace and how well it is known.

    Attributes:
        trace: Its estimate.
        error: One standard error, estimated from the same probes.
        diagonal: Unbiased estimate, shape (dimension,), where the method gives one.
    """

    trace: float
    error: float
    diagonal: Floats | None = None


Estimator: TypeAlias = Callable[[Product, int, int, np.random.Generator], Estimate]
"""(product, dimension, products to spend, generator) → estimate."""


def rademacher(generator: np.random.Generator, vectors: int, dimension: int) -> Floats:
    """Draw vectors of signs.

    Args:
        generator: Of the bits.
        vectors: How many.
        dimension: Of each.

    Returns:
        +1 or -1, shape (vectors, dimension).
    """
    bits = generator.integers(0, 2, (vectors, dimension), dtype=np.int8)
    return bits.astype(np.float64) * 2 - 1
