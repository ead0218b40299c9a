from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hawq.integer.nodes import (
    Affine,
    Conv,
    Dense,
    LeakyRelu,
    Multiply,
    Relu,
    Sum,
    SumPool,
    Window,
)
from hawq.integer.sums import (
    absolute_sum,
    channel_bounds,
    dense_bounds,
    group_matrices,
    partial_sums,
)
from hawq.integer.tensor import Tensor

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


def test_dense_bounds_of_a_matrix_of_samples_axes():
    lows, highs = np.zeros((2, 3), dtype=np.int64), np.full((2, 3), 5)
    got = dense_bounds(lows, highs, np.array([[1], [-1], [2]]), None)
    assert [ends.tolist() for ends in got] == [[[-5], [-5]], [[15], [15]]]


def test_absolute_sum_bounds_every_partial_sum():
    x = np.array([-8, 0]), np.array([7, 3])
    assert absolute_sum(*x, np.array([[3, 1], [-2, 9]]), np.array([-5, 1])) == 36
    wide = absolute_sum(*x, np.array([[2**70], [0]], dtype=object), None)
    assert 2**73 <= wide < 2**73 + 2**53


@given(st.lists(st.tuples(integers, integers), min_size=1, max_size=8))
def test_absolute_sum_is_never_below_the_sum_of_magnitudes(pairs):
    x = np.array([a for a, _ in pairs], dtype=object)
    weights = np.array([[b] for _, b in pairs], dtype=object)
    assert absolute_sum(x, x, weights, None) >= sum(abs(a * b) for a, b in pairs)


LOWS, HIGHS = np.array([[1, 2], [-4, 0]]), np.array([[5, 6], [3, 9]])
X = Tensor("x", (2, 2), Fraction(1), LOWS, HIGHS)
POINT = Window((1,), (1,), (1,), (0, 0))
PAIR = Window((2,), (1,), (1,), (0, 1))


@pytest.mark.parametrize(
    ("node", "bound"),
    [
        (Dense(("x",), "y", np.array([[1], [-2]]), Fraction(1), np.array([3])), 25),
        (Conv(("x",), "y", np.array([[[2], [1]]]), Fraction(1), POINT), 21),
        (Affine(("x",), "y", np.array([-3]), np.array([5]), Fraction(1)), 32),
        (Sum(("x", "x"), "y", (2, -3)), 45),
        (Multiply(("x", "x"), "y"), 81),
        (LeakyRelu(("x",), "y", Fraction(-1, 4)), 36),
        (SumPool(("x",), "y", PAIR, Fraction(1)), 18),
        (Relu(("x",), "y"), 9),
    ],
)
def test_partial_sums(node, bound):
    assert partial_sums(node, [X] * len(node.inputs)) == bound


def test_channel_bounds_include_the_zeros_of_padding():
    inner = channel_bounds(SumPool(("x",), "y", POINT, Fraction(1)), X)
    padded = channel_bounds(SumPool(("x",), "y", PAIR, Fraction(1)), X)
    assert [ends.tolist() for ends in inner] == [[1, -4], [6, 9]]
    assert [ends.tolist() for ends in padded] == [[0, -4], [6, 9]]


def test_a_convolution_is_one_matrix_a_group():
    weights = np.arange(8).reshape(4, 1, 2)
    node = Conv(("x",), "y", weights, Fraction(1), PAIR, 2, np.array([1, 2, 3, 4]))
    first, second = group_matrices(node, np.array([1, -4]), np.array([6, 9]))
    assert_array_equal(first[2], [[0, 2], [1, 3]])
    assert_array_equal(second[0], [-4, -4])
    assert_array_equal(second[1], [9, 9])
    assert_array_equal(second[2], [[4, 6], [5, 7]])
    assert_array_equal(second[3], [3, 4])
