"""The ``training`` stage: a quantized network at the allocated bits.

Quantization-aware training starts from the float weights at the calibrated scales.
Calibration stops there: nothing is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from hawq.records import Allocation
from hawq.stage import StageContext, StageSettings
from hawq.training.record import TrainingRecord

if TYPE_CHECKING:
    from torch import nn

    from hawq.model.record import Epoch, Metrics
    from hawq.model.train import Sample

WEIGHTS = "quantized.pt"


class Settings(StageSettings):
    """Settings of the ``[training]`` table."""

    method: Literal["qat", "calibration"] = Field(
        "qat",
        description="train at the allocated bits, or calibrate alone: no epoch at all",
    )
    epochs: int = Field(30, ge=1, description="at most so many passes over the sample")
    batch_size: int = Field(1024, ge=1, description="samples a step")
    learning_rate: float = Field(
        2e-3, gt=0, description="of Adam; falls to 0 as half a cosine"
    )
    patience: int = Field(
        10, ge=1, description="stop after so many epochs without a lower loss"
    )
    scales: Literal["calibrated", "learned"] = Field(
        "calibrated", description="keep the allocation's power-of-two scales or learn"
    )
    threads: int = Field(
        1, ge=1, description="of PyTorch; results repeat for an equal number only"
    )

    @model_validator(mode="after")
    def _learn_only_by_training(self) -> Settings:
        if self.method == "calibration" and self.scales == "learned":
            raise ValueError(
                'scales = "learned" needs method = "qat": calibration trains nothing'
            )
        return self


def run(context: StageContext) -> TrainingRecord:
    """Quantize the float network at its allocated formats, and train it if asked to.

    Args:
        context: With ``data``, ``model`` and ``allocation`` among its inputs.

    Returns:
        The record; the weights are in ``quantized.pt``.
    """
    import torch

    from hawq.data.dataset import Dataset
    from hawq.model.metrics import measure
    from hawq.model.network import load_float, standardise
    from hawq.model.train import Sample, evaluate
    from hawq.training.cost import bit_operations, nonzero_fractions
    from hawq.training.network import trained_formats

    settings: Settings = context.settings
    allocation = _allocation(context.inputs)
    network = _quantize(context.inputs, allocation, settings.scales)
    _, model = load_float(context.inputs["model"])
    samples = {}
    for split in ("train", "validation", "test"):
        data = Dataset.read(context.inputs["data"] / f"{split}.h5")
        x = torch.from_numpy(standardise(data.x, model))
        samples[split] = Sample(x, torch.from_numpy(data.y))

    def measured(split: str) -> Metrics:
        logits = evaluate(network, samples[split].x).numpy()
        return measure(logits, samples[split].y.numpy(), model.classes)

    before = measured("validation")
    epochs: list[Epoch] = []
    best_epoch = 0
    if settings.method == "qat":
        epochs, best_epoch = _train(context, network, samples)
    torch.save(network.state_dict(), context.folder / WEIGHTS)
    return TrainingRecord(
        method=settings.method,
        scales=settings.scales,
        per_channel=any(c.channel_integer is not None for c in allocation.choices),
        formats=trained_formats(network),
        nonzero=nonzero_fractions(network),
        bops=bit_operations(network, allocation.bits()),
        before=before,
        validation=measured("validation"),
        test=measured("test"),
        epochs=tuple(epochs),
        best_epoch=best_epoch,
    )


def _train(
    context: StageContext, network: nn.Sequential, samples: Mapping[str, Sample]
) -> tuple[list[Epoch], int]:
    from hawq.model.train import Plan, train

    settings: Settings = context.settings
    return train(
        network,
        samples["train"],
        samples["validation"],
        Plan(
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            weight_decay=0.0,
            patience=settings.patience,
            threads=settings.threads,
        ),
        context.seed,
        context.scratch / "checkpoint.pt",
        context.progress,
    )


def load_quantized(inputs: Mapping[str, Path]) -> nn.Sequential:
    """Rebuild the trained network from finished stages.

    Args:
        inputs: With ``model``, ``allocation`` and ``training``.

    Returns:
        The Brevitas network, in evaluation mode.
    """
    import torch

    record = (inputs["training"] / "record.json").read_text()
    scales = TrainingRecord.model_validate_json(record).scales
    network = _quantize(inputs, _allocation(inputs), scales)
    state = torch.load(inputs["training"] / WEIGHTS, weights_only=True)
    network.load_state_dict(state)
    return network.eval()


def _allocation(inputs: Mapping[str, Path]) -> Allocation:
    record = (inputs["allocation"] / "record.json").read_text()
    return Allocation.model_validate_json(record)


def _quantize(
    inputs: Mapping[str, Path], allocation: Allocation, scales: str
) -> nn.Sequential:
    import torch

    from hawq.model.fold import fold_batch_norm
    from hawq.model.network import load_float
    from hawq.training.network import quantize_network

    network, _ = load_float(inputs["model"])
    return quantize_network(
        fold_batch_norm(network),
        {choice.site: choice.format for choice in allocation.choices},
        learned_scales=scales == "learned",
        channel_integers={
            choice.site: torch.tensor(choice.channel_integer)
            for choice in allocation.choices
            if choice.channel_integer is not None
        },
    ).eval()
