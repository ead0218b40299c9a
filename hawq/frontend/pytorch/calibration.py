"""Choose power-of-two formats for a traced network, from samples.

Tensors are rounded as seldom as they can be: the input, what an activation function
gives, and what a linear layer reads. Sums in between, such as those of residual
branches, stay exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from hawq.allocation.calibrate import SiteValues, calibrate
from hawq.fixed import FixedPoint
from hawq.frontend.pytorch.layers import ACTIVATIONS, LINEAR, MOVES
from hawq.frontend.pytorch.trace import INPUT, Step

SAMPLES = 1024
_TENSOR = 2**24
_SITE = 2**18


def rounded(steps: Sequence[Step]) -> set[str]:
    """Name the tensors that are quantized.

    Args:
        steps: From ``trace_network``.

    Returns:
        Names of the input and of steps.
    """
    chosen = {INPUT}
    narrow = {INPUT}
    for step in steps:
        if isinstance(step.module, LINEAR):
            chosen.update(name for name in step.inputs if name not in narrow)
            narrow.update(step.inputs)
        elif isinstance(step.module, ACTIVATIONS):
            chosen.add(step.name)
            narrow.add(step.name)
        elif isinstance(step.module, MOVES) and narrow.issuperset(step.inputs):
            narrow.add(step.name)
    return chosen


def never_negative(steps: Sequence[Step], *, input_is: bool) -> set[str]:
    """Name the tensors that no input makes negative.

    Args:
        steps: From ``trace_network``.
        input_is: Whether the network's input never is.

    Returns:
        Names of steps, and of the input if it is among them.
    """
    found = {INPUT} if input_is else set()
    for step in steps:
        module = step.module
        is_cut = isinstance(module, nn.ReLU) or (
            isinstance(module, nn.Hardtanh) and module.min_val >= 0
        )
        keeps = not isinstance(module, LINEAR) and found.issuperset(step.inputs)
        if is_cut or (keeps and getattr(module, "max_val", 0) >= 0):
            found.add(step.name)
    return found


@torch.no_grad()
def choose_formats(
    steps: Sequence[Step], samples: Tensor, bits: int
) -> dict[str, FixedPoint]:
    """Find the power-of-two scales that perturb weights and activations least.

    A tensor gets an unsigned format if no input can make it negative; the network's
    input does if none of all samples is negative.

    Args:
        steps: From ``trace_network``.
        samples: Float64, what the network takes; at most 1024 of them are used, evenly
            spread.
        bits: Width of every format.

    Returns:
        Formats of the input, of steps, and of weights, which are called
        ``<step>.weight``.
    """
    formats: dict[str, FixedPoint] = {}
    chosen = rounded(steps)
    last_use = {name: i for i, step in enumerate(steps) for name in step.inputs}
    values = {INPUT: _some(samples, max(math.prod(s.shape) for s in steps))}
    unsigned = never_negative(steps, input_is=not bool((samples < 0).any()))
    formats[INPUT] = _format(INPUT, values[INPUT], bits, INPUT not in unsigned)
    for i, step in enumerate(steps):
        if isinstance(step.module, LINEAR):
            site = f"{step.name}.weight"
            weights = step.module.weight.double().numpy()
            site_values = SiteValues(site, weights, signed=True, symmetric=True)
            formats[site] = calibrate(site_values, bits).format
        values[step.name] = step.module(*(values[name] for name in step.inputs))
        if step.name in chosen:
            signed = step.name not in unsigned
            formats[step.name] = _format(step.name, values[step.name], bits, signed)
        for name in step.inputs:
            if last_use[name] == i:
                values.pop(name, None)
    return formats


def _some(samples: Tensor, largest: int) -> Tensor:
    count = max(1, min(len(samples), SAMPLES, _TENSOR // largest))
    return samples[np.linspace(0, len(samples) - 1, count).astype(np.int64)]


def _format(site: str, tensor: Tensor, bits: int, signed: bool) -> FixedPoint:
    values = tensor.numpy().ravel()
    if values.size > _SITE:
        rng = np.random.default_rng(values.size)
        extremes = [values.min(), values.max()]
        values = np.concatenate([rng.choice(values, _SITE), extremes])
    return calibrate(SiteValues(site, values, signed), bits).format


def exponents(
    steps: Sequence[Step], formats: Mapping[str, FixedPoint]
) -> dict[str, int]:
    """Give the grids of the tensors that are rounded, or moved after it.

    Args:
        steps: From ``trace_network``.
        formats: From ``choose_formats``.

    Returns:
        Tensor → ``e`` of the step ``2**e`` of which its values are multiples.
    """
    found = {INPUT: -formats[INPUT].fraction}
    for step in steps:
        if step.name in formats:
            found[step.name] = -formats[step.name].fraction
        elif isinstance(step.module, MOVES) and found.keys() >= set(step.inputs):
            found[step.name] = min(found[name] for name in step.inputs)
    return found
