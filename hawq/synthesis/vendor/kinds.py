"""One name for each kind of resource, whatever the tool and its version call it."""

from __future__ import annotations

import re

_KINDS = (
    (r"(Slice|CLB|Total) LUTs|LUTs?", "LUT"),
    (r"LUT as Logic|Logic LUTs", "LUT_LOGIC"),
    (r"LUT as Memory", "LUT_MEMORY"),
    (r"LUT as Distributed RAM|LUTRAMs?", "LUT_RAM"),
    (r"LUT as Shift Register|SRLs?", "SRL"),
    (r"(Slice|CLB) Registers|Registers|FFs?", "FF"),
    (r"Register as Flip Flop", "FLIP_FLOP"),
    (r"Register as Latch|LATCH", "LATCH"),
    (r"CARRY[48]?|LOOKAHEAD8", "CARRY"),
    (r"F7 Muxes", "MUXF7"),
    (r"F8 Muxes", "MUXF8"),
    (r"F9 Muxes", "MUXF9"),
    (r"DSPs?|DSP48E\d?|DSP(48)? (Blocks|Slices)|DSP48s?", "DSP"),
    (r"Block RAM Tile|BRAMs", "BRAM_TILE"),
    (r"RAMB36(/FIFO|E\d)?", "BRAM_36K"),
    (r"BRAM_18K|RAMB18(E\d)?|BRAM", "BRAM_18K"),
    (r"URAMs?", "URAM"),
    (r"CLBs?", "CLB"),
    (r"SLICE|Slices?", "SLICE"),
)
"""Names in reports (regular expressions) and ours; HLS counts ``BRAM`` in 18 kbit."""


def kind(name: str) -> str | None:
    """Find our name for a kind of resource.

    Args:
        name: As it stands in the report.

    Returns:
        Our name, or None if we have none.

    >>> kind("CLB LUTs*"), kind("DSP48E"), kind("BUFGCE")
    ('LUT', 'DSP', None)
    """
    plain = name.strip().rstrip("*")
    for pattern, ours in _KINDS:
        if re.fullmatch(pattern, plain):
            return ours
    return None
