from __future__ import annotations

import re
from pathlib import Path

import pytest

from hawq.errors import DataError
from hawq.synthesis.record import Cosimulation, HlsEstimate, Module, Span, Usage
from hawq.synthesis.vendor.csynth_report import read_cosimulation, read_csynth
from hawq.synthesis.vendor.read import read_report


def estimate(path: Path) -> HlsEstimate:
    found = read_report(path).estimate
    assert found is not None
    return found


def test_vitis_report(reports: Path) -> None:
    report = read_report(reports / "vitis_2022_csynth.rpt")
    found = estimate(reports / "vitis_2022_csynth.rpt")
    assert report.tools == {"vitis_hls": "2022.2"}
    assert (report.top, report.part) == ("network", "xczu7ev-ffvc1156-2-e")
    assert (found.target_clock_ns, found.clock_ns, found.uncertainty_ns) == (
        4.0,
        2.816,
        1.08,
    )
    assert found.latency_cycles == Span(minimum=11, maximum=None)
    assert found.interval_cycles == Span(minimum=1, maximum=1)
    assert found.pipeline == "yes"
    assert found.resources is not None
    assert found.resources.usage == {
        "BRAM_18K": Usage(used=0, available=624),
        "DSP": Usage(used=12, available=1728),
        "FF": Usage(used=757, available=460800),
        "LUT": Usage(used=1520, available=230400),
        "URAM": Usage(used=0, available=96),
    }
    assert found.resources.parts["Register"] == {"BRAM_18K": 0, "FF": 108, "LUT": 64}
    assert "FIFO" not in found.resources.parts
    assert found.modules == (
        Module(
            instance="dense_fu_31",
            module="dense",
            depth=1,
            usage={"BRAM_18K": 0, "DSP": 9, "FF": 649, "LUT": 1381, "URAM": 0},
            latency_cycles=Span(minimum=5, maximum=5),
            interval_cycles=Span(minimum=1, maximum=1),
            pipeline="yes",
        ),
    )


REAL = {
    "model4/model4_rf2_core.rpt": (602, 1068, 43849, 64927, (59, 2245, 3035), 2790),
    "model16/model16_rf4_core.rpt": (
        2473,
        4962,
        163333,
        225438,
        (227, 8473, 10991),
        2840,
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_real_reports_value_by_value(real_reports: Path, name: str) -> None:
    bram, dsp, ff, lut, fifo, latency = REAL[name]
    report = read_report(real_reports / name)
    found = estimate(real_reports / name)
    assert report.tools == {"vivado_hls": "2018.2"}
    assert (report.top, report.part) == ("myproject", "xcvu9p-flgb2104-2-i")
    assert report.csim_errors == 0
    assert (found.target_clock_ns, found.clock_ns, found.uncertainty_ns) == (
        5.0,
        4.366,
        0.62,
    )
    assert found.latency_cycles == Span(minimum=3300, maximum=3300)
    assert found.interval_cycles == Span(minimum=801, maximum=3201)
    assert found.pipeline == "dataflow"
    assert found.resources is not None
    assert found.resources.usage == {
        "BRAM_18K": Usage(used=bram, available=4320),
        "DSP": Usage(used=dsp, available=6840),
        "FF": Usage(used=ff, available=2364480),
        "LUT": Usage(used=lut, available=1182240),
        "URAM": Usage(used=0, available=960),
    }
    assert found.resources.parts["FIFO"] == {
        "BRAM_18K": fifo[0],
        "FF": fifo[1],
        "LUT": fifo[2],
    }
    assert report.cosimulation == Cosimulation(
        file=Path(name).name,
        language="Verilog",
        status="Pass",
        latency_cycles=Span(
            minimum=latency, average=latency + 2299, maximum=latency + 2604
        ),
        interval_cycles=Span(minimum=732, average=2332, maximum=2593),
    )


@pytest.mark.parametrize("name", REAL)
def test_real_instances_row_by_row(real_reports: Path, name: str) -> None:
    text = (real_reports / name).read_text()
    row = r"^ +\|(\w+?_U0) +\|(\w+) +\|" + r" *(\d+)\|" * 4
    cycles = re.findall(row + r" +none +\|$", text, re.M)
    counts = re.findall(row + r"$", text, re.M)
    assert (len(cycles), len(counts)) == (14, 14)
    modules = estimate(real_reports / name).modules
    assert {
        (m.instance, m.module, *_span(m.latency_cycles), *_span(m.interval_cycles))
        for m in modules
    } == {(name, module, *map(int, n)) for name, module, *n in cycles}
    kinds = ("BRAM_18K", "DSP", "FF", "LUT")
    assert {m.instance: m.usage for m in modules} == {
        name: dict(zip(kinds, map(float, n), strict=True)) for name, _, *n in counts
    }


def _span(span: Span | None) -> tuple[int | None, int | None]:
    assert span is not None
    return span.minimum, span.maximum


def test_cosimulation_that_counted_no_interval(reports: Path) -> None:
    assert read_report(reports / "network_cosim.rpt").cosimulation == Cosimulation(
        file="network_cosim.rpt",
        language="Verilog",
        status="Pass",
        latency_cycles=Span(minimum=11, average=12, maximum=13),
        interval_cycles=Span(),
    )


def test_a_cosimulation_that_failed_says_so(reports: Path) -> None:
    text = (reports / "network_cosim.rpt").read_text().replace("Pass", "Fail")
    run = read_cosimulation(text, Path("c.rpt")).cosimulation
    assert run is not None
    assert run.status == "Fail"


def test_cosimulation_cut_short() -> None:
    message = (
        r"^c\.rpt: the co-simulation report has no row of Verilog or VHDL: it is cut "
        r"short$"
    )
    with pytest.raises(DataError, match=message):
        read_cosimulation("Simulation tool   : xsim.\n", Path("c.rpt"))


@pytest.mark.parametrize(
    ("cut", "section"),
    [
        ("+ Timing", "Timing"),
        ("+ Latency", "Latency"),
        ("== Utilization", "Utilization"),
    ],
)
def test_a_report_cut_short_names_the_section(
    reports: Path, cut: str, section: str
) -> None:
    text = (reports / "vitis_2022_csynth.rpt").read_text()
    message = (
        rf"^n_csynth\.rpt: the HLS report has no table of {section}: it is cut short "
        r"or of a version that hawq does not know \(2022\.2 .*\)$"
    )
    with pytest.raises(DataError, match=message):
        read_csynth(text[: text.index(cut)], Path("n_csynth.rpt"))


def test_an_estimate_without_a_total_is_refused(reports: Path) -> None:
    text = (reports / "vitis_2022_csynth.rpt").read_text()
    message = r"^n\.rpt: the utilisation estimate has no row Total: it is cut short$"
    with pytest.raises(DataError, match=message):
        read_csynth(text[: text.index("|Total ")], Path("n.rpt"))
