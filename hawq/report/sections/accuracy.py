"""Accuracy from float to firmware, and the paired difference on the same samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from scipy.stats import binomtest

from hawq.errors import DataError
from hawq.model.record import Metrics, ModelRecord
from hawq.records import Record
from hawq.report.outputs import Outputs
from hawq.training.record import TrainingRecord

FLOAT = "float network"
UNTRAINED = "quantized, not yet trained"
QUANTIZED = "quantized, trained"
CALIBRATED = "quantized, calibrated"
FIRMWARE = "firmware (C-simulation)"
GOLDEN = "firmware's integers (golden executor)"


class AccuracyRow(Record):
    """The accuracy of one form of the network on one sample.

    Attributes:
        network: Which form.
        sample: Which sample.
        samples: Its size.
        accuracy: Fraction classified correctly.
        error: Binomial, one standard error.
        loss_nats: Mean cross-entropy.
    """

    network: str
    sample: str
    samples: int
    accuracy: float
    error: float
    loss_nats: float


class PairedDifference(Record):
    """The accuracies of two classifiers on the same samples, subtracted.

    Attributes:
        samples: Size of the sample.
        gained: Samples that only the second classifies correctly.
        lost: Samples that only the first classifies correctly.
        difference: Second less first: ``(gained - lost) / samples``.
        error: One standard error of it.
        p_value: Of the hypothesis that both are equally accurate (exact McNemar test).
        flipped: Samples to which they give different classes, right or wrong.
    """

    samples: int
    gained: int
    lost: int
    difference: float
    error: float
    p_value: float
    flipped: int


class Accuracy(Record):
    """The accuracy section.

    Attributes:
        rows: On the generated jets: the test sample first, then validation.
        paired: Firmware less float on the same test jets, if the ladder was climbed.
        real: The same forms on the user's real jets, if given.
        real_paired: Firmware less float on the real jets.
    """

    rows: tuple[AccuracyRow, ...]
    paired: PairedDifference | None = None
    real: tuple[AccuracyRow, ...] = ()
    real_paired: PairedDifference | None = None


def paired_difference(
    first: NDArray[Any], second: NDArray[Any], labels: NDArray[np.int64]
) -> PairedDifference:
    """Subtract the accuracies of two classifiers on the same samples.

    With g samples that only the second gets right, l that only the first gets right,
    out of n, the difference is ``d = (g - l)/n`` and its variance
    ``(g + l - (g - l)²/n)/n²``: samples on which both agree do not widen the error.

    Args:
        first: Chosen classes, shape (samples,).
        second: Likewise.
        labels: True classes, shape (samples,).

    Returns:
        Second less first.

    Raises:
        DataError: if the three differ in length or are empty.

    Source: Q. McNemar, Psychometrika 12, 1947.
    """
    if not len(first) == len(second) == len(labels) > 0:
        raise DataError(
            f"choices for {len(first)} and {len(second)} samples and {len(labels)} "
            "labels: expected the same number, at least one"
        )
    n = len(labels)
    was_right, is_right = first == labels, second == labels
    gained = int(np.count_nonzero(is_right & ~was_right))
    lost = int(np.count_nonzero(was_right & ~is_right))
    variance = (gained + lost - (gained - lost) ** 2 / n) / n**2
    discordant = gained + lost
    p_value = binomtest(gained, discordant).pvalue if discordant else 1.0
    return PairedDifference(
        samples=n,
        gained=gained,
        lost=lost,
        difference=(gained - lost) / n,
        error=float(np.sqrt(variance)),
        p_value=float(p_value),
        flipped=int(np.count_nonzero(first != second)),
    )


def compare(outputs: Outputs) -> PairedDifference:
    """Subtract the float network's accuracy from the firmware's, jet by jet.

    Args:
        outputs: Of both, on the same samples.

    Returns:
        Firmware less float.
    """
    return paired_difference(
        outputs.float_logits.argmax(axis=1),
        outputs.integers.argmax(axis=1),
        outputs.labels,
    )


def count(
    network: str, sample: str, logits: NDArray[Any], labels: NDArray[np.int64]
) -> AccuracyRow:
    """Count right choices and measure the loss.

    Args:
        network: Which form of the network chose.
        sample: Name of the sample.
        logits: Shape (samples, classes).
        labels: True classes, shape (samples,).

    Returns:
        The row.
    """
    accuracy = float(np.mean(logits.argmax(axis=1) == labels))
    log_p = log_softmax(logits.astype(np.float64), axis=1)
    return AccuracyRow(
        network=network,
        sample=sample,
        samples=len(labels),
        accuracy=accuracy,
        error=float(np.sqrt(accuracy * (1 - accuracy) / len(labels))),
        loss_nats=float(-log_p[np.arange(len(labels)), labels].mean()),
    )


def gather(
    model: ModelRecord | None,
    training: TrainingRecord | None,
    outputs: Outputs | None,
    real: Outputs | None = None,
    real_sample: str = "real jets",
) -> Accuracy | None:
    """Collect the accuracies that the stages measured.

    Args:
        model: Record of the float network.
        training: Record of the quantized network.
        outputs: Of firmware and float network on the test jets.
        real: Likewise on real jets; its integers come from the golden executor.
        real_sample: What the real jets are called.

    Returns:
        The section; None if the flow has no network.
    """
    if model is None:
        return None
    rows = [_row(FLOAT, "test", model.test)]
    is_trained = training is not None and training.method == "qat"
    quantized = QUANTIZED if is_trained else CALIBRATED
    if training is not None:
        rows.append(_row(quantized, "test", training.test))
    if outputs is not None:
        firmware = count(FIRMWARE, "test", outputs.firmware_logits, outputs.labels)
        rows.append(firmware)
    rows.append(_row(FLOAT, "validation", model.validation))
    if training is not None:
        if is_trained:
            rows.append(_row(UNTRAINED, "validation", training.before))
        rows.append(_row(quantized, "validation", training.validation))
    on_real: tuple[AccuracyRow, ...] = ()
    if real is not None:
        on_real = (
            count(FLOAT, real_sample, real.float_logits, real.labels),
            count(GOLDEN, real_sample, real.firmware_logits, real.labels),
        )
    return Accuracy(
        rows=tuple(rows),
        paired=None if outputs is None else compare(outputs),
        real=on_real,
        real_paired=None if real is None else compare(real),
    )


def _row(network: str, sample: str, metrics: Metrics) -> AccuracyRow:
    return AccuracyRow(
        network=network,
        sample=sample,
        samples=metrics.samples,
        accuracy=metrics.accuracy,
        error=metrics.accuracy_error,
        loss_nats=metrics.loss_nats,
    )
