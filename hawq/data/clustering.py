"""Sequential jet clustering: the leading anti-kT jet and its mMDT grooming.

Distances of the generalised kT algorithm, with y rapidity and E-scheme recombination::

    d_ij = min(pT_i^2p, pT_j^2p) ΔR_ij² / R²,   d_iB = pT_i^2p,   ΔR² = Δy² + Δφ²

p = -1 is anti-kT, p = 0 Cambridge/Aachen. The nearest neighbour in ΔR is enough to find
the smallest d_ij (the lemma of Cacciari and Salam), so each merge costs O(particles).

Source: Cacciari, Salam, Soyez, JHEP 04 (2008) 063 (anti-kT); Cacciari, Salam, Phys.
Lett. B 641 (2006) 57 (nearest neighbours); Dasgupta, Fregoso, Marzani, Salam, JHEP 09
(2013) 029 (mMDT); Larkoski, Marzani, Soyez, Thaler, JHEP 05 (2014) 146 (soft drop).
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hawq.data.compiled import compiled
from hawq.data.ordering import stable_order

_TINY: Final = 1e-300
_WHOLE_JET: Final = 1000.0
"""A radius that no jet exceeds."""


@compiled
def rapidity(px: float, py: float, pz: float, energy: float) -> float:
    """Compute y = ½ ln((E + pz)/(E - pz)) without cancellation.

    Args:
        px: GeV.
        py: GeV.
        pz: GeV.
        energy: GeV.

    Returns:
        The rapidity; ±1e5 + pz when pT and mass vanish.
    """
    pt2 = px * px + py * py
    mass2 = max(0.0, (energy + pz) * (energy - pz) - pt2)
    if pt2 + mass2 == 0.0:
        return 1e5 + pz if pz >= 0 else -1e5 + pz
    size = 0.5 * math.log((pt2 + mass2) / (energy + abs(pz)) ** 2)
    return -size if pz > 0 else size


@compiled
def delta_phi(first: float, second: float) -> float:
    """Compute the angle between two azimuths.

    Args:
        first: Radians, in (-π, π].
        second: Radians, in (-π, π].

    Returns:
        |Δφ| in [0, π].
    """
    difference = abs(first - second)
    return 2.0 * math.pi - difference if difference > math.pi else difference


class Nodes(NamedTuple):
    """The particles, then what each merge makes; arrays have room for all.

    Attributes:
        momenta: px, py, pz, E in GeV, shape (room, 4).
        parents: The two merged nodes, -1 for particles, shape (room, 2).
        y: Rapidity.
        phi: Azimuth in (-π, π].
        pt: GeV.
        weight: pT^2p.
        neighbour: The nearest active node within R, -1 if none.
        distance: ΔR² to it, R² if none.
    """

    momenta: NDArray[np.float64]
    parents: NDArray[np.int64]
    y: NDArray[np.float64]
    phi: NDArray[np.float64]
    pt: NDArray[np.float64]
    weight: NDArray[np.float64]
    neighbour: NDArray[np.int64]
    distance: NDArray[np.float64]


class Clustering(NamedTuple):
    """What ``cluster`` made.

    Attributes:
        momenta: px, py, pz, E in GeV of particles and merges, shape (nodes, 4).
        parents: The two nodes merged, -1 for particles, shape (nodes, 2).
        jets: The node of each finished jet, in the order they were finished.
        leading: The jet of highest pT, -1 without particles.
    """

    momenta: NDArray[np.float64]
    parents: NDArray[np.int64]
    jets: NDArray[np.int64]
    leading: int


@compiled
def _describe(nodes: Nodes, i: int, power: int) -> None:
    """Fill a node's rapidity, azimuth, pT and pT^2p."""
    px, py, pz, energy = nodes.momenta[i]
    nodes.y[i] = rapidity(px, py, pz, energy)
    nodes.phi[i] = math.atan2(py, px)
    nodes.pt[i] = math.sqrt(px * px + py * py)
    # Without pT a particle is the softest of all: merged last.
    nodes.weight[i] = 1.0 if power == 0 else 1.0 / max(nodes.pt[i] ** 2, _TINY)


@compiled
def _start(particles: NDArray[np.float64], radius2: float, power: int) -> Nodes:
    """Make the nodes of the particles, with their neighbours."""
    count = particles.shape[0]
    nodes = Nodes(
        np.empty((2 * count, 4)),
        np.full((2 * count, 2), -1, np.int64),
        np.empty(2 * count),
        np.empty(2 * count),
        np.empty(2 * count),
        np.empty(2 * count),
        np.full(2 * count, -1, np.int64),
        np.full(2 * count, radius2),
    )
    for i in range(count):
        for axis in range(4):
            nodes.momenta[i, axis] = particles[i, axis]
        _describe(nodes, i, power)
    order = stable_order(nodes.y[:count])
    radius = math.sqrt(radius2)
    for place in range(count):
        i = order[place]
        for other in range(place + 1, count):
            j = order[other]
            if nodes.y[j] - nodes.y[i] >= radius:
                break
            _meet(nodes, i, j)
    return nodes


@compiled
def _meet(nodes: Nodes, i: int, j: int) -> None:
    """Make two nodes each other's neighbours if they are the nearest so far."""
    dy = nodes.y[j] - nodes.y[i]
    dphi = delta_phi(nodes.phi[i], nodes.phi[j])
    separation = dy * dy + dphi * dphi
    if separation < nodes.distance[i]:
        nodes.distance[i] = separation
        nodes.neighbour[i] = j
    if separation < nodes.distance[j]:
        nodes.distance[j] = separation
        nodes.neighbour[j] = i


