from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hawq.errors import NetworkError
from hawq.fixed import FixedPoint, Overflow, Rounding
from hawq.integer.bounds import output_tensor
from hawq.integer.execute import trace
from hawq.integer.graph import build
from hawq.integer.grid import Grid
from hawq.integer.nodes import (
    Affine,
    ArgMax,
    Clip,
    Concat,
    Conv,
    Dense,
    LeakyRelu,
    MaxPool,
    Multiply,
    Quantize,
    Relu,
    Requantize,
    Reshape,
    Select,
    Sum,
    SumPool,
    Table,
    Threshold,
    Transpose,
    Window,
)
from hawq.integer.tensor import RealInput, Tensor


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_the_corner_inputs_attain_the_bounds_of_the_first_layer(seed, signed):
    random = np.random.default_rng(seed)
    weights, bias = random.integers(-31, 32, (6, 4)), random.integers(-99, 99, 4)
    form = FixedPoint(signed, 5, 2)
    graph = build(
        [RealInput("x", (6,))],
        [
            Quantize(("x",), "q", Grid.of(form)),
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
    x = tensor(low, low + extent, Fraction(1, 2**fraction))
    y = output_tensor(Requantize(("t",), "y", Grid.of(form)), {"t": x})
    assert y.low <= every.min()
    assert every.max() <= y.high
    exact = overflow is not Overflow.WRAP or y.low > form.min or y.high < form.max
    assert not exact or (y.low, y.high) == (every.min(), every.max())


def tensor(low, high, scale=Fraction(1, 4), declared=None):
    return Tensor("t", (1,), scale, np.array([low]), np.array([high]), declared)


@pytest.mark.parametrize(
    ("node", "scale", "low", "high"),
    [
        (Relu(("t",), "y"), Fraction(1, 4), 0, 9),
        (
            Affine(("t",), "y", np.array([-4]), np.array([3]), Fraction(1, 16)),
            Fraction(1, 16),
            -33,
            31,
        ),
        (Sum(("t", "t"), "y", (1, -1)), Fraction(1, 4), -16, 16),
        (Multiply(("t", "t"), "y"), Fraction(1, 16), -63, 81),
        (LeakyRelu(("t",), "y", Fraction(3, 8)), Fraction(1, 32), -21, 72),
        (LeakyRelu(("t",), "y", Fraction(-1, 2)), Fraction(1, 8), 0, 18),
        (Clip(("t",), "y", -3, 20), Fraction(1, 4), -3, 9),
        (Reshape(("t",), "y", (1, 1)), Fraction(1, 4), -7, 9),
        (Transpose(("t",), "y", (0,)), Fraction(1, 4), -7, 9),
        (Select(("t",), "y", np.array([[0, -1]]), 12), Fraction(1, 4), -7, 12),
        (Concat(("t", "t"), "y", 0), Fraction(1, 4), -7, 9),
        (
            Table(
                ("t",), "y", -7, np.arange(17) ** 2 - 64, Grid(-64, 192, Fraction(3))
            ),
            Fraction(3),
            -64,
            192,
        ),
        (Threshold(("t",), "y", np.array([[-7, -6, 9, 10]])), Fraction(1), 1, 3),
        (ArgMax(("t",), "y", 0), Fraction(1), 0, 0),
        (
            Requantize(("t",), "y", Grid.of(FixedPoint(True, 3, 2))),
            Fraction(1, 2),
            -4,
            3,
        ),
        (
            Requantize(("t",), "y", Grid(-9, 9, Fraction(1, 7))),
            Fraction(1, 7),
            -9,
            9,
        ),
        (Dense(("t",), "y", np.array([[-3]]), Fraction(1, 2)), Fraction(1, 8), -27, 21),
    ],
)
def test_output_tensor(node, scale, low, high):
    y = output_tensor(node, {"t": tensor(-7, 9)})
    assert (y.name, y.scale, y.low, y.high) == ("y", scale, low, high)


def test_windows_add_zeros_and_know_each_channel():
    lows, highs = np.array([[1, 2, 3], [-4, -4, -4]]), np.array([[5, 5, 6], [7, 8, 9]])
    x = Tensor("t", (2, 3), Fraction(1), lows, highs)
    window = Window((2,), (1,), (1,), (1, 0))
    weights = np.array([[[2, -1], [0, 1]]])
    conv = Conv(("t",), "y", weights, Fraction(1), window, bias=np.array([10]))
    largest = MaxPool(("t",), "y", window)
    sums = SumPool(("t",), "y", window, Fraction(1, 2))
    got = {type(n): output_tensor(n, {"t": x}) for n in (conv, largest, sums)}
    assert_array_equal(got[Conv].lows, [[10 - 6 - 4] * 3])
    assert_array_equal(got[Conv].highs, [[10 + 12 + 9] * 3])
    assert_array_equal(got[MaxPool].lows, [[1, 2, 3], [-4, -4, -4]])
    assert_array_equal(got[MaxPool].highs, [[5, 5, 6], [7, 8, 9]])
    assert_array_equal(got[SumPool].lows, [[0] * 3, [-8] * 3])
    assert_array_equal(got[SumPool].highs, [[12] * 3, [18] * 3])
    assert got[SumPool].scale == Fraction(1, 2)


def test_quantize_is_bounded_by_its_grid():
    grid = Grid.of(FixedPoint(True, 4, 1, overflow=Overflow.SATURATE_SYMMETRIC))
    y = output_tensor(Quantize(("x",), "y", grid), {"x": RealInput("x", (2,))})
    assert (y.shape, y.scale, y.low, y.high) == ((2,), Fraction(1, 8), -7, 7)
    assert y.declared == grid


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            Quantize(("t",), "y", Grid.of(FixedPoint(True, 4, 1))),
            r"^Quantize to 'y' reads 't', which is not a real input$",
        ),
        (Relu(("x",), "y"), r"^Relu to 'y' reads 'x', which is not an integer tensor$"),
        (
            Dense(("t",), "y", np.ones((3, 2), dtype=int), Fraction(1)),
            r"^Dense to 'y': weights of shape \(3, 2\) do not fit 't' of shape \(1,\)$",
        ),
        (
            Affine(("t",), "y", np.array([1]), np.array([1, 2]), Fraction(1)),
            r"^Affine to 'y': a constant of shape \(2,\) does not fit samples of shape "
            r"\(1,\)$",
        ),
        (
            Sum(("t", "t"), "y", (1, 2)),
            r"^Sum to 'y': its inputs have the scales \['1/4', '1/8'\]$",
        ),
        (
            Multiply(("t2", "t3"), "y"),
            r"^Multiply to 'y': samples of shapes \(2, 3\) and \(2,\) do not fit$",
        ),
        (
            Concat(("t", "t3"), "y", 0),
            r"^Concat to 'y': its inputs have scales \['1/4', '1/3'\]$",
        ),
        (
            Concat(("t", "t2"), "y", 0),
            r"^Concat to 'y': shapes \(1,\), \(2, 3\) cannot be joined along axis 0$",
        ),
        (
            Select(("t",), "y", np.array([0, 1])),
            r"^Select to 'y': indices beyond the 1 elements of 't'$",
        ),
        (
            Table(("t",), "y", -6, np.arange(20), Grid(0, 19, Fraction(1))),
            r"^Table to 'y': 't' goes from -7 to 9, beyond the table's -6 to 13$",
        ),
        (
            Threshold(("t",), "y", np.array([[1], [2]])),
            r"^Threshold to 'y': thresholds of shape \(2, 1\) do not fit samples of "
            r"shape \(1,\)$",
        ),
        (
            MaxPool(("t",), "y", Window((2,), (1,), (1,), (0, 0))),
            r"^MaxPool to 'y': a window over 1 axes does not fit samples of shape "
            r"\(1,\)$",
        ),
        (
            MaxPool(("t2",), "y", Window((4,), (1,), (1,), (0, 0))),
            r"^MaxPool to 'y': the window does not fit into samples of shape \(2, 3\)$",
        ),
        (
            MaxPool(("t2",), "y", Window((2,), (1,), (1,), (2, 0))),
            r"^MaxPool to 'y': pads \(2, 0\) leave windows with nothing but padding$",
        ),
        (
            Conv(
                ("t2",),
                "y",
                np.ones((1, 3, 1), dtype=int),
                Fraction(1),
                Window((1,), (1,), (1,), (0, 0)),
            ),
            r"^Conv to 'y': weights of shape \(1, 3, 1\) in 1 groups do not fit "
            r"samples of shape \(2, 3\)$",
        ),
        (
            Reshape(("t",), "y", (2, 3)),
            r"^Reshape to 'y': shape \(1,\) does not fit the shape \(2, 3\)$",
        ),
    ],
)
def test_nodes_that_do_not_fit_their_input_are_refused(node, message):
    zeros = np.zeros((2, 3), dtype=np.int64)
    values = {
        "t": tensor(-7, 9),
        "t2": Tensor("t2", (2, 3), Fraction(1, 4), zeros, zeros + 1),
        "t3": Tensor("t3", (2,), Fraction(1, 3), zeros[:, 0], zeros[:, 0] + 1),
        "x": RealInput("x", (1,)),
    }
    with pytest.raises(NetworkError, match=message):
        output_tensor(node, values)
