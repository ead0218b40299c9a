"""ROOT trees of flat branches."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hawq.data.formats.table import CHUNK_ROWS, Columns, Table
from hawq.errors import DataError, ToolError

_TREES = ("TTree", "ROOT::RNTuple")


@contextmanager
def open_table(path: Path, tree: str | None = None) -> Iterator[Table]:
    """Open a tree of a ROOT file as a table.

    Args:
        path: The file.
        tree: The tree's path in the file; None if there is only one.

    Yields:
        The table, valid while the file is open.

    Raises:
        DataError: if the file is damaged, or it is not clear which tree is meant.
        ToolError: if uproot is not installed.
    """
    try:
        uproot = importlib.import_module("uproot")
    except ImportError as error:
        raise ToolError(
            f"{path} needs uproot, which is not installed: pip install 'hawq[readers]'"
        ) from error
    damage = (OSError, ValueError, uproot.DeserializationError)
    try:
        file = uproot.open(path)
    except damage as error:
        raise DataError(f"{path}: not a readable ROOT file ({error})") from error
    with file:
        chosen = file[_choose(file, tree, path)]
        names = tuple(chosen.keys())

        def chunks(columns: Sequence[int]) -> Iterator[Columns]:
            wanted = {names[j] for j in columns}
            blocks = chosen.iterate(
                filter_name=wanted.__contains__, step_size=CHUNK_ROWS, library="np"
            )
            try:
                for block in blocks:
                    yield [_flat(block[names[j]], names[j], path) for j in columns]
            except damage as error:
                raise DataError(f"{path}: damaged ROOT file ({error})") from error

        yield Table(str(path), names, chunks)


def _choose(file: Any, tree: str | None, path: Path) -> str:
    kinds = file.classnames(recursive=True, cycle=False)
    trees = [name for name, kind in kinds.items() if kind in _TREES]
    if tree is None and len(trees) == 1:
        return str(trees[0])
    if tree in trees:
        return str(tree)
    listed = ", ".join(map(repr, trees)) or "none"
    asked = "which tree is meant?" if tree is None else f"no tree {tree!r}."
    raise DataError(f"{path}: {asked} Set `tree` to one of those in the file: {listed}")


def _flat(array: Any, name: str, path: Path) -> Any:
    if array.dtype == object and not all(isinstance(value, str) for value in array):
        raise DataError(
            f"{path}: branch {name!r} holds a list an entry: expected one jet an "
            "entry, one number a branch; write a flat tree"
        )
    return array.astype(str) if array.dtype == object else array
