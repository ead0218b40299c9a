"""Metrics against closed forms, and their errors against the spread they claim."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import norm
from sklearn.metrics import log_loss, roc_auc_score

from hawq.errors import DataError
from hawq.model.metrics import auc, measure, reject

DISTANCE = 1.5  # of two unit Gaussians: AUC = Φ(d/√2), 1/ε_B at ε_S = ½ is 1/Φ(−d)


def _two_gaussians(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    is_signal = np.arange(samples) % 3 == 0
    return rng.normal(size=samples) + DISTANCE * is_signal, is_signal


def test_auc_of_two_gaussians() -> None:
    value, error = auc(*_two_gaussians(30_000, seed=1))
    assert abs(value - norm.cdf(DISTANCE / np.sqrt(2))) < 4 * error
    assert 0.001 < error < 0.004


def test_auc_error_covers() -> None:
    truth = norm.cdf(DISTANCE / np.sqrt(2))
    pairs = [auc(*_two_gaussians(600, seed)) for seed in range(400)]
    pulls = np.array([(value - truth) / error for value, error in pairs])
    # 400 pulls: their width is known to 3.5 %, their mean to 0.05; 4 of either.
    assert abs(pulls.std() - 1) < 0.14
    assert abs(pulls.mean()) < 0.2


def test_auc_agrees_with_scikit_learn_on_ties() -> None:
    scores, is_signal = _two_gaussians(500, seed=2)
    coarse = np.round(scores)
    assert_allclose(auc(coarse, is_signal)[0], roc_auc_score(is_signal, coarse))


@pytest.mark.parametrize(
    ("scores", "expected"), [([0, 0, 1, 1], 1.0), ([1, 1, 0, 0], 0.0), ([1] * 4, 0.5)]
)
def test_auc_at_the_ends(scores: list[float], expected: float) -> None:
    is_signal = np.array([False, False, True, True])
    assert auc(np.array(scores), is_signal)[0] == expected


def test_auc_of_a_single_signal_has_no_error() -> None:
    value, error = auc(np.array([1.0, 2.0, 3.0]), np.array([False, True, False]))
    assert value == 0.5
    assert np.isnan(error)


def test_rejection_of_two_gaussians() -> None:
    found = reject(*_two_gaussians(60_000, seed=3))
    assert found.background == 40_000
    assert found.value is not None
    assert found.error is not None
    assert abs(found.value - 1 / norm.cdf(-DISTANCE)) < 4 * found.error
    assert found.error < 0.05 * found.value
    assert_allclose(found.value, found.background / found.passed)


def test_rejection_error_covers() -> None:
    truth = norm.cdf(-DISTANCE)
    found = [reject(*_two_gaussians(6000, seed)) for seed in range(300)]
    # In ε_B, whose distribution is more symmetric than that of its inverse.
    pulls = [(1 / r.value - truth) / (r.error / r.value**2) for r in found]
    assert abs(np.std(pulls) - 1) < 0.17
    assert abs(np.mean(pulls)) < 0.25


def test_rejection_shares_out_ties() -> None:
    # One threshold keeps all signal and half the background; half of it is randomly
    # kept to reach ½.
    scores = np.array([1, 1, 1, 1, 1, 1, 0, 0])
    is_signal = np.array([1, 1, 1, 1, 0, 0, 0, 0], dtype=bool)
    found = reject(scores, is_signal)
    assert found.passed == 1.0
    assert found.value == 4.0


def test_nothing_passes() -> None:
    found = reject(np.arange(6.0), np.arange(6) >= 3)
    assert (found.passed, found.value, found.error) == (0.0, None, None)


def test_measure_counts_by_hand() -> None:
    logits = np.array([[2, 1, 0], [0, 2, 1], [1, 2, 0], [0, 1, 2]], dtype=np.float32)
    labels = np.array([0, 1, 0, 2])
    metrics = measure(logits, labels, ("g", "q", "t"))
    assert metrics.samples == 4
    assert metrics.accuracy == 0.75
    assert metrics.accuracy_error == np.sqrt(0.75 * 0.25 / 4)
    assert metrics.confusion == ((1, 1, 0), (0, 1, 0), (0, 0, 1))
    # Each row holds 0, 1 and 2, so the denominators are the same.
    p = np.exp(logits.astype(float)) / (1 + np.e + np.e**2)
    assert_allclose(metrics.loss_nats, log_loss(labels, p))
    for label, name in enumerate(("g", "q", "t")):
        expected = roc_auc_score(labels == label, p[:, label])
        assert_allclose(metrics.auc[name], expected)


def test_metrics_survive_json() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    logits = rng.normal(size=(60, 3)) + 30 * np.eye(3)[labels]
    metrics = measure(logits, labels, ("g", "q", "t"))
    assert metrics.rejection["g"].value is None
    assert type(metrics).model_validate_json(metrics.model_dump_json()) == metrics


def test_class_without_samples() -> None:
    message = (
        r"^class 't' has 0 of 4 samples: AUC and rejection need samples of it and of "
        r"others$"
    )
    with pytest.raises(DataError, match=message):
        measure(np.zeros((4, 3)), np.array([0, 1, 0, 1]), ("g", "q", "t"))
