from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hawq.errors import DataError, ToolError
from hawq.synthesis.record import SynthesisReport
from hawq.synthesis.vendor.read import join, read_folder, read_report, same_part

REPORTS = Path(__file__).parent / "reports"
PART = "xczu7ev-ffvc1156-2-e"


@pytest.fixture
def project(reports: Path, tmp_path: Path) -> Path:
    """A project on which HLS, co-simulation, export and Vivado ran."""
    solution = tmp_path / "network_prj" / "solution1"
    copies = {
        "vitis_2022_csynth.rpt": solution / "syn" / "report" / "network_csynth.rpt",
        "network_cosim.rpt": solution / "sim" / "report" / "network_cosim.rpt",
        "export_impl.rpt": solution / "impl" / "report" / "verilog" / "export_impl.rpt",
        "network_timing_routed.rpt": tmp_path / "r" / "network_timing_routed.rpt",
        "network_power_routed.rpt": tmp_path / "r" / "network_power_routed.rpt",
    }
    for name, to in copies.items():
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(reports / name, to)
    return tmp_path


def test_a_folder_becomes_one_record(project: Path) -> None:
    report = read_folder(project, "network", PART, ("estimate", "routed"))
    assert (report.top, report.part) == ("network", PART)
    assert report.tools["vitis_hls"] == "2022.2"
    assert report.estimate is not None
    assert report.cosimulation is not None
    assert report.routed is not None
    assert report.routed.timing is not None
    assert report.routed.timing.file == "network_timing_routed.rpt"
    assert report.routed.resources is not None
    assert report.routed.resources.file == "export_impl.rpt"
    assert report.routed.power is not None


@pytest.mark.parametrize("model", ["model4", "model16"])
def test_real_folders(real_reports: Path, model: str) -> None:
    report = read_folder(real_reports / model, "myproject", "xcvu9p-flgb2104-2-i")
    assert report.tools == {"vivado_hls": "2018.2", "vivado": "2018.2"}
    assert report.part == "xcvu9p-flgb2104-2-i"
    assert report.routed is None
    assert report.estimate is not None
    assert report.synthesised is not None
    assert report.synthesised.resources is not None
    assert report.synthesised.timing is not None
    assert report.synthesised.timing.path is not None
    assert "vivado" in report.tools


def test_reports_of_submodules_other_kinds_and_hidden_copies_are_left_out(
    project: Path,
) -> None:
    folder = project / "network_prj" / "solution1" / "syn" / "report"
    text = (folder / "network_csynth.rpt").read_text()
    (folder / "dense_csynth.rpt").write_text(text.replace("'network'", "'dense'"))
    (folder / "csynth.rpt").write_text("== Synthesis Summary Report of 'network'\n")
    (project / "drc_routed.rpt").write_text("Report DRC\n")
    hidden = project / "network_prj" / ".autopilot" / "x_csynth.rpt"
    hidden.parent.mkdir()
    hidden.write_text("")
    report = read_folder(project, "network", PART)
    assert report.estimate is not None
    assert report.estimate.file == "network_csynth.rpt"


def test_timing_that_is_not_routed_is_left_out_of_a_folder(project: Path) -> None:
    timing = project / "r" / "network_timing_routed.rpt"
    text = timing.read_text().replace(", routed)", ", estimated)")
    timing.rename(timing.with_name("post_place_timing.rpt")).write_text(text)
    report = read_folder(project, "network", PART)
    assert report.routed is not None
    assert report.routed.timing is not None
    assert report.routed.timing.file == "export_impl.rpt"


def test_the_newest_of_two_reports_stands(project: Path) -> None:
    power = project / "r" / "network_power_routed.rpt"
    older = power.with_name("a_power_routed.rpt")
    older.write_text(power.read_text().replace("0.703", "9.999"))
    os.utime(older, (1, 1))
    report = read_folder(project, "network", PART)
    assert report.routed is not None
    assert report.routed.power is not None
    assert report.routed.power.total_mw == 703.0


def test_another_projects_reports_are_refused(project: Path) -> None:
    message = (
        r"^.*: a report on 'network', expected one on 'jets': the folder holds another "
        r"project's reports$"
    )
    with pytest.raises(DataError, match=message):
        read_folder(project, "jets", PART)


def test_another_parts_reports_are_refused(project: Path) -> None:
    message = (
        r"^.*: a report for the part xczu7ev.*, expected xcvu9p-flga2104-2L-e: the "
        r"folder holds another run's reports; synthesise again$"
    )
    with pytest.raises(DataError, match=message):
        read_folder(project, "network", "xcvu9p-flga2104-2L-e")


