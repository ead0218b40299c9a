"""The layers that cost models are fitted to."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawq.integer.execute import execute
from hawq.synthesis.costs.grid import (
    INPUTS,
    MOST_PRODUCT_BITS,
    OTHER_INPUTS,
    OTHER_OUTPUTS,
    OUTPUTS,
    GridLayer,
    draw_convolutions,
    draw_layers,
    nearest_integers,
    next_shift,
)


def half_even(value: Fraction) -> int:
    return round(value)  # Python rounds ties to even


@pytest.mark.parametrize("signed", [False, True])
def test_the_graph_multiplies_biases_rounds_and_saturates(signed):
    weight = np.array([[3, -2, 0], [-1, -1, 1]])
    one = GridLayer("one", weight, 3, np.array([5, -2]), 4, signed, 3, 2)
    x = np.array([[-20.0, 3.0, 1.0], [7.4, 0.0, 7.0], [30.0, 2.0, 0.0], [0.0, 4.5, 9]])

    found = execute(one.graph, {"x": x}, ("y",))["y"]

    low, high = (-8, 7) if signed else (0, 15)
    integers = np.clip([[half_even(Fraction(v)) for v in row] for row in x], low, high)
    sums = integers @ weight.T + [5, -2]
    expected = [
        [min(max(half_even(Fraction(int(v), 4)), 0), 7) for v in row] for row in sums
    ]
    np.testing.assert_array_equal(found, expected)


def test_a_last_layer_gives_its_accumulators():
    one = GridLayer("last", np.array([[2, -3]]), 3, np.array([1]), 4)

    found = execute(one.graph, {"x": np.array([[5.0, 6.0]])}, ("sum",))["sum"]

    np.testing.assert_array_equal(found, [[2 * 5 - 3 * 6 + 1]])


def test_a_convolution_is_unrolled_over_its_image():
    weight = np.arange(-8, 8).reshape(2, 2, 2, 2)
    one = GridLayer("conv", weight, 5, np.array([1, 2]), 4, image=(3, 4))
    x = np.random.default_rng(0).integers(0, 16, (1, 2, 3, 4))

    found = execute(one.graph, {"x": x.astype(float)}, ("sum",))["sum"]

    windows = np.lib.stride_tricks.sliding_window_view(x[0], (2, 2), (1, 2))
    expected = np.einsum("oikl,ihwkl->ohw", weight, windows)
    np.testing.assert_array_equal(found[0], expected + np.array([[[1]], [[2]]]))
    assert one.positions == 2 * 3
    assert one.quantized.macs == 2 * 3 * 16


def test_drawn_convolutions_stay_small():
    for layer in draw_convolutions(20, 3):
        product = np.count_nonzero(layer.weight) * layer.positions
        product *= layer.weight_bits * layer.activation_bits
        assert product <= MOST_PRODUCT_BITS * 1.05  # a quantile rounds to one weight
        assert layer.weight.shape[2:] == (3, 3)
        assert layer.graph.tensors["y"].shape[1:] == tuple(n - 2 for n in layer.image)


def test_the_first_layers_do_not_depend_on_the_count():
    few, many = draw_layers(3, 7), draw_layers(6, 7)

    assert [layer.name for layer in many] == [f"grid{i}" for i in range(6)]
    for one, other in zip(few, many, strict=False):
        np.testing.assert_array_equal(one.weight, other.weight)
        np.testing.assert_array_equal(one.bias, other.bias)
    other = draw_layers(3, 8)
    assert [a.weight.shape for a in few] != [b.weight.shape for b in other]


def test_drawn_layers_are_what_the_settings_promise():
    for layer in draw_layers(40, 3):
        outputs, inputs = layer.weight.shape
        assert inputs in INPUTS
        assert outputs in OUTPUTS
        assert np.abs(layer.weight).max() <= 2 ** (layer.weight_bits - 1) - 1
        assert layer.weight.any()
        nonzero = np.count_nonzero(layer.weight)
        product = nonzero * layer.weight_bits * layer.activation_bits
        assert product <= MOST_PRODUCT_BITS * 1.01  # a quantile rounds to one weight
        assert layer.quantized.macs == inputs * outputs


def test_held_out_sizes_are_not_those_of_the_grid():
    assert not set(INPUTS) & set(OTHER_INPUTS)
    assert not set(OUTPUTS) & set(OTHER_OUTPUTS)
    for layer in draw_layers(10, 3, other_sizes=True):
        outputs, inputs = layer.weight.shape
        assert (inputs in OTHER_INPUTS, outputs in OTHER_OUTPUTS) == (True, True)


@given(seed=st.integers(0, 2**32 - 1), bits=st.integers(2, 8))
def test_no_power_of_two_comes_nearer(seed, bits):
    values = np.random.default_rng(seed).laplace(size=(4, 5))
    top = 2 ** (bits - 1) - 1

    integers = nearest_integers(values, bits)

    errors, mine = [], []
    for exponent in range(-12, 6):
        scale = 2.0**exponent
        mine.append(((integers * scale - values) ** 2).sum())
        errors.append(
            ((np.clip(np.rint(values / scale), -top, top) * scale - values) ** 2).sum()
        )
    assert min(mine) == pytest.approx(min(errors), rel=1e-12)


@given(
    weight=st.lists(st.integers(-7, 7), min_size=1, max_size=20),
    activation_bits=st.integers(2, 8),
    output_bits=st.integers(2, 8),
)
def test_the_next_input_spans_four_deviations(weight, activation_bits, output_bits):
    one = GridLayer("one", np.array([weight]), 4, np.array([0]), activation_bits)

    shift = next_shift(one.quantized, output_bits)

    variance = sum(w * w for w in weight) * 4**activation_bits / 12
    assert 4 ** (output_bits + shift) >= 16 * variance * (1 - 1e-12)
    if shift:
        assert 4 ** (output_bits + shift - 1) < 16 * variance * (1 + 1e-12)
