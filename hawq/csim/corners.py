"""Inputs at the corners: where an arithmetic that is nearly right goes wrong."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hawq.integer.execute import trace
from hawq.integer.graph import Graph
from hawq.integer.nodes import Dense, Quantize

Inputs = dict[str, NDArray[np.float32]]

MAX_TRACED = 2**24
"""Elements that the search for extremes may trace at once."""


def corner_inputs(graph: Graph, seed: int, samples: int) -> Inputs:
    """Make the corner inputs of a network with one quantized input.

    Args:
        graph: The integer graph.
        seed: Of the random inputs.
        samples: How many ties and random vectors to draw.

    Returns:
        Set → features, float32, shape (samples, *shape); see ``corner_sets``.
    """
    sets = corner_sets(graph, seed, samples)
    return {name: next(iter(inputs.values())) for name, inputs in sets.items()}


def corner_sets(graph: Graph, seed: int, samples: int) -> dict[str, Inputs]:
    """Make the corner inputs of a network.

    Args:
        graph: The integer graph.
        seed: Of the random inputs.
        samples: How many ties and random vectors to draw.

    Returns:
        Set → input name → values, float32, shape (samples, *shape): ``all_minima`` and
        ``all_maxima`` of the input's grid; ``beyond_range`` saturates;
        ``rounding_ties`` lies half way between steps; ``random_full_range`` is uniform
        over the grid; ``accumulator_extremes`` drives every sum of a first dense layer
        to its proven bounds and every deeper sum to the extremes found among random
        corners.
    """
    random = np.random.default_rng(seed)
    sets: dict[str, Inputs] = {}
    quantizers = [n for n in graph.nodes if isinstance(n, Quantize)]
    for node in quantizers:
        for name, levels in _levels(graph, node, random, samples).items():
            real = _real(node, levels)
            sets.setdefault(name, {})[node.inputs[0]] = real.astype(np.float32)
    if len(quantizers) > 1:  # every input needs as many samples
        del sets["accumulator_extremes"]
    return sets


def _levels(
    graph: Graph, node: Quantize, random: np.random.Generator, samples: int
) -> dict[str, NDArray[np.float64]]:
    """Draw each set in units of the grid's step."""
    low, high = node.grid.low, node.grid.high
    shape = graph.tensors[node.output].shape
    full = random.integers(low, high, (samples, *shape), endpoint=True)
    ties = random.integers(low - 1, high, (samples, *shape), endpoint=True)
    far = random.choice([-1.0, 1.0], (samples, *shape))
    return {
        "all_minima": np.full((1, *shape), float(low)),
        "all_maxima": np.full((1, *shape), float(high)),
        "beyond_range": far * (high + random.integers(1, 2**20, far.shape)),
        "rounding_ties": ties + 0.5,
        "random_full_range": full.astype(np.float64),
        "accumulator_extremes": _extremes(graph, node, random, samples),
    }


def _real(node: Quantize, levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the real inputs that come to lie at these levels."""
    gain = 1.0 if node.gain is None else node.gain.astype(np.float64)
    offset = 0.0 if node.offset is None else node.offset.astype(np.float64)
    real: NDArray[np.float64] = (levels * float(node.grid.scale) - offset) / gain
    return real


def _extremes(
    graph: Graph, node: Quantize, random: np.random.Generator, samples: int
) -> NDArray[np.float64]:
    """Find integer inputs that push sums to their ends."""
    low, high = node.grid.low, node.grid.high
    shape = graph.tensors[node.output].shape
    corners = random.choice([low, high], (samples, *shape)).astype(np.float64)
    if len(graph.inputs) > 1:
        return corners
    first = next((n for n in graph.nodes if isinstance(n, Dense)), None)
    found = []
    if first is not None and first.inputs[0] == node.output and len(shape) == 1:
        positive = first.weights.T > 0
        found += [np.where(positive, high, low), np.where(positive, low, high)]
    candidates = np.concatenate([*found, corners]).astype(np.float64)
    elements = sum(math.prod(t.shape) for t in graph.tensors.values())
    if elements * len(candidates) > MAX_TRACED:
        return candidates[:samples]
    values = trace(graph, _real(node, candidates))
    picked = set(range(2 * len(found[0]) if found else 0))
    for dense in (n for n in graph.nodes if isinstance(n, Dense)):
        sums = values[dense.output].reshape(len(candidates), -1)
        picked |= {int(i) for i in sums.argmin(axis=0)}
        picked |= {int(i) for i in sums.argmax(axis=0)}
    extremes: NDArray[np.float64] = candidates[sorted(picked)] if picked else corners
    return extremes
