from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hawq.fixed import FixedPoint, Overflow, Rounding
from hawq.integer.graph import build
from hawq.integer.grid import Grid
from hawq.integer.nodes import Affine, Dense, Quantize, Relu, Requantize, Reshape
from hawq.integer.normal_form import normal_form
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
    return normal_form(chain, graph.tensors)


def test_dense_and_constant_become_one_affine_map():
    form = form_of(DENSE, ADD)
    assert_array_equal(form.matrix, [[12, -4]])
    assert_array_equal(form.offset, [21, 2])
    assert (form.fraction, form.drop, form.low, form.high) == (5, 0, None, None)


def test_limits_before_rounding_become_limits_after_it():
    form = form_of(DENSE, Relu(("y",), "r"), Requantize(("r",), "s", fixed(True, 3, 2)))
    assert (form.drop, form.rounding) == (2, Rounding.HALF_EVEN)
    assert (form.low, form.high) == (0, 3)


def test_a_positive_range_above_zero_needs_no_relu():
    lifted = plus("q", [8])
    form = form_of(lifted, Relu(("z",), "r"))
    assert (form.low, form.high) == (None, None)


def test_a_limit_below_the_whole_range_flattens_it():
    raised = plus("q", [100])
    form = form_of(raised, Requantize(("z",), "s", fixed(True, 4, 2)))
    assert (form.low, form.high) == (None, 7)


def test_a_constant_that_varies_along_other_axes_has_no_normal_form():
    graph = build(
        [RealInput("x", (2, 1))],
        [
            START,
            Dense(("q",), "y", np.array([[1]]), Fraction(1)),
            plus("y", [[1], [2]]),
        ],
        ["z"],
    )
    assert normal_form(graph.nodes[1:], graph.tensors) is None


@pytest.mark.parametrize(
    "last",
    [
        Requantize(("q",), "s", fixed(True, 4, 3, Rounding.HALF_UP)),
        Requantize(("q",), "s", fixed(True, 3, 1, overflow=Overflow.WRAP)),
        Requantize(("q",), "s", fixed(True, 4, 70)),
        Requantize(("q",), "s", fixed(True, 64, -8)),
        Reshape(("q",), "s", (1, 1)),
    ],
)
def test_what_floats_cannot_do_has_no_normal_form(last):
    assert form_of(last) is None
