from __future__ import annotations

import pytest

from hawq.errors import InputError
from hawq.synthesis.parts import find_part, require_room


@pytest.mark.parametrize("name", ["xcvu9p-flga2104-2L-e", "xcvu9p", "XCVU9P-FLGA2104"])
def test_ultrascale_plus(name: str) -> None:
    part = find_part(name)
    assert (part.name, part.device, part.family) == (name, "xcvu9p", "xcup")
    # the totals of Vivado's own report of this part
    assert part.available["LUT"] == 1_182_240
    assert part.available["FF"] == 2 * 1_182_240


def test_ecp5() -> None:
    part = find_part("LFE5UM5G-45F-8BG381C")
    assert (part.device, part.family) == ("LFE5UM5G-45F", "ecp5")
    assert (part.package, part.speed) == ("CABGA381", "8")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("xcvu9", r" \(did you mean xcvu9p\?\)"),
        ("LFE5U-84F-6BG756C", ""),
        ("LFE5U-85F-5BG756C", ""),
        ("LFE5U-85F-6BG999C", ""),
        ("", ""),
    ],
)
def test_unknown_parts(name: str, hint: str) -> None:
    message = (
        rf"^part '{name}' is unknown{hint}; Yosys is run for AMD xcku3p, .*xczu28dr "
        r"\(with package and grade or without\) and for Lattice LFE5U, .*"
        r"LFE5U-85F-6BG756C \(packages BG256, BG381, BG554, BG756, MG285\)$"
    )
    with pytest.raises(InputError, match=message):
        find_part(name)


def test_a_network_that_is_too_large() -> None:
    part = find_part("LFE5U-25F-6BG256C")
    require_room(part, 24_288.0)
    message = (
        r"^the network is too large for LFE5U-25F-6BG256C: about 24,289 LUTs by the "
        r"estimate of its adders, the part has 24,288: choose a larger part, fewer "
        r"bits or more zero weights$"
    )
    with pytest.raises(InputError, match=message):
        require_room(part, 24_289.0)
