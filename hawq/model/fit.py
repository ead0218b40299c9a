"""Standardise, train and measure: what the model stage does."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hawq.data.dataset import Dataset
from hawq.errors import DataError, NetworkError
from hawq.model.metrics import measure
from hawq.model.network import (
    WEIGHTS,
    build_network,
    parameters_of_build,
    save_weights,
    scale,
)
from hawq.model.record import SOURCE, Metrics, ModelRecord
from hawq.model.stage import Settings
from hawq.model.train import Plan, Sample, evaluate, train
from hawq.stage import StageContext


def fit(context: StageContext) -> ModelRecord:
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
