"""The best networks that a ramp of falling budgets meets, one for each cost."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 64
"""Of the archive, equal in log cost between the first and the last budget."""


@dataclass
class Archive:
    """The best network of every cost: one bin of log cost each, for each network.

    Best is the lowest loss in validation: of two halves of a sample, the loss in one
    tells more of the accuracy in the other than the accuracy does.

    Attributes:
        loss: Cross-entropy in nats, shape (K, bins); infinite where empty.
        validation: Accuracy, same shape; -1 where empty.
        cost: By the model, same shape.
        tensors: Name → shape (K, bins, elements).
        edges: Log cost of the first and the last bin.
    """

    loss: Tensor
    validation: Tensor
    cost: Tensor
    tensors: dict[str, Tensor]
    edges: tuple[float, float]

    def offer(
        self, loss: Tensor, accuracy: Tensor, cost: Tensor, given: dict[str, Tensor]
    ) -> None:
        """Keep each network that is the best of its bin, shape (K, ...) each."""
        low, high = self.edges
        place = (cost.log() - low) / (high - low) * BINS
        place = place.floor().clamp(0, BINS - 1).long()
        row = torch.arange(len(cost), device=cost.device)
        is_better = loss < self.loss[row, place]
        self._put(self.loss, row, place, is_better, loss)
        self._put(self.validation, row, place, is_better, accuracy)
        self._put(self.cost, row, place, is_better, cost)
        for name, value in given.items():
            if name not in self.tensors:
                shape = (len(cost), BINS, value.shape[1])
                self.tensors[name] = torch.zeros(shape, device=value.device)
            self._put(self.tensors[name], row, place, is_better, value)

    @staticmethod
    def _put(
        to: Tensor, row: Tensor, place: Tensor, chosen: Tensor, value: Tensor
    ) -> None:
        old = to[row, place]
        mask = chosen if value.dim() == 1 else chosen.unsqueeze(1)
        to[row, place] = torch.where(mask, value.to(to.dtype), old)


def new_archive(
    networks: int, budgets: tuple[float, float], device: torch.device
) -> Archive:
    """Make an empty archive.

    Args:
        networks: Number of them.
        budgets: Lowest and highest; what lies beyond counts to the last bins.
        device: Where.

    Returns:
        The archive.
    """
    empty = torch.full((networks, BINS), -1.0, device=device)
    low, high = torch.tensor(budgets).log().tolist()
    worst = torch.full_like(empty, float("inf"))
    return Archive(worst, empty, torch.zeros_like(empty), {}, (low, high))
