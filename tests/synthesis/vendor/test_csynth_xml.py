from __future__ import annotations

from pathlib import Path

import pytest

from hawq.errors import DataError
from hawq.synthesis.record import HlsEstimate, Module, Resources, Span, Usage
from hawq.synthesis.vendor.read import read_report


def test_vivado_hls(reports: Path) -> None:
    report = read_report(reports / "vivado_hls_2019_csynth.xml")
    assert report.tools == {"vivado_hls": "2019.2"}
    assert (report.top, report.part) == ("network", "xc7z020-clg400-1")
    assert report.estimate == HlsEstimate(
        file="vivado_hls_2019_csynth.xml",
        target_clock_ns=5.0,
        clock_ns=4.049,
        uncertainty_ns=0.62,
        latency_cycles=Span(minimum=10, average=12, maximum=None),
        interval_cycles=Span(minimum=8, maximum=9),
        pipeline="dataflow",
        resources=Resources(
            file="vivado_hls_2019_csynth.xml",
            state="estimated by HLS",
            usage={
                "BRAM_18K": Usage(used=4, available=280),
                "DSP": Usage(used=73, available=220),
                "FF": Usage(used=7969, available=106400),
                "LUT": Usage(used=2532, available=53200),
                "URAM": Usage(used=0, available=0),
            },
        ),
    )


def test_vitis_hls_with_the_hierarchy(reports: Path) -> None:
    report = read_report(reports / "vitis_2024_csynth.xml")
    assert report.tools == {"vitis_hls": "2024.1"}
    found = report.estimate
    assert found is not None
    assert found.interval_cycles == Span(minimum=1, maximum=1)
    assert found.resources is not None
    assert found.resources.usage["DSP"] == Usage(used=21, available=12288)
    assert "BRAM_18K" not in found.resources.usage
    assert found.modules == (
        Module(instance="network", module="network", depth=0),
        Module(
            instance="dense_fu_1",
            module="dense",
            depth=1,
            usage={"DSP": 20, "LUT": 1000},
            latency_cycles=Span(minimum=3, maximum=4),
            interval_cycles=Span(minimum=2, maximum=3),
            pipeline="function",
        ),
        Module(instance="mul_U1", module="mul", depth=2),
    )


@pytest.mark.parametrize(
    "part",
    ["AreaEstimates", "SummaryOfOverallLatency", "TargetClockPeriod"],
)
def test_a_report_that_lacks_a_part_is_refused(
    reports: Path, tmp_path: Path, part: str
) -> None:
    text = (reports / "vivado_hls_2019_csynth.xml").read_text()
    broken = tmp_path / "network_csynth.xml"
    broken.write_text(text.replace(part, "Other"))
    message = (
        r"^.*/network_csynth\.xml: expected TargetClockPeriod, SummaryOfOverallLatency "
        r"and AreaEstimates, not all are there: the report is cut short$"
    )
    with pytest.raises(DataError, match=message):
        read_report(broken)
