"""What is predicted of an integer graph: by hand, and one product at a time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawq.allocation.cost import QuantizedLayer
from hawq.allocation.measured import Sums, latency_ns, lut, measured
from hawq.integer.graph import build
from hawq.integer.grid import Grid
from hawq.integer.nodes import Conv, Dense, Multiply, Quantize, Relu, Requantize, Window
from hawq.integer.tensor import RealInput, Tensor
from hawq.synthesis.costs.grid import draw_layers
from hawq.synthesis.costs.predict import activation_bits, ebops, predict, weight_bits

ONE = Fraction(1)


def bits_by_text(weight):
    return len(f"{abs(weight):b}".strip("0"))


def dense(weights, low=0, high=7, bias=None):
    weights = np.array(weights)
    nodes = [
        Quantize(("x",), "q", Grid(low, high, ONE)),
        Dense(("q",), "y", weights, ONE, None if bias is None else np.array(bias)),
    ]
    return build([RealInput("x", weights.shape[:1])], nodes, ["y"])


def image(weights, window, groups=1, shape=(2, 4, 5)):
    nodes = [
        Quantize(("x",), "q", Grid(-4, 3, ONE)),
        Conv(("q",), "y", weights, ONE, window, groups, None),
    ]
    return build([RealInput("x", shape)], nodes, ["y"])


def test_ebops_of_two_layers_by_hand():
    first = np.array([[6, 0], [-5, 1], [0, 0]])
    nodes = [
        Quantize(("x",), "q", Grid(-8, 7, ONE)),
        Dense(("q",), "sum", first, ONE, np.array([3, 100])),
        Relu(("sum",), "positive"),
        Requantize(("positive",), "r", Grid(0, 31, ONE)),
        Dense(("r",), "y", np.array([[12], [-1]]), ONE),
    ]
    graph = build([RealInput("x", (3,))], nodes, ["y"])

    # Inputs take 4 bits; 6 = 2 · 3 has two bits, 5 three and 1 one. Outputs after the
    # ReLU are 0 to 31, five bits; the second lies above 100 - 8 and saturates there, a
    # constant. 12 = 4 · 3 has two bits.
    assert ebops(graph) == 4 * (2 + 3 + 1) + 5 * 2


def test_bits_of_activations_by_hand():
    lows = np.array([0, -1, -8, 0, 5, -9, -128])
    highs = np.array([0, 0, 7, 8, 5, 2, 128])
    tensor = Tensor("t", (7,), ONE, lows, highs)

    np.testing.assert_array_equal(activation_bits(tensor), [0, 1, 4, 4, 0, 5, 9])


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1))
def test_bits_of_weights_are_those_between_zeros(weights):
    bits = weight_bits(np.array(weights, dtype=np.int64))

    np.testing.assert_array_equal(bits, [bits_by_text(w) for w in weights])


@given(seed=st.integers(0, 2**32 - 1), bits=st.integers(1, 9))
def test_ebops_one_product_at_a_time(seed, bits):
    weights = np.random.default_rng(seed).integers(-20, 21, (4, 3))

    found = ebops(dense(weights, high=2**bits - 1, bias=[1, 2, 3]))

    assert found == sum(bits * bits_by_text(int(w)) for w in weights.flat)


def test_ebops_of_a_convolution_leave_padding_out():
    random = np.random.default_rng(4)
    weights = random.integers(-9, 10, (4, 1, 3, 2))
    window = Window((3, 2), (1, 2), (1, 1), (1, 0, 1, 0))
    graph = image(weights, window, groups=2)
    expected = 0
    for output, row, column in np.ndindex(4, 4, 2):
        for i, j in np.ndindex(3, 2):
            inside = 0 <= row - 1 + i < 4 and 0 <= 2 * column + j < 5
            expected += inside * 3 * bits_by_text(int(weights[output, 0, i, j]))

    assert graph.tensors["y"].shape == (4, 4, 2)
    assert ebops(graph) == expected


def test_ebops_of_a_product_of_activations():
    nodes = [
        Quantize(("a",), "p", Grid(-4, 3, ONE)),
        Quantize(("b",), "q", Grid(0, 15, ONE)),
        Multiply(("p", "q"), "y"),
    ]
    graph = build([RealInput("a", (5,)), RealInput("b", (5,))], nodes, ["y"])

    assert ebops(graph) == 5 * 3 * 4


@pytest.mark.parametrize("layer", draw_layers(6, 7), ids=lambda layer: layer.name)
def test_a_layer_is_priced_as_the_allocator_prices_it(layer):
    found = predict(layer.graph)

    assert found.luts == pytest.approx(lut.price(layer.quantized), rel=1e-13)
    assert found.ns == pytest.approx(latency_ns.price(layer.quantized), rel=1e-13)


def test_an_unrolled_convolution_is_paid_at_every_position():
    weights = np.random.default_rng(5).integers(-9, 10, (6, 2, 2, 2))
    graph = image(weights, Window((2, 2), (1, 1), (1, 1), (0, 0, 0, 0)))
    layer = QuantizedLayer(
        "conv", weights, 5, 3, None, 0, macs=weights.size * 3 * 4, signed=True
    )

    assert predict(graph).luts == pytest.approx(lut.price(layer), rel=1e-13)


def test_channels_of_a_convolution_have_their_own_bounds():
    weights = np.random.default_rng(6).integers(1, 8, (2, 2, 1, 1))
    squeeze = np.array([[[[1]], [[0]]], [[[0]], [[4]]]])  # 0..7 and 0..28
    window = Window((1, 1), (1, 1), (1, 1), (0, 0, 0, 0))
    nodes = [
        Quantize(("x",), "q", Grid(0, 7, ONE)),
        Conv(("q",), "r", squeeze, ONE, window),
        Conv(("r",), "y", weights, ONE, window),
    ]
    graph = build([RealInput("x", (2, 1, 1))], nodes, ["y"])
    law = measured().lut
    first = Sums.count(
        squeeze.reshape(2, 2), np.array(7.0), None, signed=False, copies=1
    )
    spans = np.array([[7.0, 28.0]])
    second = Sums.count(weights.reshape(2, 2), spans, None, signed=False, copies=1)

    expected = law.predict(first) + law.predict(second)
    assert predict(graph).luts == pytest.approx(expected, rel=1e-13)


def test_weights_of_constant_inputs_are_free():
    some, none = dense([[3, -5], [7, 1]]), dense([[3, -5], [7, 1]], low=4, high=4)

    assert predict(some).luts > 0
    assert predict(none).model_dump() == {"luts": 0.0, "ns": 0.0, "ebops": 0}
