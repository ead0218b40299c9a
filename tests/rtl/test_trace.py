"""alkaid's interpreter of the traced logic gives the golden integers."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hawq.fixed import Overflow, Rounding
from hawq.integer.execute import execute, trace
from hawq.integer.graph import Graph, build
from hawq.integer.grid import Grid
from hawq.integer.lower import lower_qonnx
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
    Node,
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
from hawq.integer.tensor import RealInput
from hawq.rtl.rounding import reciprocal
from hawq.rtl.rules import RULES
from hawq.rtl.support import unsupported
from hawq.rtl.trace import input_integers, trace_graph

pytest.importorskip("alkaid", reason="alkaid is not installed")

MODELS = Path(__file__).parents[2] / "models"
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


@pytest.mark.parametrize("luts", [433, 2042])
def test_shipped_networks_with_bits_for_every_weight(luts: int) -> None:
    graph = lower_qonnx(MODELS / "jets_elements" / f"{luts}-luts.onnx")
    x = np.random.default_rng(0).normal(0, 2, (2000, 16))
    golden = execute(graph, x, [*(ports := input_integers(graph)), *graph.outputs])
    given = np.concatenate([golden[name].reshape(2000, -1) for name in ports], 1)
    logic = trace_graph(graph)
    got = logic.predict(given.astype(np.float64))
    np.testing.assert_array_equal(got, golden[graph.outputs[0]])
    assert 0.8 * luts < logic.cost < 1.3 * luts


def test_bits_are_convolved() -> None:
    kernel = np.arange(-12, 12).reshape(3, 2, 2, 2)
    conv = Conv(("q",), "y", kernel, ONE, WINDOW)
    assert_equal(graph_of(conv, shape=IMAGE, grid=Grid(0, 1, ONE)))


ROUNDINGS = st.sampled_from(list(Rounding))


@st.composite
def grids(draw: st.DrawFn, scale: Fraction) -> Grid:
    bits, overflow = draw(st.integers(1, 5)), draw(st.sampled_from(list(Overflow)))
    low = -(2**bits) if draw(st.booleans()) else 0
    if overflow is Overflow.SATURATE_SYMMETRIC:
        low = min(low + 1, 0)
    rounding, zero_point = draw(ROUNDINGS), draw(st.integers(-1, 3))
    return Grid(low, 2**bits - 1, scale, rounding, overflow, zero_point)


def requantized(grid: Grid) -> Graph:
    weights = np.array([[3, -7], [5, 2], [-1, 6], [4, 0]])
    dense = Dense(("q",), "y", weights, ONE / 2)
    return graph_of(dense, Requantize(("y",), "z", grid))


@settings(max_examples=100)
@given(st.data(), st.integers(-3, 6))
def test_every_rounding_and_overflow(data: st.DataObject, exponent: int) -> None:
    assert_equal(requantized(data.draw(grids(Fraction(2) ** exponent))))


@pytest.mark.parametrize("low", [0, -8])
def test_saturation_at_powers_of_two_compares_nothing(low: int) -> None:
    at_power, below = requantized(Grid(low, 7, ONE)), requantized(Grid(low, 6, ONE))
    assert_equal(at_power)
    assert_equal(below)
    assert trace_graph(at_power).cost < trace_graph(below).cost


@settings(max_examples=100)
@given(st.data(), st.integers(1, 40), st.integers(1, 40))
def test_every_division(data: st.DataObject, numerator: int, divisor: int) -> None:
    graph = requantized(data.draw(grids(Fraction(divisor, 2 * numerator))))
    assume(not unsupported(graph))
    assert_equal(graph)


@pytest.mark.parametrize("numerator", [14, 18, 24, 28, 44, 56])
@pytest.mark.parametrize("rounding", [Rounding.HALF_UP, Rounding.TOWARD_ZERO])
def test_a_constant_finer_than_its_variable(numerator: int, rounding: Rounding) -> None:
    assert_equal(requantized(Grid(-16, 15, Fraction(5, 2 * numerator), rounding)))


@settings(max_examples=200)
@given(st.integers(1, 500).map(lambda n: 2 * n + 1), st.integers(0, 5000))
def test_a_reciprocal_divides_all_that_bounds_allow(divisor: int, top: int) -> None:
    m, shift = reciprocal(divisor, top)
    dividends = np.arange(top + 1)
    np.testing.assert_array_equal(dividends * m >> shift, dividends // divisor)


def test_a_reciprocal_for_less_would_be_wrong() -> None:
    assert reciprocal(7, 684) == (293, 11)
    assert reciprocal(7, 685) == (1171, 13)
    assert 685 * 293 >> 11 != 685 // 7


@settings(max_examples=60)
@given(st.lists(st.integers(-9, 9), min_size=1, max_size=9), st.integers(1, 7))
def test_thresholds_are_counted(limits: list[int], factor: int) -> None:
    thresholds = np.sort(np.array(limits)) * factor
    dense = Dense(("q",), "d", np.diag([factor, -factor, 1, 0]), ONE)
    assert_equal(graph_of(dense, Threshold(("d",), "y", thresholds)))


@settings(max_examples=60)
@given(
    st.lists(st.integers(-20, 20), min_size=4, max_size=4),
    st.booleans(),
    st.sampled_from([(4,), (2, 2), (1, 4)]),
    st.data(),
)
def test_the_first_or_last_of_the_largest_is_found(
    offsets: list[int], last: bool, shape: tuple[int, ...], data: st.DataObject
) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    signs = np.array([1, 2, -1, 1])
    affine = Affine(("q",), "d", signs, np.array(offsets), ONE)
    reshape = Reshape(("d",), "r", shape)
    assert_equal(graph_of(affine, reshape, ArgMax(("r",), "y", axis, last)))


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, -1, 2, -3]))
def test_tables_are_looked_up(seed: int, factor: int) -> None:
    entries = np.random.default_rng(seed).integers(-100, 100, 60)
    grid = Grid(-100, 100, ONE / 8)
    affine = Affine(("q",), "d", np.array(factor), np.array(1), ONE)
    assert_equal(graph_of(affine, Table(("d",), "y", -30, entries, grid)))


@settings(max_examples=40)
@given(st.lists(st.integers(-5, 5), min_size=8, max_size=8))
def test_variables_are_multiplied(factors: list[int]) -> None:
    left, right = np.array(factors[:4]), np.array(factors[4:])
    nodes = (
        Affine(("q",), "a", left, np.array(3), ONE),
        Affine(("q",), "b", right, np.array(-2), ONE),
    )
    assert_equal(graph_of(*nodes, Multiply(("a", "b"), "y")))


def test_a_ratio_above_one_keeps_its_bits() -> None:
    # 31/2 of a 4-bit integer needs 8: a bound by the bits of the input lost them.
    grid = Grid(-128, 127, Fraction(2, 31), Rounding.FLOOR)
    assert_equal(graph_of(Requantize(("q",), "z", grid)))


def test_a_node_without_hardware_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(RULES, Multiply)
    assert unsupported(graph_of(Multiply(("q", "q"), "y"))) == [
        "Multiply to 'y' has no RTL: use the emulator"
    ]


@pytest.mark.parametrize(
    ("node", "constant"),
    [
        (Affine(("q",), "y", np.array(2**24 + 1), np.array(0), ONE), 2**24 + 1),
        (Affine(("q",), "y", np.array(2**25), np.array(2**24), ONE), 2**24),
        (Dense(("q",), "y", np.full((4, 1), -(2**24) - 1), ONE), 2**24 + 1),
    ],
)
def test_constants_that_alkaid_would_round_are_refused(
    node: Any, constant: int
) -> None:
    name = type(node).__name__
    assert unsupported(graph_of(node)) == [
        f"{name} to 'y' has the constant {constant}, the RTL generator holds 23 bits: "
        "use power-of-two scales or fewer bits"
    ]


def test_constants_at_the_limit_are_exact() -> None:
    multiplier, constant = np.array([2**23 - 1, 2**30, -1, 5]), np.array(1 - 2**23)
    assert_equal(graph_of(Affine(("q",), "y", multiplier, constant, ONE)))


def test_wide_tables_are_refused() -> None:
    entries = np.zeros(2**13, dtype=np.int64)
    grid = Grid(0, 2**13 - 1, ONE)
    graph = graph_of(Table(("q",), "y", 0, entries, Grid(0, 1, ONE)), grid=grid)
    assert unsupported(graph) == [
        "Table to 'y' looks up 13 bits, expected at most 12: requantize its input to "
        "fewer bits"
    ]


def test_wide_sums_are_refused() -> None:
    wide = Dense(("q",), "y", np.full((4, 1), 2**50), ONE)
    assert unsupported(graph_of(wide)) == [
        "Dense to 'y' needs 57 bits, the RTL generator holds 53: use power-of-two "
        "scales or fewer bits"
    ]
