"""The oracle evaluates the network in exact float64 arithmetic on its own."""

import itertools

import numpy as np
import pytest

from hawq.export.elements import (
    ElementNetwork,
    fractional_bits,
    without_dead,
    write_elements,
)
from hawq.integer.execute import execute
from hawq.integer.lower import lower_qonnx

SIZES = (5, 6, 4, 3)


def random_network(seed, zeros=0.6):
    rng = np.random.default_rng(seed)
    weights, biases, fraction, integer = [], [], [], []
    for layer, (n, m) in enumerate(itertools.pairwise(SIZES)):
        grid = rng.integers(0, 4, (n, m))
        w = np.rint(rng.normal(size=(n, m)) * 2.0**grid) / 2.0**grid
        weights.append(np.where(rng.random((n, m)) < zeros, 0.0, w))
        biases.append(np.rint(rng.normal(size=m) * 64) / 64)
        f = rng.integers(0, 4, n)
        integer.append(rng.integers(0 if layer == 0 else 1, 3, n))
        fraction.append(f)
    return ElementNetwork(
        tuple(weights),
        tuple(biases),
        tuple(fraction),
        tuple(integer),
        np.arange(SIZES[0]),
        SIZES[0],
    )


def evaluate(network, x):
    step = 2.0 ** -network.fraction[0]
    top = 2.0 ** network.integer[0]
    value = np.clip(np.rint(x[:, network.inputs] / step) * step, -top, top - step)
    for layer, weight in enumerate(network.weights):
        value = value @ weight + network.biases[layer]
        if layer < len(network.weights) - 1:
            step = 2.0 ** -network.fraction[layer + 1]
            top = 2.0 ** network.integer[layer + 1]
            value = np.clip(np.floor(value / step) * step, 0, top - step)
    return value


def logits(graph, x):
    name = graph.outputs[0]
    integers = execute(graph, {graph.inputs[0].name: x}, [name])[name]
    return integers * float(graph.tensors[name].scale)


@pytest.mark.parametrize("seed", range(6))
def test_the_integer_graph_of_the_file_is_the_network(tmp_path, seed):
    network = random_network(seed)
    x = np.random.default_rng(99).normal(size=(500, 5)).astype(np.float32) * 2
    write_elements(network, tmp_path / "network.onnx")
    graph = lower_qonnx(tmp_path / "network.onnx")
    np.testing.assert_array_equal(logits(graph, x), evaluate(network, x))


@pytest.mark.parametrize("seed", range(6))
def test_what_is_dead_goes_without_changing_a_logit(tmp_path, seed):
    network = random_network(seed, zeros=0.8)
    x = np.random.default_rng(98).normal(size=(500, 5)) * 2
    small = without_dead(network)
    np.testing.assert_array_equal(evaluate(small, x), evaluate(network, x))
    before = sum(w.size for w in network.weights)
    assert sum(w.size for w in small.weights) < before
    assert all(w.any(axis=1).all() for w in small.weights if len(w) > 1)


def test_fractional_bits_are_the_fewest():
    values = np.array([0.0, 3.0, 0.5, -0.75, 0.015625])
    np.testing.assert_array_equal(fractional_bits(values), [0, 0, 1, 2, 6])
