"""Data sets: what is refused, what is kept, how they are split."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hawq.data.dataset import Dataset, check_finite, split_dataset
from hawq.errors import DataError

FRACTIONS = (0.6, 0.2, 0.2)


def _dataset(samples: int = 60, classes: int = 3, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    return Dataset(
        rng.normal(size=(samples, 2)).astype(np.float32),
        rng.permutation(np.arange(samples) % classes),
        ("mass", "multiplicity"),
        ("g", "q", "t")[:classes],
    )


def test_read_gives_what_save_wrote(tmp_path: Path) -> None:
    dataset = _dataset()
    dataset.save(tmp_path / "new" / "train.h5")
    again = Dataset.read(tmp_path / "new" / "train.h5")
    assert_array_equal(again.x, dataset.x)
    assert_array_equal(again.y, dataset.y)
    assert again.x.dtype == np.float32
    assert again.y.dtype == np.int64
    assert (again.features, again.classes) == (dataset.features, dataset.classes)
    assert again.digest == dataset.digest
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["train.h5"]


def test_digest_sees_names_values_and_labels() -> None:
    dataset = _dataset()
    nudged = dataset.x.copy()
    nudged[7, 1] = np.nextafter(nudged[7, 1], np.float32(np.inf))
    others = [
        Dataset(nudged, dataset.y, dataset.features, dataset.classes),
        Dataset(dataset.x, dataset.y[::-1], dataset.features, dataset.classes),
        Dataset(dataset.x, dataset.y, ("mass", "zlogz"), dataset.classes),
        Dataset(dataset.x, dataset.y, dataset.features, ("g", "q", "w")),
    ]
    assert len({dataset.digest, *(other.digest for other in others)}) == 5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite_is_named(value: float) -> None:
    x = np.zeros((9, 2), np.float32)
    x[[3, 5], 1] = value
    message = (
        rf"^not a finite float32: 'multiplicity' in 2 rows, first in row 3 \({value}\) "
        r"\(rows count from 0\): remove or mend these rows$"
    )
    with pytest.raises(DataError, match=message):
        Dataset(x, np.zeros(9, np.int64), ("mass", "multiplicity"), ("g",))


def test_every_column_with_nan_is_named_with_its_file() -> None:
    x = np.zeros((4, 3))
    x[2, 0] = np.nan
    x[1, 2] = np.inf
    message = (
        r"^jets\.h5: not a finite float32: 'a' in 1 rows, first in row 102 \(nan\); "
        r"'c' in 1 rows, first in row 101 \(inf\) \(rows count from 0\): remove or "
        r"mend these rows$"
    )
    with pytest.raises(DataError, match=message):
        check_finite(x, ("a", "b", "c"), "jets.h5", first_row=100)


def test_too_large_for_float32_is_named() -> None:
    with pytest.raises(DataError, match=r"^not a finite float32: 'mass' in 1 rows"):
        Dataset(np.array([[1e39]]), np.array([0]), ("mass",), ("g",))


def test_wrong_number_of_columns() -> None:
    message = (
        r"^x has the shape \(4, 3\): expected \(samples, 2\), a column for each of "
        r"mass, multiplicity$"
    )
    with pytest.raises(DataError, match=message):
        Dataset(np.zeros((4, 3)), np.zeros(4, int), ("mass", "multiplicity"), ("g",))


@pytest.mark.parametrize(
    ("y", "got"),
    [
        (np.zeros(3, int), r"int64 of shape \(3,\)"),
        (np.zeros(4), r"float64 of shape .*"),
    ],
)
def test_wrong_labels(y: np.ndarray, got: str) -> None:
    message = rf"^y is {got}: expected one integer for each of the 4 samples$"
    with pytest.raises(DataError, match=message):
        Dataset(np.zeros((4, 1)), y, ("mass",), ("g",))


def test_label_out_of_range() -> None:
    message = (
        r"^label 2 in row 1 \(2 such rows\): expected 0 to 1, the index of one of g, q$"
    )
    with pytest.raises(DataError, match=message):
        Dataset(np.zeros((4, 1)), np.array([0, 2, 1, 2]), ("mass",), ("g", "q"))


def test_class_without_samples() -> None:
    dataset = Dataset(np.zeros((2, 1)), np.array([0, 0]), ("mass",), ("g", "q", "t"))
    message = (
        r"^the data set has no samples of class 'q', 't' \(it has 2 g, 0 q, 0 t\): add "
        r"some, or leave the class out of `classes`$"
    )
    with pytest.raises(DataError, match=message):
        split_dataset(dataset, FRACTIONS, seed=0)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^.*train\.h5: no such data set$"):
        Dataset.read(tmp_path / "train.h5")


def test_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "train.h5"
    _dataset(2000).save(path)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(
        DataError, match=r"^.*train\.h5: damaged \(.*\); make it again$"
    ):
        Dataset.read(path)


def test_changed_value(tmp_path: Path) -> None:
    path = tmp_path / "train.h5"
    _dataset().save(path)
    with h5py.File(path, "r+") as file:
        file["x"][3, 0] += 1
    message = r"^.*: damaged \(its digest is .{12}…, expected .{12}…\); make it again$"
    with pytest.raises(DataError, match=message):
        Dataset.read(path)


def test_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "train.h5"
    with h5py.File(path, "w") as file:
        file["x"] = 1
    message = (
        r"^.*: not a data set of hawq \(format None, expected 'hawq dataset 1'\): read "
        r"it with `read_dataset`$"
    )
    with pytest.raises(DataError, match=message):
        Dataset.read(path)


@given(
    samples=st.integers(30, 300),
    classes=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_split_is_a_stratified_partition(samples: int, classes: int, seed: int) -> None:
    dataset = _dataset(samples, classes)
    numbered = Dataset(
        np.column_stack([np.arange(samples), dataset.y]),
        dataset.y,
        dataset.features,
        dataset.classes,
    )
    split = split_dataset(numbered, FRACTIONS, seed)
    rows = np.concatenate([part.x[:, 0] for part in split])
    assert_array_equal(np.sort(rows), np.arange(samples))
    for part, fraction in zip(split, FRACTIONS, strict=True):
        assert_array_equal(part.x[:, 1], part.y)
        for name, n in part.counts.items():
            assert abs(n - fraction * numbered.counts[name]) <= 1


def test_split_depends_on_the_seed_alone() -> None:
    dataset = _dataset(300)
    first, again, other = (split_dataset(dataset, FRACTIONS, s) for s in (1, 1, 2))
    assert [part.digest for part in first] == [part.digest for part in again]
    assert first.train.digest != other.train.digest


def test_split_is_the_published_one() -> None:
    """The assignment is part of the contract: results quote it by its seed."""
    dataset = Dataset(np.arange(20)[:, None], np.arange(20) % 2, ("row",), ("g", "q"))
    split = split_dataset(dataset, FRACTIONS, seed=0)
    expected = [
        np.random.default_rng([0, label]).permutation(np.arange(label, 20, 2))
        for label in (0, 1)
    ]
    assert_array_equal(
        split.validation.x[:, 0], np.sort([row for e in expected for row in e[6:8]])
    )


def test_limit_of_samples_per_class() -> None:
    split = split_dataset(_dataset(300), FRACTIONS, 0, samples_per_class=50)
    assert [part.counts for part in split] == [
        {"g": 30, "q": 30, "t": 30},
        {"g": 10, "q": 10, "t": 10},
        {"g": 10, "q": 10, "t": 10},
    ]


@pytest.mark.parametrize(
    "fractions", [(0.6, 0.2, 0.3), (1.0, 0.0, 0.0), (0.8, 0.3, -0.1)]
)
def test_bad_fractions(fractions: tuple[float, float, float]) -> None:
    message = (
        r"^fractions \(.*\): expected three positive numbers .* whose sum is 1, .*$"
    )
    with pytest.raises(DataError, match=message):
        split_dataset(_dataset(), fractions, 0)


def test_class_too_small_for_a_part() -> None:
    message = (
        r"^class 'g' has 2 samples, too few for the fractions \(0\.6, 0\.2, 0\.2\): "
        r"each part needs one$"
    )
    with pytest.raises(DataError, match=message):
        split_dataset(_dataset(6), FRACTIONS, 0)
