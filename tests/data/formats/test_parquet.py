"""Parquet files that are damaged or hold what is no number."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hawq.data.formats.parquet import open_table
from hawq.errors import DataError

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
parquet = pytest.importorskip("pyarrow.parquet")


def _write(path: Path, column: list[object]) -> Path:
    parquet.write_table(pyarrow.table({"mass": column}), path)
    return path


def test_missing_values_become_nan(tmp_path: Path) -> None:
    path = _write(tmp_path / "jets.parquet", [1, None, 3])
    with open_table(path) as table:
        ((column,),) = table.chunks([0])
    assert_array_equal(column, [1, np.nan, 3])


def test_list_an_entry(tmp_path: Path) -> None:
    path = _write(tmp_path / "jets.parquet", [[1.0], [2.0, 3.0]])
    message = (
        r"^.*/jets\.parquet: column 'mass' holds ndarray: expected one number or one "
        r"text a row$"
    )
    with pytest.raises(DataError, match=message), open_table(path) as table:
        list(table.chunks([0]))


def test_half_a_file(tmp_path: Path) -> None:
    path = _write(tmp_path / "jets.parquet", [1.0] * 1000)
    path.write_bytes(path.read_bytes()[:200])
    message = r"^.*/jets\.parquet: not a readable Parquet file \(.*\)$"
    with pytest.raises(DataError, match=message), open_table(path):
        pass


def test_damaged_page(tmp_path: Path) -> None:
    path = tmp_path / "jets.parquet"
    noise = np.random.default_rng(0).normal(size=5000)
    parquet.write_table(pyarrow.table({"mass": noise}), path, use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[4:2000] = bytes(1996)
    path.write_bytes(content)
    message = r"(?s)^.*/jets\.parquet: damaged Parquet file \(.*\)$"
    with pytest.raises(DataError, match=message), open_table(path) as table:
        list(table.chunks([0]))
