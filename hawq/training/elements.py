"""Train while the budget falls: bits of every element chosen anew as training goes on.

Weights keep a float shadow, so that a pruned weight returns when gradient and curvature
say so. The best network of every cost by validation is archived along the way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hawq.allocation.elements.solve import (
    allocate,
    channel_bits,
    channel_tables,
    weight_table,
)
from hawq.training.ladder import (
    Formats,
    Shape,
    curvature,
    forward,
    snapped_biases,
    snapped_weights,
)

BINS = 64
"""Of the archive, equal in log cost between the first and the last budget."""


@dataclass(frozen=True)
class Ramp:
    """How ``K`` networks are trained.

    Attributes:
        epochs: Passes over the training sample.
        batch: Samples a step.
        first: Budget at the start, in LUTs of the cost model.
        second: Budget after ``warm`` of the epochs.
        last: Budget at the end; from ``second`` it falls by the same factor an epoch.
        warm: Share of the epochs.
        every: Steps between two allocations.
        decay: Share of the step size that is left at the end; it falls by the same
            factor an epoch.
        sample: Samples that the curvature is measured on.
        memory: How much of the old curvature each new measurement keeps.
        rates: Adam's step size of each network.
        soft: Weight of the teacher's probabilities in each network's targets.
        seed: Of the initial weights and the order of samples.
    """

    epochs: int
    batch: int = 2048
    first: float = 40_000
    second: float = 16_000
    last: float = 350
    warm: float = 0.08
    every: int = 10
    decay: float = 0.25
    sample: int = 2048
    memory: float = 0.9
    rates: tuple[float, ...] = (2e-3,)
    soft: tuple[float, ...] = (0.0,)
    seed: int = 1

    def budget(self, part: float) -> float:
        """Give the budget when a part of the ramp, 0 to 1, is done."""
        if part < self.warm:
            return float(self.first * (self.second / self.first) ** (part / self.warm))
        part = (part - self.warm) / (1 - self.warm)
        return float(self.second * (self.last / self.second) ** part)


@dataclass
class Archive:
    """The best network of every cost: one bin of log cost each, for each network.

    Attributes:
        validation: Accuracy, shape (K, bins); -1 where empty.
        cost: By the model, same shape.
        tensors: Name → shape (K, bins, elements).
        edges: Log cost of the first and the last bin.
    """

    validation: Tensor
    cost: Tensor
    tensors: dict[str, Tensor]
    edges: tuple[float, float]

    def offer(self, accuracy: Tensor, cost: Tensor, given: dict[str, Tensor]) -> None:
        """Keep each network that is the best of its bin, shape (K, ...) each."""
        low, high = self.edges
        place = (cost.log() - low) / (high - low) * BINS
        place = place.floor().clamp(0, BINS - 1).long()
        row = torch.arange(len(cost), device=cost.device)
        is_better = accuracy > self.validation[row, place]
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


@dataclass
class Trainer:
    """Networks in training.

    Attributes:
        shape: Of the networks.
        ramp: How they are trained.
        x: Training inputs, shape (samples, inputs).
        targets: Classes as one-hot rows.
        teacher: Probabilities, shape (samples, classes).
    """

    shape: Shape
    ramp: Ramp
    x: Tensor
    targets: Tensor
    teacher: Tensor
    state: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ramp, device = self.ramp, self.x.device
        k = len(ramp.rates)
        generator = torch.Generator().manual_seed(ramp.seed)
        rows = []
        for n, m in self.shape.layers:
            std = (2 / n) ** 0.5
            rows.append(std * torch.randn(k, n * m, generator=generator))
        rows.append(torch.zeros(k, self.shape.biases))
        self.parameters = torch.cat(rows, 1).to(device)
        self.parameters.requires_grad_()
        self.first = torch.zeros_like(self.parameters)
        self.second = torch.zeros_like(self.parameters)
        self.count = torch.zeros((), device=device)
        self.rates = torch.tensor(ramp.rates, device=device).unsqueeze(1)
        self.soft = torch.tensor(ramp.soft, device=device).reshape(-1, 1, 1)
        n, inputs = self.shape.weights, self.shape.sizes[0]
        hidden = self.shape.channels - inputs
        self.formats = Formats(
            torch.full((k, n), 6.0, device=device),
            torch.ones((k, n), device=device),
            torch.full((k, inputs + hidden), 4.0, device=device),
            torch.full((k, inputs + hidden), 3.0, device=device),
        )
        self.curvature = torch.zeros((k, n), device=device)
        self.price = torch.zeros(k, device=device)
        self.cost = torch.full((k,), float("inf"), device=device)
        self.rows = torch.zeros(ramp.batch, dtype=torch.long, device=device)
        self.loss = torch.zeros(k, device=device)
        self.factor = torch.ones((), device=device)

    def snapped(self) -> tuple[Tensor, Tensor]:
        """Give weights and biases on their grids."""
        weight, bias = torch.split(
            self.parameters, [self.shape.weights, self.shape.biases], dim=1
        )
        return (
            snapped_weights(weight, self.formats),
            snapped_biases(self.shape, bias, self.formats),
        )

    def step(self) -> None:
        """Make one step of Adam on the samples ``rows``."""
        x, y, t = self.x[self.rows], self.targets[self.rows], self.teacher[self.rows]
        goal = (1 - self.soft) * y + self.soft * t
        logits, _, _ = forward(self.shape, *self.snapped(), self.formats, x)
        loss = -(goal * torch.log_softmax(logits, -1)).sum(-1).mean(1)
        (gradient,) = torch.autograd.grad(loss.sum(), self.parameters)
        with torch.no_grad():
            self.loss.copy_(loss)
            self.count += 1
            self.first.lerp_(gradient, 0.1)
            self.second.lerp_(gradient.square(), 0.001)
            mean = self.first / (1 - 0.9**self.count)
            spread = (self.second / (1 - 0.999**self.count)).sqrt() + 1e-8
            self.parameters -= self.factor * self.rates * mean / spread

    @torch.no_grad()
    def reallocate(self, budget: Tensor, rows: Tensor) -> None:
        """Measure curvature on some samples and choose every format anew.

        Args:
            budget: In LUTs, shape (K,).
            rows: Indices of samples.
        """
        x = self.x[rows]
        weight, of_channels, sums = curvature(
            self.shape, *self.snapped(), self.formats, x
        )
        memory = self.ramp.memory
        self.curvature.mul_(memory).add_(weight, alpha=1 - memory)
        shadow = self.parameters[:, : self.shape.weights]
        choice, price = allocate(
            self.shape,
            weight_table(shadow, self.curvature),
            channel_tables(x, sums, of_channels),
            channel_bits(self.shape, self.formats),
            budget,
        )
        self.formats.weight.copy_(choice.formats.weight)
        self.formats.alive.copy_(choice.formats.alive)
        self.formats.fraction.copy_(choice.formats.fraction)
        self.formats.integer.copy_(choice.formats.integer)
        self.price.copy_(price)
        self.cost.copy_(choice.cost)

    @torch.no_grad()
    def accuracy(self, x: Tensor, y: Tensor) -> Tensor:
        """Give the accuracy of every network, shape (K,)."""
        logits, _, _ = forward(self.shape, *self.snapped(), self.formats, x)
        return (logits.argmax(-1) == y).float().mean(1)

    @torch.no_grad()
    def snapshot(self) -> dict[str, Tensor]:
        """Give what a network is made of, shape (K, elements) each."""
        weight, bias = self.snapped()
        return {
            "weight": weight,
            "bias": bias,
            "fraction": self.formats.fraction,
            "integer": self.formats.integer,
        }


def train(
    trainer: Trainer,
    x_validation: Tensor,
    y_validation: Tensor,
    progress: Callable[[int, Trainer, Tensor], bool],
    clock: Callable[[int], float] | None = None,
) -> Archive:
    """Run the whole ramp.

    Args:
        trainer: The networks.
        x_validation: Shape (samples, inputs).
        y_validation: Classes.
        progress: Called after every epoch with the epoch, the trainer and the
            validation accuracies; ends the ramp by returning True.
        clock: Epoch → part of the ramp that is done, 0 to 1; by default by epochs.

    Returns:
        The archive.
    """
    ramp, device = trainer.ramp, trainer.x.device
    clock = clock or (lambda epoch: epoch / ramp.epochs)
    k, samples = len(ramp.rates), len(trainer.x)
    empty = torch.full((k, BINS), -1.0, device=device)
    edges = torch.tensor([ramp.last, ramp.second]).log().tolist()
    archive = Archive(empty, torch.zeros_like(empty), {}, (edges[0], edges[1]))
    generator = torch.Generator(device=device).manual_seed(ramp.seed)
    budget = torch.zeros(k, device=device)
    drawn = torch.zeros(ramp.sample, dtype=torch.long, device=device)
    step = compiled(trainer.step, device)
    reallocate = compiled(lambda: trainer.reallocate(budget, drawn), device)
    steps = 0
    for epoch in range(ramp.epochs):
        part = clock(epoch)
        order = torch.randperm(samples, generator=generator, device=device)
        trainer.factor.fill_(ramp.decay**part)
        budget.fill_(ramp.budget(part))
        for start in range(0, samples - ramp.batch + 1, ramp.batch):
            if steps % ramp.every == 0:
                drawn.copy_(order.roll(ramp.batch - start)[: ramp.sample])
                reallocate()
            trainer.rows.copy_(order[start : start + ramp.batch])
            step()
            steps += 1
        accuracy = trainer.accuracy(x_validation, y_validation)
        archive.offer(accuracy, trainer.cost, trainer.snapshot())
        if progress(epoch, trainer, accuracy):
            break
    return archive


def compiled(function: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """Record a function as one CUDA graph; on a CPU it is returned as it is.

    Args:
        function: Works on the same tensors at every call; its first calls count.
        device: Where.

    Returns:
        What does the same.
    """
    if device.type != "cuda":
        return function
    calls = 0
    graph = torch.cuda.CUDAGraph()

    def call() -> None:
        nonlocal calls
        calls += 1
        if calls <= 3:
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                function()
            torch.cuda.current_stream().wait_stream(stream)
            return
        if calls == 4:
            with torch.cuda.graph(graph):
                function()
        graph.replay()

    return call
