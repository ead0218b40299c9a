from __future__ import annotations

from pathlib import Path

import pytest

from hawq.errors import ToolError
from hawq.synthesis.activity import Switching
from hawq.synthesis.fetch import liberty, sta
from hawq.synthesis.opensta import power, read_power, read_timing, timing

INVERTER = """\
module network(clk, \\model_inp[0] , y);
input clk; input \\model_inp[0] ; output y;
wire a; wire b;
DFFPOSX1 r0 (.CLK(clk), .D(\\model_inp[0] ), .Q(a));
INVX1 g1 (.A(a), .Y(b));
DFFPOSX1 r1 (.CLK(clk), .D(b), .Q(y));
endmodule
"""

PINS = ("r0/D", "r0/Q", "g1/A", "g1/Y", "r1/D", "r1/Q")

DFF_D_PF, VOLT = 0.00882947, 1.8
"""Load and supply in osu018's Liberty."""


@pytest.fixture
def inverter(tmp_path: Path) -> Path:
    """An inverter between two registers."""
    try:
        sta()
        liberty(None)
    except ToolError as error:
        pytest.skip(f"OpenSTA or osu018 is missing: {error}")
    path = tmp_path / "sta.v"
    path.write_text(INVERTER)
    return path


def of(netlist: Path, toggles: float) -> float:
    found = power(
        netlist,
        liberty(None),
        "network",
        10,
        dict.fromkeys(PINS, Switching(toggles, 0.5)),
        "given",
        clocked=True,
        seconds=60,
    )
    return found.components_mw["Combinational"]


def test_power_of_a_gate_follows_its_activity(inverter: Path) -> None:
    often, half, never = of(inverter, 1.0), of(inverter, 0.5), of(inverter, 0.0)

    leakage = 0.0221741e-6
    assert never == pytest.approx(leakage, rel=1e-4)
    assert often - leakage == pytest.approx(2 * (half - leakage), rel=1e-4)
    switched = 0.5 * DFF_D_PF * VOLT**2 / 10  # mW: pJ in each 10 ns
    assert often > switched


def test_the_slowest_path_has_its_cells_and_nets(inverter: Path) -> None:
    found = timing(inverter, liberty(None), "network", 10, clocked=True, seconds=60)

    assert found.path is not None
    assert (found.path.source, found.path.destination) == ("r0/CLK", "r1/D")
    assert found.path.cells == {"INVX1": 1}
    assert found.path.nets == ("a", "b")
    assert found.worst_slack_ns > 9
    assert found.worst_hold_slack_ns is not None


def test_an_error_that_opensta_survives_is_an_error(inverter: Path) -> None:
    with pytest.raises(ToolError, match=r"^OpenSTA failed: .*other.*; its log is \S+$"):
        timing(inverter, liberty(None), "other", 10, clocked=True, seconds=60)


def test_a_design_without_paths_is_refused() -> None:
    with pytest.raises(
        ToolError,
        match=r"^OpenSTA finds no path from register to register; its log is t\.log$",
    ):
        read_timing("No paths found.\n", "t.log", 5)


def test_a_log_without_power_is_refused() -> None:
    with pytest.raises(
        ToolError, match=r"^OpenSTA reports no power; its log is p\.log$"
    ):
        read_power("nothing\n", "p.log", "")


def test_rows_of_power_become_milliwatts() -> None:
    text = (
        "Sequential  9.0e-02 3.0e-03 3.0e-07 9.30003e-02  63.5%\n"
        "Clock       0.0e+00 0.0e+00 0.0e+00 0.0e+00   0.0%\n"
        "Total       9.0e-02 3.0e-03 3.0e-07 9.30003e-02 100.0%\n"
        "            86.5%   13.5%   0.0%\n"
    )

    found = read_power(text, "p.log", "measured")

    assert found.total_mw == pytest.approx(93.0003)
    assert found.dynamic_mw == pytest.approx(93)
    assert found.static_mw == pytest.approx(3e-4)
    assert found.components_mw == {"Sequential": pytest.approx(93.0003)}
