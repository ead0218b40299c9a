"""What is measured: a network, its data, its loss, its sites."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from hawq.errors import InputError
from hawq.records import Site
from hawq.sensitivity.losses import Loss, check_targets
from hawq.sensitivity.sites import Batches, Survey, check_batches, survey
from hawq.sensitivity.tape import Tape, record

Progress: TypeAlias = Callable[[str, float], None]
Route: TypeAlias = Literal["auto", "exact", "stochastic"]


@dataclass(frozen=True)
class Problem:
    """A network at one point of its loss.

    Attributes:
        model: In evaluation mode (``evaluating``).
        batches: Inputs and targets; means are over all samples.
        loss: The mean of which curves.
        survey: Of the network.
        sites: To measure.
        samples: In all batches.
        seed: Of the probes.
        first: The tape of the first batch.
    """

    model: nn.Module
    batches: Batches
    loss: Loss
    survey: Survey
    sites: tuple[Site, ...]
    samples: int
    seed: int
    first: Tape

    def exact_sites(self, route: Route) -> tuple[Site, ...]:
        """Choose the sites to measure analytically.

        Args:
            route: ``auto`` takes every site it can, ``stochastic`` none.

        Returns:
            Sites in which the outputs are piecewise linear, if the loss has a name.

        Raises:
            InputError: if the route is ``exact`` and a site is not among them.
        """
        if route == "stochastic":
            return ()
        exact = self.survey.exact if not callable(self.loss) else frozenset()
        rest = [site.name for site in self.sites if site.name not in exact]
        if route == "exact" and rest:
            raise InputError(
                f"the exact route does not hold for site {rest[0]!r}: it needs the "
                "loss cross_entropy or squared, and a network that is piecewise linear "
                "from the site to its output, with each layer called once; use the "
                "route auto or stochastic"
            )
        return tuple(site for site in self.sites if site.name in exact)

    def rest(self, sites: Sequence[Site]) -> tuple[Site, ...]:
        """Give the other sites.

        Args:
            sites: Some of this problem's.

        Returns:
            Those not among them, in order.
        """
        names = {site.name for site in sites}
        return tuple(site for site in self.sites if site.name not in names)

    def tape(self, batch: int) -> Tape:
        """Run the network on a batch.

        Args:
            batch: Its number.

        Returns:
            The tape; the first batch's is kept.
        """
        return record(self.model, self.batches[batch][0]) if batch else self.first


def pose(
    model: nn.Module,
    batches: Batches,
    sites: Sequence[Site] | None,
    seed: int,
    loss: Loss,
) -> Problem:
    """Survey a network on its first batch.

    Args:
        model: In evaluation mode.
        batches: Inputs and targets.
        sites: To measure; None for all.
        seed: Of the probes, 0 or more.
        loss: Which loss.

    Returns:
        The problem.
    """
    samples = check_batches(batches)
    first = record(model, batches[0][0])
    check_targets(loss, first.outputs, batches[0][1])
    found = survey(model, first)
    return Problem(
        model, batches, loss, found, found.select(sites), samples, seed, first
    )


def signs(
    generator: np.random.Generator, shape: tuple[int, ...], like: Tensor
) -> Tensor:
    """Draw a Rademacher tensor.

    Args:
        generator: Of the bits.
        shape: Of the tensor.
        like: Gives dtype and device.

    Returns:
        +1 or -1, each with probability one half.
    """
    size = int(np.prod(shape, dtype=np.int64))
    octets = np.frombuffer(generator.bytes((size + 7) // 8), dtype=np.uint8)
    bits = torch.from_numpy(np.unpackbits(octets, count=size))
    return bits.to(like.device, like.dtype).mul_(2).sub_(1).reshape(shape)
