"""HAWQ's own exports: whole weights, and float or dyadic factors between the layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from network_file import NetworkFile
from witness import assert_exact, samples

from hawq.csim.network import compare_executor, make_sets
from hawq.frontend.network import read_network
from hawq.integer.lower import lower_model

ACTIVATION = 0.0431  # the scale of the input, of no power of two
WEIGHT = 0.0127


def exported(factor: float) -> onnx.ModelProto:
    """Div, MatMul of whole numbers, Add, one Mul, Relu, Quant: as HAWQ writes it."""
    random = np.random.default_rng(3)
    file = NetworkFile(6)
    x = file.node("Div", "x", file.constant(ACTIVATION))
    x = file.quant(x, 1.0, 8)
    weights = file.quant(file.constant(random.integers(-7, 8, (6, 5))), 1.0, 4)
    bias = file.quant(file.constant(random.integers(-200, 200, 5)), 1.0, 32)
    x = file.node("Add", file.node("MatMul", x, weights), bias)
    x = file.node("Relu", file.node("Mul", x, file.constant(factor)))
    x = file.quant(x, 1.0, 6, signed=0)
    last = file.quant(file.constant(random.integers(-7, 8, (5, 3))), 1.0, 4)
    x = file.node("MatMul", x, last)
    y = file.node("Mul", x, file.constant(ACTIVATION * WEIGHT), output="y")
    return file.model(y)


@pytest.mark.parametrize("factor", [ACTIVATION * WEIGHT / 0.011, 1675.0 * 2.0**-15])
def test_every_value_is_exact(factor: float) -> None:
    """HAWQ#25: a dyadic factor is m * 2**-k; a float32 one is dyadic as well."""
    assert_exact(exported(factor), samples(6, count=20))


def test_the_executor_rounds_and_is_held_to_its_bound(tmp_path: Path) -> None:
    onnx.save(exported(1675.0 * 2.0**-15), tmp_path / "hawq.onnx")
    network = read_network(tmp_path / "hawq.onnx")
    graph = lower_model(network.model)
    sets = make_sets(graph, {"x": samples(6)}, samples=4, corners=10, seed=1)
    assert compare_executor(network.model, graph, sets, 10).first is None
