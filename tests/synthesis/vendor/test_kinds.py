from __future__ import annotations

import pytest

from hawq.synthesis.vendor.kinds import kind


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("Slice LUTs", "LUT"),
        ("CLB LUTs*", "LUT"),
        ("Total LUTs", "LUT"),
        ("Slice Registers", "FF"),
        ("DSP48E", "DSP"),
        ("DSP48 Blocks", "DSP"),
        ("DSP Slices", "DSP"),
        ("RAMB36/FIFO*", "BRAM_36K"),
        ("BRAM", "BRAM_18K"),
        ("RAMB18", "BRAM_18K"),
        ("CARRY4", "CARRY"),
        ("Bonded IOB", None),
        ("LUT6", None),
    ],
)
def test_kinds_have_one_name(name: str, ours: str | None) -> None:
    assert kind(name) == ours