def test_a_missing_report_quotes_the_first_error(tmp_path: Path) -> None:
    log = tmp_path / "vitis_hls.log"
    log.write_text("ERROR: [HLS 200-1023] Part 'xcq' is not installed.\nERROR: later\n")
    message = (
        r"^.*: no report of C-synthesis on 'network': the tool failed; vitis_hls\.log: "
        r"\"ERROR: \[HLS 200-1023\] Part 'xcq' is not installed\.\": the part is not "
        r"installed: add its family .*$"
    )
    with pytest.raises(ToolError, match=message):
        read_folder(tmp_path, "network", PART, ("estimate",))


def test_a_step_that_did_not_run_is_named(project: Path) -> None:
    shutil.rmtree(project / "r")
    shutil.rmtree(project / "network_prj" / "solution1" / "impl")
    message = (
        r"^.*: no report of Vivado synthesis and Vivado place and route on 'network': "
        r"and no log with an error: run the step first, or name the folder that holds "
        r"its reports$"
    )
    with pytest.raises(ToolError, match=message):
        read_folder(project, "network", PART, ("routed", "synthesised", "estimate"))


def test_reports_of_an_earlier_run_do_not_count(project: Path) -> None:
    for path in project.rglob("*.rpt"):
        os.utime(path, (1000, 1000))
    (project / "old.log").write_text("ERROR: old\n")
    os.utime(project / "old.log", (1000, 1000))
    message = r"^.*: no report of a vendor tool on 'network': and no log with an error"
    with pytest.raises(ToolError, match=message):
        read_folder(project, "network", PART, since=2000)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    message = r"^.*/none: no such folder: run the vendor's tools first$"
    with pytest.raises(DataError, match=message):
        read_folder(tmp_path / "none", "network")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "something else\n",
            r"x\.rpt: not a report that hawq knows \(C-synthesis, co-simulation, "
            r"export, utilisation, timing, power\); it begins with 'something else'",
        ),
        (
            "Release 14.7 Map P.20131013 (lin64)\n",
            r"x\.rpt is a report of ISE, which hawq does not read: use Vivado 2018 or "
            r"newer",
        ),
        (
            "== Synthesis Summary Report of 'network'\n",
            r"x\.rpt is the summary of the whole design, which has no clock: read "
            r"<top>_csynth\.rpt or csynth\.xml beside it",
        ),
        (
            "<profile><UserAssignments>",
            r"x\.rpt: XML that is cut short or damaged: no element found: line 1, "
            r"column 26",
        ),
        (
            "<profile><Other/></profile>",
            r"x\.rpt: expected <PerformanceEstimates> or <TimingReport> in <profile>: "
            r"the report is cut short, or not one of HLS",
        ),
    ],
    ids=["unknown", "ISE", "summary", "cut XML", "other XML"],
)
def test_unknown_formats_are_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.rpt"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"^.*/{message}$"):
        read_report(path)


def leaves(value: object, at: tuple[object, ...] = ()) -> set[tuple[object, ...]]:
    """Flatten a record: each value with the keys that lead to it."""
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, (list, tuple)):
        pairs = enumerate(value)
    else:
        return set() if value in (None, "") else {(*at, value)}
    return set().union(*(leaves(below, (*at, key)) for key, below in pairs))


@pytest.mark.parametrize("name", sorted(path.name for path in REPORTS.iterdir()))
@settings(max_examples=40)
@given(data=st.data())
def test_a_report_cut_anywhere_is_refused_or_tells_less(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    whole = (REPORTS / name).read_text()
    cut = data.draw(st.integers(0, len(whole) - 1))
    path = tmp_path_factory.mktemp("cut") / name
    path.write_text(whole[:cut])
    refusal, less = str(path), SynthesisReport()
    try:
        less = read_report(path)
    except DataError as error:
        refusal = str(error)
    assert refusal.startswith(str(path))
    full = read_report(REPORTS / name)
    assert leaves(less.model_dump()) <= leaves(full.model_dump())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("xcvu9p-flga2104-2L-e", "xcvu9p-flga2104", True),
        ("xc7z020clg400-1", "7z020clg400-1", True),
        ("xcvu9p-flga2104-2L-e", "xcvu9p-flga2104-2-i", False),
        ("xcvu9p-flga2104-2L-e", "xcvu13p-flga2577-2-e", False),
    ],
)
def test_spellings_of_a_part(one: str, other: str, same: bool) -> None:
    assert same_part(one, other) is same
    assert same_part(other, one) is same


def test_what_an_earlier_report_tells_stands(reports: Path) -> None:
    text = read_report(reports / "vitis_2022_csynth.rpt")
    xml = read_report(reports / "vivado_hls_2019_csynth.xml")
    assert join([text, xml]).estimate == text.estimate
    assert join([xml, text]).estimate == xml.estimate
