"""FPGA parts that the open tools are run for, and whether a design can fit one."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal

from hawq.errors import InputError

Family = Literal["xcup", "ecp5"]


@dataclass(frozen=True)
class Part:
    """A part.

    Attributes:
        name: As its maker spells it.
        device: The part without package, speed and grade.
        family: ``xcup`` (AMD UltraScale+) or ``ecp5`` (Lattice).
        available: Kind of resource to how many it has. A LUT has six inputs in
            UltraScale+ and four in ECP5.
        package: As nextpnr calls it; empty where nothing is placed.
        speed: Grade; empty where nothing is placed.
    """

    name: str
    device: str
    family: Family
    available: dict[str, int]
    package: str = ""
    speed: str = ""


_ULTRASCALE_PLUS = {
    "xcku3p": (162_720, 325_440, 1_368),
    "xcku5p": (216_960, 433_920, 1_824),
    "xcku15p": (522_720, 1_045_440, 1_968),
    "xcvu3p": (394_080, 788_160, 2_280),
    "xcvu7p": (788_160, 1_576_320, 4_560),
    "xcvu9p": (1_182_240, 2_364_480, 6_840),
    "xcvu13p": (1_728_000, 3_456_000, 12_288),
    "xcvu37p": (1_303_680, 2_607_360, 9_024),
    "xcu250": (1_728_000, 3_456_000, 12_288),
    "xcu55c": (1_303_680, 2_607_360, 9_024),
    "xck26": (117_120, 234_240, 1_248),
    "xczu3eg": (70_560, 141_120, 360),
    "xczu7ev": (230_400, 460_800, 1_728),
    "xczu9eg": (274_080, 548_160, 2_520),
    "xczu28dr": (425_280, 850_560, 4_272),
}
"""LUT, FF and DSP of a device. Source: AMD DS890 and DS891, tables of resources."""

_ECP5 = {"25": (24_288, 28), "45": (43_848, 72), "85": (83_640, 156)}
"""LUT (as many FF) and multipliers. Source: FPGA-DS-02012; nextpnr has the same."""

_PACKAGES = {
    "BG256": "CABGA256",
    "BG381": "CABGA381",
    "BG554": "CABGA554",
    "BG756": "CABGA756",
    "MG285": "CSFBGA285",
}

_LATTICE = re.compile(
    r"(?P<series>LFE5U|LFE5UM|LFE5UM5G)-(?P<size>25|45|85)F-(?P<speed>[678])"
    rf"(?P<package>{'|'.join(_PACKAGES)})[CI]?"
)


def find_part(name: str) -> Part:
    """Find a part by its name.

    Args:
        name: As its maker spells it: ``xcvu9p-flga2104-2L-e``, ``LFE5U-85F-6BG756C``.

    Returns:
        The part.

    Raises:
        InputError: if it is none that the open tools are run for.

    >>> find_part("LFE5U-85F-6BG756C").available["LUT"]
    83640
    """
    device = name.lower().split("-")[0]
    if found := _ULTRASCALE_PLUS.get(device):
        counts = dict(zip(("LUT", "FF", "DSP"), found, strict=True))
        return Part(name, device, "xcup", counts)
    if lattice := _LATTICE.fullmatch(name.upper()):
        lut, dsp = _ECP5[lattice["size"]]
        return Part(
            name,
            f"{lattice['series']}-{lattice['size']}F",
            "ecp5",
            {"LUT": lut, "FF": lut, "DSP": dsp},
            _PACKAGES[lattice["package"]],
            lattice["speed"],
        )
    close = difflib.get_close_matches(device, _ULTRASCALE_PLUS, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise InputError(
        f"part {name!r} is unknown{hint}; Yosys is run for AMD "
        f"{', '.join(_ULTRASCALE_PLUS)} (with package and grade or without) and for "
        "Lattice LFE5U, LFE5UM and LFE5UM5G of 25F, 45F and 85F, for example "
        f"LFE5U-85F-6BG756C (packages {', '.join(_PACKAGES)})"
    )


def require_room(part: Part, adders: float) -> None:
    """Refuse a design that cannot fit, before hours are spent on it.

    Args:
        part: Where it shall go.
        adders: alkaid's cost of the adder graph: an estimate of its LUTs, which was
            within 10 % of Yosys' count on networks for jets.

    Raises:
        InputError: if the estimate exceeds the LUTs of the part.
    """
    if adders > part.available["LUT"]:
        raise InputError(
            f"the network is too large for {part.name}: about {adders:,.0f} LUTs by "
            f"the estimate of its adders, the part has {part.available['LUT']:,}: "
            "choose a larger part, fewer bits or more zero weights"
        )
