from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hawq.errors import DataError, InputError
from hawq.synthesis.nextpnr import (
    leave_carries_open,
    place_and_route_ecp5,
    read_report,
)
from hawq.synthesis.parts import find_part


def segment(kind: str, delay: float, cell: str) -> dict[str, Any]:
    return {
        "type": kind,
        "delay": delay,
        "from": {"cell": f"{cell}_from", "port": "A"},
        "to": {"cell": f"{cell}_to", "port": "B"},
        **({"net": f"net{delay:g}"} if kind == "routing" else {}),
    }


REPORT = {
    "utilization": {
        "TRELLIS_COMB": {"used": 120, "available": 24288},
        "TRELLIS_FF": {"used": 30, "available": 24288},
        "MULT18X18D": {"used": 0, "available": 28},
        "DCCA": {"used": 1, "available": 56},
        "JTAGG": {"used": 0, "available": 1},
    },
    "fmax": {
        "clk": {"achieved": 125.0, "constraint": 200.0},
        "fast": {"achieved": 500.0, "constraint": 100.0},
    },
    "critical_paths": [
        {
            "from": "<async>",
            "to": "posedge clk",
            "path": [segment("routing", 20.0, "pad")],
        },
        {
            "from": "posedge clk",
            "to": "posedge clk",
            "path": [
                segment("clk-to-q", 0.5, "first"),
                segment("routing", 3.0, "wire"),
                segment("logic", 1.25, "adder"),
                segment("routing", 2.5, "wire"),
                segment("logic", 0.5, "lut"),
                segment("setup", 0.25, "last"),
            ],
        },
    ],
}


def written(report: Any, folder: Path) -> Path:
    path = folder / "seed1.json"
    path.write_text(json.dumps(report))
    return path


def test_the_slowest_clock_and_its_path(tmp_path: Path) -> None:
    timing = read_report(written(REPORT, tmp_path)).timing
    assert timing is not None
    assert timing.path is not None
    assert timing.file == "seed1.json"
    assert (timing.period_ns, timing.worst_slack_ns) == (5.0, -3.0)
    assert timing.fmax_mhz == 125.0
    path = timing.path
    assert (path.source, path.destination) == ("first_from.A", "last_to.B")
    assert (path.delay_ns, path.logic_ns, path.route_ns) == (8.0, 2.5, 5.5)
    assert path.levels == 2
    assert path.nets == ("net3", "net2.5")


def test_utilisation(tmp_path: Path) -> None:
    resources = read_report(written(REPORT, tmp_path)).resources
    assert resources is not None
    used = {kind: usage.used for kind, usage in resources.usage.items()}
    assert used == {"LUT": 120, "FF": 30, "DSP": 0, "DCCA": 1}
    assert resources.usage["LUT"].available == 24288


def test_a_clock_without_a_path_of_its_own(tmp_path: Path) -> None:
    report = {**REPORT, "critical_paths": REPORT["critical_paths"][:1]}  # type: ignore[index]
    timing = read_report(written(report, tmp_path)).timing
    assert timing is not None
    assert timing.path is None


def test_logic_without_a_clock(tmp_path: Path) -> None:
    message = (
        r"^.*/seed1\.json has no clock: logic without registers has no clock "
        r"frequency: set adder levels in the RTL, or stop after synthesis "
        r"\(seeds = \[\]\)$"
    )
    with pytest.raises(DataError, match=message):
        read_report(written({**REPORT, "fmax": {}}, tmp_path))


@pytest.mark.parametrize("report", [[], {"fmax": {}}])
def test_a_file_that_is_no_report(report: Any, tmp_path: Path) -> None:
    message = r"^.*/seed1\.json is not the report of nextpnr: .*: run synthesis again$"
    with pytest.raises(DataError, match=message):
        read_report(written(report, tmp_path))


def test_a_part_that_nextpnr_cannot_place(tmp_path: Path) -> None:
    message = r"^xcvu9p cannot be placed by nextpnr: choose an LFE5U$"
    with pytest.raises(InputError, match=message):
        place_and_route_ecp5(
            tmp_path / "netlist.json",
            part=find_part("xcvu9p"),
            clock_ns=5,
            seeds=(1,),
            seconds=1,
        )


def carry_cell(
    carry_in: Any, carry_out: int, init: str, d: Any = "1"
) -> dict[str, Any]:
    pins = {"CIN": [carry_in], "COUT": [carry_out], "D0": [d]}
    ways = {"CIN": "input", "COUT": "output", "D0": "input"}
    return {
        "type": "CCU2C",
        "parameters": {"INIT0": init},
        "connections": pins,
        "port_directions": ways,
    }


def test_carries_that_mean_nothing_are_left_open(tmp_path: Path) -> None:
    fixed, adds = "0000000000001111", "1001011010101010"
    cells = {
        "first": carry_cell("0", 2, fixed),
        "middle": carry_cell(2, 3, adds),
        "read": carry_cell(3, 4, adds),
        "adds": carry_cell("1", 5, adds),
        "unknown": carry_cell("0", 6, fixed, d=7),
    }
    module = {"cells": cells, "ports": {"y": {"direction": "output", "bits": [4]}}}
    path = tmp_path / "netlist.json"
    path.write_text(json.dumps({"modules": {"top": module}}))
    found = json.loads(leave_carries_open(path).read_text())["modules"]["top"]["cells"]
    ends = {
        name: (cell["connections"]["CIN"][0], cell["connections"]["COUT"][0])
        for name, cell in found.items()
    }
    assert ends == {
        "first": ("x", 2),
        "middle": (2, 3),
        "read": (3, 4),
        "adds": ("1", "x"),
        "unknown": ("0", "x"),
    }
    assert "x" not in path.read_text()
