"""The source ``top_eigenvalue``: the largest curvature of every site's block.

Small blocks are formed and diagonalised; for others Lanczos runs from a random start
with full reorthogonalisation until the residual is small. A residual ``‖H v - θ v‖``
bounds the distance from θ to an eigenvalue. The block is the Gauss-Newton factor where
that is exact, else Hessian-vector products.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from hawq.records import SensitivityMap, Site, SiteSensitivity
from hawq.sensitivity.blocks import Block, GaussNewtonBlock, HessianBlock
from hawq.sensitivity.columns import accumulate
from hawq.sensitivity.losses import Loss
from hawq.sensitivity.problem import Progress, Route, pose
from hawq.sensitivity.sites import Batches
from hawq.sensitivity.tape import evaluating
from hawq.sensitivity.trace.estimate import Floats

_DENSE = 256
"""Blocks up to this dimension are formed."""


@dataclass(frozen=True)
class Eigenpair:
    """An eigenvalue, its vector, and how far it is from being one.

    Attributes:
        value: θ.
        vector: v, of norm 1.
        residual: ‖H v - θ v‖.
        products: Spent.
    """

    value: float
    vector: Floats
    residual: float
    products: int


def top_eigenvalue(
    model: nn.Module,
    batches: Batches,
    sites: Sequence[Site] | None = None,
    seed: int = 0,
    *,
    loss: Loss = "cross_entropy",
    route: Route = "auto",
    relative_error: float = 0.02,
    max_probes: int = 1024,
    probe_batch: int = 8,
    progress: Progress | None = None,
) -> SensitivityMap:
    """Measure the largest eigenvalue of every site's block of the Hessian.

    It bounds the loss rise of any perturbation: ``ΔL ≤ ½ λ ‖δ‖²`` to second order; of
    activations, of one that is the same for all samples.

    Args:
        model: Any network; measured in evaluation mode and left as it was.
        batches: Inputs and targets; every sample counts the same.
        sites: Which; None for all.
        seed: Of the start vectors.
        loss: ``cross_entropy``, ``squared`` (summed over outputs), or a callable.
        route: ``auto``; ``exact`` refuses networks it does not hold for; ``stochastic``
            uses Hessian-vector products for all.
        relative_error: Residual over eigenvalue at which Lanczos stops.
        max_probes: Products at most, a site.
        probe_batch: Vectors multiplied at once.
        progress: Told what is done.

    Returns:
        Scores; ``probe_error`` is Lanczos's residual, 0 where the block was formed.
    """
    with evaluating(model):
        problem = pose(model, batches, sites, seed, loss)
        exact = {site.name for site in problem.exact_sites(route)}
        _, loss_nats = accumulate(problem, (), lambda outputs, _: outputs[None])
        entries, products = [], 0
        for number, site in enumerate(problem.sites):
            block: Block
            if site.name in exact:
                block = GaussNewtonBlock(problem, site)
            else:
                block = HessianBlock(problem, site, probe_batch)
            generator = np.random.default_rng([seed, zlib.crc32(site.name.encode())])
            pair = largest(block, relative_error, max_probes, generator)
            entries.append(
                SiteSensitivity(
                    site=site,
                    score=pair.value,
                    probe_error=pair.residual,
                    sample_error=block.sample_error(pair.vector[None]),
                )
            )
            if site.name not in exact:
                products = max(products, pair.products)
            if progress is not None:
                progress(
                    f"eigenvalue of {site.name}", (number + 1) / len(problem.sites)
                )
    return SensitivityMap(
        source="top_eigenvalue",
        route="exact" if len(exact) == len(problem.sites) else "stochastic",
        sites=tuple(entries),
        samples=problem.samples,
        probes=products,
        seed=seed,
        loss_nats=loss_nats,
    )


def largest(
    block: Block, tolerance: float, max_products: int, generator: np.random.Generator
) -> Eigenpair:
    """Find the algebraically largest eigenvalue.

    Args:
        block: A symmetric operator.
        tolerance: Residual over ``|θ|`` at which to stop.
        max_products: At most.
        generator: Of the start vector.

    Returns:
        The eigenpair; its residual is 0 if the block was formed.
    """
    dimension = block.dimension
    if dimension <= _DENSE:
        dense = block.product(np.eye(dimension))
        values, vectors = np.linalg.eigh((dense + dense.T) / 2)
        return Eigenpair(float(values[-1]), vectors[:, -1], 0.0, dimension)
    start = generator.standard_normal(dimension)
    basis = [start / np.linalg.norm(start)]
    diagonal: list[float] = []
    beside: list[float] = []
    while True:
        product = block.product(basis[-1][None])[0]
        diagonal.append(float(basis[-1] @ product))
        q = np.array(basis)
        for _ in range(2):  # twice is enough to be orthogonal to rounding
            product -= (product @ q.T) @ q
        norm = float(np.linalg.norm(product))
        t = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
        values, vectors = np.linalg.eigh(t)
        residual = norm * abs(float(vectors[-1, -1]))
        is_done = len(basis) >= min(max_products, dimension)
        if residual <= tolerance * abs(values[-1]) or is_done:
            vector = vectors[:, -1] @ q
            return Eigenpair(float(values[-1]), vector, residual, len(basis))
        beside.append(norm)
        basis.append(product / norm)
