"""The model stage: train the float network on the data stage's jets."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, JsonValue, field_validator
from torch import nn

from hawq.data.dataset import Dataset
from hawq.errors import DataError, NetworkError
from hawq.model.metrics import measure
from hawq.model.network import (
    SOURCE,
    WEIGHTS,
    build_network,
    parameters_of_build,
    save_weights,
    scale,
)
from hawq.model.record import Metrics, ModelRecord
from hawq.model.train import Plan, Sample, evaluate, train
from hawq.paths import shipped
from hawq.stage import StageContext, StageSettings


def _shipped_tagger() -> Path:
    return shipped("models") / "jets" / SOURCE


class Settings(StageSettings):
    """The float network and its training."""

    network: Path = Field(
        default_factory=_shipped_tagger,
        description="Folder with network.py (or such a file), whose build() makes it",
    )
    arguments: dict[str, JsonValue] = Field(
        default={}, description="Passed to build(), besides features and classes"
    )
    batch_norm: bool = Field(
        default=False, description="Normalise hidden layers; build() must take it"
    )
    epochs: int = Field(
        default=120, ge=1, description="At most so many passes over the training sample"
    )
    batch_size: int = Field(default=1024, ge=2, description="Samples a step")
    learning_rate: float = Field(
        default=5e-3, gt=0, description="Of Adam at the start; falls to 0 as a cosine"
    )
    weight_decay: float = Field(
        default=0.0, ge=0, description="Decoupled, a step and unit of learning rate"
    )
    patience: int = Field(
        default=40,
        ge=1,
        description="Stop after so many epochs without a lower validation loss",
    )
    threads: int = Field(
        default=1,
        ge=1,
        description="Of PyTorch; results repeat exactly for an equal number only",
    )

    @field_validator("network", mode="after")
    @classmethod
    def _choose_file(cls, path: Path) -> Path:
        # The file alone decides the result: its folder holds a README and data too.
        return path / SOURCE if path.is_dir() else path


def run(context: StageContext) -> ModelRecord:
    """Train the network; write ``float.pt`` and a copy of ``network.py``.

    Args:
        context: Its inputs hold the data stage.

    Returns:
        The record, with the standardisation and the metrics.
    """
    settings: Settings = context.settings
    data = context.inputs["data"]
    parts = {n: Dataset.read(data / f"{n}.h5") for n in ("train", "validation", "test")}
    sample = parts["train"]
    mean, std = standardisation(sample)
    inputs = {
        name: Sample(
            torch.from_numpy(scale(part.x, mean, std)), torch.from_numpy(part.y)
        )
        for name, part in parts.items()
    }
    arguments = build_arguments(settings, sample)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.seed)
        network = build_network(settings.network, arguments)
    _check_outputs(network, sample, settings.network)
    history, best_epoch = train(
        network,
        inputs["train"],
        inputs["validation"],
        Plan(**settings.model_dump(exclude={"network", "arguments", "batch_norm"})),
        context.seed,
        context.scratch / "checkpoint.pt",
        context.progress,
    )
    shutil.copyfile(settings.network, context.folder / SOURCE)
    save_weights(network, context.folder / WEIGHTS)
    return ModelRecord(
        features=sample.features,
        classes=sample.classes,
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        network=settings.network.parent.name,
        arguments=arguments,
        parameters=sum(p.numel() for p in network.parameters()),
        seed=context.seed,
        best_epoch=best_epoch,
        history=tuple(history),
        validation=_measure(network, inputs["validation"], sample.classes),
        test=_measure(network, inputs["test"], sample.classes),
    )


def standardisation(
    sample: Dataset,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute each feature's mean and standard deviation.

    Args:
        sample: The training sample, raw units.

    Returns:
        Two arrays of shape (features,), raw units.

    Raises:
        DataError: if a feature has the same value in all samples.
    """
    x = sample.x.astype(np.float64)
    constant = [
        f"{name!r} ({x[0, j]:g})"
        for j, name in enumerate(sample.features)
        if x[:, j].min() == x[:, j].max()
    ]
    if constant:
        raise DataError(
            f"{', '.join(constant)} has the same value in all {len(sample)} training "
            "samples, so it cannot be standardised: leave it out of `features`"
        )
    return x.mean(axis=0), x.std(axis=0)


def build_arguments(settings: Settings, sample: Dataset) -> dict[str, Any]:
    """Choose what ``build`` is called with.

    Args:
        settings: Of the stage.
        sample: Gives the numbers of features and classes.

    Returns:
        The settings' arguments, with ``features``, ``classes`` and ``batch_norm`` where
        ``build`` takes them.

    Raises:
        NetworkError: if batch norm is wanted of a ``build`` that does not take it.
    """
    takes = parameters_of_build(settings.network)
    if settings.batch_norm and "batch_norm" not in takes:
        raise NetworkError(
            f"{settings.network}: batch_norm = true, but build takes no "
            "argument batch_norm: add it, or leave the setting out"
        )
    own: Mapping[str, Any] = {
        "features": len(sample.features),
        "classes": len(sample.classes),
        "batch_norm": settings.batch_norm,
    }
    return {name: v for name, v in own.items() if name in takes} | settings.arguments


def _check_outputs(network: nn.Module, sample: Dataset, path: Path) -> None:
    given = (2, len(sample.features))
    try:
        got = tuple(evaluate(network, torch.zeros(given)).shape)
    except (RuntimeError, ValueError, IndexError) as error:
        raise NetworkError(
            f"{path}: the network does not take an input of shape {given} "
            f"(samples, features): {error}"
        ) from error
    if got != (2, len(sample.classes)):
        raise NetworkError(
            f"{path}: the network gives the shape {got} for an input of "
            f"shape {given}: expected one logit for each of the "
            f"{len(sample.classes)} classes {', '.join(sample.classes)}"
        )


def _measure(network: nn.Module, sample: Sample, classes: tuple[str, ...]) -> Metrics:
    logits = evaluate(network, sample.x)
    return measure(logits.numpy(), sample.y.numpy(), classes)
