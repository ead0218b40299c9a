from pathlib import Path

import numpy as np
from numpy.testing import assert_allclose

from hawq.records import SensitivityMap, Site, SiteKind, SiteSensitivity
from hawq.report.sections import sensitivities
from hawq.sensitivity.validate import Validation


def measured(*scores: tuple[float, float]) -> SensitivityMap:
    return SensitivityMap(
        source="hessian_trace",
        route="stochastic",
        sites=tuple(
            SiteSensitivity(
                site=Site(
                    name=f"fc{i}.weight",
                    kind=SiteKind.WEIGHT,
                    layer=f"fc{i}",
                    shape=(2, 3),
                ),
                score=score,
                probe_error=0.6 * error,
                sample_error=0.8 * error,
            )
            for i, (score, error) in enumerate(scores)
        ),
        samples=100,
        probes=8,
        seed=1,
        loss_nats=0.7,
    )


def validation(flow: dict[str, Path]) -> Validation:
    text = (flow["sensitivity"] / "validation.json").read_bytes()
    return Validation.model_validate_json(text)


def test_errors_add_in_quadrature() -> None:
    (site,) = sensitivities.gather(measured((2.0, 0.5))).sites
    assert_allclose(site.error, 0.5)
    assert site.elements == 6


def test_factor_is_the_median_where_the_loss_rose(flow: dict[str, Path]) -> None:
    found = sensitivities.gather(measured((2.0, 0.5)), validation(flow))
    # 3/2, 15/10 and 1; the trial whose loss fell does not count.
    assert_allclose(found.factor, 1.5)
    assert_allclose(found.factor_by_element, 0.75)


def test_without_trials_there_is_no_factor() -> None:
    found = sensitivities.gather(measured((2.0, 0.5)))
    assert (found.validation, found.factor, found.factor_by_element) == (None,) * 3


def test_bars_start_left_of_every_score() -> None:
    section = sensitivities.gather(measured((2.0, 0.1), (3e-4, 1e-5)))
    (axes,) = sensitivities.draw(section).axes
    assert axes.get_xscale() == "log"
    left, right = axes.get_xlim()
    assert left < 3e-4 / 1.5
    assert right > 2.1
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    assert_allclose(ends, [2.0, 3e-4])


def test_a_score_below_zero_is_marked_at_its_error() -> None:
    section = sensitivities.gather(measured((2.0, 0.1), (-0.01, 0.2)))
    (axes,) = sensitivities.draw(section).axes
    (marks,) = [line for line in axes.lines if line.get_marker() == "<"]
    assert_allclose(marks.get_xdata(), [0.2])


def test_trials_stand_on_one_pair_of_axes_a_prediction(flow: dict[str, Path]) -> None:
    figure = sensitivities.draw_validation(validation(flow))
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == ["rank correlation 1.000"] * 2
    left, right = figure.axes
    assert left.get_xlim() == left.get_ylim() == right.get_xlim()
    # The trial whose loss fell is not on a logarithmic axis.
    assert sorted(text.get_text() for text in left.texts) == ["4", "4", "6"]


def test_without_the_diagonal_there_is_one_panel(flow: dict[str, Path]) -> None:
    whole = validation(flow)
    trials = tuple(
        trial.model_copy(update={"predicted_by_element_nats": None})
        for trial in whole.trials
    )
    plain = whole.model_copy(
        update={"trials": trials, "rank_correlation_by_element": None}
    )
    (axes,) = sensitivities.draw_validation(plain).axes
    low, high = axes.get_xlim()
    assert_allclose([low, high], np.array([1e-3 / 2, 1.5e-2 * 2]))
