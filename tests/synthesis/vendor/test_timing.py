from __future__ import annotations

from pathlib import Path

import pytest

from hawq.errors import DataError
from hawq.synthesis.record import CriticalPath, Timing
from hawq.synthesis.vendor.read import read_report
from hawq.synthesis.vendor.timing import read_timing


def test_summary_of_a_routed_design_that_misses_its_clock(reports: Path) -> None:
    report = read_report(reports / "network_timing_routed.rpt")
    assert report.routed is not None
    assert report.routed.timing == Timing(
        file="network_timing_routed.rpt",
        period_ns=4.0,
        worst_slack_ns=-0.25,
        total_slack_ns=-57.5,
        worst_hold_slack_ns=0.07,
        total_hold_slack_ns=0.0,
        worst_pulse_slack_ns=1.225,
        failing=580,
        endpoints=7398,
        failing_hold=0,
        path=CriticalPath(
            source="fc1/a_reg[3]/C",
            destination="fc1/b_reg[7]/D",
            delay_ns=4.1,
            logic_ns=1.6,
            route_ns=2.5,
            levels=9,
            cells={"CARRY8": 3, "LUT3": 1, "LUT6": 5},
        ),
    )
    assert not report.routed.timing.met


REAL = {
    "model4": (
        1.048,
        "conv_2d_cl_array_array_ap_fixed_8u_config2_U0/wp_idx_reg_3652_reg[4]/C",
        (3.633, 0.959, 2.674),
        {"LUT2": 1, "LUT3": 1, "LUT4": 1, "LUT5": 2, "LUT6": 8},
    ),
    "model16": (
        1.093,
        "conv_2d_cl_array_array_ap_fixed_16u_config2_U0/tmp_1940_reg_4577_reg[0]/C",
        (3.588, 0.648, 2.940),
        {"LUT2": 1, "LUT3": 4, "LUT4": 2, "LUT5": 2, "LUT6": 4},
    ),
}


@pytest.mark.parametrize("model", REAL)
def test_real_path_reports(real_reports: Path, model: str) -> None:
    slack, source, (delay, logic, route), cells = REAL[model]
    report = read_report(real_reports / model / "myproject_timing_synth.rpt")
    assert report.routed is None
    assert report.synthesised is not None
    assert report.synthesised.timing == Timing(
        file="myproject_timing_synth.rpt",
        period_ns=5.0,
        worst_slack_ns=slack,
        path=CriticalPath(
            source=source,
            destination="layer18_out_V_data_0_V_U/mem_reg_bram_0/ADDRBWRADDR[11]",
            delay_ns=delay,
            logic_ns=logic,
            route_ns=route,
            levels=13,
            cells=cells,
        ),
    )
    assert (report.top, report.tools) == ("myproject", {"vivado": "2018.2"})


UNCONSTRAINED = (
    r"^t\.rpt: expected the slack and the clock of the worst setup path, found none: "
    r"there is no clock \(create_clock\) or the report is cut short$"
)


@pytest.mark.parametrize(
    "text",
    [
        "Timing Report\n\nSlack:                    inf\n  Source:  a/C\n",
        "Timing Report\n\nSlack (MET) :  0.1ns\n  Path Type: Hold (Min at Fast)\n"
        "  Requirement:            0.000ns\n",
        "| Design Timing Summary\n\n  WNS(ns)  TNS(ns)\n  -------  -------\n"
        "       NA       NA\n",
        "| Design Timing Summary\n",
    ],
    ids=["no clock", "hold only", "no endpoint", "cut short"],
)
def test_a_design_without_a_clock_is_told(text: str) -> None:
    with pytest.raises(DataError, match=UNCONSTRAINED):
        read_timing(text, Path("t.rpt"))


def test_the_clock_is_that_of_the_worst_path(reports: Path) -> None:
    text = (reports / "network_timing_routed.rpt").read_text()
    text = text.replace("     -0.250", "      1.500").replace("-0.250", " 1.700")
    report = read_timing(
        text.replace("ap_clk              1.500", "ap_clk  1.7"), Path()
    )
    assert report.routed is not None
    assert report.routed.timing is not None
    assert report.routed.timing.worst_slack_ns == 1.5
    assert report.routed.timing.period_ns == 10.0


def test_delays_before_routing_are_refused(reports: Path) -> None:
    text = (reports / "network_timing_routed.rpt").read_text()
    message = (
        r"^t\.rpt: the design is placed but not routed, so its delays are guesses: "
        r"report timing after route_design$"
    )
    with pytest.raises(DataError, match=message):
        read_timing(text.replace(", routed)", ", estimated)"), Path("t.rpt"))
