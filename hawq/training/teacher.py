"""Probabilities for a small network to learn from, of nets that did not see the sample.

Several larger float networks train as one batched product, each without one fold; a
sample's probabilities are the mean over those that left it out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from hawq.training.elements import compiled


def teach(
    x: Tensor,
    one_hot: Tensor,
    *,
    hidden: Sequence[int] = (128, 64, 64),
    folds: int = 5,
    repeats: int = 4,
    epochs: int = 60,
    batch: int = 1024,
    rate: float = 3e-3,
    decay: float = 3e-5,
    seed: int = 0,
) -> Tensor:
    """Train the ensemble and predict every sample out of fold.

    Args:
        x: Shape (samples, features).
        one_hot: Shape (samples, classes).
        hidden: Units of the hidden layers.
        folds: Parts of the sample.
        repeats: Networks a fold.
        epochs: Passes over the sample.
        batch: Samples a step.
        rate: Step size of Adam at the start; half a cosine to 0.
        decay: Weight of the squared weights in the loss.
        seed: Of folds, weights and order.

    Returns:
        Probabilities, shape of ``one_hot``.
    """
    generator = torch.Generator().manual_seed(seed)
    samples, nets = len(x), folds * repeats
    sizes = (x.shape[1], *hidden, one_hot.shape[1])
    fold = (torch.randperm(samples, generator=generator) % folds).to(x.device)
    left_out = (torch.arange(nets) % folds).to(x.device)
    weights = [
        ((2 / n) ** 0.5 * torch.randn(nets, n, m, generator=generator)).to(x.device)
        for n, m in itertools.pairwise(sizes)
    ]
    biases = [torch.zeros(nets, 1, m, device=x.device) for m in sizes[1:]]
    parameters = [p.requires_grad_() for p in (*weights, *biases)]
    scaled = torch.tensor(rate, device=x.device)
    optimiser = torch.optim.Adam(
        parameters, lr=scaled, capturable=x.device.type == "cuda"
    )
    rows = torch.zeros(batch, dtype=torch.long, device=x.device)

    def logits(given: Tensor) -> Tensor:
        y = given.expand(nets, *given.shape)
        for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
            y = torch.baddbmm(b, torch.relu(y) if layer else y, w)
        return y

    def step() -> None:
        mask = (fold[rows] != left_out.unsqueeze(1)).float()
        loss = -(one_hot[rows] * torch.log_softmax(logits(x[rows]), -1)).sum(-1)
        penalty = torch.stack([w.square().sum() for w in weights]).sum()
        total = ((loss * mask).sum(1) / mask.sum(1)).sum() + decay * penalty
        optimiser.zero_grad(set_to_none=False)
        torch.autograd.backward(total)
        optimiser.step()

    call = compiled(step, x.device)
    for epoch in range(epochs):
        scaled.fill_(rate * 0.5 * (1 + math.cos(math.pi * epoch / epochs)))
        order = torch.randperm(samples, generator=generator).to(x.device)
        for start in range(0, samples - batch + 1, batch):
            rows.copy_(order[start : start + batch])
            call()
    with torch.no_grad():
        p = torch.cat(
            [torch.softmax(logits(part), -1) for part in torch.split(x, 4096)], 1
        )
        mask = (fold == left_out.unsqueeze(1)).float().unsqueeze(-1)
        mean: Tensor = (p * mask).sum(0) / mask.sum(0)
    return mean
