"""Text tables: CSV with a header, and dense ARFF (OpenML). Either may be gzipped."""

from __future__ import annotations

import csv
import gzip
import itertools
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from hawq.data.formats.table import CHUNK_ROWS, Columns, Table
from hawq.errors import DataError

_ATTRIBUTE = re.compile(
    r"""@attribute\s+(?:'([^']+)'|"([^"]+)"|([^\s{]+))\s*(\{.*\}|\S+)""", re.IGNORECASE
)
_DAMAGE = (OSError, EOFError, UnicodeDecodeError, zlib.error)
_NUMERIC = frozenset({"numeric", "real", "integer"})
_TEXT_WIDTH = 64
_CANNOT = re.compile(
    r"could not convert string '(.*)' to \S+ at row (\d+), column (\d+)"
)


class _Layout(NamedTuple):
    names: tuple[str, ...]
    is_number: tuple[bool, ...] | None  # None: the file does not say
    delimiter: str | None  # None: any white space
    quote: str
    comment: str


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """Open a CSV or ARFF file as a table.

    CSV: the first line names the columns; comma, semicolon or tab separates. ARFF: by
    its ``@relation`` line; sparse rows are refused.

    Args:
        path: The file, maybe gzipped.

    Yields:
        The table.

    Raises:
        DataError: if the header or a row cannot be understood.
    """
    try:
        with _open(path) as file:
            layout, first_line = _layout(file, path)
    except _DAMAGE as error:
        raise DataError(f"{path}: not a readable text table ({error})") from error

    def chunks(columns: Sequence[int]) -> Iterator[Columns]:
        with _open(path) as file:
            lines = itertools.islice(file, first_line, None)
            try:
                yield from _chunks(lines, layout, columns, path)
            except _DAMAGE as error:
                raise DataError(f"{path}: damaged text table ({error})") from error

    yield Table(str(path), layout.names, chunks)


def _open(path: Path) -> TextIO:
    with path.open("rb") as file:
        is_gzipped = file.read(2) == b"\x1f\x8b"
    if is_gzipped:
        return gzip.open(path, "rt", encoding="utf-8-sig")
    return path.open(encoding="utf-8-sig")


def _layout(file: TextIO, path: Path) -> tuple[_Layout, int]:
    # The layout, and the number of lines before the data.
    for number, line in enumerate(file):
        text = line.strip()
        if text.casefold().startswith("@relation"):
            return _arff_layout(file, number + 1, path)
        if text and not text.startswith("%"):
            return _csv_layout(text, path), number + 1
    raise DataError(f"{path}: empty: expected a header that names the columns")


def _csv_layout(header: str, path: Path) -> _Layout:
    header = header.removeprefix("#").strip()
    delimiter = max(",;\t", key=header.count)
    names = tuple(
        name.strip() for name in next(csv.reader([header], delimiter=delimiter))
    )
    if all(re.fullmatch(r"[-+.\deE]+", name) for name in names):
        raise DataError(
            f"{path}: the first line holds numbers ({header[:40]}…): expected the "
            "names of the columns"
        )
    return _Layout(names, None, delimiter, '"', "#")


def _arff_layout(file: TextIO, number: int, path: Path) -> tuple[_Layout, int]:
    names: list[str] = []
    is_number: list[bool] = []
    for line_number, line in enumerate(file, start=number):
        text = line.strip()
        if text.casefold().startswith("@data"):
            break
        if text.casefold().startswith("@attribute"):
            match = _ATTRIBUTE.match(text)
            if match is None:
                raise DataError(
                    f"{path}, line {line_number + 1}: cannot read {text!r}: expected "
                    "`@attribute name type`"
                )
            *name, kind = match.groups()
            names.append(next(filter(None, name)))
            is_number.append(kind.casefold() in _NUMERIC)
    else:
        raise DataError(f"{path}: no @data line: is the file complete?")
    first = next((t for t in map(str.strip, file) if t and not t.startswith("%")), "")
    if first.startswith("{"):
        raise DataError(f"{path}: sparse ARFF is not read: save it dense")
    delimiter = "," if "," in first else None
    quote = '"' if '"' in first else "'"
    layout = _Layout(tuple(names), tuple(is_number), delimiter, quote, "%")
    return layout, line_number + 1


def _chunks(
    lines: Iterator[str], layout: _Layout, columns: Sequence[int], path: Path
) -> Iterator[Columns]:
    first_row = 0
    lines = (line for line in lines if line.strip() and line[0] != layout.comment)
    head = next(lines, None)
    if head is None:
        raise DataError(f"{path}: no rows after the header")
    lines = itertools.chain([head], lines)
    types = _types(head, layout)
    dtype = np.dtype([(f"{j}", types[j]) for j in sorted(set(columns))])
    while block := list(itertools.islice(lines, CHUNK_ROWS)):
        _check_cells(block, layout, first_row, path)
        try:
            rows = np.loadtxt(
                block,
                dtype=dtype,
                delimiter=layout.delimiter,
                usecols=sorted(set(columns)),
                quotechar=layout.quote,
                comments=None,
                ndmin=1,
            )
        except ValueError as error:
            raise DataError(_explain(error, layout, first_row, path)) from error
        yield [_compact(rows[f"{j}"]) for j in columns]
        first_row += len(block)


def _compact(column: NDArray[Any]) -> NDArray[Any]:
    return np.array(column.tolist()) if column.dtype.kind == "U" else column


def _check_cells(block: list[str], layout: _Layout, first_row: int, path: Path) -> None:
    # NumPy accepts surplus cells when columns are chosen: a decimal comma would shift
    # every later column unseen.
    for row, line in enumerate(block, start=first_row):
        if layout.quote in line:
            delimiter = layout.delimiter or " "
            cells = len(
                next(csv.reader([line], delimiter=delimiter, quotechar=layout.quote))
            )
        elif layout.delimiter is None:
            cells = len(line.split())
        else:
            cells = line.count(layout.delimiter) + 1
        if cells != len(layout.names):
            raise DataError(
                f"{path}: row {row} (rows count from 0) has {cells} cells, but the "
                f"header names {len(layout.names)} columns: {line.strip()[:60]!r}"
            )


def _types(line: str, layout: _Layout) -> list[str]:
    # Number or text for each column; in CSV by its first row.
    text = f"U{_TEXT_WIDTH}"
    if layout.is_number is not None:
        return ["f8" if is_number else text for is_number in layout.is_number]
    delimiter = layout.delimiter or ","
    cells = next(csv.reader([line.strip()], delimiter=delimiter))
    cells += [""] * (len(layout.names) - len(cells))
    return ["f8" if not cell.strip() or _is_number(cell) else text for cell in cells]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _explain(error: ValueError, layout: _Layout, first_row: int, path: Path) -> str:
    match = _CANNOT.match(str(error))
    if match is None:
        return f"{path}, in the rows from {first_row}: {error}"
    cell, row, column = match.group(1), int(match.group(2)), int(match.group(3)) - 1
    name = layout.names[column] if column < len(layout.names) else f"column {column}"
    what = f"{cell!r}" if cell.strip() not in {"", "?"} else "a missing value"
    return (
        f"{path}: {what} in column {name!r}, row {first_row + row} (rows count from "
        "0): expected a number"
    )