@compiled
def _seek(nodes: Nodes, i: int, active: NDArray[np.int64], radius2: float) -> None:
    """Find a node's nearest neighbour anew."""
    best = radius2
    found = -1
    for j in active:
        dy = nodes.y[i] - nodes.y[j]
        if j == i or dy * dy >= best:
            continue
        dphi = delta_phi(nodes.phi[i], nodes.phi[j])
        separation = dy * dy + dphi * dphi
        if separation < best:
            best = separation
            found = j
    nodes.distance[i] = best
    nodes.neighbour[i] = found


@compiled
def _smallest(nodes: Nodes, active: NDArray[np.int64]) -> int:
    """Find where in ``active`` the node of the smallest distance is."""
    smallest = math.inf
    found = 0
    for place in range(active.size):
        i = active[place]
        j = nodes.neighbour[i]
        weight = nodes.weight[i] if j < 0 else min(nodes.weight[i], nodes.weight[j])
        if weight * nodes.distance[i] < smallest:
            smallest = weight * nodes.distance[i]
            found = place
    return found


@compiled
def _replace(
    nodes: Nodes,
    gone: tuple[int, int],
    new: int,
    active: NDArray[np.int64],
    radius2: float,
) -> None:
    """Renew the neighbours of active nodes after two were merged into a new one."""
    for k in active:
        if k == new:
            continue
        if nodes.neighbour[k] == gone[0] or nodes.neighbour[k] == gone[1]:
            _seek(nodes, k, active, radius2)
        _meet(nodes, k, new)


@compiled
def cluster(
    particles: NDArray[np.float64], radius: float, power: int, only_leading: bool
) -> Clustering:
    """Cluster particles into jets.

    Args:
        particles: px, py, pz, E in GeV, shape (particles, 4).
        radius: R.
        power: p: -1 anti-kT, 0 Cambridge/Aachen.
        only_leading: Stop as soon as no later jet can have more pT than the leading
            one so far (its pT exceeds the scalar sum of what is left).

    Returns:
        The nodes, the finished jets and the leading one.
    """
    radius2 = radius * radius
    nodes = _start(particles, radius2, power)
    count = particles.shape[0]
    active = np.arange(count)
    left = nodes.pt[:count].sum()
    made = count
    jets = np.empty(count, np.int64)
    finished = 0
    leading = -1
    while count > 0:
        place = _smallest(nodes, active[:count])
        i = active[place]
        j = nodes.neighbour[i]
        count -= 1
        active[place] = active[count]
        if j < 0:
            jets[finished] = i
            finished += 1
            left -= nodes.pt[i]
            if leading < 0 or nodes.pt[i] > nodes.pt[leading]:
                leading = i
            # The margin covers the rounding of ``left``.
            if only_leading and nodes.pt[leading] > 1.000001 * left:
                break
            continue  # beyond R of all others: nobody's neighbour
        new = made
        made += 1
        for axis in range(4):
            nodes.momenta[new, axis] = nodes.momenta[i, axis] + nodes.momenta[j, axis]
        nodes.parents[new, 0] = i
        nodes.parents[new, 1] = j
        _describe(nodes, new, power)
        left += nodes.pt[new] - nodes.pt[i] - nodes.pt[j]
        for candidate in range(count):
            if active[candidate] == j:
                active[candidate] = new
        _replace(nodes, (i, j), new, active[:count], radius2)
    return Clustering(
        nodes.momenta[:made], nodes.parents[:made], jets[:finished], leading
    )


@compiled
def constituents(
    node: int, parents: NDArray[np.int64], particles: int
) -> NDArray[np.int64]:
    """List the particles in a node.

    Args:
        node: Of ``cluster``.
        parents: Of ``cluster``.
        particles: How many were clustered.

    Returns:
        Their indices, ascending.
    """
    stack = np.empty(2 * particles, np.int64)
    is_in = np.zeros(particles, np.bool_)
    stack[0] = node
    depth = 1
    while depth > 0:
        depth -= 1
        top = stack[depth]
        if parents[top, 0] < 0:
            is_in[top] = True
        else:
            stack[depth] = parents[top, 0]
            stack[depth + 1] = parents[top, 1]
            depth += 2
    return np.flatnonzero(is_in)


@compiled
def groom(jet: NDArray[np.float64], z_cut: float) -> NDArray[np.int64]:
    """Groom a jet with mMDT (soft drop with β = 0).

    The jet is reclustered with Cambridge/Aachen; going back from the last merge, the
    softer branch is dropped until min(pT₁, pT₂)/(pT₁ + pT₂) > z_cut.

    Args:
        jet: Constituents, px, py, pz, E in GeV, shape (constituents, 4).
        z_cut: The symmetry cut.

    Returns:
        Indices of the constituents kept, ascending; empty if no merge passes.
    """
    momenta, parents, _, node = cluster(jet, _WHOLE_JET, 0, False)
    while node >= 0 and parents[node, 0] >= 0:
        first, second = parents[node, 0], parents[node, 1]
        pt1 = math.hypot(momenta[first, 0], momenta[first, 1])
        pt2 = math.hypot(momenta[second, 0], momenta[second, 1])
        if min(pt1, pt2) > z_cut * (pt1 + pt2):
            return constituents(node, parents, jet.shape[0])
        node = first if pt1 > pt2 else second
    return np.empty(0, np.int64)
