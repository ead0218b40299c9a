"""Layers of a trained network at several widths, to test cost models on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hawq.allocation.allocate import calibrate_network
from hawq.allocation.measured import Sums
from hawq.allocation.stage import Settings
from hawq.data.dataset import Dataset
from hawq.errors import StageError
from hawq.model.fold import fold_batch_norm
from hawq.model.network import load_float, standardise
from hawq.records import SensitivityMap
from hawq.synthesis.costs.grid import GridLayer, next_shift

MOST_DIGIT_BITS = 25_000
"""Signed digits x bits of an accumulator: about 6,000 LUTs; no larger layer is cut."""


def cut_layers(build: Path, bits: Sequence[tuple[int, int]]) -> list[GridLayer]:
    """Cut the dense layers out of a flow's network, calibrated as allocation does it.

    Args:
        build: Folder of the flow, with the stages data, model and sensitivity finished.
        bits: Widths of weights and of activations, one layer each of every layer.

    Returns:
        The layers; the network's last one has no ReLU behind it.

    Raises:
        StageError: if a stage is missing.
    """
    network, model = load_float(_stage(build, "model"))
    record = _stage(build, "sensitivity") / "record.json"
    train = Dataset.read(_stage(build, "data") / "train.h5")
    settings = Settings(
        weight_bits=tuple({w for w, _ in bits}),
        activation_bits=tuple({a for _, a in bits}),
        input_bits=tuple({a for _, a in bits}),
    )
    x = standardise(train.x[: settings.calibration_samples], model)
    sensitivities = SensitivityMap.read(record)
    tables = calibrate_network(fold_batch_norm(network), sensitivities, x, settings)
    found = []
    for layer in tables.layers:
        last = layer is tables.layers[-1]
        for weight_bits, activation_bits in bits:
            one = tables.quantized(layer, weight_bits, activation_bits)
            sums = Sums.of(one)
            if sums is None or sums.digits * sums.width_bits > MOST_DIGIT_BITS:
                continue
            found.append(
                GridLayer(
                    name=f"{layer.name} {weight_bits}x{activation_bits}",
                    weight=one.weight,
                    weight_bits=weight_bits,
                    bias=np.zeros(len(one.weight), np.int64)
                    if one.bias is None
                    else one.bias,
                    activation_bits=activation_bits,
                    signed=one.signed,
                    output_bits=None if last else activation_bits,
                    shift=0 if last else next_shift(one, activation_bits),
                )
            )
    return found


def _stage(build: Path, name: str) -> Path:
    folders = sorted(build.glob(f"[0-9][0-9]-{name}"))
    if not folders:
        raise StageError(
            f"{build} has no finished stage {name}, whose network would test the cost "
            "model: run the flow, or leave out the network"
        )
    return folders[-1]
