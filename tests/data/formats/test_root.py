"""ROOT files: which tree is meant, and branches that are not flat."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hawq.data.formats.root import open_table
from hawq.errors import DataError

uproot = pytest.importorskip("uproot", reason="uproot is not installed")


def _write(path: Path, *trees: str) -> Path:
    with uproot.recreate(path) as file:
        for number, tree in enumerate(trees):
            file.mktree(tree, {"mass": "float64"}).extend({"mass": np.full(3, number)})
    return path


def test_tree_that_is_asked_for(tmp_path: Path) -> None:
    path = _write(tmp_path / "jets.root", "train", "sub/test")
    with open_table(path, tree="sub/test") as table:
        ((column,),) = table.chunks([0])
    assert_array_equal(column, [1, 1, 1])


def test_newest_cycle_of_a_tree_is_no_second_tree(tmp_path: Path) -> None:
    path = _write(tmp_path / "jets.root", "train", "train")
    with open_table(path) as table:
        ((column,),) = table.chunks([0])
    assert_array_equal(column, [1, 1, 1])


@pytest.mark.parametrize(
    ("trees", "asked", "message"),
    [
        (("train", "test"), None, r"which tree is meant\? .*: 'train', 'test'"),
        (("train",), "jets", r"no tree 'jets'\. .*: 'train'"),
        ((), None, r"which tree is meant\? .*: none"),
    ],
)
def test_trees_are_listed(
    trees: tuple[str, ...], asked: str | None, message: str, tmp_path: Path
) -> None:
    path = _write(tmp_path / "jets.root", *trees)
    with (
        pytest.raises(DataError, match=rf"^.*/jets\.root: {message}$"),
        open_table(path, tree=asked),
    ):
        pass


def test_jagged_branch(tmp_path: Path) -> None:
    awkward = pytest.importorskip("awkward")
    with uproot.recreate(tmp_path / "jets.root") as file:
        tree = file.mktree("events", {"mass": "var * float64"})
        tree.extend({"mass": awkward.Array([[1.0], [2.0, 3.0]])})
    message = (
        r"^.*/jets\.root: branch 'mass' holds a list an entry: expected one jet an "
        r"entry, one number a branch; write a flat tree$"
    )
    with (
        pytest.raises(DataError, match=message),
        open_table(tmp_path / "jets.root") as table,
    ):
        list(table.chunks([table.names.index("mass")]))


def test_half_a_file(tmp_path: Path) -> None:
    path = _write(tmp_path / "jets.root", "train")
    path.write_bytes(path.read_bytes()[:400])
    message = r"(?s)^.*/jets\.root: not a readable ROOT file \(.*\)$"
    with pytest.raises(DataError, match=message), open_table(path) as table:
        list(table.chunks([0]))
