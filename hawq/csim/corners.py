"""Inputs at the corners: where an arithmetic that is nearly right goes wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hawq.integer.execute import trace
from hawq.integer.graph import Graph
from hawq.integer.nodes import Dense, Quantize

Inputs = dict[str, NDArray[np.float32]]


def corner_inputs(graph: Graph, seed: int, samples: int) -> Inputs:
    """Make the corner inputs of a network with one quantized input.

    Args:
        graph: The integer graph.
        seed: Of the random inputs.
        samples: How many ties and random vectors to draw.

    Returns:
        Name → features, float32, shape (samples, features): ``all_minima`` and
        ``all_maxima`` of the input format; ``beyond_range`` saturates;
        ``rounding_ties`` lies half way between steps; ``random_full_range`` is uniform
        over the format; ``accumulator_extremes`` drives every sum of the first layer to
        its proven bounds and every deeper sum to the extremes found among random
        corners.
    """
    node = next(n for n in graph.nodes if isinstance(n, Quantize))
    form = node.grid
    step = float(form.scale)
    shape = graph.tensors[node.output].shape
    random = np.random.default_rng(seed)
    full = random.integers(form.low, form.high, (samples, *shape), endpoint=True)
    ties = random.integers(form.low - 1, form.high, (samples, *shape), endpoint=True)
    far = random.choice([-1.0, 1.0], (samples, *shape))
    sets = {
        "all_minima": np.full((1, *shape), form.low * step),
        "all_maxima": np.full((1, *shape), form.high * step),
        "beyond_range": far * (form.high + random.integers(1, 2**20, far.shape)) * step,
        "rounding_ties": (ties + 0.5) * step,
        "random_full_range": full * step,
        "accumulator_extremes": _extremes(graph, node, random, samples) * step,
    }
    return {name: values.astype(np.float32) for name, values in sets.items()}


def _extremes(
    graph: Graph, node: Quantize, random: np.random.Generator, samples: int
) -> NDArray[np.float64]:
    """Find integer inputs that push sums to their ends."""
    low, high = node.grid.low, node.grid.high
    shape = graph.tensors[node.output].shape
    corners = random.choice([low, high], (samples, *shape)).astype(np.float64)
    first = next((n for n in graph.nodes if isinstance(n, Dense)), None)
    found = []
    if first is not None and first.inputs[0] == node.output:
        positive = first.weights.T > 0
        found += [np.where(positive, high, low), np.where(positive, low, high)]
    candidates = np.concatenate([*found, corners]).astype(np.float64)
    values = trace(graph, candidates * float(node.grid.scale))
    picked = set(range(2 * len(found[0]) if found else 0))
    for dense in (n for n in graph.nodes if isinstance(n, Dense)):
        sums = values[dense.output].reshape(len(candidates), -1)
        picked |= {int(i) for i in sums.argmin(axis=0)}
        picked |= {int(i) for i in sums.argmax(axis=0)}
    extremes: NDArray[np.float64] = candidates[sorted(picked)]
    return extremes
