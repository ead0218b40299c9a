"""The detectors that jets can be seen with: parameters only."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class Variant(StrEnum):
    """Which public jet set the detector follows."""

    DEFAULT = "default"
    CERNBOX = "cernbox"


class Detector(NamedTuple):
    """The parameters of the detector.

    Attributes:
        hadron_cell: Side of a hadron cell in η and in φ (radians).
        photon_cell: Side of a photon cell in η and in φ (radians).
        width_scale: Multiplies every relative width.
        track_pt_max: Charged hadrons above it, in GeV, fill cells.
        eta_max: Cells end at this pseudorapidity.
    """

    hadron_cell: float
    photon_cell: float
    width_scale: float
    track_pt_max: float = 220.0
    eta_max: float = 3.0


DETECTORS: Final[dict[Variant, Detector]] = {
    Variant.DEFAULT: Detector(0.01, 0.005, 0.5),
    Variant.CERNBOX: Detector(0.022, 0.0175, 1.0),
}
"""The detector of OpenML 42468's jets, and the coarser one of CERNBox / Zenodo 3602254
(its file name says ``h022_e0175_t220``)."""
