import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from hawq.errors import DataError, InputError
from hawq.report.sections import trigger

CLASSES = ("g", "q", "t")
INTEGERS = np.array([[0, 0, 5], [1, 2, 4], [7, 0, 1], [0, 9, 3], [0, 0, -2], [4, 1, 4]])
LABELS = np.array([2, 2, 0, 1, 0, 1])


def margin() -> np.ndarray:
    return trigger.margins(INTEGERS, CLASSES, "t", ("g", "q"))


def test_margins_by_hand() -> None:
    assert_array_equal(margin(), [5, 2, -6, -6, -2, 0])
    assert margin().dtype == INTEGERS.dtype


def test_rates_by_hand() -> None:
    curve = trigger.measure(
        margin(), LABELS, CLASSES, 3, "t", {"g": 0.75, "q": 0.25}, 1000.0
    )
    assert curve.thresholds == tuple(range(-6, 6))
    at = dict(zip(curve.thresholds, curve.rate_hz, strict=True))
    # At -6 everything passes; at -5 half of g (-2) and half of q (0); at 0 half of q.
    assert (at[-6], at[-5], at[0], at[1]) == (1000.0, 500.0, 125.0, 0.0)
    efficiency = dict(zip(curve.thresholds, curve.efficiency, strict=True))
    assert (efficiency[2], efficiency[3], efficiency[5]) == (1.0, 0.5, 0.5)


def test_errors_are_binomial() -> None:
    curve = trigger.measure(
        margin(), LABELS, CLASSES, 3, "t", {"g": 0.75, "q": 0.25}, 1000.0
    )
    at = curve.thresholds.index(-5)
    # Two jets of each class, half pass: 0.25/2 each.
    expected = 1000 * np.sqrt((0.75**2 + 0.25**2) * 0.125)
    assert_allclose(curve.rate_error_hz[at], expected)
    assert_allclose(curve.efficiency_error[curve.thresholds.index(3)], np.sqrt(0.125))


def test_a_wide_range_is_thinned() -> None:
    rng = np.random.default_rng(1)
    wide = rng.integers(-(2**20), 2**20, 300)
    curve = trigger.measure(wide, np.arange(300) % 3, CLASSES, 8, "t")
    assert 200 < len(curve.thresholds) <= 402
    assert curve.efficiency[0] == 1.0


def test_working_point_is_the_lowest_allowed_threshold() -> None:
    curve = trigger.measure(
        margin(), LABELS, CLASSES, 3, "t", {"g": 0.75, "q": 0.25}, 1000.0
    )
    point = trigger.working_point(curve, 130.0)
    assert (point.threshold, point.rate_hz, point.efficiency) == (-1, 125.0, 1.0)


def test_working_point_out_of_reach() -> None:
    labels = np.array([2, 2, 2, 0, 1, 1])
    curve = trigger.measure(
        np.array([5, 5, 5, 5, 0, 0]), labels, CLASSES, 0, "t", {"g": 1.0}, 1000.0
    )
    with pytest.raises(
        InputError,
        match=r"^no threshold keeps at most 10 Hz: the highest one keeps 1000 Hz of "
        r"1000 Hz$",
    ):
        trigger.working_point(curve, 10.0)


@pytest.mark.parametrize(
    ("signal", "background"), [("b", ("g",)), ("t", ()), ("t", ("t", "g"))]
)
def test_classes_must_be_known_and_different(
    signal: str, background: tuple[str, ...]
) -> None:
    with pytest.raises(
        InputError, match=r"^signal '.' against .*: expected one class against others"
    ):
        trigger.margins(INTEGERS, CLASSES, signal, background)


def test_fractions_must_sum_to_one() -> None:
    with pytest.raises(
        InputError,
        match=r"^composition \{'g': 0\.5\}: expected fractions from 0 to 1 whose sum "
        r"is 1, got the sum 0\.5$",
    ):
        trigger.measure(margin(), LABELS, CLASSES, 3, "t", {"g": 0.5})


def test_rate_must_be_positive() -> None:
    with pytest.raises(
        InputError, match=r"^input rate 0\.0 Hz: expected a positive number$"
    ):
        trigger.measure(margin(), LABELS, CLASSES, 3, "t", {"g": 1.0}, 0.0)


def test_a_class_without_samples() -> None:
    with pytest.raises(
        DataError, match=r"^no samples of class 'q': its efficiency is unknown$"
    ):
        trigger.measure(margin(), np.array([2, 2, 0, 0, 0, 0]), CLASSES, 3, "t")


def test_the_figure_states_rate_and_mixture() -> None:
    curve = trigger.measure(margin(), LABELS, CLASSES, 3, "t")
    upper, lower = trigger.draw(curve, trigger.working_point(curve, 3e4)).axes
    assert lower.get_title("left") == "100 kHz of jets: 50 % gluon + 50 % light quark"
    assert lower.get_ylabel() == "background rate [Hz]"
    assert upper.get_ylabel() == "efficiency, top jets"
