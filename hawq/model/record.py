"""What the model stage hands on."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hawq.records import Record

SOURCE = "network.py"
"""The file of a network's folder that holds ``build``."""


class Rejection(Record):
    """How well a class is told from the others at a fixed signal efficiency.

    Attributes:
        signal_efficiency: Fraction of the class above the threshold.
        background: Samples of the other classes.
        passed: How many of them are above the threshold (ties shared out).
        value: ``background / passed``, or None when none passed.
        error: One standard error of ``value``, or None likewise.
    """

    signal_efficiency: float
    background: int
    passed: float
    value: float | None
    error: float | None


class Metrics(Record):
    """How well a classifier does on a sample; errors are one standard error.

    Attributes:
        samples: Size of the sample.
        loss_nats: Mean cross-entropy.
        accuracy: Fraction classified correctly.
        accuracy_error: Binomial.
        auc: Class → area under its one-against-rest ROC curve.
        auc_error: Class → its error, after DeLong.
        rejection: Class → background rejection.
        confusion: Counts, true class by row, predicted class by column.
    """

    samples: int
    loss_nats: float
    accuracy: float = Field(ge=0, le=1)
    accuracy_error: float = Field(ge=0)
    auc: dict[str, float]
    auc_error: dict[str, float]
    rejection: dict[str, Rejection]
    confusion: tuple[tuple[int, ...], ...]


class Epoch(Record):
    """One pass over the training sample.

    Attributes:
        learning_rate: At its last step.
        train_loss_nats: Mean over its batches, while the weights moved.
        validation_loss_nats: After it.
        validation_accuracy: After it.
    """

    learning_rate: float
    train_loss_nats: float
    validation_loss_nats: float
    validation_accuracy: float


class ModelRecord(Record):
    """A trained float network; its weights are in ``float.pt`` beside the record.

    Attributes:
        features: Input columns, in order.
        classes: Output classes, in order.
        mean: Of each feature in the training sample, raw units.
        std: Standard deviation of each feature there, raw units.
        network: Name of the folder of the ``network.py`` that was built; a copy of the
            file lies beside the record.
        arguments: What its ``build`` was called with.
        parameters: How many numbers were trained.
        seed: Of initialisation and shuffling.
        best_epoch: The epoch, from 1, whose weights were kept.
        history: One entry an epoch.
        validation: Metrics on the validation sample, which chose the epoch.
        test: Metrics on the test sample, which chose nothing.
    """

    features: tuple[str, ...]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    network: str
    arguments: dict[str, Any]
    parameters: int
    seed: int
    best_epoch: int
    history: tuple[Epoch, ...]
    validation: Metrics
    test: Metrics
