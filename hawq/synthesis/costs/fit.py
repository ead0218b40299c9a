"""Fit the cost models ``lut`` and ``latency_ns`` to layers that Yosys synthesised."""

from __future__ import annotations

import csv
import importlib.metadata
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import lsq_linear, nnls

from hawq import digest
from hawq.allocation.cost import bops
from hawq.allocation.measured import (
    DelayLaw,
    Errors,
    LutLaw,
    MeasuredCosts,
    Proportional,
    Sums,
    ebops,
)
from hawq.errors import InputError
from hawq.paths import atomic_file
from hawq.stage import Progress, StageSettings, silent
from hawq.synthesis.costs.grid import GridLayer, draw_convolutions, draw_layers
from hawq.synthesis.costs.measure import PASSES, LayerMeasurement, measure_layers
from hawq.synthesis.costs.trained import cut_layers

FITTED, DRAWN, CONV, TRAINED = "fitted", "drawn", "conv", "network"
"""The sets of layers: the grid; drawn at sizes between the grid's; unrolled
convolutions; a network's own."""

UNSEEN = "unseen"
"""All sets but the one that was fitted to."""

TOOLS = ("pyosys", "alkaid")

COLUMNS = (
    "set",
    "layer",
    "inputs",
    "outputs",
    "kernel",
    "positions",
    "weight_bits",
    "activation_bits",
    "output_bits",
    "signed",
    "nonzero",
    "measured_lut",
    "predicted_lut",
    "adders",
    "ebops",
    "bops",
    "measured_delay_ns",
    "predicted_delay_ns",
    "adder_levels",
    "synthesis_s",
)
"""Of the table of layers; ``adders`` and ``adder_levels`` are alkaid's estimates."""

Floats = NDArray[np.float64]


class Settings(StageSettings):
    """What is synthesised to fit cost models to."""

    layers: int = Field(72, ge=8, description="layers to fit to")
    held_out: int = Field(24, ge=0, description="layers of other sizes, to test on")
    convolutions: int = Field(8, ge=0, description="convolutions to test on")
    network: Path | None = Field(
        None, description="folder of a finished flow, whose layers are tested on too"
    )
    network_bits: tuple[tuple[int, int], ...] = Field(
        ((2, 6), (3, 5), (5, 4), (6, 7)),
        description="widths of those layers' weights and activations",
    )
    seed: int = Field(1, description="of the drawn layers")
    limit_s: float = Field(1800, gt=0, description="seconds that one layer may take")


def fit_costs(
    settings: Settings,
    folder: Path,
    *,
    workers: int = 1,
    cluster: str | None = None,
    progress: Progress = silent,
) -> MeasuredCosts:
    """Synthesise the layers, fit to some of them and test on the others.

    What was synthesised is kept in ``folder/layers``: a second call goes on from there.
    ``folder/measured.json`` gets what is returned, ``folder/layers.csv`` each layer
    with what was measured, predicted and estimated.

    Args:
        settings: The layers.
        folder: Of results.
        workers: Processes on this machine.
        cluster: Address of a Dask scheduler whose workers share the folder, or None.
        progress: Told the fraction done.

    Returns:
        The laws, with their errors.
    """
    sets = {
        FITTED: draw_layers(settings.layers, settings.seed),
        DRAWN: draw_layers(settings.held_out, settings.seed + 1, other_sizes=True),
        CONV: draw_convolutions(settings.convolutions, settings.seed + 3),
        TRAINED: []
        if settings.network is None
        else cut_layers(settings.network, settings.network_bits),
    }
    layers = [layer for drawn in sets.values() for layer in drawn]
    measurements = measure_layers(
        layers,
        folder / "layers",
        workers=workers,
        cluster=cluster,
        progress=progress,
        limit_s=settings.limit_s,
    )
    names = [name for name, drawn in sets.items() for _ in drawn]
    costs = fit(names, layers, measurements)
    costs.save(folder / "measured.json")
    write_table(folder / "layers.csv", names, layers, measurements, costs)
    return costs


def fit(
    sets: Sequence[str],
    layers: Sequence[GridLayer],
    measurements: Sequence[LayerMeasurement],
) -> MeasuredCosts:
    """Fit the laws to the set ``fitted`` and compare them with every set.

    Relative errors are minimised: of LUTs, the squares of their logarithms.

    Args:
        sets: Name of each layer's set.
        layers: The layers.
        measurements: Of each.

    Returns:
        The laws, with their errors.

    Raises:
        InputError: if a layer to fit to has only zeros for weights.
    """
    sums = [_sums(layer) for layer in layers]
    chosen = [i for i, name in enumerate(sets) if name == FITTED]
    luts = np.array([float(m.lut) for m in measurements])
    delays = np.array([m.delay_ns for m in measurements])
    some = [sums[i] for i in chosen]
    lut_law, delay_law = fit_lut(some, luts[chosen]), fit_delay(some, delays[chosen])
    estimates = {
        "adders": np.array([m.adders for m in measurements]),
        "ebops": np.array([ebops.price(layer.quantized) for layer in layers]),
        "bops": np.array([bops.price(layer.quantized) for layer in layers]),
    }

    def errors(predicted: Floats, found: Floats) -> dict[str, Errors]:
        members = {name: np.array(sets) == name for name in dict.fromkeys(sets)}
        members[UNSEEN] = ~members[FITTED]
        return {
            name: compare(predicted[mine], found[mine])
            for name, mine in members.items()
            if mine.any()
        }

    def proportional(estimate: Floats) -> Proportional:
        ratios = luts[chosen] / estimate[chosen]
        factor = float(np.exp(np.mean(np.log(ratios))))
        return Proportional(factor=factor, errors=errors(factor * estimate, luts))

    drawn = [layers[i] for i in chosen]
    return MeasuredCosts(
        lut=lut_law,
        delay=delay_law,
        tools={name: importlib.metadata.version(name) for name in TOOLS},
        passes=PASSES,
        grid=digest.of_json([_content(layer) for layer in drawn]),
        lut_errors=errors(np.array([lut_law.predict(s) for s in sums]), luts),
        delay_errors=errors(np.array([delay_law.predict(s) for s in sums]), delays),
        beside={name: proportional(values) for name, values in estimates.items()},
    )


