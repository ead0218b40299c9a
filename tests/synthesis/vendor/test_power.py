from __future__ import annotations

from pathlib import Path

import pytest

from hawq.errors import DataError
from hawq.synthesis.record import Power
from hawq.synthesis.vendor.power import read_power
from hawq.synthesis.vendor.read import read_report


def test_power_of_a_routed_design(reports: Path) -> None:
    report = read_report(reports / "network_power_routed.rpt")
    assert report.routed is not None
    assert report.routed.power == Power(
        file="network_power_routed.rpt",
        total_mw=703.0,
        dynamic_mw=111.0,
        static_mw=592.0,
        confidence="Low",
        junction_celsius=25.7,
        components_mw={
            "Clocks": 16.0,
            "CLB Logic": 95.0,
            "CLB Logic: LUT as Logic": 90.0,
            "CLB Logic: Others": 1.0,
            "Static Power": 592.0,
        },
        at_most=("CLB Logic: Others",),
    )


def test_a_bound_is_marked_as_one(reports: Path) -> None:
    text = (reports / "network_power_routed.rpt").read_text()
    report = read_power(text.replace("| 0.111 ", "| <0.001"), Path("p_routed.rpt"))
    assert report.routed is not None
    assert report.routed.power is not None
    assert report.routed.power.dynamic_mw == 1.0
    assert report.routed.power.at_most == ("CLB Logic: Others", "dynamic_mw")


def test_missing_totals_are_named(reports: Path) -> None:
    text = (reports / "network_power_routed.rpt").read_text()
    message = (
        r"^p\.rpt: the power report has no Dynamic \(W\) and no Device Static \(W\): "
        r"it is cut short or of a format that hawq does not know$"
    )
    with pytest.raises(DataError, match=message):
        read_power(text[: text.index("| Dynamic")], Path("p.rpt"))
