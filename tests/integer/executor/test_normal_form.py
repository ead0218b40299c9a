from dataclasses import replace
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hawq.fixed import FixedPoint, Overflow, Rounding
from hawq.integer.executor.normal_form import NormalForm, fold, may_follow, normal_form
from hawq.integer.graph import build
from hawq.integer.grid import Grid
from hawq.integer.nodes import (
    Affine,
    Clip,
    Dense,
    LeakyRelu,
    Quantize,
    Relu,
    Requantize,
    Reshape,
)
from hawq.integer.tensor import RealInput


def fixed(*args, **rest):
    return Grid.of(FixedPoint(*args, **rest))


def plus(source, constant, multiplier=1, scale=Fraction(1, 4)):
    return Affine((source,), "z", np.array(multiplier), np.array(constant), scale)


START = Quantize(("x",), "q", fixed(True, 4, 2))
DENSE = Dense(("q",), "y", np.array([[3, -1]]), Fraction(1, 2), np.array([5, 0]))
ADD = plus("y", [1, 2], 4, Fraction(1, 32))


def form_of(*chain):
    graph = build([RealInput("x", (1,))], [START, *chain], [chain[-1].output])
    tail = chain[1:] if isinstance(chain[0], Dense) else chain
    return normal_form(tail, graph.tensors, tail[0].inputs[0])


def test_constants_become_one_affine_map():
    form = form_of(DENSE, ADD, replace(ADD, inputs=("z",), output="a"))
    assert_array_equal(form.factor, 16)
    assert_array_equal(form.offset, [5, 10])
    assert (form.divisor, form.low, form.high) == (1, None, None)


def test_weights_and_bias_take_the_affine_map():
    node, form = fold(DENSE, form_of(DENSE, ADD), (2,))
    assert_array_equal(node.weights, [[12, -4]])
    assert_array_equal(node.bias, [21, 2])
    assert (form.factor, form.offset) == (1, 0)


def test_limits_before_rounding_become_limits_after_it():
    form = form_of(DENSE, Relu(("y",), "r"), Requantize(("r",), "s", fixed(True, 3, 2)))
    assert (form.divisor, form.rounding) == (4, Rounding.HALF_EVEN)
    assert (form.low, form.high) == (0, 3)


def test_a_positive_range_above_zero_needs_no_relu():
    form = form_of(plus("q", [8]), Relu(("z",), "r"))
    assert (form.low, form.high) == (None, None)


def test_a_limit_below_the_whole_range_flattens_it():
    form = form_of(plus("q", [100]), Requantize(("z",), "s", fixed(True, 4, 2)))
    assert (form.low, form.high) == (None, 7)


def test_a_slope_multiplies_what_is_negative():
    form = form_of(
        plus("q", [1], 3),
        LeakyRelu(("z",), "r", Fraction(3, 8)),
        Requantize(("r",), "s", Grid(-9, 9, Fraction(1, 3), Rounding.FLOOR)),
    )
    x = np.arange(-8, 8).astype(object)
    values = [Fraction(3 * v + 1, 4) for v in x]
    expected = [floor((v if v > 0 else v * 3 / 8) * 3) for v in values]
    assert_array_equal(
        form.exact(x, form.factor, form.offset), np.clip(expected, -9, 9)
    )


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("zero_point", [-2, 1])
def test_a_zero_point_moves_what_is_rounded(rounding, zero_point):
    grid = Grid(-3, 4, Fraction(1, 2), rounding, zero_point=zero_point)
    form = form_of(Requantize(("q",), "s", grid))
    x = np.arange(-8, 8).astype(object)
    expected = grid.requantize(x, Fraction(1, 4))
    assert_array_equal(form.exact(x, form.factor, form.offset), expected)


def test_a_constant_that_varies_along_other_axes_is_not_folded():
    graph = build(
        [RealInput("x", (2, 1))],
        [
            START,
            Dense(("q",), "y", np.array([[1]]), Fraction(1)),
            plus("y", [[1], [2]]),
        ],
        ["z"],
    )
    form = normal_form(graph.nodes[2:], graph.tensors, "y")
    assert fold(graph.nodes[1], form, (2, 1)) is None


@pytest.mark.parametrize(
    "last",
    [
        Requantize(("q",), "s", fixed(True, 3, 1, overflow=Overflow.WRAP)),
        LeakyRelu(("q",), "s", Fraction(-1, 2)),
        Reshape(("q",), "s", (1, 1)),
    ],
)
def test_what_is_not_monotone_has_no_normal_form(last):
    assert form_of(last) is None


@pytest.mark.parametrize(
    ("chain", "grows"),
    [
        ([DENSE, ADD], True),
        ([ADD, ADD], True),
        ([ADD, DENSE], False),
        ([ADD, LeakyRelu(("z",), "r", Fraction(1, 2))], True),
        ([Relu(("z",), "r"), LeakyRelu(("r",), "t", Fraction(1, 2))], False),
        ([Relu(("z",), "r"), ADD], False),
        ([Relu(("z",), "r"), Clip(("r",), "t", 0, 3)], True),
        ([Requantize(("z",), "r", fixed(True, 3, 1)), Relu(("r",), "t")], False),
        ([ADD, None], False),
    ],
)
def test_chains_grow_in_the_order_of_the_form(chain, grows):
    assert may_follow(chain[:1], chain[1]) == grows


@pytest.mark.parametrize("factor", [3, 2**61, 2**80])
@pytest.mark.parametrize("weights", [[[3, -2]], [[0, 0]]])
def test_folded_weights_never_overflow(factor, weights):
    form = NormalForm(0, 0, np.array([factor, 1], dtype=object))
    node = Dense(("q",), "y", np.array(weights), Fraction(1))
    folded, _ = fold(node, form, (2,))
    (first, second) = weights[0]
    assert folded.weights.tolist() == [[first * factor, second]]
