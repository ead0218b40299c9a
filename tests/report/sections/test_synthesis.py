from pathlib import Path

import pytest

from hawq.report.sections import synthesis
from hawq.report.sections.synthesis import Row, Target
from hawq.rtl.stage import RtlRecord
from hawq.synthesis.record import Spread
from hawq.synthesis.stage import SynthesisRecord


@pytest.fixture(scope="module")
def targets(flow: dict[str, Path]) -> dict[str, Target]:
    record = SynthesisRecord.model_validate_json(
        (flow["synthesis"] / "record.json").read_bytes()
    )
    rtl = RtlRecord.model_validate_json((flow["rtl"] / "record.json").read_bytes())
    return {t.name: t for t in synthesis.gather(record, rtl).targets}


def row(target: Target, quantity: str) -> Row:
    (found,) = [row for row in target.rows if row.quantity == quantity]
    return found


def test_estimates_and_counts_have_columns_of_their_own(
    targets: dict[str, Target],
) -> None:
    target = targets["xcup"]
    assert [(c.name, c.is_estimate) for c in target.columns] == [
        ("cost model", True),
        ("adder graph", True),
        ("RTL simulation", False),
        ("after synthesis", False),
    ]
    luts = target.size
    assert luts.values == {
        "cost model": 144,
        "adder graph": 151.5,
        "after synthesis": 160,
    }
    registers = row(target, "flip-flops (FF)")
    assert registers.values == {"adder graph": 78, "after synthesis": 77}
    assert luts.available == 1000
    assert luts.share("after synthesis") == 16


def test_a_count_of_zero_is_not_a_missing_one(targets: dict[str, Target]) -> None:
    target = targets["xcup"]
    assert row(target, "multiplier blocks (DSP)").values == {"after synthesis": 0}
    missing = row(target, "block RAM (BRAM, 18 kbit)")
    assert missing.values == {"after synthesis": None}
    assert missing.share("after synthesis") is None
    assert row(target, "highest clock (Fmax)").values == {"after synthesis": None}
    assert target.path is None


def test_seeds_and_latency(targets: dict[str, Target]) -> None:
    target = targets["ecp5"]
    name = "after place and route, median of 3 seeds"
    assert target.fmax_mhz == Spread(minimum=125, median=128, maximum=160)
    assert [(s.seed, s.fmax_mhz, s.luts) for s in target.seeds] == [
        (1, 125, 211),
        (2, 160, 212),
        (3, 128, 213),
    ]
    assert target.clock_mhz == 125
    # Four clocks of 1000/128 ns, counted in the RTL.
    assert row(target, "latency").values == {"RTL simulation": 4}
    found = row(target, "latency at the highest clock").values
    assert found == {"after synthesis": None, name: pytest.approx(31.25)}
    slowest = row(target, "highest clock (Fmax), slowest seed")
    assert slowest.values == {name: 125}


def test_the_path_in_words(targets: dict[str, Target]) -> None:
    path = targets["ecp5"].path
    assert path is not None
    assert path.words == "layer fc1, neuron 2, register → layer fc2, neuron 0, adder"
    assert (path.delay_ns, path.logic_ns, path.route_ns, path.levels) == (
        3.25,
        1.5,
        1.75,
        7,
    )


def test_standard_cells(targets: dict[str, Target]) -> None:
    target = targets["asic"]
    assert (target.size.quantity, target.size.unit) == ("area of the cells", "µm²")
    assert target.size.values == {"after synthesis": 12345.5}
    assert row(target, "standard cells").values == {"after synthesis": 49}
    assert "look-up tables (LUT)" not in [row.quantity for row in target.rows]
    assert row(target, "power").values == {"after synthesis": 2.5}
    assert row(target, "… without switching").at_most == ("after synthesis",)
    told = [(o.what, o.tool, o.file, o.state) for o in target.origins][1:]
    assert told == [
        ("resources", "Yosys 0.70", "stat.json", "not placed"),
        ("timing", "OpenSTA 2.6", "timing.json", "before layout"),
        (
            "power",
            "OpenSTA 2.6",
            "power.json",
            "before layout; activity: activity of the simulation",
        ),
    ]


def test_the_vendor_has_the_same_table(targets: dict[str, Target]) -> None:
    target = targets["vivado"]
    assert target.size.values == {"HLS": 900, "after place and route": 333}
    assert row(target, "block RAM (BRAM, 18 kbit)").values == {
        "HLS": None,
        "after place and route": 3,
    }
    # Nine clocks of 4 ns are HLS's; eight of 4 ns are counted and timed.
    assert row(target, "latency").values == {"HLS": 9, "RTL simulation": 8}
    assert row(target, "latency at the highest clock").values == {
        "HLS": 36,
        "after place and route": 32,
    }
    tools = {o.column: o.tool for o in target.origins}
    assert tools == {
        "HLS": "Vitis HLS 2023.2",
        "RTL simulation": "Vitis HLS 2023.2",
        "after place and route": "Vivado 2023.1",
    }


def test_the_figure_has_every_seed(flow: dict[str, Path]) -> None:
    record = SynthesisRecord.model_validate_json(
        (flow["synthesis"] / "record.json").read_bytes()
    )
    (axes,) = synthesis.draw_seeds(synthesis.gather(record, None)).axes
    (seeds,) = [line for line in axes.lines if line.get_label() == "a seed"]
    assert list(seeds.get_xdata()) == [125, 160, 128]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["Lattice ECP5"]
