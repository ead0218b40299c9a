from pathlib import Path

import pytest

from hawq.records import Allocation
from hawq.report.sections import predictions
from hawq.report.sections.predictions import Predictions
from hawq.rtl.stage import RtlRecord
from hawq.synthesis.stage import SynthesisRecord
from hawq.training.record import TrainingRecord


def gather(flow: dict[str, Path], without: str | None = None) -> Predictions | None:
    def text(stage: str) -> bytes:
        return (flow[stage] / "record.json").read_bytes()

    record = SynthesisRecord.model_validate_json(text("synthesis"))
    targets = {name: t for name, t in record.targets.items() if name != without}
    return predictions.gather(
        record.model_copy(update={"targets": targets}),
        RtlRecord.model_validate_json(text("rtl")),
        Allocation.model_validate_json(text("allocation")),
        TrainingRecord.model_validate_json(text("training")),
    )


def test_every_estimate_over_the_count(flow: dict[str, Path]) -> None:
    found = gather(flow)
    assert found is not None
    assert (found.measured_luts, found.predicted_ns) == (160, 6.5)
    assert [(e.name, e.value, e.unit) for e in found.estimates] == [
        ("cost model", 144, "LUT"),
        ("adder graph", 151.5, "LUT"),
        ("size before sharing", 190, "LUT"),
        ("EBOPs", 170, "EBOPs"),
        ("BOPs", 333, "BOPs"),
    ]
    assert found.estimates[0].ratio == pytest.approx(0.9)


def test_without_a_count_there_is_no_ratio(flow: dict[str, Path]) -> None:
    found = gather(flow, without="xcup")
    assert found is not None
    assert found.measured_luts is None
    assert {e.ratio for e in found.estimates} == {None}
    assert predictions.drawable(found) is None


def test_without_any_estimate() -> None:
    assert predictions.gather(SynthesisRecord(targets={}), None, None, None) is None


def test_the_figure_compares_luts_only(flow: dict[str, Path]) -> None:
    found = predictions.drawable(gather(flow))
    assert found is not None
    (axes,) = predictions.draw(found).axes
    assert [bar.get_width() for bar in axes.patches] == [144, 151.5, 190]
    (line,) = axes.lines
    assert list(line.get_xdata()) == [160, 160]
