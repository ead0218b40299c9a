"""Fake tools on the PATH test the hand-over; they prove nothing about the real ones."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from hawq.errors import StageError, ToolError
from hawq.plugins import load, names
from hawq.records import FirmwareProject
from hawq.synthesis.vendor import run as module
from hawq.synthesis.vendor.run import Target, vitis_hls, vivado

PART = "xczu7ev-ffvc1156-2-e"
REPORT = "network_prj/solution1/syn/report"
RTL = "network_prj/solution1/syn/verilog"

HLS = f"""
echo "hawq: step csynth"; echo "part $HAWQ_PART clock $HAWQ_CLOCK_PERIOD args $*"
ls; mkdir -p {REPORT}; cp $REPORTS/vitis_2022_csynth.rpt {REPORT}/network_csynth.rpt
"""
VIVADO = f"""
echo "hawq: step synthesis"; echo "hawq: step place and route"; ls {RTL}
mkdir -p vivado_reports
cp $REPORTS/network_timing_routed.rpt $REPORTS/network_power_routed.rpt vivado_reports
cp $REPORTS/export_impl.rpt vivado_reports
"""
SSH = 'shift 4; echo "on $1" >> $HOST/calls; cd $HOST && sh -c "$2"'
COPY = r"""
for last; do :; done
while [ $# -gt 1 ]; do
    case $1 in
        -e|-o) shift ;;
        -*) ;;
        *) cp -r "$(echo "$1" | sed "s|^fpga:|$HOST/|")" \
            "$(echo "$last" | sed "s|^fpga:|$HOST/|")" || exit ;;
    esac
    shift
done
"""


@pytest.fixture
def firmware() -> FirmwareProject:
    return FirmwareProject(
        backend="hls4ml",
        target="Vitis",
        folder="project",
        io_type="io_parallel",
        strategy="latency",
        reuse_factor=1,
        part=PART,
        clock_ns=4.0,
        types={},
        trace={},
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "firmware").mkdir(parents=True)
    (folder / "project.tcl").write_text('set project_name "network"\n')
    (folder / "firmware" / "network.cpp").touch()
    return folder


@pytest.fixture
def install(
    tmp_path: Path, reports: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], None]:
    """Put a shell script on the PATH; a host's home is a folder beside it."""
    folder, host = tmp_path / "bin", tmp_path / "host"
    folder.mkdir()
    host.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.defpath}")
    monkeypatch.setenv("REPORTS", str(reports))
    monkeypatch.setenv("HOST", str(host))

    def add(name: str, script: str) -> None:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return add


def test_the_seam_knows_both_tools() -> None:
    assert {"vitis_hls", "vivado"} <= set(names("hawq.synthesis"))
    assert load("hawq.synthesis", "vitis_hls") is vitis_hls
    assert load("hawq.synthesis", "vivado") is vivado


def test_hls_runs_here(
    project: Path, firmware: FirmwareProject, install: Callable[[str, str], None]
) -> None:
    install("vitis_hls", HLS)
    told: list[tuple[str, float]] = []
    report = vitis_hls(
        project, firmware, Target(clock_ns=2.5), lambda *step: told.append(step)
    )
    assert report.estimate is not None
    assert report.estimate.file == "network_csynth.rpt"
    assert told == [("vitis_hls: csynth", 0.0)]
    log = (project / "vitis_hls_run.log").read_text()
    assert f"part {PART} clock 2.5 args -f " in log
    assert log.split("args -f ")[1].split()[0].endswith("tcl/vitis_hls.tcl")


def test_the_newer_launcher_is_found(
    project: Path, firmware: FirmwareProject, install: Callable[[str, str], None]
) -> None:
    install("vitis-run", HLS)
    assert vitis_hls(project, firmware, Target()).estimate is not None
    log = (project / "vitis_hls_run.log").read_text()
    assert "args --mode hls --tcl " in log


def test_csim_alone_gives_its_verdict(
    project: Path, firmware: FirmwareProject, install: Callable[[str, str], None]
) -> None:
    install("vitis_hls", 'echo "INFO: [SIM 1] CSim done with 0 errors."')
    report = vitis_hls(project, firmware, Target(steps=("csim",)))
    assert (report.csim_errors, report.estimate) == (0, None)


