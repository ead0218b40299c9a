"""Parquet, as OpenML serves it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.data.formats.table import CHUNK_ROWS, Columns, Table
from hawq.errors import DataError, ToolError


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """Open a Parquet file as a table.

    Args:
        path: The file.

    Yields:
        The table, valid while the file is open.

    Raises:
        DataError: if the file is damaged.
        ToolError: if pyarrow is not installed.
    """
    try:
        pyarrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ToolError(
            f"{path} needs pyarrow, which is not installed: pip install 'hawq[readers]'"
        ) from error
    try:
        file = parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise DataError(f"{path}: not a readable Parquet file ({error})") from error
    with file:
        names = tuple(file.schema_arrow.names)

        def chunks(columns: Sequence[int]) -> Iterator[Columns]:
            wanted = [names[j] for j in columns]
            for batch in file.iter_batches(CHUNK_ROWS, columns=sorted(set(wanted))):
                yield [_array(batch.column(name), name, path) for name in wanted]

        try:
            yield Table(str(path), names, chunks)
        except (OSError, pyarrow.ArrowInvalid) as error:
            raise DataError(f"{path}: damaged Parquet file ({error})") from error


def _array(column: Any, name: str, path: Path) -> NDArray[Any]:
    array: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    if array.dtype != object:
        return array
    if all(isinstance(value, str | bytes) for value in array):
        return array.astype(str)
    if all(value is None or isinstance(value, int | float) for value in array):
        return array.astype(np.float64)  # None becomes NaN, which the reader reports
    kinds = sorted({type(value).__name__ for value in array})
    raise DataError(
        f"{path}: column {name!r} holds {', '.join(kinds)}: expected one number or one "
        "text a row"
    )
