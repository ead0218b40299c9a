import numpy as np

from hawq.sensitivity.trace.hutchinson1989 import hutchinson


def _symmetric(dimension, seed=0):
    a = np.random.default_rng(seed).standard_normal((dimension, dimension))
    return a + a.T


def test_a_diagonal_matrix_has_no_variance():
    h = np.diag(np.arange(5.0))
    found = hutchinson(lambda v: v @ h, 5, 3, np.random.default_rng(0))
    assert (found.trace, found.error) == (10.0, 0.0)
    np.testing.assert_allclose(found.diagonal, np.arange(5.0))


def test_the_variance_is_twice_the_squares_off_the_diagonal():
    h = _symmetric(12)
    expected = np.sqrt(2 * (np.sum(h**2) - np.sum(np.diag(h) ** 2)) / 100_000)
    found = hutchinson(lambda v: v @ h, 12, 100_000, np.random.default_rng(0))
    # The spread of 100,000 draws is known to a quarter of a percent.
    np.testing.assert_allclose(found.error, expected, rtol=0.02)
    assert abs(found.trace - np.trace(h)) < 4 * expected


def test_the_diagonal_is_unbiased():
    h = _symmetric(6)
    found = hutchinson(lambda v: v @ h, 6, 100_000, np.random.default_rng(1))
    tolerance = 5 * np.sqrt((h**2).sum(1) / 100_000)
    assert (np.abs(found.diagonal - np.diag(h)) < tolerance).all()
