from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hawq.errors import NetworkError
from hawq.fixed import FixedPoint, Overflow, Rounding
from hawq.integer.bounds import (
    absolute_sum,
    common_scale,
    dense_bounds,
    output_tensor,
    requantize_bounds,
)
from hawq.integer.execute import trace
from hawq.integer.graph import build
from hawq.integer.nodes import (
    AddConstant,
    Dense,
    Quantize,
    RealInput,
    Relu,
    Requantize,
    Reshape,
    Tensor,
)

integers = st.integers(-(2**40), 2**40)


@given(
    st.lists(
        st.tuples(integers, st.integers(0, 2**40), integers), min_size=1, max_size=6
    ),
    integers,
)
def test_dense_bounds_are_the_sums_at_the_corners(columns, bias):
    lows = np.array([low for low, _, _ in columns], dtype=object)
    highs = np.array([low + extent for low, extent, _ in columns], dtype=object)
    weights = np.array([[w] for _, _, w in columns], dtype=object)
    got = dense_bounds(lows, highs, weights, np.array([bias]))
    lowest = sum(min(w * low, w * (low + e)) for low, e, w in columns) + bias
    highest = sum(max(w * low, w * (low + e)) for low, e, w in columns) + bias
    assert [ends.tolist() for ends in got] == [[lowest], [highest]]


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_the_corner_inputs_attain_the_bounds_of_the_first_layer(seed, signed):
    random = np.random.default_rng(seed)
    weights, bias = random.integers(-31, 32, (6, 4)), random.integers(-99, 99, 4)
    form = FixedPoint(signed, 5, 2)
    graph = build(
        [RealInput("x", (6,))],
        [
            Quantize(("x",), "q", form),
            Dense(("q",), "y", weights, Fraction(1), bias),
        ],
        ["y"],
    )
    corner_high = np.where(weights.T > 0, form.max, form.min) * float(form.step)
    corner_low = np.where(weights.T > 0, form.min, form.max) * float(form.step)
    highest = trace(graph, corner_high)["y"].diagonal()
    lowest = trace(graph, corner_low)["y"].diagonal()
    assert_array_equal(highest, graph.tensors["y"].highs)
    assert_array_equal(lowest, graph.tensors["y"].lows)


def test_dense_bounds_of_a_matrix_of_samples_axes():
    lows, highs = np.zeros((2, 3), dtype=np.int64), np.full((2, 3), 5)
    got = dense_bounds(lows, highs, np.array([[1], [-1], [2]]), None)
    assert [ends.tolist() for ends in got] == [[[-5], [-5]], [[15], [15]]]


def test_absolute_sum_bounds_every_partial_sum():
    x = np.array([-8, 0]), np.array([7, 3])
    assert absolute_sum(*x, np.array([[3, 1], [-2, 9]]), np.array([-5, 1])) == 36
    assert absolute_sum(*x, np.array([[2**70], [0]], dtype=object), None) == 2**73


@given(
    st.integers(-500, 500),
    st.integers(0, 300),
    st.integers(0, 8),
    st.sampled_from(Rounding),
    st.sampled_from(Overflow),
)
def test_requantize_bounds_are_those_of_every_integer(
    low, extent, fraction, rounding, overflow
):
    form = FixedPoint(True, 5, 2, rounding, overflow)
    every = form.requantize(np.arange(low, low + extent + 1), fraction)
    ends = np.array([low]), np.array([low + extent])
    lows, highs = requantize_bounds(*ends, fraction, form)
    assert lows[0] <= every.min()
    assert every.max() <= highs[0]
    exact = overflow is not Overflow.WRAP or lows[0] > form.min or highs[0] < form.max
    assert not exact or (lows[0], highs[0]) == (every.min(), every.max())


def tensor(low, high, scale=Fraction(1, 4), declared=None):
    return Tensor("t", (1,), scale, np.array([low]), np.array([high]), declared)


@pytest.mark.parametrize(
    ("node", "scale", "low", "high"),
    [
        (Relu(("t",), "y"), Fraction(1, 4), 0, 9),
        (AddConstant(("t",), "y", np.array([3]), 2), Fraction(1, 16), -25, 39),
        (Reshape(("t",), "y", (1, 1)), Fraction(1, 4), -7, 9),
        (Requantize(("t",), "y", FixedPoint(True, 3, 2)), Fraction(1, 2), -4, 3),
        (Dense(("t",), "y", np.array([[-3]]), Fraction(1, 2)), Fraction(1, 8), -27, 21),
    ],
)
def test_output_tensor(node, scale, low, high):
    y = output_tensor(node, {"t": tensor(-7, 9)})
    assert (y.name, y.scale, y.low, y.high) == ("y", scale, low, high)


def test_quantize_is_bounded_by_its_format():
    form = FixedPoint(True, 4, 1, overflow=Overflow.SATURATE_SYMMETRIC)
    y = output_tensor(Quantize(("x",), "y", form), {"x": RealInput("x", (2,))})
    assert (y.shape, y.scale, y.low, y.high) == ((2,), Fraction(1, 8), -7, 7)
    assert y.declared == form


@pytest.mark.parametrize(
    ("scales", "common"),
    [
        (["1/4", "1/32"], "1/32"),
        (["3/4", "1/2"], "1/4"),
        (["8"], "8"),
        (["6", "4"], "2"),
    ],
)
def test_common_scale(scales, common):
    assert common_scale(*map(Fraction, scales)) == Fraction(common)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            Quantize(("t",), "y", FixedPoint(True, 4, 1)),
            r"^Quantize to 'y' reads 't', which is not a real input$",
        ),
        (Relu(("x",), "y"), r"^Relu to 'y' reads 'x', which is not an integer tensor$"),
        (
            Dense(("t",), "y", np.ones((3, 2), dtype=int), Fraction(1)),
            r"^Dense to 'y': weights of shape \(3, 2\) do not fit 't' of shape \(1,\)$",
        ),
        (
            AddConstant(("t",), "y", np.array([1, 2])),
            r"^AddConstant to 'y': constant of shape \(2,\) and shift 0, expected "
            r"shape \(1,\) and a shift of 0 or more$",
        ),
        (
            Reshape(("t",), "y", (2, 3)),
            r"^Reshape to 'y': shape \(1,\) does not fit \(2, 3\)$",
        ),
    ],
)
def test_nodes_that_do_not_fit_their_input_are_refused(node, message):
    values = {"t": tensor(-7, 9), "x": RealInput("x", (1,))}
    with pytest.raises(NetworkError, match=message):
        output_tensor(node, values)
