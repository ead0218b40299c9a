"""Cells and registers are named after the layer and the neurons that they serve."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hawq.errors import StageError
from hawq.integer.graph import Graph, build
from hawq.integer.grid import Grid
from hawq.integer.lower import lower_qonnx
from hawq.integer.nodes import Dense, Quantize
from hawq.integer.tensor import RealInput
from hawq.rtl.interface import lanes
from hawq.rtl.origin import Origins
from hawq.rtl.trace import trace_graph
from hawq.rtl.verilog import Rtl

pytest.importorskip("alkaid", reason="alkaid is not installed")

ONE = Fraction(1)


@pytest.fixture(scope="module")
def graph(small_qonnx: Path) -> Graph:
    return lower_qonnx(small_qonnx)


@pytest.fixture(scope="module")
def rtl(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Rtl:
    made = Rtl(trace_graph(graph), tmp_path_factory.mktemp("rtl"), levels=2)
    made.write()
    return made


@pytest.fixture(scope="module")
def origins(graph: Graph, rtl: Rtl) -> Origins:
    return Origins(graph, rtl.folder)


def reached(logic: Any, start: int) -> set[tuple[int, ...]]:
    """Outputs that an operation leads to, other than through another output."""
    cone = {start}
    for i, op in enumerate(logic.ops):
        if cone & (set(op.input_ids) - set(logic.out_idxs)):
            cone.add(i)
    return {(lane,) for lane, i in enumerate(logic.out_idxs) if i in cone}


def test_an_adder_belongs_to_the_outputs_that_it_reaches(tmp_path: Path) -> None:
    weights = np.random.default_rng(2).integers(-7, 8, (6, 5))
    nodes = [
        Quantize(("x",), "q", Grid(-8, 7, ONE)),
        Dense(("q",), "y", weights, ONE),
    ]
    graph = build([RealInput("x", (6,))], nodes, ["y"])
    logic = trace_graph(graph)
    Rtl(logic, tmp_path, levels=None).write()
    origins = Origins(graph, tmp_path)
    shared = 0
    for i, op in enumerate(origins.logic[0].ops):
        if op.opcode in {0, 1}:
            origin = origins.of(0, i)
            assert origin is not None
            assert origin.layer == "y"
            assert set(origin.neurons) == reached(origins.logic[0], i)
            shared += len(origin.neurons) > 1
    assert shared


def test_ports_are_named_bit_by_bit(graph: Graph, rtl: Rtl, origins: Origins) -> None:
    inputs, outputs = lanes(graph, rtl)
    for lane in inputs:
        for bit in range(lane.low, lane.low + lane.width):
            name = f"input input, element {lane.index[0]}, register"
            assert origins.describe(f"model_inp_reg[{bit}]") == name
    for lane in outputs:
        for bit in range(lane.low, lane.low + lane.width):
            name = f"layer fc2, neuron {lane.index[0]}, register"
            assert origins.describe(f"model_out[{bit}]") == name


def test_layers_follow_each_other(rtl: Rtl, origins: Origins) -> None:
    order = {"input": 0, "fc1": 1, "fc2": 2}
    seen = []
    for stage in range(rtl.latency_cycles):
        found = [origins.of(stage, i) for i in range(len(origins.logic[stage].ops))]
        assert None not in found
        seen.append({order[origin.layer] for origin in found if origin is not None})
    assert [max(layers) for layers in seen] == sorted(max(layers) for layers in seen)
    assert seen[0] >= {0, 1}
    assert seen[-1] == {2}


def test_names_of_tools_are_read(origins: Origins) -> None:
    last = max(origins.logic)
    operation = next(
        i for i, op in enumerate(origins.logic[last].ops) if op.opcode in {0, 1}
    )
    name = origins.describe(f"_inst_logic{last}.op_{operation}.a[3]")
    assert name is not None
    assert name.startswith("layer fc2, neuron")
    assert name.endswith(", adder")
    assert origins.describe(f"dut/_inst_logic{last}/v{operation}[2]") == name
    first = origins.describe("stage1_inp[0]")
    assert first is not None
    assert origins.describe("stage1_inp_reg[0]/C") == first
    assert first.endswith(", register")
    assert origins.describe("_inst_logic1.model_inp[0]") == first
    assert origins.describe("_inst_logic1.model_inp_TRELLIS_FF_Q_5.DI") is None
    assert origins.describe("clk") is None
    assert origins.describe("_inst_logic99.op_1") is None
    assert origins.describe("stage1_inp[9999]") is None


def test_a_path_is_told_by_its_ends(origins: Origins) -> None:
    last = max(origins.logic)
    register, inside = f"stage{last}_inp[0]", f"_inst_logic{last}.model_inp[0]"
    nets = ("clk", register, "wire", inside, "wire")
    assert origins.path(nets) == origins.describe(register)
    assert origins.path(("model_inp[0]", *nets)) == (
        f"{origins.describe('model_inp[0]')} → {origins.describe(register)}"
    )
    assert origins.path(("clk", "wire")) is None


def test_without_rtl_there_are_no_names(graph: Graph, tmp_path: Path) -> None:
    with pytest.raises(
        StageError, match=r"^.*fsm\.json\.gz does not exist: run the stage rtl first$"
    ):
        Origins(graph, tmp_path)
