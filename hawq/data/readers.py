"""Read the users' own files: ARFF, CSV, HDF5, Parquet, ROOT and NumPy archives."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.data.dataset import Dataset, check_finite
from hawq.data.formats import hdf5, npz, parquet, root, text
from hawq.data.formats.table import Columns, Table
from hawq.data.matching import bare, match_features, match_one_hot
from hawq.errors import DataError

LABELS = ("class", "label", "target", "truth", "y")
"""Names of a column that holds each sample's class, by name or index."""

SUFFIXES = (".arff", ".csv", ".h5", ".hdf5", ".npz", ".parquet", ".root", ".z")

_SIGNATURES = (
    (b"\x89HDF\r\n\x1a\n", hdf5.open_table),
    (b"PAR1", parquet.open_table),
    (b"PK\x03\x04", npz.open_table),
)


def read_dataset(
    path: Path,
    features: Sequence[str],
    classes: Sequence[str],
    tree: str | None = None,
) -> Dataset:
    """Read samples from a file, or from all files of a folder.

    The format is recognised by the content. Columns are found by name (see
    ``hawq.data.matching``); other columns are left alone. The class stands in one-hot
    columns (``j_g``, ``j_q``, ...) or in a column ``class``, ``label``, ``target``,
    ``truth`` or ``y``, by name or by index into ``classes``. A ``DataError`` names the
    file and what is wrong in it: a damaged file, a missing column, NaN, an unknown
    label, a class without samples.

    Args:
        path: A file, or a folder of files with one of ``SUFFIXES``.
        features: The columns wanted, in this order.
        classes: The classes, in this order.
        tree: Which tree of a ROOT file.

    Returns:
        All samples, in the files' order.
    """
    parts = []
    for file in _files(path):
        with _opener(file, tree)(file) as table:
            parts.append(_read(table, features, classes))
    dataset = Dataset(
        np.concatenate([x for x, _ in parts]),
        np.concatenate([y for _, y in parts]),
        tuple(features),
        tuple(classes),
    )
    dataset.require_every_class(str(path))
    return dataset


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder")
    files = [file for file in path.iterdir() if file.suffix in SUFFIXES]
    if not files:
        raise DataError(f"{path}: no data file in it (known: {', '.join(SUFFIXES)})")
    return sorted(files, key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    # part2 before part10
    return [(int(p or 0), t) for t, p in re.findall(r"(\D*)(\d*)", path.name)]


def _opener(
    path: Path, tree: str | None
) -> Callable[[Path], AbstractContextManager[Table]]:
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror})") from error
    for signature, opener in _SIGNATURES:
        if start.startswith(signature):
            return opener
    if start.startswith(b"root"):
        return partial(root.open_table, tree=tree)
    if start.startswith(b"\x93NUMPY"):
        raise DataError(
            f"{path}: a single array: save features and labels together with "
            "np.savez(path, x=x, y=y, features=[...], classes=[...])"
        )
    if start[257:262] == b"ustar" or ".tar" in path.suffixes or path.suffix == ".tgz":
        raise DataError(f"{path}: an archive: unpack it and give the folder")
    if b"\0" in start and not start.startswith(b"\x1f\x8b"):
        raise DataError(f"{path}: unknown format (known: {', '.join(SUFFIXES)})")
    return text.open_table


