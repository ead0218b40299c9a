"""How well a classifier does, with standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from scipy.stats import rankdata
from sklearn.metrics import confusion_matrix, roc_curve

from hawq.errors import DataError
from hawq.model.record import Metrics, Rejection

SIGNAL_EFFICIENCY = 0.5


def measure(
    logits: NDArray[Any], labels: NDArray[np.int64], classes: Sequence[str]
) -> Metrics:
    """Measure a classifier by its logits.

    A class is told from the rest by its softmax probability.

    Args:
        logits: Shape (samples, classes).
        labels: Shape (samples,): indices into ``classes``.
        classes: Names.

    Returns:
        Loss, accuracy, and for each class AUC and background rejection.

    Raises:
        DataError: if a class has no samples, or all.
    """
    counts = np.bincount(labels, minlength=len(classes))
    for name, count in zip(classes, counts, strict=True):
        if count in {0, len(labels)}:
            raise DataError(
                f"class {name!r} has {count} of {len(labels)} samples: AUC and "
                "rejection need samples of it and of others"
            )
    log_p = log_softmax(logits.astype(np.float64), axis=1)
    predicted = logits.argmax(axis=1)
    right = float((predicted == labels).mean())
    area, rejection = {}, {}
    for label, name in enumerate(classes):
        area[name] = auc(log_p[:, label], labels == label)
        rejection[name] = reject(log_p[:, label], labels == label)
    table = confusion_matrix(labels, predicted, labels=range(len(classes)))
    return Metrics(
        samples=len(labels),
        loss_nats=float(-log_p[np.arange(len(labels)), labels].mean()),
        accuracy=right,
        accuracy_error=float(np.sqrt(right * (1 - right) / len(labels))),
        auc={name: value for name, (value, _) in area.items()},
        auc_error={name: error for name, (_, error) in area.items()},
        rejection=rejection,
        confusion=tuple(tuple(row) for row in table.tolist()),
    )


def auc(scores: NDArray[Any], is_signal: NDArray[np.bool_]) -> tuple[float, float]:
    """Compute the area under the ROC curve and its standard error.

    The area is the probability that a signal sample scores above a background sample,
    ties counting half. Its variance is ``var(V₁₀)/m + var(V₀₁)/n``, where ``V₁₀`` is
    for each of the m signal samples the fraction of background below it, and ``V₀₁``
    for each of the n background samples the fraction of signal above it.

    Args:
        scores: Shape (samples,).
        is_signal: Shape (samples,).

    Returns:
        Area and error; the error is NaN if signal or background is a single sample.

    Source: E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Biometrics 44, 1988.

    >>> auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))[0]
    0.75
    """
    signal, background = scores[is_signal], scores[~is_signal]
    m, n = len(signal), len(background)
    ranks = rankdata(np.concatenate([signal, background]))
    below = (ranks[:m] - rankdata(signal)) / n
    above = 1 - (ranks[m:] - rankdata(background)) / m
    if min(m, n) < 2:
        return float(below.mean()), float("nan")
    variance = below.var(ddof=1) / m + above.var(ddof=1) / n
    return float(below.mean()), float(np.sqrt(variance))


def reject(
    scores: NDArray[Any],
    is_signal: NDArray[np.bool_],
    signal_efficiency: float = SIGNAL_EFFICIENCY,
) -> Rejection:
    """Compute the background rejection ``1/ε_B`` at a signal efficiency.

    The ROC curve is interpolated, so that ties are shared out. Two errors are added in
    quadrature: the binomial one of ``ε_B``, and that of the threshold, which moves with
    the signal sample: the slope of the ROC curve times the binomial error of ``ε_S``.

    Args:
        scores: Shape (samples,).
        is_signal: Shape (samples,).
        signal_efficiency: Between 0 and 1.

    Returns:
        The rejection and its error.
    """
    false_rate, true_rate, _ = roc_curve(is_signal, scores)
    signal, background = int(is_signal.sum()), int((~is_signal).sum())
    spread = np.sqrt(signal_efficiency * (1 - signal_efficiency) / signal)
    efficiencies = signal_efficiency + spread * np.array([-1, 0, 1])
    low, passed, high = np.interp(efficiencies, true_rate, false_rate)
    variance = passed * (1 - passed) / background + ((high - low) / 2) ** 2
    return Rejection(
        signal_efficiency=signal_efficiency,
        background=background,
        passed=float(passed * background),
        value=float(1 / passed) if passed else None,
        error=float(np.sqrt(variance) / passed**2) if passed else None,
    )
