"""The back ends of hls4ml 1.3, and what each needs beyond g++."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hawq.errors import UnknownNameError


@dataclass(frozen=True)
class Target:
    """A back end.

    Attributes:
        name: As hls4ml spells it.
        strategy: The one it can take.
        widens_bits: Whether its types of 1 bit are written with 2.
        cuts_means: Whether averages are rounded down to their input's type.
        spoils_depthwise: Interfaces with which depthwise convolutions are wrong.
        joins_vectors: Whether streams of vectors are joined rightly.
        port_bits: Widest number that passes its ports exactly.
        lacks: What keeps it from C-simulation; empty if g++ alone compiles it.
    """

    name: str
    strategy: Literal["latency", "resource"] = "latency"
    widens_bits: bool = False
    cuts_means: bool = False
    spoils_depthwise: tuple[str, ...] = ()
    joins_vectors: bool = False
    port_bits: int = 53
    lacks: str = ""


TARGETS = {
    target.name: target
    for target in (
        Target("Vitis", joins_vectors=True),
        Target("Vivado", joins_vectors=True),
        Target("VivadoAccelerator", joins_vectors=True, port_bits=24),
        Target(
            "Quartus",
            strategy="resource",
            widens_bits=True,
            cuts_means=True,
            spoils_depthwise=("io_parallel", "io_stream"),
        ),
        Target(
            "Catapult",
            widens_bits=True,
            cuts_means=True,
            spoils_depthwise=("io_parallel",),
        ),
        Target(
            "oneAPI",
            strategy="resource",
            widens_bits=True,
            cuts_means=True,
            spoils_depthwise=("io_parallel", "io_stream"),
            lacks="its C++ is SYCL, which needs Intel's compiler icpx: install the "
            "oneAPI toolkit, or choose Quartus",
        ),
        Target(
            "Libero",
            lacks="the wheel of hls4ml 1.3 has no templates for it, and it asks for "
            "Microchip's compiler shls: choose Vitis",
        ),
    )
}
"""By name."""


def find_target(name: str) -> Target:
    """Find a back end.

    Args:
        name: As hls4ml spells it.

    Returns:
        The back end.

    Raises:
        UnknownNameError: if there is none.
    """
    if name not in TARGETS:
        raise UnknownNameError(
            f"hls4ml has no back end {name!r}; there are: {', '.join(TARGETS)}"
        )
    return TARGETS[name]


def reasons_against(name: str) -> list[str]:
    """Say what keeps a back end from being proved.

    Args:
        name: As hls4ml spells it.

    Returns:
        One reason, or none.
    """
    lacks = find_target(name).lacks
    return [f"target {name}: {lacks}"] if lacks else []
