"""Ask every source for its map, and compare with the measured rise of the loss."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import nn

from hawq import plugins
from hawq.data.dataset import Dataset
from hawq.model.fold import fold_batch_norm
from hawq.model.network import load_float, standardise
from hawq.records import SensitivityMap
from hawq.sensitivity.sites import Batches
from hawq.sensitivity.stage import VALIDATION, Settings
from hawq.sensitivity.validate import validate
from hawq.stage import StageContext

SEAM = "hawq.sensitivity"


def measure(context: StageContext) -> SensitivityMap:
    """Measure the sensitivities of the float network, batch norms folded.

    Beside the record it writes ``sources/<name>.json``, the map of every source in
    ``compare``, and ``validation.json``: predicted against measured rise of the loss
    with one site quantized alone.

    Args:
        context: With the stages ``data`` and ``model``.

    Returns:
        The map of the chosen source.
    """
    with _threads(context.settings.threads):
        return _measure(context)


def _measure(context: StageContext) -> SensitivityMap:
    settings: Settings = context.settings
    context.progress("reading the network", 0.0)
    names = dict.fromkeys((settings.source, *settings.compare))
    sources = {name: plugins.load(SEAM, name) for name in names}
    network, batches = _network_and_batches(context)
    steps = len(sources) + bool(settings.validation_bits)

    def report(step: int, what: str, fraction: float) -> None:
        context.progress(what, (step + fraction) / steps)

    maps: dict[str, SensitivityMap] = {}
    for step, (name, source) in enumerate(sources.items()):
        maps[name] = source(
            network,
            batches,
            None,
            context.seed,
            loss=settings.loss,
            route=settings.route,
            relative_error=settings.relative_error,
            max_probes=settings.max_probes,
            probe_batch=settings.probe_batch,
            progress=partial(report, step),
        )
        if name in settings.compare:
            maps[name].save(context.folder / "sources" / f"{name}.json")
    chosen = maps[settings.source]
    if settings.validation_bits:
        validate(
            network,
            batches,
            chosen,
            settings.validation_bits,
            loss=settings.loss,
            progress=partial(report, steps - 1),
        ).save(context.folder / VALIDATION)
    return chosen


@contextmanager
def _threads(number: int) -> Iterator[None]:
    # Two threads on small layers wait for each other when a core is busy.
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _network_and_batches(context: StageContext) -> tuple[nn.Module, Batches]:
    settings: Settings = context.settings
    network, model = load_float(context.inputs["model"])
    train = Dataset.read(context.inputs["data"] / "train.h5")
    order = np.random.default_rng(context.seed).permutation(len(train))
    rows = np.sort(order[: settings.samples])
    x = torch.from_numpy(standardise(train.x[rows], model))
    y = torch.from_numpy(train.y[rows])
    batches = [
        (x[start : start + settings.batch_size], y[start : start + settings.batch_size])
        for start in range(0, len(x), settings.batch_size)
    ]
    return fold_batch_norm(network), batches
