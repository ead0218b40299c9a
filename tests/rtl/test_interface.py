"""Bits of the ports, and the module with valid and ready."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from hawq.errors import NetworkError
from hawq.integer.graph import Graph, build
from hawq.integer.grid import Grid
from hawq.integer.nodes import Dense, Quantize
from hawq.integer.tensor import RealInput
from hawq.rtl.interface import Lane, lanes, pack, write_top
from hawq.rtl.trace import trace_graph
from hawq.rtl.verilog import Rtl

pytest.importorskip("alkaid", reason="alkaid is not installed")

ONE = Fraction(1)


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Two inputs of 4 and 2 bits, of which an element is not read; even outputs."""
    weights = np.array([[2, 4], [0, 0], [6, -2]])
    return build(
        [RealInput("x", (3,))],
        [
            Quantize(("x",), "q", Grid(-8, 7, ONE / 4)),
            Dense(("q",), "y", weights, ONE),
        ],
        ["y"],
    )


@pytest.fixture(scope="module")
def rtl(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Rtl:
    made = Rtl(trace_graph(graph), tmp_path_factory.mktemp("rtl"), levels=1)
    made.write()
    return made


def test_lanes_name_the_bits_of_every_element(graph: Graph, rtl: Rtl) -> None:
    inputs, outputs = lanes(graph, rtl)
    assert inputs == (
        Lane("q", (0,), 0, 4, 0, True, "1/4"),
        Lane("q", (1,), 4, 0, 0, False, "1/4"),
        Lane("q", (2,), 4, 4, 0, True, "1/4"),
    )
    # 2a + 6c lies in -64..56, even; 4a - 2c in -46..44, even.
    assert [(lane.low, lane.width, lane.shift) for lane in outputs] == [
        (0, 6, 1),
        (6, 6, 1),
    ]


def test_packed_bits_spell_the_integers() -> None:
    port = (
        Lane("t", (0,), 0, 4, 0, True, "1"),
        Lane("t", (1,), 4, 0, 0, False, "1"),
        Lane("t", (2,), 4, 3, 1, True, "1"),
    )
    words = pack(np.array([[-1, 0, -8], [5, 0, 6]]), port)
    assert [f"{word:07b}" for word in words] == ["1001111", "0110101"]


def test_the_top_has_the_widths_and_the_latency(graph: Graph, rtl: Rtl) -> None:
    folder = write_top(graph, rtl)
    assert sorted(path.name for path in folder.iterdir()) == [
        "handshake.v",
        "network_top.v",
    ]
    top = (folder / "network_top.v").read_text()
    network = (rtl.folder / "src" / "network.v").read_text()
    for theirs, ours in (("model_inp", "in_data"), ("model_out", "out_data")):
        width = re.search(rf"\[(\d+):0\] {theirs}\b", network)
        assert width is not None
        assert f"[{width[1]}:0] {ours}" in top
    assert f".STAGES({rtl.latency_cycles + 1})" in top


def test_logic_without_registers_has_no_handshake(graph: Graph, tmp_path: Path) -> None:
    made = Rtl(trace_graph(graph), tmp_path, levels=None)
    with pytest.raises(
        NetworkError,
        match=r"^valid and ready need a network with registers, got one without: give "
        r"it adder levels$",
    ):
        write_top(graph, made)
