"""The source ``fisher``: the diagonal of the empirical Fisher information.

``F_ii = (1/N) Σ_n (∂ℓ_n/∂δ_i)²``, with the labels of the data. For a likelihood that
fits them, its expectation is the Hessian's; it needs one backward pass and no second
derivative, and holds for any network. The loss must be the mean over samples.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from hawq.errors import InputError
from hawq.records import SensitivityMap, Site
from hawq.sensitivity.columns import accumulate, summarise
from hawq.sensitivity.losses import Loss, output_gradient, separates
from hawq.sensitivity.problem import Progress, Route, pose
from hawq.sensitivity.sites import Batches
from hawq.sensitivity.tape import evaluating


def fisher(
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
    """Measure the mean squared gradient of single samples at every site.

    Args:
        model: Any network; measured in evaluation mode and left as it was.
        batches: Inputs and targets; every sample counts the same.
        sites: Which; None for all.
        seed: Recorded; nothing is drawn.
        loss: ``cross_entropy``, ``squared`` (summed over outputs), or a callable.
        route: Every route is exact: nothing is drawn.
        relative_error: Met: there are no probes.
        max_probes: Not needed.
        probe_batch: Not needed.
        progress: Told what is done.

    Returns:
        The mean Fisher information of an element, by channel and element too.

    Raises:
        InputError: if the loss of a batch is not the mean over its samples.
    """
    with evaluating(model):
        problem = pose(model, batches, sites, seed, loss)
        if not separates(loss, problem.first.outputs, batches[0][1]):
            raise InputError(
                "the Fisher information needs the gradient of each sample's loss, but "
                "the loss of the batch is not the mean of the losses of its samples"
            )
        found, loss_nats = accumulate(
            problem,
            problem.sites,
            lambda outputs, y: output_gradient(loss, outputs, y)[None],
            progress,
        )
        entries = summarise(problem.sites, found)
    return SensitivityMap(
        source="fisher",
        route="exact",
        sites=entries,
        samples=problem.samples,
        probes=0,
        seed=seed,
        loss_nats=loss_nats,
    )
