"""Calibrate, price and solve: what the allocation stage does."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hawq import plugins
from hawq.allocation import measured
from hawq.allocation.baselines import reverse, uniform
from hawq.allocation.calibrate import SiteValues
from hawq.allocation.cost import CostModel
from hawq.allocation.layers import (
    INPUT,
    Layer,
    capture_activations,
    find_layers,
    is_signed,
)
from hawq.allocation.pareto import sweep
from hawq.allocation.programme import Programme
from hawq.allocation.solver import solve
from hawq.allocation.stage import Settings
from hawq.allocation.tables import Tables, Weighting, curvature, score
from hawq.data.dataset import Dataset
from hawq.errors import InfeasibleError, InputError
from hawq.model.fold import fold_batch_norm
from hawq.model.network import load_float, standardise
from hawq.paths import atomic_file
from hawq.records import (
    Allocation,
    ParetoPoint,
    SensitivityMap,
    SiteKind,
    SiteSensitivity,
)
from hawq.stage import StageContext

UNIT = "nats per squared unit"

_log = logging.getLogger(__name__)


def allocate(context: StageContext) -> Allocation:
    """Choose the widths.

    Beside the record it writes ``calibration.json`` (every site at every width),
    ``pareto.csv``, ``measured.json`` where the laws are not the shipped ones, and the
    baselines ``uniform.json`` and ``reversed.json``, each an
    ``Allocation`` under the same budgets. ``uniform.json`` is absent when no uniform
    widths meet them.

    Args:
        context: With the stages ``data``, ``model`` and ``sensitivity``.

    Returns:
        The allocation, with the sweep around it.
    """
    settings: Settings = context.settings
    context.progress("reading the network", 0.0)
    sensitivities = SensitivityMap.read(context.inputs["sensitivity"] / "record.json")
    network, model = load_float(context.inputs["model"])
    train = Dataset.read(context.inputs["data"] / "train.h5")
    rows = np.random.default_rng(context.seed).permutation(len(train))
    x = standardise(train.x[np.sort(rows[: settings.calibration_samples])], model)
    context.progress("calibrating the scales", 0.1)
    tables = calibrate_network(fold_batch_norm(network), sensitivities, x, settings)
    tables.record.save(context.folder / "calibration.json")
    context.progress("pricing the layers", 0.4)
    if settings.cost_model is not None:
        measured.read(settings.cost_model).save(context.folder / measured.FILE.name)
    limited = cost_models(_costs(settings), settings)
    programme = build_programme(tables, limited, settings)
    return _solve_all(context, tables, programme, sensitivities)


def calibrate_network(
    network: nn.Module,
    sensitivities: SensitivityMap,
    x: NDArray[np.float32],
    settings: Settings,
) -> Tables:
    """Calibrate every weight and activation site at every width on offer.

    Biases get no width of their own: they sit on the accumulator's grid.

    Args:
        network: In evaluation mode, without batch norms.
        sensitivities: Of this network's sites.
        x: Standardised samples that calibrate the activations.
        settings: Widths on offer and how to calibrate.

    Returns:
        The tables.

    Raises:
        InputError: if the sensitivities have another unit, or lack the level of
            curvature that the settings ask for.
    """
    if sensitivities.unit != UNIT:
        raise InputError(
            f"sensitivities in {sensitivities.unit!r} cannot be set against ‖Δ‖²: "
            f"expected {UNIT!r} (source {sensitivities.source!r})"
        )
    entries = [e for e in sensitivities.sites if e.site.kind is not SiteKind.BIAS]
    sites = [e.site for e in sensitivities.sites]
    layers = find_layers(network, sites)
    owner = {layer.weight_site: layer for layer in layers}
    activations = capture_activations(network, sites, x)
    weighting = _weighting(entries, settings)
    tables = Tables(layers=layers, weighting=weighting, samples=len(x))
    for entry in entries:
        name = entry.site.name
        if name in owner:
            values = _weights(entry, owner[name], weighting, settings)
        else:
            values = SiteValues(
                site=name,
                values=activations[name].astype(np.float64),
                signed=is_signed(network, entry.site),
                curvature=curvature(entry, weighting),
                samples=len(x),
            )
        tables.add(entry, values, offered(entry, settings))
    return tables


def cost_models(names: Iterable[str], settings: Settings) -> list[CostModel]:
    """Find cost models by name.

    Args:
        names: Of plug-ins.
        settings: With the file of laws that replace the shipped ones, if any.

    Returns:
        The models, in order.
    """
    own: dict[str, CostModel] = {}
    if settings.cost_model is not None:
        own = measured.models(measured.read(settings.cost_model))
    return [own.get(name) or plugins.load("hawq.cost", name) for name in names]


def offered(entry: SiteSensitivity, settings: Settings) -> tuple[int, ...]:
    """Give the widths a site may take.

    Args:
        entry: The site.
        settings: Widths on offer.

    Returns:
        The fixed width, or those offered to its kind, from narrow to wide.
    """
    site = entry.site
    if site.name in settings.fixed:
        return (settings.fixed[site.name],)
    if site.kind is SiteKind.WEIGHT:
        return tuple(sorted(set(settings.weight_bits)))
    widths = settings.input_bits if site.name == INPUT else settings.activation_bits
    return tuple(sorted(set(widths)))


def build_programme(
    tables: Tables, models: Iterable[CostModel], settings: Settings
) -> Programme:
    """Put a calibrated network and the settings' constraints into one programme.

    Args:
        tables: The network.
        models: Costs that may be limited.
        settings: Groups, fixed, smallest and largest widths.

    Returns:
        The programme.
    """
    return Programme(
        decisions=tables.decisions(),
        costs={model.name: tables.prices(model) for model in models},
        groups=settings.groups,
        fixed=settings.fixed,
        minimum=settings.minimum_bits,
        maximum=settings.maximum_bits,
    )


def _solve_all(
    context: StageContext,
    tables: Tables,
    programme: Programme,
    sensitivities: SensitivityMap,
) -> Allocation:
    settings: Settings = context.settings
    limit_s, budgets = settings.time_limit_s, settings.budgets
    every = cost_models(plugins.names("hawq.cost"), settings)
    context.progress("solving", 0.5)
    best = solve(programme, budgets, time_limit_s=limit_s)
    swept = _costs(settings)[0]
    front = sweep(
        programme,
        swept,
        settings.pareto_points,
        budgets=budgets,
        spacing=settings.pareto_spacing,
        also=[budgets[swept]] if swept in budgets else [],
        time_limit_s=limit_s,
        progress=lambda what, done: context.progress(what, 0.5 + 0.4 * done),
    )
    context.progress("solving the baselines", 0.9)
    scores = {name: score(sensitivities[name]) for name in programme.names}
    against = reverse(programme, scores, budgets, time_limit_s=limit_s)
    tables.allocation(against, budgets, every).save(context.folder / "reversed.json")
    weights, activations = _by_kind(sensitivities)
    try:
        flat = uniform(programme, weights, activations, budgets, time_limit_s=limit_s)
    except InfeasibleError as error:
        _log.warning("no uniform widths to compare with: %s", error)
    else:
        tables.allocation(flat, budgets, every).save(context.folder / "uniform.json")
    _write_front(context.folder / "pareto.csv", front, programme.names)
    return tables.allocation(best, budgets, every, front)


def _costs(settings: Settings) -> list[str]:
    # The cost that is swept comes first.
    swept = settings.pareto_cost or next(iter(settings.budgets), "bops")
    return list(dict.fromkeys([swept, *settings.budgets]))


def _weighting(entries: Sequence[SiteSensitivity], settings: Settings) -> Weighting:
    # By channel predicts best. By element the search bends each scale to the diagonal
    # and then trusts what it bent: it promises less loss than is measured.
    if settings.weighting != "auto":
        return settings.weighting
    fine = all(e.channel is not None or e.element is not None for e in entries)
    return "channel" if fine else "tensor"


def _weights(
    entry: SiteSensitivity, layer: Layer, weighting: Weighting, settings: Settings
) -> SiteValues:
    return SiteValues(
        site=entry.site.name,
        values=layer.weight,
        signed=True,
        symmetric=settings.symmetric_weights,
        curvature=curvature(entry, weighting),
        channel_axis=0 if settings.per_channel else None,
    )


def _by_kind(sensitivities: SensitivityMap) -> tuple[list[str], list[str]]:
    # The input comes last: it alone may offer no width in common with the rest.
    kinds = {entry.site.name: entry.site.kind for entry in sensitivities.sites}
    weights = [name for name, kind in kinds.items() if kind is SiteKind.WEIGHT]
    activations = [name for name, kind in kinds.items() if kind is SiteKind.ACTIVATION]
    return weights, sorted(activations, key=lambda name: name == INPUT)


def _write_front(
    path: Path, front: Sequence[ParetoPoint], names: Sequence[str]
) -> None:
    with atomic_file(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["budget", "used", "loss_rise_nats", *names])
        for point in front:
            widths = [point.bits[name] for name in names]
            writer.writerow([point.budget, point.used, point.loss_rise_nats, *widths])
