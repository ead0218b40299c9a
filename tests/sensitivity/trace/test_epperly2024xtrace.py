import numpy as np
import pytest

from hawq.sensitivity.trace.epperly2024xtrace import xtrace
from hawq.sensitivity.trace.hutchinson1989 import hutchinson

DIMENSION = 80


def _with_spectrum(eigenvalues, seed=0):
    noise = np.random.default_rng(seed).standard_normal((DIMENSION, DIMENSION))
    q, _ = np.linalg.qr(noise)
    return q @ np.diag(eigenvalues) @ q.T


INDEFINITE = _with_spectrum(np.linspace(-1, 2, DIMENSION))
DECAYING = _with_spectrum(1.0 / np.arange(1, DIMENSION + 1) ** 2)


def _draws(h, estimator, probes, seeds):
    return [
        estimator(lambda v: v @ h, DIMENSION, probes, np.random.default_rng(seed))
        for seed in range(seeds)
    ]


@pytest.mark.parametrize("probes", [12, 30])
def test_a_matrix_of_low_rank_is_exact(probes):
    h = _with_spectrum(np.r_[[5.0, -2.0, 1.0], np.zeros(DIMENSION - 3)])
    (found,) = _draws(h, xtrace, probes, 1)
    assert found.trace == pytest.approx(4.0, rel=1e-9)
    assert found.error == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("h", [INDEFINITE, DECAYING], ids=["indefinite", "decaying"])
def test_unbiased_and_as_wide_as_it_says(h):
    found = _draws(h, xtrace, 24, 400)
    traces = np.array([each.trace for each in found])
    spread = traces.std(ddof=1)
    assert abs(traces.mean() - np.trace(h)) < 4 * spread / np.sqrt(400)
    stated = np.sqrt(np.mean([each.error**2 for each in found]))
    # The spread of 400 draws is known to 4 %; the stated error is itself an estimate
    # from few terms.
    assert 0.8 * spread < stated < 1.4 * spread


@pytest.mark.parametrize("h", [INDEFINITE, DECAYING], ids=["indefinite", "decaying"])
def test_coverage_of_the_error(h):
    away = np.array([
        abs(each.trace - np.trace(h)) / each.error
        for each in _draws(h, xtrace, 40, 400)
    ])
    # Four binomial standard deviations; few terms make the error itself uncertain.
    assert abs(np.mean(away < 1) - 0.683) < 4 * np.sqrt(0.683 * 0.317 / 400)
    assert np.mean(away < 2) > 0.954 - 4 * np.sqrt(0.954 * 0.046 / 400)
    assert np.sum(away[:20] > 3) <= 1


def test_less_variance_than_hutchinson_at_equal_cost():
    ours = [each.trace for each in _draws(DECAYING, xtrace, 24, 100)]
    plain = [each.trace for each in _draws(DECAYING, hutchinson, 24, 100)]
    assert np.std(ours) < 0.35 * np.std(plain)


def test_products_are_not_exceeded():
    spent = 0

    def product(v):
        nonlocal spent
        spent += len(v)
        return v @ DECAYING

    xtrace(product, DIMENSION, 31, np.random.default_rng(0))
    assert spent <= 31