def test_vivado_runs_here_on_the_rtl(
    project: Path, firmware: FirmwareProject, install: Callable[[str, str], None]
) -> None:
    message = r"^.*/syn/verilog is missing: run vitis_hls with the step csynth first$"
    with pytest.raises(StageError, match=message):
        vivado(project, firmware, Target())
    (project / RTL).mkdir(parents=True)
    install("vivado", VIVADO)
    told: list[tuple[str, float]] = []
    report = vivado(project, firmware, Target(), lambda *step: told.append(step))
    assert report.routed is not None
    assert report.routed.power is not None
    assert told == [("vivado: synthesis", 0.0), ("vivado: place and route", 0.5)]


@pytest.mark.parametrize("copier", ["scp", "rsync"])
def test_tools_run_on_a_host(
    project: Path,
    firmware: FirmwareProject,
    install: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    copier: str,
) -> None:
    install("ssh", SSH)
    install(copier, COPY)
    install("vitis_hls", HLS)
    install("vivado", VIVADO)
    which = module.shutil.which
    monkeypatch.setattr(
        module.shutil, "which", lambda name: which(name) if name == copier else None
    )
    (tmp_path / "setup.sh").write_text("export PART=1\n")
    target = Target(host="fpga", setup=str(tmp_path / "setup.sh"), limit_s=60)
    told: list[tuple[str, float]] = []
    report = vitis_hls(project, firmware, target, lambda *step: told.append(step))
    assert report.estimate is not None
    assert told == [("vitis_hls on fpga: csynth", 0.0)]
    log = (project / "vitis_hls_run.log").read_text()
    assert "args -f ../tcl/vitis_hls.tcl" in log
    assert "firmware" in log.split("args -f")[1]
    (project / RTL).mkdir()
    (project / RTL / "network.v").touch()
    assert vivado(project, firmware, target).routed is not None
    assert "network.v" in (project / "vivado_run.log").read_text()
    left = [path.name for path in (tmp_path / "host").iterdir()]
    assert left == ["calls"]


