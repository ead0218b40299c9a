from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hawq.csim.corners import corner_inputs
from hawq.integer.execute import trace
from hawq.integer.graph import Graph
from hawq.integer.lower import lower_qonnx

STEP = 2.0**-4


@pytest.fixture(scope="module")
def graph(small_qonnx: Path) -> Graph:
    return lower_qonnx(small_qonnx)


def test_extremes_reach_the_proven_bounds_of_the_first_layer(graph: Graph) -> None:
    features = corner_inputs(graph, seed=0, samples=50)["accumulator_extremes"]
    sums = trace(graph, features)["fc1"]
    np.testing.assert_array_equal(sums.min(axis=0), graph.tensors["fc1"].lows)
    np.testing.assert_array_equal(sums.max(axis=0), graph.tensors["fc1"].highs)


def test_ties_lie_half_way_between_steps(graph: Graph) -> None:
    ties = corner_inputs(graph, seed=0, samples=50)["rounding_ties"] / STEP
    np.testing.assert_array_equal(ties - np.floor(ties), 0.5)


def test_minima_maxima_and_saturation(graph: Graph) -> None:
    sets = corner_inputs(graph, seed=0, samples=50)
    np.testing.assert_array_equal(sets["all_minima"], np.full((1, 4), -32 * STEP))
    np.testing.assert_array_equal(sets["all_maxima"], np.full((1, 4), 31 * STEP))
    assert np.abs(sets["beyond_range"]).min() > 31 * STEP


def test_seed_decides(graph: Graph) -> None:
    first, same, other = (corner_inputs(graph, seed, 20) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first["random_full_range"], same["random_full_range"])
    assert not np.array_equal(first["random_full_range"], other["random_full_range"])
