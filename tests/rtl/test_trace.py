"""alkaid's interpreter of the traced logic gives the golden integers."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hawq.errors import NetworkError
from hawq.fixed import Overflow, Rounding
from hawq.integer.execute import trace
from hawq.integer.graph import Graph, build
from hawq.integer.grid import Grid
from hawq.integer.nodes import (
    Affine,
    Clip,
    Concat,
    Conv,
    Dense,
    LeakyRelu,
    MaxPool,
    Multiply,
    Node,
    Quantize,
    Relu,
    Requantize,
    Reshape,
    Select,
    Sum,
    SumPool,
    Transpose,
    Window,
)
from hawq.integer.tensor import RealInput
from hawq.rtl.trace import input_integers, operations, trace_graph, unsupported

pytest.importorskip("alkaid", reason="alkaid is not installed")

ONE = Fraction(1)
SIGNED = Grid(-8, 7, ONE)


def graph_of(*nodes: Node, shape: tuple[int, ...] = (4,), grid: Grid = SIGNED) -> Graph:
    first = Quantize(("x",), "q", grid)
    return build([RealInput("x", shape)], [first, *nodes], [nodes[-1].output])


def assert_equal(graph: Graph, samples: int = 200) -> None:
    shape = graph.inputs[0].shape
    x = np.random.default_rng(0).integers(-12, 12, (samples, *shape)) / 1.0
    values = trace(graph, x)
    (source,) = input_integers(graph)
    logic = trace_graph(graph)
    got = logic.predict(values[source].reshape(samples, -1).astype(np.float64))
    expected = values[graph.outputs[0]].reshape(samples, -1)
    np.testing.assert_array_equal(got, expected)


WINDOW = Window((2, 2), (1, 2), (1, 1), (1, 0, 0, 1))
LAST = Window((2, 2), (1, 1), (2, 1), (1, 0, 1, 0), channels_last=True)
IMAGE = (2, 4, 4)


@pytest.mark.parametrize(
    ("shape", "node"),
    [
        ((4,), Affine(("q",), "y", np.array([3, -2, 1, 0]), np.array(5), ONE)),
        ((4,), Clip(("q",), "y", -3, 2)),
        ((4,), Concat(("q", "q"), "y", 0)),
        ((4,), Dense(("q",), "y", np.arange(-6, 6).reshape(4, 3), ONE, np.arange(3))),
        ((4,), LeakyRelu(("q",), "y", Fraction(13, 128))),
        ((4,), LeakyRelu(("q",), "y", Fraction(3, 2))),
        ((4,), Relu(("q",), "y")),
        ((4,), Reshape(("q",), "y", (2, 2))),
        ((4,), Select(("q",), "y", np.array([3, -1, 0, 0]), fill=7)),
        ((4,), Sum(("q", "q"), "y", (1, -1))),
        ((2, 3), Dense(("q",), "y", np.arange(-6, 6).reshape(3, 4), ONE)),
        ((2, 3), Transpose(("q",), "y", (1, 0))),
        (IMAGE, Conv(("q",), "y", np.arange(-12, 12).reshape(3, 2, 2, 2), ONE, WINDOW)),
        (
            IMAGE,
            Conv(
                ("q",),
                "y",
                np.arange(-8, 8).reshape(4, 1, 2, 2),
                ONE,
                WINDOW,
                groups=2,
                bias=np.arange(4),
            ),
        ),
        (
            (4, 4, 2),
            Conv(("q",), "y", np.arange(-12, 12).reshape(3, 2, 2, 2), ONE, LAST),
        ),
        (IMAGE, MaxPool(("q",), "y", WINDOW)),
        (IMAGE, SumPool(("q",), "y", WINDOW, ONE / 4)),
        ((4, 4, 2), MaxPool(("q",), "y", LAST)),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, tuple) else "",
)
def test_each_node(shape: tuple[int, ...], node: Any) -> None:
    assert_equal(graph_of(node, shape=shape))


CARRIED = [
    Rounding.FLOOR,
    Rounding.CEIL,
    Rounding.HALF_EVEN,
    Rounding.HALF_UP,
    Rounding.HALF_DOWN,
]


@settings(max_examples=80)
@given(
    st.sampled_from(CARRIED),
    st.sampled_from(list(Overflow)),
    st.integers(-3, 6),
    st.integers(1, 5),
    st.booleans(),
    st.integers(-1, 3),
)
def test_every_rounding_and_overflow(
    rounding: Rounding,
    overflow: Overflow,
    exponent: int,
    bits: int,
    is_signed: bool,
    zero_point: int,
) -> None:
    low = -(2**bits) if is_signed else 0
    if overflow is Overflow.SATURATE_SYMMETRIC:
        low = min(low + 1, 0)
    grid = Grid(
        low, 2**bits - 1, Fraction(2) ** exponent, rounding, overflow, zero_point
    )
    weights = np.array([[3, -7], [5, 2], [-1, 6], [4, 0]])
    graph = graph_of(
        Dense(("q",), "y", weights, ONE / 2), Requantize(("y",), "z", grid)
    )
    assert_equal(graph)


def test_a_scale_that_is_no_power_of_two_is_carried_until_it_is_divided() -> None:
    odd = Fraction(3, 7)
    dense = Dense(("q",), "y", np.arange(-8, 8).reshape(4, 4), odd)
    assert_equal(graph_of(dense, Requantize(("y",), "z", Grid(-4, 3, 4 * odd))))
    graph = graph_of(dense, Requantize(("y",), "z", Grid(-4, 3, ONE / 3)))
    with pytest.raises(
        NetworkError,
        match=r"^Requantize to 'z' divides by 7, which is no shift: use power-of-two "
        r"scales, or the emulator$",
    ):
        trace_graph(graph)


def test_a_rounding_without_hardware_is_refused() -> None:
    graph = graph_of(Requantize(("q",), "z", Grid(-2, 1, 4 * ONE, Rounding.HALF_AWAY)))
    assert unsupported(graph) == [
        "Requantize to 'z' rounds half_away: use floor, half_up, half_even, ceil, "
        "half_down"
    ]


def test_a_node_without_hardware_is_refused() -> None:
    assert unsupported(graph_of(Multiply(("q", "q"), "y"))) == [
        "Multiply to 'y' has no RTL: use the emulator"
    ]


def test_wide_sums_are_refused() -> None:
    wide = Dense(("q",), "y", np.full((4, 1), 2**50), ONE)
    assert unsupported(graph_of(wide)) == [
        "Dense to 'y' needs 57 bits, the RTL generator holds 53: use power-of-two "
        "scales or fewer bits"
    ]


def test_a_large_network_is_refused_before_anything_is_built() -> None:
    large = Dense(("q",), "y", np.ones((500, 500), dtype=np.int64), ONE)
    graph = graph_of(large, shape=(500,))
    assert operations(graph) == 250_000
    assert unsupported(graph) == [
        "unrolled, the network has 250,000 multiplications by other than 0, "
        "expected at most 200,000: use the hls4ml backend with io_stream"
    ]


def test_operations_count_places_of_convolutions() -> None:
    weights = np.zeros((3, 2, 2, 2), dtype=np.int64)
    weights[0, 0, 0, 0] = weights[2, 1, 1, 1] = 5
    graph = graph_of(Conv(("q",), "y", weights, ONE, WINDOW), shape=IMAGE)
    assert graph.tensors["y"].shape == (3, 4, 2)
    assert operations(graph) == 2 * 8
