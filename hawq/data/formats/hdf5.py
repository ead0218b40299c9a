"""HDF5: the field's jet files, structured tables, and feature matrices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from hawq.data.formats.table import (
    CHUNK_ROWS,
    Columns,
    Table,
    matrix_table,
    texts,
)
from hawq.errors import DataError

JETS, JET_NAMES = "jets", "jetFeatureNames"
STRUCTURED = "t_allpar_new"


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """Open an HDF5 file as a table.

    Three layouts are known: ``jets`` with ``jetFeatureNames`` (CERNBox, Zenodo
    3602254), a structured array (``t_allpar_new`` of the older ``.z`` files, or the
    only one in the file), and a matrix ``x`` with labels ``y`` and, as datasets or
    attributes, ``features`` and ``classes``.

    Args:
        path: The file.

    Yields:
        The table, valid while the file is open.

    Raises:
        DataError: if the file is damaged or holds none of these layouts.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path}: not a readable HDF5 file ({error})") from error
    with file:
        try:
            yield _table(file, str(path))
        except OSError as error:
            raise DataError(f"{path}: damaged HDF5 file ({error})") from error


def _table(file: Any, origin: str) -> Table:
    arrays = {
        name: item for name, item in file.items() if isinstance(item, h5py.Dataset)
    }
    if JETS in arrays and JET_NAMES in arrays:
        return _jets(arrays[JETS], texts(arrays[JET_NAMES][()]), origin)
    structured = [name for name, array in arrays.items() if array.dtype.names]
    if STRUCTURED in structured or len(structured) == 1:
        name = STRUCTURED if STRUCTURED in structured else structured[0]
        return _structured(arrays[name], origin)
    if "x" in arrays and "y" in arrays:
        features, classes = (
            texts(arrays[key][()] if key in arrays else file.attrs.get(key, ()))
            for key in ("features", "classes")
        )
        return matrix_table(origin, arrays["x"], arrays["y"], features or None, classes)
    found = ", ".join(map(repr, file)) or "nothing"
    raise DataError(
        f"{origin}: expected the datasets {JETS!r} and {JET_NAMES!r}, a structured "
        f"array {STRUCTURED!r}, or 'x' and 'y'; the file holds {found}"
    )


def _jets(jets: Any, names: tuple[str, ...], origin: str) -> Table:
    if jets.ndim != 2 or jets.shape[1] != len(names):
        raise DataError(
            f"{origin}: {JETS!r} has the shape {jets.shape}, but {JET_NAMES!r} names "
            f"{len(names)} columns"
        )

    def chunks(columns: Sequence[int]) -> Iterator[Columns]:
        for start in range(0, len(jets), CHUNK_ROWS):
            block = jets[start : start + CHUNK_ROWS]
            yield [block[:, j] for j in columns]

    return Table(origin, names, chunks)


def _structured(rows: Any, origin: str) -> Table:
    names = tuple(rows.dtype.names)
    if rows.ndim != 1:
        raise DataError(
            f"{origin}: {rows.name!r} has the shape {rows.shape}: expected a row a jet"
        )

    def chunks(columns: Sequence[int]) -> Iterator[Columns]:
        wanted = list(dict.fromkeys(names[j] for j in columns))
        for start in range(0, len(rows), CHUNK_ROWS):
            block = rows.fields(wanted)[start : start + CHUNK_ROWS]
            yield [block[names[j]] for j in columns]

    return Table(origin, names, chunks)
