from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawq.errors import DataError
from hawq.synthesis.vendor.table import (
    count,
    head,
    nanoseconds,
    number,
    read_text,
    tables,
    whole_lines,
)

CELL = st.text("abcXYZ019_.<~%()", min_size=1, max_size=9)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("60,776", 60776.0),
        ("60.5", 60.5),
        ("-0.250", -0.25),
        ("4.00 ns", 4.0),
        ("3 (~0%)", 3.0),
        ("788198(45.61%)", 788198.0),
        ("<0.001", 0.001),
        ("< 0.001", 0.001),
        ("~0", 0.0),
        ("1.350e+03", 1350.0),
        ("-", None),
        ("---", None),
        ("?", None),
        ("undef", None),
        ("NA", None),
        ("", None),
        ("Unspecified*", None),
    ],
)
def test_number_or_none(cell: str, value: float | None) -> None:
    assert number(cell) == value


@pytest.mark.parametrize(
    ("cell", "value"),
    [("5.00", 5.0), ("4.00 ns", 4.0), ("1.5 us", 1500.0), ("2 ms", 2e6), ("-", None)],
)
def test_times_are_nanoseconds(cell: str, value: float | None) -> None:
    assert nanoseconds(cell) == value


def test_count_is_whole_or_none() -> None:
    assert (count("12"), count("?")) == (12, None)


@given(
    rows=st.lists(st.lists(CELL, min_size=3, max_size=3), max_size=5),
    pad=st.integers(0, 5),
)
def test_any_drawn_table_is_read_back(rows: list[list[str]], pad: int) -> None:
    ruler = "+" + ("-" * (10 + pad) + "+") * 3
    lines = ["|" + "".join(f"{c:>{10 + pad}}|" for c in row) for row in rows]
    heads = "|" + "".join(f"{c:^{10 + pad}}|" for c in ("Name", "FF", "LUT"))
    drawn = "\n".join(["* Title: ", ruler, heads, ruler, *lines, ruler, "", "after"])
    (table,) = tables(drawn)
    assert table.title == "Title"
    assert table.columns == ("Name", "FF", "LUT")
    assert [list(row) for row in table.rows] == rows


def test_rulers_between_rows_and_footnotes_are_no_rows() -> None:
    text = "+--+--+\n|A |B |\n+--+--+\n|1 |2 |\n+--+--+\n|3 |4 |\n+--+--+\n* Note: x\n"
    (table,) = tables(text)
    assert table.rows == (("1", "2"), ("3", "4"))


def test_head_keeps_the_first_of_each_key() -> None:
    text = "| Design State : Fully Placed\n* Version:  2018.2 (Build 1)\n| Design : a\n"
    assert head(text + "| Design : b\n") == {
        "design state": "Fully Placed",
        "version": "2018.2 (Build 1)",
        "design": "a",
    }


def test_missing_and_empty_reports_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^.*/none\.rpt: no such report$"):
        read_text(tmp_path / "none.rpt")
    empty = tmp_path / "empty.rpt"
    empty.write_text("\n")
    message = r"^.*/empty\.rpt is empty: the tool was stopped before it wrote it$"
    with pytest.raises(DataError, match=message):
        read_text(empty)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("+--+\n|A |\n+--+\n|12|\n|34", "it ends within a table or a line"),
        ("text without an end", "it ends within a table or a line"),
        (
            "Table of Contents\n---\n1. A\n2. B C\n\n1. A\n---\ntext\n",
            r"its table of contents has '2\. B C', its text has not",
        ),
    ],
)
def test_reports_that_are_cut_short_are_told(text: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"^cut\.rpt is cut short: {message}$"):
        whole_lines(text, Path("cut.rpt"))


def test_a_line_that_is_not_ended_is_left_off() -> None:
    assert whole_lines("LUT: 12\nFF: 3", Path("r.rpt")) == "LUT: 12\n"
