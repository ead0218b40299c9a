"""Text tables: quirks that are read, and mistakes that are named."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hawq.data.formats.text import open_table
from hawq.errors import DataError

ARFF = "@relation r\n@attribute 'a b' numeric\n@attribute class {x,y}\n@data\n"


def _read(path: Path, text: str) -> dict[str, np.ndarray]:
    path.write_text(text)
    with open_table(path) as table:
        chunks = list(table.chunks(range(len(table.names))))
        columns = map(np.concatenate, zip(*chunks, strict=True))
        return dict(zip(table.names, columns, strict=True))


def _refused(path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        _read(path, text)


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n3,4\n",
        "a;b\n1;2\n3;4",
        "a\tb\r\n1\t2\r\n3\t4\r\n",
        "\ufeff# a, b\n\n1, 2\n# middle\n3, 4\n\n",
        '"a","b"\n"1","2"\n3,4\n',
    ],
)
def test_csv_dialects(text: str, tmp_path: Path) -> None:
    columns = _read(tmp_path / "jets.csv", text)
    assert list(columns) == ["a", "b"]
    assert_array_equal(columns["a"], [1.0, 3.0])
    assert_array_equal(columns["b"], [2.0, 4.0])


@pytest.mark.parametrize(
    "data", ["1e-3,x\n-2,y\n", "% c\n1e-3 x\n\n-2\ty", "1e-3,'x'\n-2,'y'\n"]
)
def test_arff_dialects(data: str, tmp_path: Path) -> None:
    columns = _read(tmp_path / "jets.arff", ARFF + data)
    assert_array_equal(columns["a b"], [1e-3, -2])
    assert_array_equal(columns["class"], ["x", "y"])


def test_nan_is_passed_on(tmp_path: Path) -> None:
    assert_array_equal(_read(tmp_path / "jets.csv", "a\n1\nnan\n")["a"], [1, np.nan])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a,b\n1,2\n3,\n",
            r"a missing value in column 'b', row 1 \(rows count from 0\): expected a "
            "number",
        ),
        (
            "a,b\n1,2\n3,heavy\n",
            r"'heavy' in column 'b', row 1 \(rows count from 0\): expected a number",
        ),
        (
            ARFF + "1,x\n?,y\n",
            r"a missing value in column 'a b', row 1 \(rows count from 0\): expected a "
            "number",
        ),
        (
            "a;b\n1;2\n3,5;4;\n",
            r"row 1 \(rows count from 0\) has 3 cells, but the header names 2 columns: "
            "'3,5;4;'",
        ),
        (
            'a,b\n1,2\n"3",4,5\n',
            r"row 1 \(rows count from 0\) has 3 cells, but the header names 2 columns: "
            "'\"3\",4,5'",
        ),
        (
            "1.5,-2e3\n1,2\n",
            r"the first line holds numbers \(1\.5,-2e3…\): expected the names of the "
            "columns",
        ),
        ("a,b\n\n", "no rows after the header"),
        (ARFF, "no rows after the header"),
        (ARFF + "{0 1, 1 x}\n", "sparse ARFF is not read: save it dense"),
        ("@relation r\n@attribute a real\n", "no @data line: is the file complete?"),
        (
            "@relation r\n@attribute\n@data\n1\n",
            "line 2: cannot read '@attribute': expected `@attribute name type`",
        ),
    ],
)
def test_mistakes_are_named(text: str, message: str, tmp_path: Path) -> None:
    pattern = rf"^.*/jets\.txt(:|,) {message.replace('?', '.')}$"
    _refused(tmp_path / "jets.txt", text, pattern)


def test_column_is_named_when_few_are_read(tmp_path: Path) -> None:
    (tmp_path / "jets.csv").write_text("a,b,c\n1,2,3\n1,2,x\n")
    message = r"^.*: 'x' in column 'c', row 1 \(rows count from 0\): expected a number$"
    with (
        pytest.raises(DataError, match=message),
        open_table(tmp_path / "jets.csv") as table,
    ):
        list(table.chunks([2, 0]))


def test_row_is_named_beyond_the_first_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hawq.data.formats.text.CHUNK_ROWS", 3)
    text = "a\n" + "1\n" * 10 + "bad\n"
    _refused(tmp_path / "jets.csv", text, r"^.*: 'bad' in column 'a', row 10 .*$")


def test_truncated_gzip(tmp_path: Path) -> None:
    path = tmp_path / "jets.csv.gz"
    noise = "\n".join(map(str, np.random.default_rng(0).normal(size=20_000)))
    path.write_bytes(gzip.compress(f"a\n{noise}\n".encode())[:100_000])
    message = r"^.*/jets\.csv\.gz: damaged text table \(.*\)$"
    with pytest.raises(DataError, match=message), open_table(path) as table:
        list(table.chunks([0]))


@pytest.mark.parametrize("header", [b"a,\xff\n1,2\n", b"\x1f\x8bnothing"])
def test_unreadable_header(header: bytes, tmp_path: Path) -> None:
    (tmp_path / "jets.csv").write_bytes(header)
    message = r"^.*/jets\.csv: not a readable text table \(.*\)$"
    with pytest.raises(DataError, match=message), open_table(tmp_path / "jets.csv"):
        pass
