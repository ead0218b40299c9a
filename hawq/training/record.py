"""What the training stage hands on."""

from __future__ import annotations

from typing import Literal

from hawq.fixed import FixedPoint
from hawq.model.record import Epoch, Metrics
from hawq.records import Record


class TrainingRecord(Record):
    """A network quantized at the allocated bits; ``quantized.pt`` holds its weights.

    Attributes:
        method: ``qat`` trained at these bits; ``calibration`` trained nothing.
        scales: ``calibrated`` ones were kept, ``learned`` ones moved with the weights.
        per_channel: Whether each output channel has a weight scale of its own.
        formats: Site → the format the network computes with. With scales per
            channel, weights stand on the finest channel's grid.
        nonzero: Layer → fraction of its weights that are not zero.
        bops: Bit operations a sample, with the trained sparsity.
        before: On the validation split, quantized but not yet trained.
        validation: On the validation split, the network handed on.
        test: On the test split, likewise.
        epochs: One entry a pass; none with ``calibration``.
        best_epoch: The pass whose weights were kept, from 1; 0 with ``calibration``.
    """

    method: Literal["qat", "calibration"] = "qat"
    scales: Literal["calibrated", "learned"]
    per_channel: bool
    formats: dict[str, FixedPoint]
    nonzero: dict[str, float]
    bops: float
    before: Metrics
    validation: Metrics
    test: Metrics
    epochs: tuple[Epoch, ...]
    best_epoch: int
