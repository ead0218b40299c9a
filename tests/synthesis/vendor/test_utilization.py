from __future__ import annotations

import re
from pathlib import Path

import pytest

from hawq.errors import DataError
from hawq.synthesis.record import Resources
from hawq.synthesis.vendor.read import read_report
from hawq.synthesis.vendor.utilization import read_utilization


def resources(path: Path, field: str) -> Resources:
    netlist = getattr(read_report(path), field)
    assert isinstance(netlist.resources, Resources)
    return netlist.resources


def pairs(found: Resources, *names: str) -> list[tuple[float, float | None]]:
    return [(found.usage[name].used, found.usage[name].available) for name in names]


def test_seven_series_after_placement(reports: Path) -> None:
    path = reports / "network_utilization_placed.rpt"
    found = resources(path, "routed")
    assert read_report(path).synthesised is None
    assert (found.file, found.state) == (path.name, "Fully Placed")
    assert pairs(found, "LUT", "LUT_LOGIC", "LUT_MEMORY", "LUT_RAM", "SRL") == [
        (1009, 53200),
        (954, 53200),
        (55, 17400),
        (48, None),
        (7, None),
    ]
    assert pairs(found, "FF", "FLIP_FLOP", "LATCH", "MUXF7", "SLICE", "DSP") == [
        (930, 106400),
        (920, 106400),
        (10, 106400),
        (2, 26600),
        (352, 13300),
        (66, 220),
    ]
    assert pairs(found, "BRAM_TILE", "BRAM_36K", "BRAM_18K") == [
        (1.5, 140),
        (1, 140),
        (1, 280),
    ]
    assert pairs(found, "LUT as Logic: using O5 and O6", "Slice: SLICEL", "CARRY") == [
        (189, None),
        (211, None),
        (83, None),
    ]
    assert found.primitives == {"FDRE": 920, "CARRY4": 83}
    assert found.black_boxes == {"softmax": 1}
    assert "URAM" not in found.usage


def test_ultrascale_with_a_column_of_prohibited_sites(reports: Path) -> None:
    found = resources(reports / "network_utilization_routed.rpt", "routed")
    assert pairs(found, "LUT", "FF", "CARRY") == [
        (2400, 1728000),
        (1300, 3456000),
        (77, 216000),
    ]
    assert found.parts == {
        "SLR1": {"CLB": 300, "LUT": 2000, "FF": 1000, "BRAM_TILE": 0.5},
        "SLR0": {"CLB": 100, "LUT": 400, "FF": 300, "BRAM_TILE": 0},
    }


def test_hierarchy_with_percentages(reports: Path) -> None:
    report = read_report(reports / "network_hierarchy_synth.rpt")
    assert report.synthesised is not None
    rows = [
        (row.depth, row.instance, row.module, row.usage["LUT"], row.usage["DSP"])
        for row in report.synthesised.modules
    ]
    assert rows == [
        (0, "network", "(top)", 2500, 5),
        (1, "fc1", "dense", 2480, 5),
        (2, "mul", "mul", 80, 5),
    ]
    found = resources(reports / "network_hierarchy_synth.rpt", "synthesised")
    assert found.usage["SRL"].used == 20
    assert found.bram_18k == 4


@pytest.mark.parametrize(
    ("model", "lut", "ff", "carry", "tiles", "dsp"),
    [
        ("model4", 60776, 49540, 3239, 60.5, 2996),
        ("model16", 130031, 108200, 5383, 80, 4962),
    ],
)
def test_real_reports_row_by_row(
    real_reports: Path,
    model: str,
    lut: int,
    ff: int,
    carry: int,
    tiles: float,
    dsp: int,
) -> None:
    path = real_reports / model / "myproject_utilization_synth.rpt"
    found = resources(path, "synthesised")
    assert pairs(found, "LUT", "FF", "CARRY", "BRAM_TILE", "DSP", "URAM") == [
        (lut, 1182240),
        (ff, 2364480),
        (carry, 147780),
        (tiles, 2160),
        (dsp, 6840),
        (0, 960),
    ]
    text = path.read_text()
    sites = re.findall(
        r"^\| (?! *Site)[^|]+\| +([\d.]+) \| +\d* \| +(\d*) \| +[\d.]* \|$", text, re.M
    )
    expected = [(float(a), float(b) if b else None) for a, b in sites]
    assert len(expected) == 45
    assert [(u.used, u.available) for u in found.usage.values()] == expected
    cells = re.findall(r"^\| (\w+) +\| +(\d+) \| +[A-Z][\w ]+ \|$", text, re.M)
    assert len(cells) == 14
    assert found.primitives == {name: int(used) for name, used in cells}
    assert found.black_boxes == {}
    dies = ("SLR2", "SLR1", "SLR0")
    kinds = ("CLB", "LUT", "Memory LUTs", "FF", "BRAM_TILE", "URAM", "DSP")
    assert found.parts == {die: dict.fromkeys(kinds, 0.0) for die in dies}


def test_a_report_without_luts_is_refused() -> None:
    text = "| Design State : Routed\n+--+--+\n|Site Type|Used|\n+--+--+\n| DSPs | 1 |\n"
    message = (
        r"^cut\.rpt: expected a row of LUTs \(Slice, CLB or Total LUTs\), found none: "
        r"the report is cut short or of a format that hawq does not know$"
    )
    with pytest.raises(DataError, match=message):
        read_utilization(text, Path("cut.rpt"))


def test_a_report_of_no_stage_is_refused(reports: Path) -> None:
    text = (reports / "network_utilization_placed.rpt").read_text()
    text = text.replace("| Design State : Fully Placed\n", "")
    message = (
        r"^counts\.rpt: neither the design state \(''\) nor the name tells whether the "
        r"design is synthesised or routed: rename it to end in _synth or _routed$"
    )
    with pytest.raises(DataError, match=message):
        read_utilization(text, Path("counts.rpt"))
