from pathlib import Path

import pytest

from hawq.records import Allocation
from hawq.report.sections import front


def allocation(flow: dict[str, Path], name: str) -> Allocation:
    return Allocation.model_validate_json((flow["allocation"] / name).read_bytes())


def whole(flow: dict[str, Path]) -> front.Front:
    return front.gather(
        allocation(flow, "record.json"),
        "bops",
        allocation(flow, "uniform.json"),
        allocation(flow, "reversed.json"),
    )


def test_points_rise_in_cost(flow: dict[str, Path]) -> None:
    found = whole(flow)
    assert [point.used for point in found.points] == [390, 450]
    assert found.chosen.used == 390
    assert found.budget == 400
    assert [(p.name, p.loss_rise_nats) for p in found.baselines] == [
        ("uniform bits", 0.02),
        ("reversed order", 0.05),
    ]


def test_a_cost_without_budget(flow: dict[str, Path]) -> None:
    found = front.gather(allocation(flow, "record.json"), "memory_bits", None, None)
    assert found.budget is None
    assert found.baselines == ()
    (axes,) = front.draw(found).axes
    assert axes.get_xlabel() == "memory of weights and biases [bits]"


def test_the_figure_marks_chosen_and_baselines(flow: dict[str, Path]) -> None:
    (axes,) = front.draw(whole(flow)).axes
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["front", "chosen", "uniform bits", "reversed order"]
    assert axes.get_yscale() == "log"


def test_a_loss_of_zero_needs_a_linear_axis(flow: dict[str, Path]) -> None:
    found = whole(flow)
    lossless = found.chosen.model_copy(update={"loss_rise_nats": 0.0})
    (axes,) = front.draw(found.model_copy(update={"chosen": lossless})).axes
    assert axes.get_yscale() == "linear"


@pytest.mark.parametrize(
    ("value", "expected"), [(350000.0, "350\u202f000"), (50.0, "50")]
)
def test_ticks_are_grouped(value: float, expected: str) -> None:
    assert front._thousands(value) == expected
