"""The ratios of the Pareto table against closed forms."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[3] / "benchmarks" / "pareto" / "ratios.py"
SPEC = importlib.util.spec_from_file_location("pareto_ratios", PATH)
ratios = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(ratios)


def test_front_is_chosen_by_validation():
    luts = [300, 100, 200, 200, 400]
    validation = [0.72, 0.70, 0.73, 0.71, 0.74]

    assert ratios.not_dominated(luts, validation) == [1, 2, 4]


def test_lut_is_interpolated_in_its_logarithm():
    luts, accuracies = np.array([100.0, 10_000.0]), np.array([0.70, 0.72])

    assert ratios.lut_at(0.71, luts, accuracies) == pytest.approx(1000)


def test_lut_at_an_end_is_that_of_the_point():
    luts, accuracies = np.array([100.0, 10_000.0]), np.array([0.70, 0.72])

    assert ratios.lut_at(0.70, luts, accuracies) == pytest.approx(100)
    assert ratios.lut_at(0.72, luts, accuracies) == pytest.approx(10_000)


@pytest.mark.parametrize("accuracy", [0.69, 0.73])
def test_no_lut_beyond_the_points(accuracy):
    luts, accuracies = np.array([100.0, 10_000.0]), np.array([0.70, 0.72])

    assert np.isnan(ratios.lut_at(accuracy, luts, accuracies))


def test_falling_accuracies_are_pooled():
    luts = np.array([10.0, 100.0, 1000.0, 10_000.0])
    accuracies = np.array([0.70, 0.72, 0.71, 0.73])

    # Isotonic regression makes them 0.70, 0.715, 0.715, 0.73: the first that reaches
    # 0.715 counts.
    assert ratios.lut_at(0.715, luts, accuracies) == pytest.approx(100)


def test_draws_have_the_binomial_error():
    right = np.arange(4000) % 4 > 0

    drawn = ratios.draw([right], draws=2000, seed=1)[:, 0]

    expected = np.sqrt(0.75 * 0.25 / 4000)
    # 2000 draws know a standard deviation to 1.6 %; five times that.
    assert drawn.std() == pytest.approx(expected, rel=0.08)
    assert drawn.mean() == pytest.approx(0.75, abs=5 * expected / np.sqrt(2000))


def test_draws_are_of_the_same_jets_for_all():
    right = np.arange(4000) % 4 > 0

    drawn = ratios.draw([right, ~right], draws=10, seed=1)

    np.testing.assert_allclose(drawn.sum(axis=1), 1, rtol=1e-12)


def test_ratio_of_equal_networks_has_no_error():
    right = [np.arange(4000) % 10 > 3, np.arange(4000) % 10 > 2]
    luts, accuracies = np.array([100.0, 1000.0]), np.array([0.6, 0.7])
    drawn = ratios.draw(right, draws=50, seed=1)

    value, error, share = ratios.ratio(
        0.65, (luts, accuracies, drawn), (2 * luts, accuracies, drawn)
    )

    assert value == pytest.approx(2)
    assert error == pytest.approx(0, abs=1e-12)
    assert share == 1


def test_ratio_has_the_error_of_its_slope():
    rng = np.random.default_rng(2)
    luts, accuracies = np.array([100.0, 1000.0]), np.array([0.6, 0.7])
    # All of one front moves together: log LUT moves by slope times the shift.
    ours = np.tile(accuracies, (4000, 1))
    theirs = accuracies + rng.normal(0, 0.004, (4000, 1))

    value, error, _ = ratios.ratio(
        0.65, (luts, accuracies, ours), (luts, accuracies, theirs)
    )

    assert value == pytest.approx(1)
    # 4000 draws know a standard deviation to 1.1 %; five times that.
    assert error == pytest.approx(0.004 * np.log(10) / 0.1, rel=0.06)


def test_ratio_that_is_not_reached_is_not_a_number():
    luts, accuracies = np.array([100.0, 1000.0]), np.array([0.6, 0.7])
    front = (luts, accuracies, np.tile(accuracies, (3, 1)))

    value, _, share = ratios.ratio(0.8, front, front)

    assert np.isnan(value)
    assert share == 0
