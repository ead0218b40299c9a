from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hawq.errors import DataError
from hawq.model.record import ModelRecord
from hawq.report.outputs import Outputs
from hawq.report.sections import accuracy
from hawq.training.record import TrainingRecord

LABELS = np.zeros(100, int)
# Of 100: the first is right on 80, the second on 86; 10 are gained and 4 lost.
FIRST = np.r_[np.zeros(80, int), np.ones(20, int)]
SECOND = np.r_[np.zeros(76, int), np.ones(4, int), np.zeros(10, int), np.ones(10, int)]


def test_paired_difference_by_hand() -> None:
    found = accuracy.paired_difference(FIRST, SECOND, LABELS)
    assert (found.gained, found.lost, found.flipped) == (10, 4, 14)
    assert found.difference == 0.06
    # ((10 + 4) - 6²/100) / 100²
    assert_allclose(found.error, np.sqrt(13.64) / 100)
    # Two-sided: P(X ≤ 4 or X ≥ 10) of 14 fair coins, 2 · 1471/16384.
    assert_allclose(found.p_value, 2942 / 16384)


def test_paired_error_is_the_spread_of_the_per_sample_difference() -> None:
    found = accuracy.paired_difference(FIRST, SECOND, LABELS)
    each = (SECOND == LABELS).astype(float) - (FIRST == LABELS)
    assert_allclose(found.error, each.std() / np.sqrt(len(each)))


def test_paired_difference_of_equal_choices_is_exactly_zero() -> None:
    found = accuracy.paired_difference(FIRST, FIRST, LABELS)
    assert (found.difference, found.error, found.p_value) == (0.0, 0.0, 1.0)


def test_a_flip_between_wrong_classes_changes_no_accuracy() -> None:
    found = accuracy.paired_difference(np.array([1]), np.array([2]), np.array([0]))
    assert (found.flipped, found.gained, found.lost, found.error) == (1, 0, 0, 0.0)


def test_paired_error_covers() -> None:
    # 68 % of 400 experiments: 3 standard deviations of that fraction are 0.07.
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(400):
        both = rng.random(500)
        first = np.where((both < 0.7) | (both > 0.97), 0, 1)
        second = np.where(both < 0.75, 0, 1)
        found = accuracy.paired_difference(first, second, np.zeros(500, int))
        inside += abs(found.difference - 0.02) < found.error
    assert abs(inside / 400 - 0.683) < 0.07


def test_lengths_must_agree() -> None:
    with pytest.raises(
        DataError,
        match=r"^choices for 1 and 2 samples and 2 labels: expected the same number, "
        r"at least one$",
    ):
        accuracy.paired_difference(np.zeros(1), np.zeros(2), np.zeros(2, int))


def test_count_by_hand() -> None:
    logits = np.log([[0.5, 0.5 - 1e-12], [0.2, 0.8], [0.9, 0.1], [0.25, 0.75]])
    row = accuracy.count("net", "test", logits, np.array([0, 1, 1, 1]))
    assert row.accuracy == 0.75
    assert_allclose(row.error, np.sqrt(0.75 * 0.25 / 4))
    expected = -np.log([0.5, 0.8, 0.1, 0.75]).mean()
    assert_allclose(row.loss_nats, expected, rtol=1e-9)


def test_without_a_network_there_is_no_section() -> None:
    assert accuracy.gather(None, None, None) is None


def test_a_calibrated_network_is_not_called_trained(flow: dict[str, Path]) -> None:
    model, training = (
        kind.model_validate_json((flow[stage] / "record.json").read_bytes())
        for kind, stage in ((ModelRecord, "model"), (TrainingRecord, "training"))
    )
    update = {"method": "calibration", "epochs": (), "best_epoch": 0}
    found = accuracy.gather(model, training.model_copy(update=update), None)
    assert found is not None
    assert [(row.network, row.sample) for row in found.rows] == [
        ("float network", "test"),
        ("quantized, calibrated", "test"),
        ("float network", "validation"),
        ("quantized, calibrated", "validation"),
    ]


def test_compare_is_firmware_less_float() -> None:
    outputs = Outputs(
        integers=np.array([[1, 0], [1, 0]]),
        fraction=0,
        float_logits=np.array([[0.0, 1.0], [1.0, 0.0]]),
        labels=np.array([0, 0]),
        classes=("g", "q"),
    )
    assert accuracy.compare(outputs).difference == 0.5
