"""Samples for the inputs of a network: real numbers, checked and taken exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hawq.errors import DataError

Inputs = ArrayLike | Mapping[str, ArrayLike]


class Wanted(Protocol):
    """An input: its name, and the shape of one sample."""

    @property
    def name(self) -> str:
        """As in the file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""


def read_inputs(
    wanted: Sequence[Wanted], x: Inputs
) -> tuple[dict[str, NDArray[Any]], int]:
    """Take samples for every input.

    Args:
        wanted: The inputs.
        x: Shape (samples, *shape); with several inputs, by name.

    Returns:
        Input name → float32 or float64, and the number of samples.

    Raises:
        DataError: if one is missing, or its shape, type or number of samples is wrong.
    """
    given = x if isinstance(x, Mapping) else {wanted[0].name: x}
    arrays = {i.name: _input(i, given) for i in wanted}
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise DataError(f"inputs with different numbers of samples: {counts}")
    return arrays, next(iter(counts.values()))


def _input(wanted: Wanted, given: Mapping[str, ArrayLike]) -> NDArray[Any]:
    if wanted.name not in given:
        raise DataError(
            f"no data for input {wanted.name!r}, got data for: "
            + (", ".join(given) or "none")
        )
    array = np.asarray(given[wanted.name])
    if array.shape[1:] != wanted.shape or array.ndim == 0:
        expected = ", ".join(["samples", *map(str, wanted.shape)])
        raise DataError(
            f"input {wanted.name!r} got shape {array.shape}, expected ({expected})"
        )
    if array.dtype in (np.float32, np.float64):
        return array
    if array.dtype.kind in "fiub":
        real = array.astype(np.float64)
        if (real.astype(array.dtype) == array).all() or np.isnan(real).any():
            return real
    raise DataError(
        f"input {wanted.name!r} has type {array.dtype}, expected real numbers that "
        "float64 holds exactly"
    )


def require_finite(name: str, chunk: NDArray[Any], start: int = 0) -> None:
    """Refuse NaN and infinity.

    Args:
        name: Of the input.
        chunk: Shape (samples, *shape).
        start: Index of the first sample.

    Raises:
        DataError: if there is one; it names the first.
    """
    finite = np.isfinite(chunk)
    if not finite.all():
        sample, *index = (int(i) for i in np.argwhere(~finite)[0])
        raise DataError(
            f"input {name!r}: NaN or infinity in sample {start + sample} at index "
            f"{tuple(index)}: clean the data first"
        )
