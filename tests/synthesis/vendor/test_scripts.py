"""The Tcl scripts, run by tclsh with a recorder in place of the vendor's commands."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hawq.hls.project import build_project
from hawq.hls.stage import Settings
from hawq.paths import shipped

RECORDER = """
proc unknown {args} {puts "CALL $args"}
proc source_script {path} {
    foreach {name body} $::env(PROCS) {proc $name {args} $body}
    uplevel #0 [list source $path]
}
source_script [lindex $argv 0]
"""


@pytest.fixture(params=["Vitis", "Vivado"])
def project(request: pytest.FixtureRequest, small_qonnx: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    build_project(small_qonnx, folder, Settings(target=request.param))
    return folder


@pytest.fixture
def rtl(tmp_path: Path) -> Path:
    folder = tmp_path / "network_prj" / "solution1" / "syn" / "verilog"
    folder.mkdir(parents=True)
    (folder / "network.v").touch()
    return tmp_path


def tclsh(script: Path, folder: Path, procs: str = "", **flow: str) -> tuple[int, str]:
    """Run a script; ``procs`` are vendor commands with a body."""
    recorder = folder / "recorder.tcl"
    recorder.write_text(RECORDER)
    variables = {f"HAWQ_{name.upper()}": value for name, value in flow.items()}
    done = subprocess.run(
        ["tclsh", str(recorder), str(script)],
        cwd=folder,
        env=os.environ | {"PROCS": procs} | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def calls(printed: str) -> list[str]:
    return [
        line.removeprefix("CALL ")
        for line in printed.splitlines()
        if line.startswith("CALL ")
    ]


def test_the_project_is_set_up_as_hls4ml_does(
    project: Path, require: Callable[..., None]
) -> None:
    require("tclsh")
    stop = "csim_design exit"
    _, theirs = tclsh(project / "build_prj.tcl", project, stop)
    status, ours = tclsh(shipped("tcl") / "vitis_hls.tcl", project, stop, steps="csim")
    assert status == 0, ours
    assert calls(ours) == calls(theirs)
    assert len(calls(theirs)) == 13


def test_every_step_runs_in_order(project: Path, require: Callable[..., None]) -> None:
    require("tclsh")
    status, printed = tclsh(
        shipped("tcl") / "vitis_hls.tcl", project, part="xc7z020clg400-1"
    )
    assert status == 0, printed
    made = calls(printed)
    assert made[0] == "open_project -reset network_prj"
    assert "set_part xc7z020clg400-1" in made
    assert made[-5:] == [
        "csim_design",
        "csynth_design",
        "add_files -tb network_test.cpp -cflags {-std=c++0x -DRTL_SIM}",
        "cosim_design -trace_level none",
        "export_design -format ip_catalog -version 1.0.0",
    ]


@pytest.mark.parametrize(
    ("steps", "procs", "message"),
    [
        ("csynth", "csynth_design {error broken}", "step csynth: broken"),
        ("synth", "", "no step synth: csim csynth cosim export"),
        (
            "cosim",
            "cosim_design {foreach {f n} {csim_results 1 rtl_cosim_results 2}"
            " {set o [open tb_data/$f.log w]; puts $o $n; close $o}}",
            "step cosim: tb_data: the RTL's results differ from those of C-simulation",
        ),
    ],
)
def test_a_failed_step_stops_the_script(
    tmp_path: Path,
    require: Callable[..., None],
    steps: str,
    procs: str,
    message: str,
) -> None:
    require("tclsh")
    script = shipped("tcl") / "vitis_hls.tcl"
    status, printed = tclsh(script, tmp_path, procs, steps=steps, part="p")
    assert status == 1
    assert printed.splitlines()[-1] == f"ERROR: [hawq] {message}"


def test_vivado_reports_after_synthesis_and_after_routing(
    rtl: Path, require: Callable[..., None]
) -> None:
    require("tclsh")
    status, printed = tclsh(
        shipped("tcl") / "vivado.tcl", rtl, part="p", clock_period="2.5"
    )
    assert status == 0, printed
    made = calls(printed)
    steps = [call.split()[0] for call in made if "_design" in call]
    assert steps == [
        "synth_design",
        "opt_design",
        "place_design",
        "phys_opt_design",
        "route_design",
    ]
    assert "synth_design -top network -part p -mode out_of_context" in made
    assert "report_power -file vivado_reports/network_power_routed.rpt" in made
    assert (rtl / "vivado_reports" / "clock.xdc").read_text() == (
        "create_clock -name ap_clk -period 2.5 [get_ports ap_clk]\n"
    )


def test_vivado_stops_after_synthesis_if_asked(
    rtl: Path, require: Callable[..., None]
) -> None:
    require("tclsh")
    _, printed = tclsh(shipped("tcl") / "vivado.tcl", rtl, part="p", implement="0")
    assert "place_design" not in printed
    assert "network_utilization_synth.rpt" in printed


def test_vivado_without_rtl_says_what_to_do(
    tmp_path: Path, require: Callable[..., None]
) -> None:
    require("tclsh")
    status, printed = tclsh(shipped("tcl") / "vivado.tcl", tmp_path, part="p")
    assert status == 1
    assert printed.splitlines()[-1] == (
        "ERROR: [hawq] no RTL in network_prj/solution1/syn/verilog: run C-synthesis "
        "first, or set HAWQ_SOURCES"
    )


def test_a_script_without_a_part_says_what_to_do(
    tmp_path: Path, require: Callable[..., None]
) -> None:
    require("tclsh")
    status, printed = tclsh(shipped("tcl") / "vivado.tcl", tmp_path)
    assert status == 1
    assert printed.splitlines()[-1] == (
        "ERROR: [hawq] no part: set HAWQ_PART, or run in a project of hls4ml"
    )
