"""Compare two sets of jets, class by class and feature by feature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import ks_2samp

from hawq.data.dataset import Dataset
from hawq.errors import DataError


@dataclass(frozen=True, eq=False)
class Agreement:
    """Kolmogorov–Smirnov tests of two sets.

    Attributes:
        distance: Largest difference of the cumulative distributions, shape (classes,
            features), 0 to 1.
        p_value: Chance of a larger one if both come from one distribution, same shape.
        features: In order.
        classes: In order.
    """

    distance: NDArray[np.float64]
    p_value: NDArray[np.float64]
    features: tuple[str, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class AffineMap:
    """``x ↦ gain · x + offset``, feature by feature.

    Attributes:
        gain: Positive, shape (features,).
        offset: Shape (features,).
    """

    gain: NDArray[np.float64]
    offset: NDArray[np.float64]

    def apply(self, dataset: Dataset) -> Dataset:
        """Map a data set.

        Args:
            dataset: In the units of the map's input.

        Returns:
            The same samples in the units of its output.
        """
        x = (self.gain * dataset.x + self.offset).astype(np.float32)
        return Dataset(x, dataset.y, dataset.features, dataset.classes)

    def inverse(self) -> AffineMap:
        """Give the map back.

        Returns:
            The inverse.
        """
        return AffineMap(1 / self.gain, -self.offset / self.gain)


def compare(first: Dataset, second: Dataset) -> Agreement:
    """Test each feature of each class for a difference.

    Args:
        first: In some units.
        second: In the same units, with the same features and classes.

    Returns:
        Distances and p-values.
    """
    _require_alike(first, second)
    shape = (len(first.classes), len(first.features))
    distance, p_value = np.empty(shape), np.empty(shape)
    for label, j in np.ndindex(shape):
        test = ks_2samp(first.x[first.y == label, j], second.x[second.y == label, j])
        distance[label, j], p_value[label, j] = test.statistic, test.pvalue
    return Agreement(distance, p_value, first.features, first.classes)


def match(source: Dataset, target: Dataset) -> AffineMap:
    """Fit the units of one set to those of another: one affine map a feature.

    The map minimises ``Σ n·D²`` over the classes, where D is the Kolmogorov–Smirnov
    distance and n the target's samples of the class. (Moments would not do: with heavy
    tails and a few hundred samples they are too uncertain for the narrow peaks.) The
    two parameters serve all classes of a feature, so the shapes are still tested.

    Args:
        source: Many samples.
        target: Maybe few samples, in units that are an unknown affine map of the
            source's.

    Returns:
        The map from source to target.
    """
    _require_alike(source, target)
    fits = []
    for j in range(len(source.features)):
        pairs = [
            (np.sort(source.x[source.y == k, j]), np.sort(target.x[target.y == k, j]))
            for k in range(len(source.classes))
        ]
        fits.append(
            _match_feature([(a.astype(float), b.astype(float)) for a, b in pairs])
        )
    gain, offset = np.array(fits).T
    return AffineMap(gain, offset)


def _match_feature(
    pairs: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[float, float]:
    # Start from quantiles, averaged over classes, and polish without gradients.
    q = np.linspace(0.05, 0.95, 37)
    of_source = np.mean([np.quantile(a, q) for a, _ in pairs], axis=0)
    of_target = np.mean([np.quantile(b, q) for _, b in pairs], axis=0)
    gain, offset = np.polyfit(of_source, of_target, 1)
    unit = float(np.std(of_target))

    def badness(point: NDArray[np.float64]) -> float:
        a, b = gain * np.exp(point[0]), offset + unit * point[1]
        return sum(len(t) * _distance(s, (t - b) / a) ** 2 for s, t in pairs)

    starts = np.array([[0, 0], [0.05, 0], [0, 0.05]])
    best = minimize(
        badness,
        starts[0],
        method="Nelder-Mead",
        options={"initial_simplex": starts, "xatol": 1e-4, "fatol": 1e-6},
    ).x
    return float(gain * np.exp(best[0])), float(offset + unit * best[1])


def _distance(source: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    # Both sorted. Between the target's samples its distribution is flat and the
    # source's rises, so the largest difference is at a sample of the target.
    n = len(target)
    below = np.searchsorted(source, target, side="left") / len(source)
    up_to = np.searchsorted(source, target, side="right") / len(source)
    first = np.searchsorted(target, target, side="left") / n
    last = np.searchsorted(target, target, side="right") / n
    return float(max(np.max(last - up_to), np.max(below - first)))


def _require_alike(first: Dataset, second: Dataset) -> None:
    for what in ("features", "classes"):
        a, b = getattr(first, what), getattr(second, what)
        if a != b:
            raise DataError(
                f"the sets cannot be compared: their {what} are {', '.join(a)} and "
                f"{', '.join(b)}"
            )
    for dataset in (first, second):
        dataset.require_every_class()
