import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from hawq.report.sections import roc

SEED = [1, 2]


def test_background_efficiency_by_hand() -> None:
    scores = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    is_signal = np.array([True, False, True, False, False])
    found = roc.background_efficiency(scores, is_signal, np.array([0.5, 0.75, 1.0]))
    assert_allclose(found, [0, 1 / 3, 1 / 3])


def test_ties_are_shared_out() -> None:
    scores = np.array([1.0, 1.0, 1.0, 0.0])
    is_signal = np.array([True, True, False, False])
    found = roc.background_efficiency(scores, is_signal, np.array([0.5, 1.0]))
    assert_allclose(found, [0.25, 0.5])


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.booleans()), min_size=4, max_size=40
    ).filter(lambda rows: 0 < sum(signal for _, signal in rows) < len(rows))
)
def test_area_equals_the_rank_statistic(rows: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in rows], dtype=float)
    is_signal = np.array([signal for _, signal in rows])
    grid = np.linspace(0, 1, 20001)
    found = roc.background_efficiency(scores, is_signal, grid)
    # The grid's step bounds the error of the trapezium rule.
    assert_allclose(
        1 - np.trapezoid(found, grid), roc_auc_score(is_signal, scores), atol=2e-4
    )


def test_gaussian_scores_follow_the_closed_form() -> None:
    rng = np.random.default_rng(5)
    n = 40_000
    scores = np.r_[rng.normal(1.5, 1, n), rng.normal(0, 1, n)]
    is_signal = np.arange(2 * n) < n
    grid = np.array([0.3, 0.5, 0.8])
    expected = norm.sf(norm.isf(grid) + 1.5)
    found = roc.background_efficiency(scores, is_signal, grid)
    error = roc.efficiency_error(scores, is_signal, grid)
    assert (np.abs(found - expected) < 3 * error).all()


def test_efficiency_error_covers() -> None:
    rng = np.random.default_rng(6)
    n, trials = 400, 300
    is_signal = np.arange(2 * n) < n
    grid = np.array([0.5])
    expected = norm.sf(1.0)
    inside = 0
    for _ in range(trials):
        scores = np.r_[rng.normal(1, 1, n), rng.normal(0, 1, n)]
        found = roc.background_efficiency(scores, is_signal, grid)
        error = roc.efficiency_error(scores, is_signal, grid)
        inside += abs(found[0] - expected) < error[0]
    # 3 standard deviations of a fraction of 300.
    assert abs(inside / trials - 0.683) < 0.08


def test_weights_count_samples_again() -> None:
    scores = np.array([3.0, 2.0, 1.0])
    is_signal = np.array([False, True, False])
    weights = np.array([[1, 1, 1], [3, 1, 1], [0, 1, 1]])
    found = roc.background_efficiency(scores, is_signal, np.array([1.0]), weights)
    assert_allclose(found[:, 0], [1 / 2, 3 / 4, 0])


def test_ratio_of_equal_scores_has_no_error() -> None:
    rng = np.random.default_rng(7)
    scores = rng.normal(size=200)
    is_signal = np.arange(200) < 100
    ratio, error = roc.paired_ratio((scores, scores), is_signal, roc.GRID, SEED)
    assert_array_equal(ratio[np.isfinite(ratio)], 1.0)
    assert_array_equal(error[np.isfinite(error)], 0.0)


def test_ratio_repeats_with_its_seed() -> None:
    rng = np.random.default_rng(8)
    pair = (rng.normal(size=300), rng.normal(size=300))
    is_signal = np.arange(300) < 100
    first = roc.paired_ratio(pair, is_signal, roc.GRID, SEED)
    second = roc.paired_ratio(pair, is_signal, roc.GRID, SEED)
    other = roc.paired_ratio(pair, is_signal, roc.GRID, [3])
    assert_array_equal(first[1], second[1])
    assert not np.array_equal(first[1], other[1])


def measured() -> roc.Roc:
    rng = np.random.default_rng(9)
    labels = np.arange(300) % 3
    logits = rng.normal(size=(300, 4)) + 2 * np.eye(4)[labels]
    return roc.measure(
        {"float": logits, "firmware": np.round(logits * 4) / 4},
        labels,
        ("g", "q", "t", "w"),
        seed=1,
    )


def test_a_class_without_samples_is_left_out() -> None:
    found = measured()
    assert found.classes == ("g", "q", "t")
    assert found.left_out == ("w",)


def test_curves_of_each_network_and_class() -> None:
    found = measured()
    assert found.networks == ["float", "firmware"]
    assert [curve.class_name for curve in found.of("firmware")] == ["g", "q", "t"]
    assert [curve.signal for curve in found.of("float")] == [100, 100, 100]
    assert len(found.ratios) == 3
    assert found.replicas == roc.REPLICAS


def test_one_network_has_no_ratio() -> None:
    labels = np.arange(30) % 2
    logits = np.random.default_rng(1).normal(size=(30, 2))
    found = roc.measure({"float": logits}, labels, ("g", "q"), seed=1)
    assert found.ratios == ()
    assert len(roc.draw(found).axes) == 1


def test_json_holds_no_nan() -> None:
    text = measured().model_dump_json()
    assert "NaN" not in text
    assert roc.Roc.model_validate_json(text) == measured()


def test_the_figure_has_a_legend_with_areas() -> None:
    found = measured()
    upper, lower = roc.draw(found).axes
    texts = [text.get_text() for text in upper.get_legend().get_texts()]
    assert texts == ["float", "firmware"]
    areas = [child for child in upper.artists if hasattr(child, "get_texts")]
    curve = found.of("firmware")[0]
    expected = f"gluon   {curve.auc:.4f} ± {curve.auc_error:.4f}"
    assert areas[0].get_texts()[0].get_text() == expected
    assert upper.get_yscale() == "log"
    assert lower.get_xlabel() == "signal efficiency  $ε_S$"


@pytest.mark.parametrize("name", ["float", "firmware"])
def test_efficiencies_rise(name: str) -> None:
    for curve in measured().of(name):
        assert (np.diff(curve.background_efficiency) >= 0).all()
