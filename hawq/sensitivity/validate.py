"""Check the theory: quantize one site alone and see what the loss does.

Prediction ``ΔL ≈ g·δ + ½ Σ_i h_i δ_i²``: the gradient term is reported by itself, and
is small at a minimum; the curvature is the site's mean, or each element's where known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.stats import spearmanr
from torch import Tensor, nn

from hawq.errors import InputError
from hawq.fixed import FixedPoint
from hawq.records import Record, SensitivityMap, Site, SiteKind, SiteSensitivity
from hawq.sensitivity.losses import Loss, loss_sum, sample_losses
from hawq.sensitivity.problem import Problem, Progress, pose
from hawq.sensitivity.sites import Batches
from hawq.sensitivity.tape import INPUT, evaluating


class Trial(Record):
    """One site quantized alone.

    Attributes:
        site: Its name.
        kind: Weight, bias or activation.
        bits: Width it was quantized to.
        format: The fixed-point format, a power of two that spans the values.
        perturbation: ‖δ‖²; of activations, of one sample, averaged over samples.
        predicted_nats: ``½ · s · ‖δ‖²``.
        predicted_by_element_nats: ``½ Σ_i h_i δ_i²``, if the diagonal is known.
        gradient_nats: First order, ``g · δ``.
        measured_nats: Rise of the loss on the same samples; may be negative.
        measured_error: One standard error, from the paired differences of the samples.
    """

    site: str
    kind: SiteKind
    bits: int
    format: FixedPoint
    perturbation: float = Field(ge=0)
    predicted_nats: float
    predicted_by_element_nats: float | None
    gradient_nats: float
    measured_nats: float
    measured_error: float = Field(ge=0)


class Validation(Record):
    """Predicted against measured.

    Attributes:
        source: Of the sensitivities.
        samples: Behind the measured rises.
        loss_nats: Of the network as it is.
        trials: Every site at every width.
        rank_correlation: Spearman's, of ``predicted_nats`` and ``measured_nats``.
        rank_correlation_by_element: The same with ``predicted_by_element_nats``, if all
            trials have it.
    """

    source: str
    samples: int
    loss_nats: float
    trials: tuple[Trial, ...]
    rank_correlation: float
    rank_correlation_by_element: float | None


def validate(
    model: nn.Module,
    batches: Batches,
    sensitivity: SensitivityMap,
    bits: Sequence[int],
    *,
    loss: Loss = "cross_entropy",
    progress: Progress | None = None,
) -> Validation:
    """Quantize every site alone to every width and measure the rise of the loss.

    Args:
        model: The network of the map; measured in evaluation mode and left as it was.
        batches: Inputs and targets.
        sensitivity: What predicts.
        bits: Widths, 2 or more each.
        loss: As the map's.
        progress: Told what is done.

    Returns:
        The table and the rank correlations.

    Raises:
        InputError: if there are fewer than three trials, or a width is below 2.
    """
    if len(bits) * len(sensitivity.sites) < 3 or min(bits) < 2:
        raise InputError(
            f"{len(bits)} widths from {min(bits, default=0)} bits at "
            f"{len(sensitivity.sites)} sites: a rank correlation needs three trials or "
            "more, of 2 bits or more"
        )
    trials: list[Trial] = []
    with evaluating(model):
        wanted = [entry.site for entry in sensitivity.sites]
        problem = pose(model, batches, wanted, sensitivity.seed, loss)
        before = _losses(problem)
        for number, entry in enumerate(sensitivity.sites):
            values, gradients = _values(problem, entry.site)
            for width in bits:
                trials.append(_try(problem, entry, values, gradients, width, before))
            if progress is not None:
                done = (number + 1) / len(sensitivity.sites)
                progress(f"quantizing {entry.site.name} alone", done)
    by_element = [trial.predicted_by_element_nats for trial in trials]
    measured = [trial.measured_nats for trial in trials]
    return Validation(
        source=sensitivity.source,
        samples=problem.samples,
        loss_nats=float(before.mean()),
        trials=tuple(trials),
        rank_correlation=_correlation([t.predicted_nats for t in trials], measured),
        rank_correlation_by_element=(
            None
            if None in by_element
            else _correlation([v for v in by_element if v is not None], measured)
        ),
    )


def spanning_format(values: NDArray[np.float64], bits: int) -> FixedPoint:
    """Choose the power-of-two scale whose range ends just above the largest value.

    Args:
        values: Of any shape.
        bits: Width.

    Returns:
        Unsigned if no value is negative.

    >>> spanning_format(np.array([0.3, 1.7]), 4).integer
    1
    >>> spanning_format(np.array([-0.3, 0.2]), 4).integer
    0
    """
    is_signed = bool((values < 0).any())
    exponent = int(np.frexp(np.abs(values).max(initial=0.0))[1])
    return FixedPoint(is_signed, bits, exponent + int(is_signed))


def _try(
    problem: Problem,
    entry: SiteSensitivity,
    values: Tensor,
    gradients: Tensor,
    bits: int,
    before: NDArray[np.float64],
) -> Trial:
    site = entry.site
    grid = spanning_format(values.double().numpy(), bits)
    moved = _quantized(values, grid)
    delta = moved.double() - values.double()
    squares, first = delta.square(), gradients.double() * delta
    if site.kind is SiteKind.ACTIVATION:
        squares, first = squares.mean(0), first.mean(0)
    perturbation = float(squares.sum())
    with _perturbed(problem, site, moved):
        rise = _losses(problem) - before
    by_element = None
    if entry.element is not None:
        by_element = 0.5 * float(np.sum(entry.element * squares.numpy()))
    return Trial(
        site=site.name,
        kind=site.kind,
        bits=bits,
        format=grid,
        perturbation=perturbation,
        predicted_nats=0.5 * entry.score * perturbation,
        predicted_by_element_nats=by_element,
        gradient_nats=float(first.sum()),
        measured_nats=float(rise.mean()),
        measured_error=float(rise.std(ddof=1) / np.sqrt(len(rise))),
    )


def _values(problem: Problem, site: Site) -> tuple[Tensor, Tensor]:
    # What the site holds and the gradient of the mean loss by it; of an activation,
    # sample by sample.
    values, gradients = [], []
    for batch, (_, y) in enumerate(problem.batches):
        tape = problem.tape(batch)
        if site.kind is SiteKind.ACTIVATION:
            at = tape.ports()[problem.survey.ports[site.name]]
        else:
            at = problem.model.get_parameter(site.name)
        total = loss_sum(problem.loss, tape.outputs, y)
        (gradient,) = torch.autograd.grad(
            total, at, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        values.append(at.detach())
        gradients.append(gradient)
    if site.kind is SiteKind.ACTIVATION:
        return torch.cat(values), torch.cat(gradients)
    return values[0], torch.stack(gradients).sum(0) / problem.samples


def _losses(problem: Problem) -> NDArray[np.float64]:
    with torch.no_grad():
        each = [
            sample_losses(problem.loss, problem.model(x), y).double()
            for x, y in problem.batches
        ]
    losses: NDArray[np.float64] = torch.cat(each).numpy()
    return losses


def _quantized(values: Tensor, grid: FixedPoint) -> Tensor:
    integers = grid.quantize(values.double().numpy())
    return torch.from_numpy(grid.dequantize(integers)).to(values.dtype)


@contextmanager
def _perturbed(problem: Problem, site: Site, moved: Tensor) -> Iterator[None]:
    # Put these values into the site; into an activation, those of batch after batch.
    model = problem.model
    if site.kind is not SiteKind.ACTIVATION:
        parameter = model.get_parameter(site.name)
        kept = parameter.data
        parameter.data = moved
        try:
            yield
        finally:
            parameter.data = kept
        return
    calls = 0
    parts = iter(torch.split(moved, [len(x) for x, _ in problem.batches]))
    # ``name#2`` is the second call of a forward pass.
    number = int(site.name.partition("#")[2] or 1)

    def start(_: nn.Module, taken: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        nonlocal calls
        calls = 0
        if site.name == INPUT:
            return next(parts), *taken[1:]
        return taken

    def replace(_: nn.Module, __: tuple[Tensor, ...], given: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return next(parts) if calls == number else given

    handles = [model.register_forward_pre_hook(start)]
    if site.name != INPUT:
        layer = model.get_submodule(site.layer)
        handles.append(layer.register_forward_hook(replace))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _correlation(predicted: Sequence[float], measured: Sequence[float]) -> float:
    return float(spearmanr(predicted, measured).statistic)