def _read(
    table: Table, features: Sequence[str], classes: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    columns = _feature_columns(table, features)
    label_columns, decode = _label_columns(table, classes)
    blocks: list[NDArray[np.float32]] = []
    labels: list[Columns] = []
    row = 0
    for chunk in table.chunks([*columns, *label_columns]):
        numbers = [
            _numbers(values, table.names[j], table.origin, row)
            for values, j in zip(chunk, columns, strict=False)
        ]
        blocks.append(np.stack(numbers, axis=1))
        labels.append(chunk[len(columns) :])
        row += len(blocks[-1])
    if row == 0:
        raise DataError(f"{table.origin}: no rows")
    x = np.concatenate(blocks)
    check_finite(x, features, table.origin)
    return x, decode([np.concatenate(column) for column in zip(*labels, strict=True)])


def _feature_columns(table: Table, features: Sequence[str]) -> list[int]:
    if table.is_named:
        return match_features(features, table.names, table.origin)
    width = len(table.names) - 1
    if width != len(features):
        raise DataError(
            f"{table.origin}: x has {width} columns without names, expected "
            f"{len(features)}: {', '.join(features)}. Store their names as `features`"
        )
    return list(range(width))


def _label_columns(
    table: Table, classes: Sequence[str]
) -> tuple[list[int], Callable[[Columns], NDArray[np.int64]]]:
    label = table.label
    if label is None:
        one_hot = match_one_hot(classes, table.names)
        if len(one_hot) == len(classes):
            return list(one_hot.values()), partial(_decode_one_hot, table, classes)
        named = [j for j, name in enumerate(table.names) if bare(name) in LABELS]
        if len(named) != 1:
            missing = [f"j_{name}" for name in classes if name not in one_hot]
            found = ", ".join(table.names[j] for j in named) or "none"
            raise DataError(
                f"{table.origin}: which class is a jet of? Expected one column named "
                f"{', '.join(LABELS)} (found: {found}), or one-hot columns (missing: "
                f"{', '.join(missing)})"
            )
        label = named[0]
    return [label], partial(_decode_label, table, classes)


def _decode_one_hot(
    table: Table, classes: Sequence[str], columns: Columns
) -> NDArray[np.int64]:
    hot = np.stack(columns, axis=1)
    is_right = ((hot == 1).sum(axis=1) == 1) & ((hot != 0).sum(axis=1) == 1)
    if not is_right.all():
        row = int(is_right.argmin())
        values = ", ".join(
            f"{name} {value:g}" for name, value in zip(classes, hot[row], strict=True)
        )
        raise DataError(
            f"{table.origin}: the one-hot columns of row {row} are {values} "
            f"({(~is_right).sum()} such rows): expected a single 1, the rest 0"
        )
    labels: NDArray[np.int64] = hot.argmax(axis=1).astype(np.int64)
    return labels


def _decode_label(
    table: Table, classes: Sequence[str], columns: Columns
) -> NDArray[np.int64]:
    values, where = np.unique(columns[0], return_inverse=True)
    order = table.classes or tuple(classes)
    numbers = np.array([_label(value, order, classes) for value in values.tolist()])
    labels = numbers.astype(np.int64)[where]
    is_unknown = labels < 0
    if is_unknown.any():
        row = int(is_unknown.argmax())
        raise DataError(
            f"{table.origin}: unknown class {columns[0][row].item()!r} in row {row} "
            f"({is_unknown.sum()} such rows): expected {', '.join(classes)}, or the "
            f"index of one of {', '.join(order)}"
        )
    return labels


def _label(value: Any, order: Sequence[str], classes: Sequence[str]) -> int:
    spelled = value.decode() if isinstance(value, bytes) else value
    if isinstance(spelled, float | int):
        is_index = float(spelled).is_integer() and 0 <= spelled < len(order)
        spelled = order[int(spelled)] if is_index else ""
    lowered = [name.casefold() for name in classes]
    name = spelled.strip().casefold()
    known = [s for s in (name, name.removeprefix("j_")) if s in lowered]
    return lowered.index(known[0]) if known else -1


def _numbers(
    values: NDArray[Any], name: str, origin: str, first_row: int
) -> NDArray[np.float32]:
    if values.dtype.kind not in "fiub":
        for row, value in enumerate(values.tolist(), start=first_row):
            if not _is_number(value):
                raise DataError(
                    f"{origin}: {value!r} in column {name!r}, row {row} (rows count "
                    "from 0): expected a number"
                )
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
