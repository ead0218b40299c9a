"""A fast detector: tracks, calorimeter cells and Gaussian resolutions.

Charged hadrons up to a transverse momentum stay as tracks; the others and all neutral
hadrons fill square cells in η × φ, photons fill finer ones. A cell is one massless
particle at its centre with the summed energy. Leptons stay, neutrinos and rare
particles are dropped. Then every four-momentum is scaled by a Gaussian of mean 1.

The relative widths, times ``Detector.width_scale`` (pT and E in GeV)::

    tracks, leptons   √((0.00025 pT)² + 0.015²)
    hadron cells      √((1.20 / √(E/7))² + 0.05²)
    photon cells      √((0.027 / √(E/1.6))² + (0.24/E)² + 0.005²)
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hawq.data.compiled import compiled
from hawq.data.ordering import stable_order
from hawq.data.variant import Detector

_SMALLEST_FACTOR: Final = 1e-10
_COLUMNS: Final = 1 << 20


class Kind(IntEnum):
    """What the detector does with a stable particle."""

    DROPPED = 0
    CHARGED_HADRON = 1
    NEUTRAL_HADRON = 2
    PHOTON = 3
    LEPTON = 4


@compiled
def particle_kind(pdg_id: int) -> int:
    """Classify a stable particle.

    Args:
        pdg_id: Its PDG number.

    Returns:
        A ``Kind``.
    """
    size = abs(pdg_id)
    if size == 22:
        return Kind.PHOTON
    if size in (211, 321, 2212, 3112, 3222, 3312, 3334):
        return Kind.CHARGED_HADRON
    if size in (130, 310, 2112, 3122, 3322):
        return Kind.NEUTRAL_HADRON
    if size in (11, 13):
        return Kind.LEPTON
    return Kind.DROPPED


@compiled
def fill_cells(
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    energy: NDArray[np.float64],
    side: float,
) -> NDArray[np.float64]:
    """Sum energies in square cells.

    Args:
        eta: Pseudorapidities, shape (particles,).
        phi: Azimuths in [-π, π], shape (particles,).
        energy: GeV, shape (particles,).
        side: Of a cell in η and φ; cells begin at η = 0 and φ = -π.

    Returns:
        Massless px, py, pz, E in GeV, shape (cells, 4), at the cells' centres.
    """
    count = eta.size
    key = np.empty(count, np.int64)
    for i in range(count):
        row, column = math.floor(eta[i] / side), math.floor((phi[i] + math.pi) / side)
        key[i] = row * _COLUMNS + column
    order = stable_order(key)
    found = np.zeros((count, 4))
    cells = 0
    for position in range(count):
        i = order[position]
        if position == 0 or key[i] != key[order[position - 1]]:
            row = math.floor(eta[i] / side)
            centre_eta = (row + 0.5) * side
            centre_phi = (key[i] - row * _COLUMNS + 0.5) * side - math.pi
            found[cells, 0] = math.cos(centre_phi) / math.cosh(centre_eta)
            found[cells, 1] = math.sin(centre_phi) / math.cosh(centre_eta)
            found[cells, 2] = math.tanh(centre_eta)
            cells += 1
        found[cells - 1, 3] += energy[i]
    for cell in range(cells):
        for axis in range(3):
            found[cell, axis] *= found[cell, 3]
    return found[:cells]


@compiled
def relative_width(kind: int, pt: float, energy: float) -> float:
    """Compute the relative width of the module's head, before ``width_scale``.

    Args:
        kind: A ``Kind``; charged hadrons and leptons share one formula.
        pt: GeV.
        energy: GeV.

    Returns:
        The width.
    """
    if kind == Kind.NEUTRAL_HADRON:
        return math.sqrt(1.20**2 * 7.0 / energy + 0.05**2)
    if kind == Kind.PHOTON:
        return math.sqrt(0.027**2 * 1.6 / energy + (0.24 / energy) ** 2 + 0.005**2)
    return math.sqrt((0.00025 * pt) ** 2 + 0.015**2)


@compiled
def _smear(
    momenta: NDArray[np.float64],
    kind: int,
    width_scale: float,
    generator: np.random.Generator,
) -> None:
    """Scale each row of (particles, 4) momenta in place by its Gaussian."""
    for i in range(momenta.shape[0]):
        pt = math.hypot(momenta[i, 0], momenta[i, 1])
        width = width_scale * relative_width(kind, pt, momenta[i, 3])
        factor = max(1.0 + width * generator.standard_normal(), _SMALLEST_FACTOR)
        for axis in range(4):
            momenta[i, axis] *= factor


@compiled
def detect(
    pdg_id: NDArray[np.int32],
    momenta: NDArray[np.float64],
    detector: Detector,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Turn stable particles into what the detector sees.

    Args:
        pdg_id: PDG numbers, shape (particles,).
        momenta: px, py, pz, E in GeV, shape (particles, 4).
        detector: Cells and widths.
        generator: Of the resolutions; one draw an object, in the order returned.

    Returns:
        Smeared px, py, pz, E in GeV, shape (objects, 4): tracks and leptons in the
        order of the particles, then hadron cells, then photon cells.
    """
    tracks = np.empty((pdg_id.size, 4))
    # η, φ, E of what fills hadron cells (0) and photon cells (1).
    deposits = np.empty((2, 3, pdg_id.size))
    filled = np.zeros(2, np.int64)
    kept = 0
    for i in range(pdg_id.size):
        kind = particle_kind(pdg_id[i])
        if kind == Kind.DROPPED:
            continue
        pt = math.hypot(momenta[i, 0], momenta[i, 1])
        if kind == Kind.LEPTON or (
            kind == Kind.CHARGED_HADRON and pt <= detector.track_pt_max
        ):
            for axis in range(4):
                tracks[kept, axis] = momenta[i, axis]
            kept += 1
            continue
        eta = math.asinh(momenta[i, 2] / pt) if pt > 0.0 else math.inf
        if abs(eta) < detector.eta_max:
            layer = 1 if kind == Kind.PHOTON else 0
            place = filled[layer]
            deposits[layer, 0, place] = eta
            deposits[layer, 1, place] = math.atan2(momenta[i, 1], momenta[i, 0])
            deposits[layer, 2, place] = momenta[i, 3]
            filled[layer] += 1
    seen = tracks[:kept]
    hadronic = deposits[0, :, : filled[0]]
    hadrons = fill_cells(hadronic[0], hadronic[1], hadronic[2], detector.hadron_cell)
    electromagnetic = deposits[1, :, : filled[1]]
    photons = fill_cells(
        electromagnetic[0], electromagnetic[1], electromagnetic[2], detector.photon_cell
    )
    _smear(seen, Kind.CHARGED_HADRON, detector.width_scale, generator)
    _smear(hadrons, Kind.NEUTRAL_HADRON, detector.width_scale, generator)
    _smear(photons, Kind.PHOTON, detector.width_scale, generator)
    return np.concatenate((seen, hadrons, photons))
