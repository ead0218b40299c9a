from __future__ import annotations

import pytest
from pydantic import ValidationError

from hawq.synthesis.record import Netlist, Resources, SynthesisReport, Timing, Usage


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"BRAM_18K": 602}, 602),
        ({"BRAM_36K": 1, "BRAM_18K": 2}, 4),
        ({"BRAM_TILE": 60.5, "BRAM_36K": 0, "BRAM_18K": 121}, 121),
        ({"LUT": 3}, None),
    ],
)
def test_block_ram_has_one_unit(
    counts: dict[str, float], expected: float | None
) -> None:
    usage = {name: Usage(used=used) for name, used in counts.items()}
    assert Resources(file="r.rpt", usage=usage).bram_18k == expected


@pytest.mark.parametrize(
    ("setup", "hold", "fmax", "met"),
    [(1.0, None, 250.0, True), (-1.25, 0.1, 160.0, False), (0.0, -0.1, 200.0, False)],
)
def test_frequency_follows_from_period_and_slack(
    setup: float, hold: float | None, fmax: float, met: bool
) -> None:
    timing = Timing(
        file="t.rpt", period_ns=5.0, worst_slack_ns=setup, worst_hold_slack_ns=hold
    )
    assert timing.fmax_mhz == pytest.approx(fmax, rel=1e-12)
    assert timing.met is met


def test_period_must_be_positive() -> None:
    with pytest.raises(ValidationError, match="period_ns"):
        Timing(file="t.rpt", period_ns=0.0, worst_slack_ns=0.0)


def test_record_goes_through_json() -> None:
    report = SynthesisReport(
        tools={"vivado": "2022.1"},
        top="network",
        routed=Netlist(timing=Timing(file="t", period_ns=4.0, worst_slack_ns=0.1)),
    )
    assert SynthesisReport.model_validate_json(report.model_dump_json()) == report
