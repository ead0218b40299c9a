from __future__ import annotations

from pathlib import Path

import pytest

from hawq.errors import InputError, StageError, ToolError
from hawq.synthesis.asic import STATE, AsicTarget, asic, require_asic
from hawq.synthesis.fetch import liberty
from hawq.synthesis.record import SynthesisReport

ADDER = """\
module network(input clk, input [3:0] model_inp, output reg [2:0] model_out);
  reg [3:0] stage1_inp;
  always @(posedge clk) begin
    stage1_inp <= model_inp;
    model_out <= stage1_inp[1:0] + stage1_inp[3:2];
  end
endmodule
"""


@pytest.fixture(scope="module")
def adder(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[SynthesisReport, Path]:
    """An adder between registers, mapped to osu018."""
    pytest.importorskip("pyosys")
    try:
        require_asic(None)
    except ToolError as error:
        pytest.skip(f"OpenSTA or osu018 is missing: {error}")
    folder = tmp_path_factory.mktemp("asic")
    (folder / "src").mkdir()
    (folder / "src/network.v").write_text(ADDER)
    return asic(folder, folder / "made", AsicTarget(clock_ns=4)), folder / "made"


def test_cells_and_their_area_are_counted(
    adder: tuple[SynthesisReport, Path],
) -> None:
    report, _ = adder
    netlist = report.synthesised
    assert netlist is not None
    assert netlist.resources is not None
    resources = netlist.resources
    assert resources.state == STATE
    assert resources.usage["FF"].used == resources.primitives["DFFPOSX1"] == 7
    areas = _areas(liberty(None))
    by_hand = sum(areas[kind] * n for kind, n in resources.primitives.items())
    assert netlist.area_um2 == by_hand
    assert report.part == "osu018_stdcells (typical, 1.8 V, 25 °C)"


def _areas(path: Path) -> dict[str, float]:
    words = path.read_text().replace("(", " ").replace(")", " ").split()
    areas, cell = {}, ""
    for before, word, after in zip(words, words[1:], words[2:], strict=False):
        if before == "cell":
            cell = word
        elif before == "area":
            areas[cell] = float(after.rstrip(";"))
    return areas


def test_the_path_runs_from_register_to_register(
    adder: tuple[SynthesisReport, Path],
) -> None:
    report, _ = adder
    assert report.synthesised is not None
    timing = report.synthesised.timing
    assert timing is not None
    assert timing.path is not None
    path = timing.path
    assert timing.met
    assert timing.total_slack_ns == 0
    assert timing.worst_hold_slack_ns is not None
    assert path.source.endswith("/CLK")
    assert path.destination.endswith("/D")
    assert path.nets[0].startswith("stage1_inp[")
    assert path.levels == sum(path.cells.values()) == len(path.nets) - 1
    assert 0 < path.delay_ns < timing.achieved_ns


def test_power_adds_up_and_says_where_activity_comes_from(
    adder: tuple[SynthesisReport, Path],
) -> None:
    report, _ = adder
    assert report.synthesised is not None
    power = report.synthesised.power
    assert power is not None
    assert power.total_mw == pytest.approx(power.dynamic_mw + power.static_mw, rel=1e-5)
    assert power.total_mw == pytest.approx(sum(power.components_mw.values()), rel=1e-5)
    assert power.confidence == (
        "1000 random inputs simulated without delays (no glitches), one a clock of "
        "4 ns; no wires, no clock tree"
    )


def test_the_netlist_has_the_ports_of_the_rtl(
    adder: tuple[SynthesisReport, Path],
) -> None:
    _, folder = adder
    text = (folder / "netlist.v").read_text()
    assert "module network(clk, model_inp, model_out);" in text
    assert "input [3:0] model_inp;" in text


def test_cells_that_are_not_there_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyosys")
    with pytest.raises(
        InputError,
        match=r"^\S+/no\.lib does not exist, expected a Liberty file \(\.lib\): set "
        r"liberty in \[synthesis\]$",
    ):
        require_asic(tmp_path / "no.lib")


def test_a_project_without_verilog_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"^\S+/src has no Verilog: run rtl$"):
        asic(tmp_path, tmp_path / "made", AsicTarget())


def test_logic_without_registers_is_timed_from_port_to_port(
    adder: tuple[SynthesisReport, Path], tmp_path: Path
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/network.v").write_text(
        "module network(input [1:0] model_inp, output model_out);\n"
        "  assign model_out = ^model_inp;\nendmodule\n"
    )

    report = asic(tmp_path, tmp_path / "made", AsicTarget(clock_ns=4))

    assert report.synthesised is not None
    assert report.synthesised.timing is not None
    path = report.synthesised.timing.path
    assert path is not None
    assert path.source.startswith("model_inp[")
    assert path.destination == "model_out"
    assert (path.levels, path.cells) == (1, {"XOR2X1": 1})
    assert report.synthesised.power is not None
    assert report.synthesised.power.total_mw > 0
