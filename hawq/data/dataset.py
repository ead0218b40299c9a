"""Labelled samples in raw units, validated once and kept as HDF5."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from hawq.errors import DataError
from hawq.paths import atomic_file

FORMAT = "hawq dataset 1"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples of known classes, one row a sample.

    Attributes:
        x: float32, shape (samples, features), raw units, finite.
        y: int64, shape (samples,): indices into ``classes``.
        features: Column names of ``x``.
        classes: Class names.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    features: tuple[str, ...]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        with np.errstate(over="ignore"):
            x = np.ascontiguousarray(self.x, dtype=np.float32)
        labels = np.asarray(self.y)
        if x.ndim != 2 or x.shape[1] != len(self.features):
            raise DataError(
                f"x has the shape {x.shape}: expected (samples, {len(self.features)}), "
                f"a column for each of {', '.join(self.features)}"
            )
        if labels.shape != (len(x),) or labels.dtype.kind not in "iu":
            raise DataError(
                f"y is {labels.dtype} of shape {labels.shape}: expected "
                f"one integer for each of the {len(x)} samples"
            )
        check_finite(x, self.features)
        _check_labels(labels, self.classes)
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", labels.astype(np.int64))
        object.__setattr__(self, "features", tuple(self.features))
        object.__setattr__(self, "classes", tuple(self.classes))

    def __len__(self) -> int:
        return len(self.y)

    @property
    def counts(self) -> dict[str, int]:
        """The number of samples of each class."""
        counts = np.bincount(self.y, minlength=len(self.classes))
        return {name: int(n) for name, n in zip(self.classes, counts, strict=True)}

    @property
    def digest(self) -> str:
        """SHA-256 of names, features and labels, in hexadecimal."""
        names = json.dumps([self.features, self.classes])
        digest = hashlib.sha256(names.encode())
        digest.update(self.x.astype("<f4", copy=False).tobytes())
        digest.update(self.y.astype("<i8", copy=False).tobytes())
        return digest.hexdigest()

    def require_every_class(self, origin: str = "the data set") -> None:
        """Refuse a data set in which a class has no samples.

        Args:
            origin: What the message calls the data set.

        Raises:
            DataError: naming the empty classes.
        """
        empty = [name for name, n in self.counts.items() if n == 0]
        if empty:
            raise DataError(
                f"{origin} has no samples of class {', '.join(map(repr, empty))} "
                f"(it has {_listed(self.counts)}): add some, or leave the class out "
                "of `classes`"
            )

    def take(self, rows: NDArray[np.int64]) -> Dataset:
        """Select rows.

        Args:
            rows: Indices, in the order wanted.

        Returns:
            Those samples.
        """
        return Dataset(self.x[rows], self.y[rows], self.features, self.classes)

    def save(self, path: Path) -> None:
        """Write the data set as HDF5, atomically.

        Args:
            path: The file to write.
        """
        with atomic_file(path) as temporary, h5py.File(temporary, "w") as file:
            file.create_dataset("x", data=self.x)
            file.create_dataset("y", data=self.y)
            file.attrs["format"] = FORMAT
            file.attrs["features"] = list(self.features)
            file.attrs["classes"] = list(self.classes)
            file.attrs["digest"] = self.digest

    @classmethod
    def read(cls, path: Path) -> Dataset:
        """Read what ``save`` wrote.

        Args:
            path: The file.

        Returns:
            The data set, its digest verified.

        Raises:
            DataError: if the file is missing, damaged, or was not written by ``save``.
        """
        if not path.is_file():
            raise DataError(f"{path}: no such data set")
        try:
            with h5py.File(path, "r") as file:
                written_by = file.attrs.get("format")
                if written_by != FORMAT:
                    raise DataError(
                        f"{path}: not a data set of hawq (format {written_by!r}, "
                        f"expected {FORMAT!r}): read it with `read_dataset`"
                    )
                dataset = cls(
                    file["x"][()],
                    file["y"][()],
                    _strings(file.attrs["features"]),
                    _strings(file.attrs["classes"]),
                )
                expected = file.attrs["digest"]
        except (OSError, KeyError) as error:
            raise DataError(f"{path}: damaged ({error}); make it again") from error
        if dataset.digest != expected:
            raise DataError(
                f"{path}: damaged (its digest is {dataset.digest[:12]}…, expected "
                f"{expected[:12]}…); make it again"
            )
        return dataset


class Split(NamedTuple):
    """A data set in three parts that share no sample."""

    train: Dataset
    validation: Dataset
    test: Dataset


def check_finite(
    x: NDArray[Any], features: Sequence[str], origin: str = "", first_row: int = 0
) -> None:
    """Refuse NaN and infinity.

    Args:
        x: Shape (samples, features).
        features: Column names.
        origin: The file, for the message.
        first_row: The number of the first row of ``x`` in that file.

    Raises:
        DataError: naming each affected column, its first row and the count.
    """
    with np.errstate(over="ignore"):
        bad = ~np.isfinite(x.astype(np.float32, copy=False))
    columns = np.flatnonzero(bad.any(axis=0)).tolist()
    if not columns:
        return
    first = bad.argmax(axis=0)
    found = "; ".join(
        f"{features[j]!r} in {bad[:, j].sum()} rows, first in row "
        f"{first_row + first[j]} ({x[first[j], j]})"
        for j in columns
    )
    where = f"{origin}: " if origin else ""
    raise DataError(
        f"{where}not a finite float32: {found} (rows count from 0): remove or mend "
        "these rows"
    )


def split_dataset(
    dataset: Dataset,
    fractions: tuple[float, float, float],
    seed: int,
    samples_per_class: int | None = None,
) -> Split:
    """Split a data set, class by class, at random.

    The assignment depends only on the seed, each class's number of samples and their
    order. Within each part the samples keep the order of the data set.

    Args:
        dataset: What to split.
        fractions: Of training, validation and test; positive, their sum is 1.
        seed: Of the draw.
        samples_per_class: Use at most so many of each class.

    Returns:
        The three parts; each class is in each of them.

    Raises:
        DataError: if the fractions are not such, or a class is too small for a part.
    """
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise DataError(
            f"fractions {fractions}: expected three positive numbers (training, "
            f"validation, test) whose sum is 1, got the sum {sum(fractions):g}"
        )
    dataset.require_every_class()
    parts: tuple[list[NDArray[np.int64]], ...] = ([], [], [])
    for label, name in enumerate(dataset.classes):
        rows = np.flatnonzero(dataset.y == label)
        drawn = np.random.default_rng([seed, label]).permutation(rows)
        drawn = drawn[:samples_per_class]
        ends = np.rint(np.cumsum(fractions) * len(drawn)).astype(int)
        pieces = np.split(drawn, ends[:2])
        if min(map(len, pieces)) == 0:
            raise DataError(
                f"class {name!r} has {len(drawn)} samples, too few for the fractions "
                f"{fractions}: each part needs one"
            )
        for part, piece in zip(parts, pieces, strict=True):
            part.append(piece)
    return Split(*(dataset.take(np.sort(np.concatenate(part))) for part in parts))


def _check_labels(labels: NDArray[Any], classes: Sequence[str]) -> None:
    outside = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if outside.size:
        row = int(outside[0])
        raise DataError(
            f"label {labels[row]} in row {row} ({outside.size} such rows): expected 0 "
            f"to {len(classes) - 1}, the index of one of {', '.join(classes)}"
        )


def _strings(values: Any) -> tuple[str, ...]:
    return tuple(
        value.decode() if isinstance(value, bytes) else str(value) for value in values
    )


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in counts.items())
