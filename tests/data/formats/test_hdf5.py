"""HDF5 files that are damaged, or of no known layout."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from hawq.data.formats.hdf5 import open_table
from hawq.errors import DataError


def _refused(path: Path, message: str) -> None:
    with pytest.raises(DataError, match=message), open_table(path) as table:
        list(table.chunks(range(len(table.names))))


def test_layouts_and_content_are_listed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "jets.h5", "w") as file:
        file["jets"] = np.zeros((2, 3))
        file.create_group("meta")
    message = (
        r"^.*/jets\.h5: expected the datasets 'jets' and 'jetFeatureNames', a "
        r"structured array 't_allpar_new', or 'x' and 'y'; the file "
        r"holds 'jets', 'meta'$"
    )
    _refused(tmp_path / "jets.h5", message)


def test_names_that_do_not_fit(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "jets.h5", "w") as file:
        file["jets"] = np.zeros((2, 3))
        file["jetFeatureNames"] = ["a", "b"]
    message = (
        r"^.*/jets\.h5: 'jets' has the shape \(2, 3\), but 'jetFeatureNames' names 2 "
        r"columns$"
    )
    _refused(tmp_path / "jets.h5", message)


def test_structured_matrix(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "jets.z", "w") as file:
        file["t_allpar_new"] = np.zeros((2, 3), dtype=[("j_pt", "f4")])
    message = (
        r"^.*/jets\.z: '/t_allpar_new' has the shape \(2, 3\): expected a row a jet$"
    )
    _refused(tmp_path / "jets.z", message)


def test_the_only_structured_array_is_taken_whatever_its_name(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "jets.h5", "w") as file:
        file["events"] = np.zeros(2, dtype=[("j_pt", "f4"), ("j_g", "i1")])
    with open_table(tmp_path / "jets.h5") as table:
        assert table.names == ("j_pt", "j_g")


def test_half_a_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "jets.h5", "w") as file:
        file["x"], file["y"] = np.zeros((9000, 3)), np.zeros(9000, int)
    content = (tmp_path / "jets.h5").read_bytes()
    (tmp_path / "jets.h5").write_bytes(content[:5000])
    _refused(tmp_path / "jets.h5", r"^.*/jets\.h5: not a readable HDF5 file \(.*\)$")


def test_damaged_chunk(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "jets.h5", "w") as file:
        noise = np.random.default_rng(0).normal(size=(3000, 2))
        file.create_dataset("jets", data=noise, chunks=(100, 2), compression="gzip")
        file["jetFeatureNames"] = ["a", "b"]
    content = bytearray((tmp_path / "jets.h5").read_bytes())
    content[20_000:30_000] = bytes(10_000)
    (tmp_path / "jets.h5").write_bytes(content)
    _refused(tmp_path / "jets.h5", r"^.*/jets\.h5: damaged HDF5 file \(.*\)$")