def test_missing_tools_are_named(
    project: Path,
    firmware: FirmwareProject,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    message = (
        r"^vitis_hls: none of these is on the PATH: vitis_hls, vitis-run, vivado_hls\. "
        r"AMD's download page has it; source its settings64\.sh, or set "
        r"target\.host to a machine that has it$"
    )
    with pytest.raises(ToolError, match=message):
        vitis_hls(project, firmware, Target())


def test_a_host_without_the_tool(
    project: Path, firmware: FirmwareProject, install: Callable[[str, str], None]
) -> None:
    install("ssh", 'case "$6" in *command*) echo none ;; esac')
    message = (
        r"^fpga has none of these on its PATH: vitis_hls, vitis-run, vivado_hls: set "
        r"target\.setup to the settings64\.sh there$"
    )
    with pytest.raises(ToolError, match=message):
        vitis_hls(project, firmware, Target(host="fpga"))


def test_a_host_that_cannot_be_reached(
    project: Path, firmware: FirmwareProject, install: Callable[[str, str], None]
) -> None:
    install("ssh", "echo 'Permission denied (publickey).'; exit 255")
    message = (
        r"^ssh fpga failed: Permission denied \(publickey\)\.: the host must be "
        r"reachable with a key, without a question$"
    )
    with pytest.raises(ToolError, match=message):
        vitis_hls(project, firmware, Target(host="fpga"))


def test_a_setup_that_is_not_there(
    project: Path, firmware: FirmwareProject, install: Callable[[str, str], None]
) -> None:
    install("ssh", SSH)
    message = (
        r"^ssh fpga failed: .*/none\.sh: No such file or directory: a folder could not "
        r"be made there, or target\.setup does not run$"
    )
    with pytest.raises(ToolError, match=message):
        vitis_hls(project, firmware, Target(host="fpga", setup="/none.sh"))


@pytest.mark.parametrize("host", [None, "fpga"])
def test_a_failed_tool_shows_the_line_that_matters(
    project: Path,
    firmware: FirmwareProject,
    install: Callable[[str, str], None],
    host: str | None,
) -> None:
    install("ssh", SSH)
    install("scp", COPY)
    install("rsync", COPY)
    install(
        "vitis_hls",
        "echo \"ERROR: [HLS 200-1023] Part 'xcq' is not installed.\"; exit 1",
    )
    message = (
        r"^vitis_hls failed: vitis_hls_run\.log: \"ERROR: \[HLS 200-1023\] Part 'xcq' "
        r"is not installed\.\": the part is not installed: .*; its log is "
        r".*/vitis_hls_run\.log$"
    )
    with pytest.raises(ToolError, match=message):
        vitis_hls(project, firmware, Target(host=host))


def test_a_tool_that_fails_without_a_word(
    project: Path, firmware: FirmwareProject, install: Callable[[str, str], None]
) -> None:
    install("vitis_hls", "exit 7")
    message = (
        r"^vitis_hls failed: exit status 7, and no line of the log says why; its log is"
    )
    with pytest.raises(ToolError, match=message):
        vitis_hls(project, firmware, Target())


def test_a_tool_that_ends_well_without_a_report(
    project: Path, firmware: FirmwareProject, install: Callable[[str, str], None]
) -> None:
    install("vitis_hls", "echo 'ERROR: [HLS 1-1] it did not work'")
    message = (
        r"^.*: no report of C-synthesis on 'network': the tool failed; "
        r"vitis_hls_run\.log: 'ERROR: \[HLS 1-1\] it did not work'$"
    )
    with pytest.raises(ToolError, match=message):
        vitis_hls(project, firmware, Target())


def test_the_report_of_an_earlier_run_is_not_this_runs(
    project: Path,
    firmware: FirmwareProject,
    install: Callable[[str, str], None],
    reports: Path,
) -> None:
    (project / REPORT).mkdir(parents=True)
    old = project / REPORT / "network_csynth.rpt"
    shutil.copy(reports / "vitis_2022_csynth.rpt", old)
    os.utime(old, (1000, 1000))
    install("vitis_hls", "echo done")
    with pytest.raises(ToolError, match=r"^.*: no report of C-synthesis on 'network'"):
        vitis_hls(project, firmware, Target())


@pytest.mark.parametrize("host", [None, "fpga"])
def test_a_tool_that_hangs_is_ended(
    project: Path,
    firmware: FirmwareProject,
    install: Callable[[str, str], None],
    host: str | None,
) -> None:
    install("ssh", SSH)
    install("scp", COPY)
    install("rsync", COPY)
    install("vitis_hls", "exec sleep 60")
    message = r"^(env|vitis_hls on fpga) was ended after 1 s, the time limit: raise "
    with pytest.raises(ToolError, match=message):
        vitis_hls(project, firmware, Target(host=host, limit_s=1))


def test_an_interrupt_ends_the_tool_on_the_host(
    project: Path,
    firmware: FirmwareProject,
    install: Callable[[str, str], None],
    tmp_path: Path,
) -> None:
    install("ssh", SSH)
    install("scp", COPY)
    install("rsync", COPY)
    install(
        "vitis_hls", 'echo $$ > $HOST/tool; echo "hawq: step csynth"; exec sleep 60'
    )

    def interrupt(what: str, _fraction: float) -> None:
        raise KeyboardInterrupt(what)

    with pytest.raises(KeyboardInterrupt):
        vitis_hls(project, firmware, Target(host="fpga"), interrupt)
    tool = Path("/proc") / (tmp_path / "host" / "tool").read_text().strip()
    began = time.monotonic()
    while tool.exists() and time.monotonic() - began < 20:
        time.sleep(0.05)
    assert not tool.exists()
    assert not list((tmp_path / "host").glob("hawq-*"))


def test_a_folder_that_is_no_project(firmware: FirmwareProject, tmp_path: Path) -> None:
    message = r"^.*/project\.tcl is missing: write the firmware project first \(hls\)$"
    with pytest.raises(StageError, match=message):
        vitis_hls(tmp_path, firmware, Target())


def test_targets_are_checked() -> None:
    message = r"unknown step 'synth'; known: csim, csynth, cosim, export"
    with pytest.raises(ValidationError, match=message):
        Target(steps=("synth",))
    with pytest.raises(ValidationError, match="host"):
        Target(host="-oProxyCommand=x")
