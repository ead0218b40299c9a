"""A file as columns, whatever its format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hawq.errors import DataError

CHUNK_ROWS = 65_536

Columns: TypeAlias = list[NDArray[Any]]
"""One array of shape (rows,) a column: numbers, text or bytes."""


@dataclass(frozen=True)
class Table:
    """A file whose columns can be read a chunk at a time.

    Attributes:
        origin: The file, for messages.
        names: Of all columns.
        chunks: Reads the columns of these indices, in this order, as consecutive chunks
            of at most ``CHUNK_ROWS`` rows.
        is_named: Whether the file itself names its feature columns.
        label: Index of the column the file's layout makes the label, if it does.
        classes: What integer labels mean, if the file says so.
    """

    origin: str
    names: tuple[str, ...]
    chunks: Callable[[Sequence[int]], Iterator[Columns]]
    is_named: bool = True
    label: int | None = None
    classes: tuple[str, ...] = ()


def matrix_table(
    origin: str,
    x: Any,
    y: Any,
    features: Sequence[str] | None,
    classes: Sequence[str],
) -> Table:
    """Make a table of a feature matrix and its labels.

    Args:
        origin: The file, for messages.
        x: Array or HDF5 dataset of shape (samples, features).
        y: Labels of shape (samples,), or one-hot of shape (samples, classes).
        features: Names of ``x``'s columns, if the file has them.
        classes: What integer labels mean, if the file says so.

    Returns:
        The table; its last column is the label.

    Raises:
        DataError: if the shapes do not belong together.
    """
    if len(x.shape) != 2 or len(y.shape) not in {1, 2} or len(x) != len(y):
        raise DataError(
            f"{origin}: x has the shape {x.shape} and y {y.shape}: expected "
            "(samples, features) and (samples,) or one-hot (samples, classes)"
        )
    if features is not None and len(features) != x.shape[1]:
        raise DataError(
            f"{origin}: x has {x.shape[1]} columns but {len(features)} names"
        )
    labels = _labels_of_one_hot(origin, y[()]) if len(y.shape) == 2 else y

    def chunks(columns: Sequence[int]) -> Iterator[Columns]:
        for start in range(0, len(x), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            block, label = x[rows], labels[rows]
            yield [label if j == x.shape[1] else block[:, j] for j in columns]

    names = features or tuple(f"column {j}" for j in range(x.shape[1]))
    return Table(
        origin,
        (*names, "y"),
        chunks,
        is_named=features is not None,
        label=x.shape[1],
        classes=tuple(classes),
    )


def _labels_of_one_hot(origin: str, y: NDArray[Any]) -> NDArray[np.int64]:
    wrong = np.flatnonzero(((y != 0).sum(axis=1) != 1) | (y.sum(axis=1) != 1))
    if wrong.size:
        raise DataError(
            f"{origin}: row {wrong[0]} of y is {y[wrong[0]].tolist()} ({wrong.size} "
            "such rows): expected a single 1, the rest 0"
        )
    labels: NDArray[np.int64] = y.argmax(axis=1).astype(np.int64)
    return labels


def texts(values: Any) -> tuple[str, ...]:
    """Give names as text.

    Args:
        values: Text or bytes, for example an HDF5 attribute.

    Returns:
        The same as ``str``.
    """
    return tuple(
        value.decode() if isinstance(value, bytes) else str(value)
        for value in np.asarray(values).ravel().tolist()
    )
