"""The source ``hessian_trace``: mean curvature of every site.

Where the outputs are piecewise linear in a site, its block is the Gauss-Newton matrix
and its diagonal exact. Elsewhere the rest is probed (``trace.samplewise``). Layers that
are called twice, and losses that do not separate into samples, are left to estimators
that need only Hessian-vector products.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
from torch import nn

from hawq.errors import InputError
from hawq.records import SensitivityMap, Site, SiteKind, SiteSensitivity
from hawq.sensitivity.blocks import HessianBlock
from hawq.sensitivity.columns import Curvature, accumulate, summarise
from hawq.sensitivity.losses import Loss, curvature_columns, separates
from hawq.sensitivity.problem import Problem, Progress, Route, pose
from hawq.sensitivity.sites import Batches
from hawq.sensitivity.tape import evaluating
from hawq.sensitivity.trace.epperly2024xtrace import xtrace
from hawq.sensitivity.trace.estimate import Estimate, Estimator, rademacher
from hawq.sensitivity.trace.hutchinson1989 import hutchinson
from hawq.sensitivity.trace.meyer2021hutchpp import hutchpp
from hawq.sensitivity.trace.samplewise import Stop, probe

Method: TypeAlias = Literal["auto", "samplewise", "hutchinson", "hutchpp", "xtrace"]

ESTIMATORS: dict[str, Estimator] = {
    "hutchinson": hutchinson,
    "hutchpp": hutchpp,
    "xtrace": xtrace,
}
_FIRST_PROBES = 24
_MOST_COLUMNS = 128
"""With more outputs, backpropagating each costs more than its variance."""


def hessian_trace(
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
    method: Method = "auto",
) -> SensitivityMap:
    """Measure the mean curvature of the loss at every site.

    ``score = tr H / elements`` with ``H = ∂²L/∂δ²``, ``L`` the mean loss; of an
    activation, H is the mean over samples of ``∂²ℓ_n/∂h_n²``.

    Args:
        model: Any network; measured in evaluation mode and left as it was.
        batches: Inputs and targets; every sample counts the same.
        sites: Which; None for all.
        seed: Of the probes.
        loss: ``cross_entropy``, ``squared`` (summed over outputs), or a callable.
        route: ``auto``; ``exact`` refuses networks it does not hold for; ``stochastic``
            probes everything, the Gauss-Newton part included.
        relative_error: Requested of each site, one standard error from probes.
        max_probes: Not exceeded, whatever the error.
        probe_batch: Probes propagated at once; changes nothing but time and memory.
        progress: Told what is done.
        method: Of the sites that are not exact; ``auto`` takes ``samplewise`` wherever
            it holds, else ``hutchinson``.

    Returns:
        Scores with standard errors, the diagonal by channel and element where known.

    Raises:
        InputError: if the method or the route does not hold for the network or loss.
    """
    if method not in (known := get_args(Method)):
        raise InputError(f"method {method!r}: expected one of {', '.join(known)}")
    stop = Stop(relative_error, max_probes, probe_batch)
    with evaluating(model):
        problem = pose(model, batches, sites, seed, loss)
        exact = problem.exact_sites(route)
        rest = problem.rest(exact)
        sampled = _samplewise_sites(problem, rest, method)
        measured, loss_nats, probes = _by_columns(
            problem, exact, sampled, route != "stochastic", stop, progress
        )
        entries = {entry.site.name: entry for entry in measured}
        others = problem.rest((*exact, *sampled))
        for number, site in enumerate(others):
            estimator = ESTIMATORS.get(method, hutchinson)
            entries[site.name], spent = _by_products(problem, site, estimator, stop)
            probes = max(probes, spent)
            if progress is not None:
                progress(f"probes at {site.name}", (number + 1) / len(others))
    return SensitivityMap(
        source="hessian_trace",
        route="stochastic" if rest else "exact",
        sites=tuple(entries[site.name] for site in problem.sites),
        samples=problem.samples,
        probes=probes,
        seed=seed,
        loss_nats=loss_nats,
    )


def _by_columns(
    problem: Problem,
    exact: tuple[Site, ...],
    sampled: tuple[Site, ...],
    may_split: bool,
    stop: Stop,
    progress: Progress | None,
) -> tuple[tuple[SiteSensitivity, ...], float, int]:
    # Gauss-Newton, exactly, and what it leaves, by probes of single samples.
    loss, outputs = problem.loss, problem.first.outputs
    is_split = may_split and not callable(loss) and outputs[0].numel() <= _MOST_COLUMNS
    found, loss_nats = accumulate(
        problem,
        (*exact, *sampled) if is_split else exact,
        lambda outputs, _: curvature_columns(str(loss), outputs),
        progress,
    )
    errors: dict[str, float] = {}
    probes = 0
    if sampled:
        if not is_split:
            found |= {site.name: _nothing(problem, site) for site in sampled}
        errors, probes = probe(problem, sampled, found, is_split, stop, progress)
    sites = (*exact, *sampled)
    return (summarise(sites, found, errors) if sites else ()), loss_nats, probes


def _samplewise_sites(
    problem: Problem, rest: Sequence[Site], method: Method
) -> tuple[Site, ...]:
    # Those that probes of single samples can reach.
    if method in ESTIMATORS:
        return ()
    outputs, y = problem.first.outputs, problem.batches[0][1]
    is_separable = not rest or separates(problem.loss, outputs, y)
    possible = tuple(
        site
        for site in rest
        if is_separable
        and (
            site.kind is SiteKind.ACTIVATION
            or site.layer not in problem.survey.repeated
        )
    )
    if method == "samplewise" and possible != tuple(rest):
        reason = "a loss that is the mean over samples and layers that are called once"
        raise InputError(
            f"the method samplewise needs {reason}: use auto or hutchinson"
        )
    return possible


def _nothing(problem: Problem, site: Site) -> Curvature:
    curvature = Curvature()
    for x, _ in problem.batches:
        zeros = problem.first.outputs.new_zeros
        curvature.add(zeros(len(x)), zeros(site.shape))
    return curvature


def _by_products(
    problem: Problem, site: Site, estimator: Estimator, stop: Stop
) -> tuple[SiteSensitivity, int]:
    block = HessianBlock(problem, site, stop.probe_batch)
    dimension = block.dimension
    seed = [problem.seed, zlib.crc32(site.name.encode())]
    spent = 0
    for probes in stop.schedule(_FIRST_PROBES):
        spent = min(probes, dimension)
        if dimension <= probes:
            diagonal = np.diagonal(block.product(np.eye(dimension))).copy()
            estimate = Estimate(float(diagonal.sum()), 0.0, diagonal)  # no need to draw
        else:
            generator = np.random.default_rng(seed)
            estimate = estimator(block.product, dimension, probes, generator)
        if estimate.error <= stop.relative_error * abs(estimate.trace):
            break
    signs = rademacher(np.random.default_rng([*seed, 1]), _FIRST_PROBES // 3, dimension)
    found = estimate.diagonal
    element = None if found is None else found.reshape(site.shape)
    channel = None if element is None else element.reshape(len(element), -1).mean(1)
    entry = SiteSensitivity(
        site=site,
        score=estimate.trace / dimension,
        probe_error=estimate.error / dimension,
        sample_error=block.sample_error(signs) / dimension,
        channel=channel,
        element=element,
    )
    return entry, spent
