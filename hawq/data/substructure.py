"""What a jet looks like inside: energy correlators, mass, multiplicity, Σ z ln z.

With z_i = pT_i / Σ pT and θ_ij = √(Δy² + Δφ²) of the *groomed* jet's constituents::

    e2(β)  = Σ_{i<j}   z_i z_j θ_ij^β
    e3(β)  = Σ_{i<j<k} z_i z_j z_k (θ_ij θ_ik θ_jk)^β
    1e3(β) = Σ_{i<j<k} z_i z_j z_k min(θ_ij, θ_ik, θ_jk)^β
    2e3(β) = Σ_{i<j<k} z_i z_j z_k min(θ_ij θ_ik, θ_ij θ_jk, θ_ik θ_jk)^β

    C1 = e2          C2 = e3 / e2²       D2 = e3 / e2³
    M2 = 1e3 / e2    N2 = 2e3 / e2²      D2(α, β) = e3(α) / e2(β)^(3α/β)

Σ z ln z (z = E_i/E) and the multiplicity are of the jet before grooming.

Source: Larkoski, Salam, Thaler, JHEP 06 (2013) 108 (C); Larkoski, Moult, Neill, JHEP 12
(2014) 009 (D); Moult, Necib, Thaler, JHEP 12 (2016) 153 (M, N).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hawq.data.clustering import delta_phi, rapidity
from hawq.data.compiled import compiled


@compiled
def correlators(groomed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the sums of the module's head.

    Args:
        groomed: Constituents, px, py, pz, E in GeV, shape (constituents, 4).

    Returns:
        e2(0), e2(1), e2(2), e3(1), e3(2), 1e3(1), 1e3(2), 2e3(1), 2e3(2).
    """
    count = groomed.shape[0]
    z = np.empty(count)
    y = np.empty(count)
    phi = np.empty(count)
    for i in range(count):
        z[i] = math.hypot(groomed[i, 0], groomed[i, 1])
        y[i] = rapidity(groomed[i, 0], groomed[i, 1], groomed[i, 2], groomed[i, 3])
        phi[i] = math.atan2(groomed[i, 1], groomed[i, 0])
    z /= z.sum()
    theta2 = np.zeros((count, count))
    sums = np.zeros(9)
    for i in range(count):
        for j in range(i):
            square = (y[i] - y[j]) ** 2 + delta_phi(phi[i], phi[j]) ** 2
            theta2[i, j] = square
            theta2[j, i] = square
            weight = z[i] * z[j]
            sums[0] += weight
            sums[1] += weight * math.sqrt(square)
            sums[2] += weight * square
    theta = np.sqrt(theta2)
    for i in range(count):
        for j in range(i):
            pair = z[i] * z[j]
            a = theta[i, j]
            for k in range(j):
                weight = pair * z[k]
                b, c = theta[i, k], theta[j, k]
                low, high = min(b, c), max(b, c)
                smallest = min(a, low)
                middle = max(min(a, high), low)
                product = smallest * middle
                triple = product * max(a, high)
                sums[3] += weight * triple
                sums[4] += weight * triple * triple
                sums[5] += weight * smallest
                sums[6] += weight * smallest * smallest
                sums[7] += weight * product
                sums[8] += weight * product * product
    return sums


@compiled
def substructure(
    jet: NDArray[np.float64], groomed: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute the features of a jet.

    Args:
        jet: Constituents before grooming, px, py, pz, E in GeV, shape
            (constituents, 4).
        groomed: Constituents after grooming, at least two.

    Returns:
        Shape (16,), in the order of ``hawq.data.columns.FEATURES``.
    """
    e = correlators(groomed)
    energy = 0.0
    for i in range(jet.shape[0]):
        energy += jet[i, 3]
    zlogz = 0.0
    for i in range(jet.shape[0]):
        z = jet[i, 3] / energy
        zlogz += z * math.log(z)
    total = np.zeros(4)
    for i in range(groomed.shape[0]):
        for axis in range(4):
            total[axis] += groomed[i, axis]
    mass2 = total[3] ** 2 - total[0] ** 2 - total[1] ** 2 - total[2] ** 2
    d2_b1 = e[3] / e[1] ** 3
    return np.array([
        zlogz,
        e[0],
        e[1],
        e[2],
        e[3] / e[1] ** 2,
        e[4] / e[2] ** 2,
        d2_b1,
        e[4] / e[2] ** 3,
        d2_b1,
        e[3] / e[2] ** 1.5,
        e[5] / e[1],
        e[6] / e[2],
        e[7] / e[1] ** 2,
        e[8] / e[2] ** 2,
        math.sqrt(max(0.0, mass2)),
        float(jet.shape[0]),
    ])
