from __future__ import annotations

from pathlib import Path

import pytest

from hawq.errors import DataError
from hawq.synthesis.record import Netlist, Resources, Timing, Usage
from hawq.synthesis.vendor.export_report import read_export
from hawq.synthesis.vendor.read import read_report


def test_counts_after_implementation_stay_apart_from_synthesis(reports: Path) -> None:
    report = read_report(reports / "export_impl.rpt")
    assert report.tools == {"vivado": "2023.1"}
    assert report.synthesised == Netlist(
        timing=Timing(file="export_impl.rpt", period_ns=4.0, worst_slack_ns=0.9)
    )
    assert report.routed == Netlist(
        resources=Resources(
            file="export_impl.rpt",
            state="post-implementation",
            usage={
                "LUT": Usage(used=1234),
                "FF": Usage(used=567),
                "DSP": Usage(used=8),
                "BRAM_18K": Usage(used=3),
                "URAM": Usage(used=1),
                "LATCH": Usage(used=0),
                "SRL": Usage(used=40),
                "CLB": Usage(used=301),
            },
        ),
        timing=Timing(file="export_impl.rpt", period_ns=4.0, worst_slack_ns=-0.25),
    )


def test_xml_adds_what_the_part_has(reports: Path) -> None:
    report = read_report(reports / "export_impl.xml")
    assert report.tools == {"vivado": "2023.1"}
    assert report.routed is not None
    assert report.routed.resources is not None
    assert report.routed.resources.usage == {
        "BRAM_18K": Usage(used=3, available=624),
        "DSP": Usage(used=8, available=1728),
        "FF": Usage(used=567, available=460800),
        "LUT": Usage(used=1234, available=230400),
    }
    assert report.routed.timing == Timing(
        file="export_impl.xml", period_ns=4.0, worst_slack_ns=-0.25
    )


@pytest.mark.parametrize(
    ("model", "counts", "achieved"),
    [
        ("model4", (60776, 49540, 2996, 121, 7552, 0), 3.952),
        ("model16", (130031, 108200, 4962, 160, 15104, 0), 3.907),
    ],
)
def test_real_reports(
    real_reports: Path, model: str, counts: tuple[int, ...], achieved: float
) -> None:
    report = read_report(real_reports / model / "myproject_export.rpt")
    assert report.part == "xcvu9p-flgb2104-2-i"
    assert report.routed is None
    assert report.synthesised is not None
    assert report.synthesised.resources is not None
    usage = report.synthesised.resources.usage
    assert list(usage) == ["LUT", "FF", "DSP", "BRAM_18K", "SRL", "URAM"]
    assert tuple(entry.used for entry in usage.values()) == counts
    timing = report.synthesised.timing
    assert timing is not None
    assert timing.period_ns == 5.0
    assert timing.achieved_ns == pytest.approx(achieved, abs=1e-9)  # decimal to binary
    assert timing.met


def test_an_export_without_vivado_is_told() -> None:
    message = (
        r"^e\.rpt: the export report counts no resources: it is cut short, or "
        r"export_design ran without -flow syn or -flow impl$"
    )
    with pytest.raises(DataError, match=message):
        read_export("Implementation tool: Xilinx Vivado v.2018.2\n", Path("e.rpt"))


def test_xml_of_no_stage_is_refused(reports: Path, tmp_path: Path) -> None:
    text = (reports / "export_impl.xml").read_text()
    old = tmp_path / "network_export.xml"
    old.write_text(text.replace("RUN_TYPE", "OTHER"))
    message = (
        r"^.*/network_export\.xml: the export report does not say whether it is of "
        r"synthesis or of implementation, or counts no resources: read the \.rpt "
        r"beside it$"
    )
    with pytest.raises(DataError, match=message):
        read_report(old)
