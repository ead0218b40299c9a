"""What all reports are made of: drawn tables, ``key: value`` heads and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hawq.errors import DataError
from hawq.synthesis.record import Span

UNKNOWN = {"", "-", "--", "---", "?", "undef", "N/A", "NA", "n/a", "_"}
"""What tools write where they have no number."""

_NUMBER = re.compile(r"[<~]?\s*(-?\d[\d,]*\.?\d*(?:[eE][+-]?\d+)?)")


@dataclass(frozen=True)
class Table:
    """A table drawn with ``+---+`` and ``|``.

    Attributes:
        title: The last line of text before it, without its number.
        columns: Headings; those drawn over several lines are joined by a blank.
        rows: Cells without surrounding blanks.
        indents: Blanks before each row's first cell: the depth in a hierarchy.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    indents: tuple[int, ...]

    def column(self, pattern: str) -> int | None:
        """Find the first column whose whole heading matches, whatever the case.

        Args:
            pattern: A regular expression.

        Returns:
            Its index, or None.
        """
        for index, name in enumerate(self.columns):
            if re.fullmatch(pattern, name, re.IGNORECASE):
                return index
        return None

    def nested(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Walk the rows of a table whose first column is a tree.

        Yields:
            The name of the row above in the tree (empty at the root), the row's own
            name, both without the star of a footnote, and the row.
        """
        open_rows: list[tuple[int, str]] = []
        for row, indent in zip(self.rows, self.indents, strict=True):
            while open_rows and open_rows[-1][0] >= indent:
                open_rows.pop()
            name = row[0].rstrip("*")
            yield open_rows[-1][1] if open_rows else "", name, row
            open_rows.append((indent, name))


def read_text(path: Path) -> str:
    """Read a report, whatever the host's character set and line ends.

    Args:
        path: The report.

    Returns:
        Its text.

    Raises:
        DataError: if it does not exist or is empty.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such report")
    text = path.read_text(encoding="utf-8", errors="replace")
    if not text.strip():
        raise DataError(f"{path} is empty: the tool was stopped before it wrote it")
    return text


def whole_lines(text: str, path: Path) -> str:
    """Leave off a last line that is not ended, for its number may be cut.

    Args:
        text: A report that is no XML.
        path: Where it came from.

    Returns:
        The text up to the last whole line.

    Raises:
        DataError: if it ends within a table or before the last section of its table of
            contents.
    """
    text = text[: text.rindex("\n") + 1] if "\n" in text else ""
    rows = text.rstrip().splitlines()
    if not rows or rows[-1].lstrip().startswith("|"):
        raise DataError(f"{path} is cut short: it ends within a table or a line")
    contents = re.search(r"^Table of Contents\n-+\n((?:\d.*\n)+)", text, re.MULTILINE)
    for section in contents[1].splitlines() if contents else ():
        if "checking" not in section and rows.count(section) < 2:
            raise DataError(
                f"{path} is cut short: its table of contents has {section!r}, its text "
                "has not"
            )
    return text


def number(cell: str) -> float | None:
    """Read a number: ``60,776``, ``4.00 ns``, ``3 (~0%)``, ``<0.001``, ``~0``.

    Args:
        cell: What stands in the report. ``<`` and ``~`` are dropped.

    Returns:
        The number, or None where the tool has none.

    >>> number("1.35e+03"), number("2 (~0%)"), number("-"), number("< 0.001")
    (1350.0, 2.0, None, 0.001)
    """
    found = None if cell.strip() in UNKNOWN else _NUMBER.match(cell.strip())
    return float(found[1].replace(",", "")) if found else None


def count(cell: str) -> int | None:
    """Read a whole number; None where the tool has none.

    Args:
        cell: What stands in the report.

    Returns:
        The number, or None.
    """
    value = number(cell)
    return None if value is None else int(value)


def nanoseconds(cell: str) -> float | None:
    """Read a time; one without a unit is in nanoseconds.

    Args:
        cell: For example ``4.00 ns`` or ``1.35 us``.

    Returns:
        The time, or None where the tool has none.
    """
    value = number(cell)
    unit = re.search(r"[\d.]\s*(ps|us|ms|sec|s)\b", cell)
    scale = {"ps": 1e-3, "us": 1e3, "ms": 1e6, "sec": 1e9, "s": 1e9}
    return value if value is None or unit is None else value * scale[unit[1]]


def span(minimum: str, maximum: str, average: str = "-") -> Span:
    """Read the smallest, largest and average of a quantity.

    Args:
        minimum: Cell.
        maximum: Cell.
        average: Cell.

    Returns:
        The span, with None where the tool has no number.
    """
    return Span(minimum=count(minimum), maximum=count(maximum), average=count(average))


def tables(text: str) -> Iterator[Table]:
    """Find every table of a report.

    A table's head is what stands between its first two rulers; further rulers part its
    rows.

    Args:
        text: The report.

    Yields:
        The tables in order, those without rows too.
    """
    title, drawn = "", list[str]()
    for line in [*text.splitlines(), ""]:
        plain = line.strip()
        if plain[:1] in ("+", "|") and (drawn or re.match(r"\+[-=+]+\+?$", plain)):
            drawn.append(plain)
            continue
        if drawn:
            yield _table(title, drawn)
            drawn = []
        if plain and not re.fullmatch(r"[-=*\s]+", plain):
            title = re.sub(r"^[\d.]*\s*[*+]?\s*|\s*:?\s*$", "", plain)


def _table(title: str, drawn: list[str]) -> Table:
    head: list[list[str]] = []
    rows, indents, rulers = list[tuple[str, ...]](), list[int](), 0
    for line in drawn:
        if re.match(r"\+[-=+]+\+?$", line):
            rulers += 1
            continue
        cells = line.removeprefix("|").removeprefix("+").rstrip("|").split("|")
        if rulers < 2:
            head.append([cell.strip() for cell in cells])
        elif len(cells) == len(head[-1] if head else ()):
            rows.append(tuple(cell.strip() for cell in cells))
            indents.append(len(cells[0]) - len(cells[0].lstrip()))
    return Table(title, _headings(head), tuple(rows), tuple(indents))


def _headings(head: list[list[str]]) -> tuple[str, ...]:
    """Join headings over several lines; a wide cell stands over several columns."""
    if not head:
        return ()
    last = head[-1]
    if all(len(line) == len(last) for line in head):
        joined = zip(*head, strict=True)
        return tuple(" ".join(filter(None, cells)) for cells in joined)
    return tuple(last)


def head(text: str) -> dict[str, str]:
    """Read ``| Key : value`` and ``* Key: value`` lines.

    Args:
        text: The report.

    Returns:
        Key, in lower case, to its first value.
    """
    found: dict[str, str] = {}
    for match in re.finditer(
        r"^\s*[|*]?[ \t]*([A-Z][\w -]*?)[ \t]*:[ \t]+(\S.*?)\s*\|?$", text, re.MULTILINE
    ):
        found.setdefault(match[1].lower(), match[2])
    return found
