"""From generated events to the features of their leading jets."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hawq.data.clustering import cluster, constituents, delta_phi, groom, rapidity
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


@compiled
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
    count = events.offsets.size - 1
    found = np.empty((count, 16))
    jets = 0
    for event in range(count):
        start, stop = events.offsets[event], events.offsets[event + 1]
        stable = np.flatnonzero(events.is_stable[start:stop]) + start
        seen = detect(
            events.pdg_id[stable], events.momenta[stable], detector, generator
        )
        nodes, parents, _, leading = cluster(seen, selection.radius, -1, True)
        if leading < 0:
            continue
        momentum = nodes[leading]
        pt = math.hypot(momentum[0], momentum[1])
        if not selection.pt_min < pt < selection.pt_max:
            continue
        if not _is_matched(momentum, events.partons[event], selection.parton_distance):
            continue
        jet = seen[constituents(leading, parents, seen.shape[0])]
        if jet.shape[0] < selection.constituents_min:
            continue
        kept = groom(jet, selection.z_cut)
        if kept.size < 2:
            continue
        found[jets] = substructure(jet, jet[kept])
        jets += 1
    return found[:jets]
