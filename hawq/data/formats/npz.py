"""NumPy archives: a matrix and its labels, or one array a column."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.data.formats.table import Columns, Table, matrix_table, texts
from hawq.errors import DataError


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """Open an ``.npz`` file as a table; pickled objects are never loaded.

    It holds ``x`` and ``y``, and maybe ``features`` and ``classes``; or one array of
    shape (samples,) a column.

    Args:
        path: The file.

    Yields:
        The table.

    Raises:
        DataError: if the file is damaged or of another layout.
    """
    with path.open("rb") as file:
        try:
            archive = np.load(file, allow_pickle=False)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: not a readable .npz file ({error})") from error
        names = {name.casefold(): name for name in archive.files}
        if {"x", "y"} <= names.keys():
            features, classes = (
                texts(_array(archive, names[key], path)) if key in names else ()
                for key in ("features", "classes")
            )
            x, y = (_array(archive, names[key], path) for key in ("x", "y"))
            yield matrix_table(str(path), x, y, features or None, classes)
        else:
            yield _columns(archive, path)


def _array(archive: Any, name: str, path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = archive[name]
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: array {name!r} cannot be read without pickle, or is damaged "
            f"({error}): save it as plain numbers or text"
        ) from error
    return array


def _columns(archive: Any, path: Path) -> Table:
    names = tuple(archive.files)

    def chunks(columns: Sequence[int]) -> Iterator[Columns]:
        arrays = [_array(archive, names[j], path) for j in columns]
        shapes = {names[j]: a.shape for j, a in zip(columns, arrays, strict=True)}
        if len(set(shapes.values())) > 1 or any(a.ndim != 1 for a in arrays):
            listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise DataError(
                f"{path}: expected columns of one length, shape (samples,), got "
                f"{listed}"
            )
        yield arrays

    return Table(str(path), names, chunks)
