"""The size of a network is known, roughly, before it is traced."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hawq.errors import NetworkError
from hawq.integer.graph import Graph, build
from hawq.integer.grid import Grid
from hawq.integer.nodes import Conv, Dense, Node, Quantize, Relu, Requantize, Window
from hawq.integer.tensor import RealInput
from hawq.rtl.estimate import digits, estimate, require_size
from hawq.rtl.trace import trace_graph
from hawq.rtl.verilog import Rtl

ONE = Fraction(1)
WINDOW = Window((2, 2), (1, 1), (1, 1), (0, 0, 0, 0))


def graph_of(*nodes: Node, shape: tuple[int, ...]) -> Graph:
    first = Quantize(("x",), "q", Grid(-32, 31, ONE))
    return build([RealInput("x", shape)], [first, *nodes], [nodes[-1].output])


def test_digits_are_the_fewest() -> None:
    # By search: which integers are sums of k signed powers of two?
    powers = [sign * 2**i for i in range(9) for sign in (1, -1)]
    fewest = {0: 0}
    for count in (1, 2, 3, 4):
        reached = {n + p for n, c in fewest.items() if c == count - 1 for p in powers}
        fewest |= {n: count for n in reached if n not in fewest}
    numbers = np.arange(-128, 129)
    np.testing.assert_array_equal(digits(numbers), [fewest[n] for n in numbers])


def test_multiplications_count_places_of_convolutions() -> None:
    weights = np.zeros((3, 2, 2, 2), dtype=np.int64)
    weights[0, 0, 0, 0] = weights[2, 1, 1, 1] = 5
    graph = graph_of(Conv(("q",), "y", weights, ONE, WINDOW), shape=(2, 4, 4))
    assert graph.tensors["y"].shape == (3, 3, 3)
    assert estimate(graph).multiplications == 2 * 9


def layers() -> tuple[Node, ...]:
    random = np.random.default_rng(0)
    return (
        Conv(("q",), "c", random.integers(-7, 8, (4, 2, 2, 2)), ONE, WINDOW),
        Relu(("c",), "r"),
        Requantize(("r",), "z", Grid(0, 15, 16 * ONE)),
        Dense(("z",), "y", random.integers(-7, 8, (3, 6)), ONE),
    )


def test_estimates_are_near_what_is_traced(tmp_path: object) -> None:
    pytest.importorskip("alkaid", reason="alkaid is not installed")
    graph = graph_of(*layers(), shape=(2, 4, 4))
    size = estimate(graph, levels=3)
    logic = trace_graph(graph)
    rtl = Rtl(logic, tmp_path, levels=3)
    assert 1 / 1.5 < size.luts / logic.cost < 1.5
    assert 1 / 2 < size.registers / rtl.registers < 2
    assert 1 / 2 < size.depth / logic.latency[1] < 2


def test_a_large_network_is_refused_before_anything_is_built() -> None:
    large = Dense(("q",), "y", np.ones((500, 500), dtype=np.int64), ONE)
    graph = graph_of(large, shape=(500,))
    with pytest.raises(
        NetworkError,
        match=r"^unrolled, the network has 250,000 multiplications by other than 0, an "
        r"estimated about [\d,]+ LUTs, expected at most 250,000; the largest node is "
        r"Dense to 'y': prune, use fewer bits, raise the limit, or use the hls4ml "
        r"backend with io_stream$",
    ):
        trace_graph(graph)


def test_a_network_that_takes_too_long_is_refused() -> None:
    graph = graph_of(*layers(), shape=(2, 4, 4))
    assert require_size(graph).multiplications == estimate(graph).multiplications
    with pytest.raises(
        NetworkError,
        match=r"^unrolled, .*, an estimated about \d+ s of tracing, expected at "
        r"most 0; the largest node is Conv to 'c': ",
    ):
        require_size(graph, trace_s=0.1)
