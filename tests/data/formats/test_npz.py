"""NumPy archives that are damaged, pickled, or of no known layout."""

from pathlib import Path

import numpy as np
import pytest

from hawq.data.formats.npz import open_table
from hawq.errors import DataError


def _refused(path: Path, message: str) -> None:
    with pytest.raises(DataError, match=message), open_table(path) as table:
        list(table.chunks(range(len(table.names))))


def test_pickle_is_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "jets.npz", x=np.array([[1, None]]), y=np.zeros(1))
    message = (
        r"^.*/jets\.npz: array 'x' cannot be read without pickle, or is damaged "
        r"\(.*\): save it as plain numbers or text$"
    )
    _refused(tmp_path / "jets.npz", message)


def test_half_a_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "jets.npz", x=np.zeros((100, 2)), y=np.zeros(100))
    content = (tmp_path / "jets.npz").read_bytes()
    (tmp_path / "jets.npz").write_bytes(content[:1000])
    _refused(tmp_path / "jets.npz", r"^.*/jets\.npz: not a readable \.npz file \(.*\)$")


def test_damaged_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "jets.npz", x=np.zeros((100, 2)), y=np.zeros(100))
    content = bytearray((tmp_path / "jets.npz").read_bytes())
    content[400:420] = b"\x55" * 20
    (tmp_path / "jets.npz").write_bytes(content)
    _refused(tmp_path / "jets.npz", r"^.*/jets\.npz: array 'x' cannot be read .*$")


@pytest.mark.parametrize("y", [np.zeros(3), np.zeros((4, 2, 2))])
def test_shapes_that_do_not_belong_together(y: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "jets.npz", x=np.zeros((4, 2)), y=y)
    message = (
        r"^.*/jets\.npz: x has the shape \(4, 2\) and y \(.*\): expected \(samples, "
        r"features\) and \(samples,\) or one-hot \(samples, classes\)$"
    )
    _refused(tmp_path / "jets.npz", message)


def test_names_that_do_not_fit(tmp_path: Path) -> None:
    np.savez(tmp_path / "jets.npz", x=np.zeros((4, 2)), y=np.zeros(4), features=["a"])
    message = r"^.*/jets\.npz: x has 2 columns but 1 names$"
    _refused(tmp_path / "jets.npz", message)


def test_row_that_is_not_one_hot(tmp_path: Path) -> None:
    y = np.array([[1, 0], [0, 0], [1, 1]])
    np.savez(tmp_path / "jets.npz", x=np.zeros((3, 2)), y=y)
    message = (
        r"^.*/jets\.npz: row 1 of y is \[0, 0\] \(2 such rows\): expected a single 1, "
        r"the rest 0$"
    )
    _refused(tmp_path / "jets.npz", message)


def test_columns_of_different_length(tmp_path: Path) -> None:
    np.savez(tmp_path / "jets.npz", mass=np.zeros(4), label=np.zeros(3))
    message = (
        r"^.*/jets\.npz: expected columns of one length, shape \(samples,\), got mass "
        r"\(4,\), label \(3,\)$"
    )
    _refused(tmp_path / "jets.npz", message)
