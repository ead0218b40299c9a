"""LUTs of two methods at equal test accuracy, with the error of their ratio.

A method is a row of points from small to large. Its test accuracy as a function of
log LUT is made non-decreasing by isotonic regression, as more LUTs never force a lower
accuracy: noise does. Between points it is linear in log LUT. Errors come from drawing
the test jets again: the same jets for all methods, so that the noise they share drops
out of the ratio. What another seed of a training would give is not in them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

Floats = NDArray[np.float64]


def not_dominated(luts: Sequence[int], validation: Sequence[float]) -> list[int]:
    """Choose points by validation accuracy alone.

    Args:
        luts: A point each.
        validation: Accuracy of each.

    Returns:
        Indices of those that no point of as few LUTs beats, from small to large.
    """
    chosen: list[int] = []
    for i in sorted(range(len(luts)), key=lambda i: (luts[i], -validation[i])):
        if not chosen or validation[i] > validation[chosen[-1]]:
            chosen.append(i)
    return chosen


def lut_at(accuracy: float, luts: Floats, accuracies: Floats) -> float:
    """Interpolate the LUTs that an accuracy takes.

    Args:
        accuracy: That is asked for.
        luts: Of the points, rising.
        accuracies: Of the points, on test jets.

    Returns:
        LUTs; NaN if the points do not reach the accuracy, or all lie above it.
    """
    fitted = isotonic_regression(accuracies).x
    above = np.flatnonzero(fitted >= accuracy)
    if not len(above) or (above[0] == 0 and fitted[0] > accuracy):
        return float("nan")
    i = int(above[0])
    if i == 0:
        return float(luts[0])
    part = (accuracy - fitted[i - 1]) / (fitted[i] - fitted[i - 1])
    return float(luts[i - 1] * (luts[i] / luts[i - 1]) ** part)


def draw(right: Sequence[NDArray[np.bool_]], draws: int, seed: int) -> Floats:
    """Draw the test jets again and again.

    Args:
        right: For each network, whether it is right on each jet.
        draws: How often.
        seed: Of the draws.

    Returns:
        Accuracies, shape (draws, networks); the jets of a draw are those of all.
    """
    rng, matrix = np.random.default_rng(seed), np.asarray(right, dtype=np.float64)
    samples = matrix.shape[1]
    counts = (
        np.bincount(rng.integers(samples, size=samples), minlength=samples)
        for _ in range(draws)
    )
    return np.array([matrix @ count / samples for count in counts])


def ratio(
    accuracy: float,
    ours: tuple[Floats, Floats, Floats],
    theirs: tuple[Floats, Floats, Floats],
) -> tuple[float, float, float]:
    """Compare the LUTs of two methods at one test accuracy.

    Args:
        accuracy: At which they are compared.
        ours: LUTs, shape (points,), rising; accuracies, shape (points,); drawn
            accuracies, shape (draws, points).
        theirs: The same, of the same draws.

    Returns:
        Their LUTs divided by ours, its standard error, and the share of draws in which
        both reach the accuracy; NaN where it is not reached.
    """
    nominal = lut_at(accuracy, *theirs[:2]) / lut_at(accuracy, *ours[:2])
    drawn = np.array([
        lut_at(accuracy, theirs[0], b) / lut_at(accuracy, ours[0], a)
        for a, b in zip(ours[2], theirs[2], strict=True)
    ])
    logs = np.log(drawn[np.isfinite(drawn)])
    error = nominal * logs.std(ddof=1) if len(logs) > 1 else float("nan")
    return nominal, float(error), len(logs) / len(drawn)