def fit_lut(sums: Sequence[Sums], luts: Floats) -> LutLaw:
    """Fit the law of LUTs.

    Args:
        sums: Of layers.
        luts: Measured, shape (layers,).

    Returns:
        The law of least squared logarithmic error without an exponent below zero.
    """
    rows = [
        (
            1.0,
            math.log(s.digits),
            math.log(s.weights),
            math.log(s.width_bits),
            math.log(s.outputs),
            math.log(s.inputs),
            float(s.signed),
        )
        for s in sums
    ]
    copies = np.array([s.copies for s in sums])
    lower = np.array([-np.inf, 0, 0, 0, 0, 0, 0])
    solved = lsq_linear(np.array(rows), np.log(luts / copies), (lower, np.inf)).x
    factor, digits, weights, width, outputs, inputs, signed = map(float, solved)
    return LutLaw(
        factor=math.exp(factor),
        digits=digits,
        weights=weights,
        width=width,
        outputs=outputs,
        inputs=inputs,
        signed=math.exp(signed),
    )


def fit_delay(sums: Sequence[Sums], delays_ns: Floats) -> DelayLaw:
    """Fit the law of delays.

    Args:
        sums: Of layers.
        delays_ns: Measured, shape (layers,).

    Returns:
        The law of least squared relative error without a negative term.
    """
    rows = np.array([[math.log2(s.digits * s.copies), s.width_bits] for s in sums])
    doubling, bit = nnls(rows / delays_ns[:, None], np.ones(len(sums)))[0]
    return DelayLaw(doubling_ns=float(doubling), bit_ns=float(bit))


def compare(predicted: Floats, found: Floats) -> Errors:
    """Compare predictions with measurements.

    Args:
        predicted: Shape (layers,).
        found: Same shape, positive.

    Returns:
        The relative errors' statistics.
    """
    off = predicted / found - 1
    size = np.abs(off)
    return Errors(
        layers=len(off),
        median=float(np.median(size)),
        percentile_90=float(np.percentile(size, 90)),
        mean=float(off.mean()),
    )


def summary(costs: MeasuredCosts) -> str:
    """Say in a table how far off the laws and other estimates are.

    Args:
        costs: What was fitted.

    Returns:
        A line for every set of layers: how many, and for each estimate the median and
        the 90th percentile of the relative errors' magnitudes.
    """
    columns = {"lut": costs.lut_errors, "latency_ns": costs.delay_errors}
    columns |= {f"{name} · c": one.errors for name, one in costs.beside.items()}
    names = "".join(f"{name:>17}" for name in columns)
    lines = [f"{'':10}layers{names}"]
    for name, first in costs.lut_errors.items():
        cells = "".join(
            f"{100 * e[name].median:8.1f}{100 * e[name].percentile_90:7.1f} %"
            for e in columns.values()
        )
        lines.append(f"{name:10}{first.layers:6}{cells}")
    lines.append("median and 90th percentile of |predicted / measured - 1|")
    return "\n".join(lines)


def write_table(
    path: Path,
    sets: Sequence[str],
    layers: Sequence[GridLayer],
    measurements: Sequence[LayerMeasurement],
    costs: MeasuredCosts,
) -> None:
    """Write a row a layer: what was measured, predicted and estimated.

    Args:
        path: CSV to write.
        sets: Name of each layer's set.
        layers: The layers.
        measurements: Of each.
        costs: The laws.
    """
    with atomic_file(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for name, layer, found in zip(sets, layers, measurements, strict=True):
            sums, one = _sums(layer), layer.quantized
            writer.writerow([
                name,
                layer.name,
                *layer.weight.shape[1::-1],
                "x".join(map(str, layer.weight.shape[2:])),
                layer.positions,
                layer.weight_bits,
                layer.activation_bits,
                layer.output_bits,
                layer.signed,
                round(np.count_nonzero(layer.weight) / layer.weight.size, 4),
                found.lut,
                round(costs.lut.predict(sums), 1),
                round(found.adders, 1),
                ebops.price(one),
                round(bops.price(one), 1),
                found.delay_ns,
                round(costs.delay.predict(sums), 3),
                found.levels,
                round(found.seconds, 1),
            ])


def _sums(layer: GridLayer) -> Sums:
    sums = Sums.of(layer.quantized)
    if sums is None:
        raise InputError(
            f"{layer.name}: all weights are zero, there is nothing to fit to: draw "
            "layers of another seed"
        )
    return sums


def _content(layer: GridLayer) -> list[object]:
    return [
        layer.weight.tolist(),
        layer.bias.tolist(),
        layer.activation_bits,
        layer.signed,
        layer.output_bits,
        layer.shift,
    ]
