from pathlib import Path

from numpy.testing import assert_allclose

from hawq.model.record import ModelRecord
from hawq.report.sections import history
from hawq.training.record import TrainingRecord


def both(flow: dict[str, Path]) -> history.History:
    model, training = (
        kind.model_validate_json((flow[stage] / "record.json").read_bytes())
        for kind, stage in ((ModelRecord, "model"), (TrainingRecord, "training"))
    )
    found = history.gather(model, training)
    assert found is not None
    return found


def test_courses(flow: dict[str, Path]) -> None:
    first, second = both(flow).courses
    assert (first.title, len(first.epochs), first.best_epoch) == ("float network", 4, 3)
    assert first.start_accuracy is None
    assert (second.title, second.best_epoch) == ("quantized network", 1)
    assert second.start_accuracy is not None


def test_nothing_trained() -> None:
    assert history.gather(None, None) is None


def test_the_kept_pass_is_marked(flow: dict[str, Path]) -> None:
    figure = history.draw(both(flow))
    upper = figure.axes[0]
    (mark,) = [line for line in upper.lines if line.get_linestyle() == ":"]
    assert_allclose(mark.get_xdata(), [3, 3])
    assert figure.axes[2].get_ylabel() == "accuracy [%]"
