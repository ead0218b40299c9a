"""From generated events to the features of their leading jets."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hawq.data.clustering import cluster, constituents, delta_phi, groom, rapidity
from hawq.data.columns import FEATURES
from hawq.data.compiled import compiled
from hawq.data.detector import detect
from hawq.data.substructure import substructure
from hawq.data.variant import Detector


class Selection(NamedTuple):
    """Which leading jets are kept.

    Attributes:
        radius: R of anti-kT.
        z_cut: Of the grooming.
        parton_distance: Largest ΔR (rapidity) to the nearer hard parton.
        pt_min: GeV, before grooming.
        pt_max: GeV, before grooming.
        constituents_min: Before grooming; two must be left after it.
    """

    radius: float = 0.4
    z_cut: float = 0.1
    parton_distance: float = 0.4
    pt_min: float = 800.0
    pt_max: float = 1600.0
    constituents_min: int = 3


SELECTION: Final = Selection()


class Events(NamedTuple):
    """A batch of showered events, flattened.

    Attributes:
        offsets: Event e holds entries offsets[e] … offsets[e+1]-1; shape (events+1,).
        pdg_id: PDG numbers, shape (entries,).
        is_stable: Whether the entry is in the final state, shape (entries,).
        momenta: px, py, pz, E in GeV, shape (entries, 4).
        partons: Momenta of the two hard partons, shape (events, 2, 4).
    """

    offsets: NDArray[np.int64]
    pdg_id: NDArray[np.int32]
    is_stable: NDArray[np.bool_]
    momenta: NDArray[np.float64]
    partons: NDArray[np.float64]


@compiled
def _is_matched(
    jet: NDArray[np.float64], partons: NDArray[np.float64], distance: float
) -> bool:
    """Tell whether a jet lies near one of the partons, both as four-momenta."""
    y = rapidity(jet[0], jet[1], jet[2], jet[3])
    phi = math.atan2(jet[1], jet[0])
    for parton in partons:
        dy = y - rapidity(parton[0], parton[1], parton[2], parton[3])
        dphi = delta_phi(phi, math.atan2(parton[1], parton[0]))
        if dy * dy + dphi * dphi < distance * distance:
            return True
    return False


def measure(
    events: Events,
    detector: Detector,
    selection: Selection,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """See events with the detector and compute the features of their leading jets.

    Args:
        events: The showered events.
        detector: Cells and widths.
        selection: Which leading jets are kept.
        generator: Of the resolutions; it advances event by event.

    Returns:
        Shape (jets, 16), at most one jet an event, in the order of the events.
    """
    found = [np.empty((0, len(FEATURES)))]
    for event, partons in enumerate(events.partons):
        entries = slice(*events.offsets[event : event + 2])
        is_stable = events.is_stable[entries]
        seen = detect(
            events.pdg_id[entries][is_stable],
            events.momenta[entries][is_stable],
            detector,
            generator,
        )
        jet = leading_jet(seen, partons, selection)
        kept = groom(jet, selection.z_cut)
        if kept.size >= 2:
            found.append(substructure(jet, jet[kept])[None])
    return np.concatenate(found)


def leading_jet(
    particles: NDArray[np.float64], partons: NDArray[np.float64], selection: Selection
) -> NDArray[np.float64]:
    """Find the constituents of the leading jet, if it passes the selection.

    Args:
        particles: px, py, pz, E in GeV, shape (particles, 4).
        partons: Of the hard process, shape (partons, 4).
        selection: Which leading jets are kept.

    Returns:
        px, py, pz, E in GeV, shape (constituents, 4); no rows if it does not pass.
    """
    nothing = np.empty((0, 4))
    found = cluster(particles, selection.radius, -1, True)
    if found.leading < 0:
        return nothing
    momentum = found.momenta[found.leading]
    pt = math.hypot(momentum[0], momentum[1])
    if not selection.pt_min < pt < selection.pt_max:
        return nothing
    if not _is_matched(momentum, partons, selection.parton_distance):
        return nothing
    inside = constituents(found.leading, found.parents, len(particles))
    return particles[inside] if inside.size >= selection.constituents_min else nothing
