from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hawq.fixed import FixedPoint, Rounding
from hawq.integer.execute import execute, run
from hawq.integer.executor.combination import Combination, Linear, linear
from hawq.integer.executor.normal_form import NormalForm
from hawq.integer.executor.plan import compile_plan
from hawq.integer.executor.steps import CombinationStep, NodeStep, QuantizeStep
from hawq.integer.graph import build
from hawq.integer.grid import Grid
from hawq.integer.nodes import Affine, LeakyRelu, Quantize, Relu, Requantize, Sum
from hawq.integer.tensor import RealInput

BYTE = Grid.of(FixedPoint(True, 8, 8))


def residual(left, right, grid, bend, constant=0, keep=()):
    """Two bytes, each times a wide factor a channel; their sum is rounded."""
    multipliers = [np.array(m, dtype=object) for m in (left, right)]
    constants = np.array([constant, 0], dtype=object)
    nodes = [
        Quantize(("x",), "q", BYTE),
        Quantize(("y",), "p", BYTE),
        Affine(("q",), "a", multipliers[0], constants, Fraction(1, 2**62)),
        Affine(("p",), "b", multipliers[1], constants, Fraction(1, 2**62)),
        Sum(("a", "b"), "s", (1, -1)),
        bend,
        Requantize(("r",), "z", grid),
    ]
    inputs = [RealInput("x", (2,)), RealInput("y", (2,))]
    return build(inputs, nodes, ["z", *keep])


def wholes(scale):
    return Grid(-200, 200, Fraction(scale))


def kinds(graph):
    return [type(step) for step in compile_plan(graph, graph.outputs).steps]


wide = st.integers(-(2**64), 2**64)


@given(
    factors=st.lists(wide, min_size=4, max_size=4),
    constant=st.integers(-(2**70), 2**70),
    rounding=st.sampled_from(Rounding),
    divisor=st.one_of(st.integers(1, 200), st.sampled_from([2**9, 2**5, 3])),
    bend=st.sampled_from([Relu(("s",), "r"), LeakyRelu(("s",), "r", Fraction(1, 8))]),
    zero_point=st.sampled_from([0, 1, -3]),
)
def test_wide_sums_round_as_python_integers_do(
    factors, constant, rounding, divisor, bend, zero_point
):
    grid = Grid(-200, 200, Fraction(divisor, 3), rounding, zero_point=zero_point)
    graph = residual(factors[:2], factors[2:], grid, bend, constant)
    pairs = np.random.default_rng(0).integers(-128, 128, (2, 40, 2)).astype(float)
    values = {"x": pairs[0], "y": pairs[1]}
    expected = execute(graph, values, ("z",), carriers=("object",))["z"]
    assert_array_equal(run(graph, values)["z"], expected)


def test_ties_are_done_in_integers():
    one = 2**62
    graph = residual([one, one], [one, 3 * one], wholes(2), Relu(("s",), "r"))
    assert kinds(graph)[-1] is CombinationStep
    pairs = np.arange(-8.0, 8).reshape(2, 4, 2)
    expected = np.rint(np.maximum(pairs[0] - pairs[1] * [1, 3], 0) / 2)
    assert_array_equal(run(graph, {"x": pairs[0], "y": pairs[1]})["z"], expected)


def test_a_wide_sum_is_never_written_down():
    graph = residual([2**60] * 2, [2**61] * 2, wholes(2), Relu(("s",), "r"))
    assert kinds(graph) == [QuantizeStep, QuantizeStep, CombinationStep]


def test_a_wide_sum_that_is_kept_is_written_down():
    factors = [2**60] * 2, [2**61] * 2
    graph = residual(*factors, wholes(2), Relu(("s",), "r"), keep=["s"])
    assert NodeStep in kinds(graph)
    x = {"x": np.array([[3.0, 4.0]]), "y": np.array([[1.0, 2.0]])}
    assert run(graph, x)["s"].tolist() == [[2**60, 0]]


def test_nodes_make_combinations_of_combinations():
    q, p = (residual([1, 2], [1, 1], BYTE, Relu(("s",), "r")).tensors[n] for n in "qp")
    affine = Affine(("q",), "a", np.array([2, 3]), np.array(5), Fraction(1))
    first = linear(affine, [Linear.of(q)])
    total = linear(Sum(("a", "p"), "s", (1, -7)), [first, Linear.of(p)])
    assert total.sources == (q, p)
    assert_array_equal(total.factors[0], [2, 3])
    assert total.factors[1] == -7
    assert_array_equal(total.offset, [5, 5])


def test_sums_that_broadcast_are_no_combination():
    tensors = build(
        [RealInput("x", (2,)), RealInput("y", (3, 2))],
        [Quantize(("x",), "q", BYTE), Quantize(("y",), "p", BYTE)],
        ["q", "p"],
    ).tensors
    terms = [Linear.of(tensors[n]) for n in "qp"]
    assert linear(Sum(("q", "p"), "s", (1, 1)), terms) is None


@pytest.mark.parametrize(
    "form",
    [
        NormalForm(0, 1),
        NormalForm(
            0, 1, divisor=2**500, factor=np.array(3**900), rounding=Rounding.CEIL
        ),
        NormalForm(0, 1, divisor=3, factor=np.array(2**60), rounding=Rounding.CEIL),
    ],
)
def test_what_would_always_be_in_doubt_is_no_combination(form):
    q = residual([1, 2], [1, 1], BYTE, Relu(("s",), "r")).tensors["q"]
    assert Combination.of(Linear.of(q), form) is None
