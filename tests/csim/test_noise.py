"""The bound on float error: never too small, 0 where floats are exact."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hawq.csim.noise import compare_floats, error_bounds
from hawq.fixed import Rounding
from hawq.integer.evaluate import evaluate
from hawq.integer.execute import trace
from hawq.integer.graph import Graph, build
from hawq.integer.grid import Grid
from hawq.integer.nodes import (
    Affine,
    Clip,
    Conv,
    Dense,
    LeakyRelu,
    MaxPool,
    Quantize,
    Relu,
    Requantize,
    SumPool,
    Window,
)
from hawq.integer.tensor import RealInput

EIGHTH = Fraction(1, 8)
ODD = Fraction(float(np.float32(0.0613)))


def chain(scale: Fraction, weight_scale: Fraction, seed: int = 0) -> Graph:
    """A dense net 6-5-3 whose scales are all given."""
    random = np.random.default_rng(seed)
    first, second = (random.integers(-7, 8, shape) for shape in ((6, 5), (5, 3)))
    hidden = Grid(0, 15, 4 * scale)
    return build(
        [RealInput("x", (6,))],
        [
            Quantize(("x",), "q", Grid(-128, 127, scale)),
            Dense(("q",), "y", first, weight_scale, random.integers(-50, 50, 5)),
            Relu(("y",), "r"),
            Requantize(("r",), "h", hidden),
            Dense(("h",), "z", second, weight_scale),
        ],
        ["z"],
    )


def float_run(graph: Graph, x: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    """Run a chain in float32, in real units, as an executor would."""
    one = np.float32
    out: dict[str, NDArray[np.float32]] = {}
    for node in graph.nodes:
        match node:
            case Quantize() | Requantize():
                given = x if isinstance(node, Quantize) else out[node.inputs[0]]
                scale = one(float(node.grid.scale))
                steps = np.clip(given / scale, node.grid.low, node.grid.high)
                out[node.output] = np.rint(steps).astype(one) * scale
            case Dense():
                weights = node.weights.astype(one) * one(float(node.weight_scale))
                y = out[node.inputs[0]] @ weights
                if node.bias is not None:
                    y += node.bias.astype(one) * one(
                        float(graph.tensors[node.output].scale)
                    )
                out[node.output] = y
            case _:
                out[node.output] = np.maximum(out[node.inputs[0]], one(0))
    return out


def test_powers_of_two_leave_no_room_for_noise() -> None:
    graph = chain(EIGHTH, EIGHTH)
    x = np.random.default_rng(1).normal(size=(50, 6)).astype(np.float32)
    bounds = error_bounds(graph, trace(graph, x), {"x": x})
    assert all(not bound.any() for bound in bounds.values())
    floats = float_run(graph, x)
    for name, integers in trace(graph, x).items():
        equal, noise = compare_floats(
            integers, graph.tensors[name], floats[name], bounds[name]
        )
        assert equal.all()
        assert not noise.any()


def test_one_wrong_integer_is_no_noise() -> None:
    graph = chain(EIGHTH, EIGHTH)
    x = np.zeros((1, 6), dtype=np.float32)
    exact = trace(graph, x)
    wrong = exact["z"] * float(graph.tensors["z"].scale)
    wrong[0, 1] += float(graph.tensors["z"].scale)
    bounds = error_bounds(graph, exact, {"x": x})
    equal, noise = compare_floats(exact["z"], graph.tensors["z"], wrong, bounds["z"])
    np.testing.assert_array_equal(equal, [[True, False, True]])
    assert not noise.any()


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0613, 0.1, 1 / 3, 0.7]))
def test_float32_stays_within_the_bound(seed: int, scale: float) -> None:
    exact_scale = Fraction(float(np.float32(scale)))
    graph = chain(exact_scale, ODD, seed)
    random = np.random.default_rng(seed)
    x = random.normal(scale=4 * scale, size=(20, 6)).astype(np.float32)
    x[::2] = np.rint(x[::2] / scale * 2) * np.float32(scale / 2)  # ties
    exact, floats = trace(graph, x), float_run(graph, x)
    bounds = error_bounds(graph, exact, {"x": x})
    for name, integers in exact.items():
        equal, noise = compare_floats(
            integers, graph.tensors[name], floats[name], bounds[name]
        )
        assert (equal | noise).all()


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_noise_that_flips_a_level_is_bounded(seed: int) -> None:
    """Perturb a requantizer's input by its bound: the output moves within its own."""
    graph = chain(ODD, ODD, seed)
    x = np.random.default_rng(seed).normal(size=(40, 6)).astype(np.float32)
    exact = trace(graph, x)
    bounds = error_bounds(graph, exact, {"x": x})
    scale, grid = float(graph.tensors["r"].scale), Grid(0, 15, 4 * ODD)
    for sign in (-1, 1):
        moved = exact["r"] * scale + sign * bounds["r"]
        levels = np.rint(np.clip(moved / float(grid.scale), 0, 15))
        difference = np.abs(levels - exact["h"]) * float(grid.scale)
        assert (difference <= bounds["h"]).all()


WINDOW = Window((2, 2), (1, 1), (1, 1), (0, 1, 1, 0))


@pytest.mark.parametrize(
    "node",
    [
        Affine(("q",), "y", np.array([[[3]], [[-5]]]), np.array(7), ODD / 3),
        Clip(("q",), "y", -5, 6),
        Conv(("q",), "y", np.arange(-8, 8).reshape(2, 2, 2, 2), ODD, WINDOW),
        LeakyRelu(("q",), "y", Fraction(13, 128)),
        MaxPool(("q",), "y", WINDOW),
        SumPool(("q",), "y", WINDOW, ODD / 4),
    ],
    ids=lambda node: type(node).__name__,
)
def test_bounds_cover_errors_of_the_input(node: Any) -> None:
    """Move every input to the end of its error: outputs move within their bound."""
    quantizer = Quantize(("x",), "q", Grid(-8, 7, ODD), gain=np.array(Fraction(1, 3)))
    graph = build([RealInput("x", (2, 3, 3))], [quantizer, node], ["y"])
    random = np.random.default_rng(0)
    ties = random.integers(-8, 8, (30, 2, 3, 3)) + 0.5
    x = (ties * float(ODD) * 3).astype(np.float32)
    exact = trace(graph, x)
    bounds = error_bounds(graph, exact, {"x": x})
    assert bounds["q"].any()
    steps = np.rint(bounds["q"] / float(ODD)).astype(np.int64)
    flips = random.integers(-1, 2, steps.shape) * np.minimum(steps, 1)
    moved = np.moveaxis(exact["q"] + flips, 0, -1)
    y = np.moveaxis(evaluate(node, [graph.tensors["q"]], [moved]), -1, 0)
    difference = np.abs(y - exact["y"]) * float(graph.tensors["y"].scale)
    assert (difference <= bounds["y"]).all()


def test_directed_rounding_doubts_whole_numbers() -> None:
    grid = Grid(-8, 7, ODD, Rounding.FLOOR)
    graph = build([RealInput("x", (3,))], [Quantize(("x",), "q", grid)], ["q"])
    x = np.array([[2.0, 2.5, 7.9]]) * float(ODD)
    bounds = error_bounds(graph, trace(graph, x), {"x": x})
    np.testing.assert_array_equal(bounds["q"] >= float(ODD), [[True, True, False]])
