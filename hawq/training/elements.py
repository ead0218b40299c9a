"""Train while the budget falls: bits of every element chosen anew as training goes on.

Weights keep a float shadow, so that a pruned weight returns when gradient and curvature
say so. The best network of every cost by validation is archived along the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hawq.allocation.elements.solve import (
    WEIGHT_FRACTIONS,
    ChannelTable,
    allocate,
    channel_bits,
    channel_tables,
    follow,
    weight_table,
)
from hawq.training.archive import Archive, new_archive
from hawq.training.ladder import (
    Formats,
    Shape,
    curvature,
    forward,
    gradient,
    half_steps,
    snapped_biases,
    snapped_weights,
)

EXACT = 20
"""Allocations at the start that meet their budget at once."""


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
        memory: How much of old curvatures and errors each new measurement keeps.
        rates: Adam's step size of each network.
        soft: Weight of the teacher's probabilities in each network's targets.
        judged: Epochs between two looks at validation.
        rivalries: How often, at equal distances, the networks of the highest loss in
            validation go on from those of the lowest.
        seed: Of the initial weights and the order of samples.
    """

    epochs: int
    batch: int = 2048
    first: float = 80_000
    second: float = 16_000
    last: float = 350
    warm: float = 0.08
    every: int = 10
    decay: float = 0.25
    sample: int = 2048
    memory: float = 0.9
    rates: tuple[float, ...] = (2e-3,)
    soft: tuple[float, ...] = (0.0,)
    judged: int = 1
    rivalries: int = 0
    seed: int = 1

    def budget(self, part: float) -> float:
        """Give the budget when a part of the ramp, 0 to 1, is done."""
        if part < self.warm:
            return float(self.first * (self.second / self.first) ** (part / self.warm))
        part = (part - self.warm) / (1 - self.warm)
        return float(self.second * (self.last / self.second) ** part)


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
        self.errors: list[tuple[Tensor, Tensor]] = []
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

    @torch.no_grad()
    def step(self) -> None:
        """Make one step of Adam on the samples ``rows``."""
        y, t = self.targets[self.rows], self.teacher[self.rows]
        goal = (1 - self.soft) * y + self.soft * t
        loss, slope = gradient(
            self.shape, *self.snapped(), self.formats, self.x[self.rows], goal
        )
        slope[:, : self.shape.weights] *= self.formats.alive
        self.loss.copy_(loss)
        self.count += 1
        self.first.lerp_(slope, 0.1)
        self.second.lerp_(slope.square(), 0.001)
        mean = self.first / (1 - 0.9**self.count)
        spread = (self.second / (1 - 0.999**self.count)).sqrt() + 1e-8
        self.parameters -= self.factor * self.rates * mean / spread

    @torch.no_grad()
    def reallocate(self, budget: Tensor, rows: Tensor, is_exact: bool) -> None:
        """Measure curvature on some samples and choose every format anew.

        Args:
            budget: In LUTs, shape (K,).
            rows: Indices of samples.
            is_exact: Whether the budget is met now; else the price follows it.
        """
        x = self.x[rows]
        weight, of_channels, sums = curvature(
            self.shape, *self.snapped(), self.formats, x
        )
        memory = self.ramp.memory
        self.curvature.mul_(memory).add_(weight, alpha=1 - memory)
        shadow = self.parameters[:, : self.shape.weights]
        tables = channel_tables(x, sums, of_channels)
        for table, old in zip(tables, self.remembered(tables), strict=True):
            for new, kept in zip(table.errors, old, strict=True):
                new.copy_(kept.lerp_(new, 1 - memory))
        given = (
            self.shape,
            weight_table(shadow, self.curvature),
            tables,
            channel_bits(self.shape, self.formats),
            budget,
        )
        choice, price = allocate(*given) if is_exact else follow(*given, self.price)
        self.formats.weight.copy_(choice.formats.weight)
        self.formats.alive.copy_(choice.formats.alive)
        self.formats.fraction.copy_(choice.formats.fraction)
        self.formats.integer.copy_(choice.formats.integer)
        self.price.copy_(price)
        self.cost.copy_(choice.cost)

    def remembered(self, tables: list[ChannelTable]) -> list[tuple[Tensor, Tensor]]:
        """Give the errors of channels that are kept, at first those of now."""
        if not self.errors:
            self.errors = [
                (a.clone(), b.clone()) for a, b in (t.errors for t in tables)
            ]
        return self.errors

    @torch.no_grad()
    def evaluate(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Give the cross-entropy and the accuracy of every network, shape (K,) each."""
        logits, _, _ = forward(self.shape, *self.snapped(), self.formats, x)
        log_p = torch.log_softmax(logits, -1)
        loss = -log_p[:, torch.arange(len(y), device=y.device), y].mean(1)
        return loss, (logits.argmax(-1) == y).float().mean(1)

    def replace_worst(self, loss: Tensor) -> None:
        """Let the quarter of the highest loss go on from that of the lowest."""
        order, some = loss.argsort(), len(loss) // 4
        best, worst = order[:some], order[len(loss) - some :]
        formats = vars(self.formats).values()
        state = (self.parameters, self.first, self.second, self.curvature, self.price)
        for tensor in (*state, self.cost, *formats):
            tensor[worst] = tensor[best]

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
        progress: Called after every look with the epoch, the trainer and the
            validation accuracies; ends the ramp by returning True.
        clock: Epoch → part of the ramp that is done, 0 to 1; by default by epochs.

    Returns:
        The archive.
    """
    ramp, device = trainer.ramp, trainer.x.device
    clock = clock or (lambda epoch: epoch / ramp.epochs)
    k, samples = len(ramp.rates), len(trainer.x)
    archive = new_archive(k, (ramp.last, ramp.second), device)
    generator = torch.Generator(device=device).manual_seed(ramp.seed)
    budget = torch.zeros(k, device=device)
    drawn = torch.zeros(ramp.sample, dtype=torch.long, device=device)
    step = compiled(trainer.step, device, is_fused=True)
    exact = compiled(lambda: trainer.reallocate(budget, drawn, True), device)
    near = compiled(lambda: trainer.reallocate(budget, drawn, False), device)
    steps = met = 0
    for epoch in range(ramp.epochs):
        part = clock(epoch)
        order = torch.randperm(samples, generator=generator, device=device)
        trainer.factor.fill_(ramp.decay**part)
        budget.fill_(ramp.budget(part))
        for start in range(0, samples - ramp.batch + 1, ramp.batch):
            if steps % ramp.every == 0:
                drawn.copy_(order.roll(ramp.batch - start)[: ramp.sample])
                (near if steps >= EXACT * ramp.every else exact)()
            trainer.rows.copy_(order[start : start + ramp.batch])
            step()
            steps += 1
        if epoch % ramp.judged:
            continue
        loss, accuracy = trainer.evaluate(x_validation, y_validation)
        archive.offer(loss, accuracy, trainer.cost, trainer.snapshot())
        if part * (ramp.rivalries + 1) >= met + 1:
            trainer.replace_worst(loss)
            met += 1
        if progress(epoch, trainer, accuracy):
            break
    return archive


def settle(
    trainer: Trainer,
    x_validation: Tensor,
    y_validation: Tensor,
    epochs: int,
    clock: Callable[[int], float] | None = None,
) -> dict[str, Tensor]:
    """Train on with all formats fixed, the step size falling to 0 by half a cosine.

    Args:
        trainer: The networks; those of ``resume`` for example.
        x_validation: Shape (samples, inputs).
        y_validation: Classes.
        epochs: Passes over the training sample at most.
        clock: Epoch → part that is done; by default by epochs.

    Returns:
        ``snapshot`` of every network where its loss in validation was the lowest.
    """
    ramp, device = trainer.ramp, trainer.x.device
    clock = clock or (lambda epoch: epoch / epochs)
    generator = torch.Generator(device=device).manual_seed(ramp.seed)
    step = compiled(trainer.step, device, is_fused=True)
    lowest, _ = trainer.evaluate(x_validation, y_validation)
    kept = {name: value.clone() for name, value in trainer.snapshot().items()}
    for epoch in range(epochs):
        part = clock(epoch)
        if part >= 1:
            break
        trainer.factor.fill_(0.5 * (1 + math.cos(math.pi * part)))
        order = torch.randperm(len(trainer.x), generator=generator, device=device)
        for rows in torch.split(order, ramp.batch):
            if len(rows) == ramp.batch:
                trainer.rows.copy_(rows)
                step()
        loss, _ = trainer.evaluate(x_validation, y_validation)
        is_better = loss < lowest
        lowest = torch.where(is_better, loss, lowest)
        for name, value in trainer.snapshot().items():
            kept[name] = torch.where(is_better.unsqueeze(1), value, kept[name])
    return kept


def resume(trainer: Trainer, rows: dict[str, Tensor], rate: float) -> None:
    """Put networks of an archive into a trainer, weights on the grids that they need.

    Args:
        trainer: Of as many networks.
        rows: What ``snapshot`` gave, shape (K, elements) each.
        rate: Adam's step size from now on.
    """
    weight, fraction = rows["weight"], rows["fraction"]
    finest = WEIGHT_FRACTIONS[-1] + 2
    bits = torch.full_like(weight, float(finest))
    for f in range(finest - 1, WEIGHT_FRACTIONS[0] - 1, -1):
        scaled = weight * 2.0**f
        bits = torch.where(scaled == scaled.round(), float(f), bits)
    trainer.formats.weight.copy_(bits)
    trainer.formats.alive.copy_(weight.ne(0))
    trainer.formats.fraction.copy_(fraction)
    trainer.formats.integer.copy_(rows["integer"])
    trainer.rates.fill_(rate)
    for tensor in (trainer.first, trainer.second, trainer.count):
        tensor.zero_()
    half = half_steps(trainer.shape, trainer.formats)
    trainer.parameters.copy_(torch.cat([weight, rows["bias"] - half], 1))


def compiled(
    function: Callable[[], None], device: torch.device, is_fused: bool = False
) -> Callable[[], None]:
    """Record a function as one CUDA graph; on a CPU it is returned as it is.

    Args:
        function: Works on the same tensors at every call; its first calls count.
        device: Where.
        is_fused: Whether elementwise operations are compiled into few kernels first.

    Returns:
        What does the same.
    """
    if device.type != "cuda":
        return function
    if is_fused:
        function = torch.compile(function, fullgraph=True, dynamic=False)
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
