"""Float training: seeded, early stopping, resumable with the same result."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hawq.errors import InputError
from hawq.model.record import Epoch
from hawq.paths import atomic_file
from hawq.stage import Progress, silent

CHECKPOINT_SECONDS = 2.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        epochs: At most so many passes over the training sample.
        batch_size: Samples a step.
        learning_rate: Of Adam at the start; it falls to 0 as half a cosine.
        weight_decay: Decoupled, a step and unit of learning rate.
        patience: Stop after so many epochs without a lower validation loss.
        threads: Of PyTorch. Results repeat exactly for an equal number only.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    patience: int
    threads: int


@dataclass(frozen=True)
class Sample:
    """Network inputs and labels.

    Attributes:
        x: Shape (samples, ...), what the network takes.
        y: int64, shape (samples,).
    """

    x: Tensor
    y: Tensor


@dataclass
class _State:
    network: nn.Module
    optimizer: torch.optim.Optimizer
    shuffle: torch.Generator
    history: list[Epoch]
    best: dict[str, Tensor]
    best_epoch: int = 0

    def save(self, path: Path, key: dict[str, Any]) -> None:
        content = {
            "key": key,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "shuffle": self.shuffle.get_state(),
            "random": torch.get_rng_state(),
            "history": [epoch.model_dump() for epoch in self.history],
            "best": self.best,
            "best_epoch": self.best_epoch,
        }
        with atomic_file(path) as temporary:
            torch.save(content, temporary)

    def load(self, path: Path, key: dict[str, Any]) -> None:
        if not path.is_file():
            return
        try:
            content = torch.load(path, weights_only=True)
        except (RuntimeError, EOFError, UnpicklingError) as error:
            logger.warning("%s is damaged, training starts anew: %s", path, error)
            return
        if content["key"] != key:
            logger.info("%s is of another plan, training starts anew", path)
            return
        self.network.load_state_dict(content["network"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.shuffle.set_state(content["shuffle"])
        torch.set_rng_state(content["random"])
        self.history = [Epoch(**epoch) for epoch in content["history"]]
        self.best = content["best"]
        self.best_epoch = content["best_epoch"]
        logger.info("training goes on after epoch %d", len(self.history))


def train(
    network: nn.Module,
    sample: Sample,
    validation: Sample,
    plan: Plan,
    seed: int,
    checkpoint: Path | None = None,
    progress: Progress = silent,
) -> tuple[list[Epoch], int]:
    """Train a classifier by cross-entropy with Adam.

    Args:
        network: Its weights are changed; at the end they are those of the epoch with
            the lowest validation loss, in evaluation mode.
        sample: To train on.
        validation: To stop by.
        plan: How.
        seed: Of shuffling and dropout.
        checkpoint: Written after an epoch, every few seconds; if it is there, training
            goes on from it and ends with the bits it would have had uninterrupted.
        progress: Told each epoch's loss and accuracy.

    Returns:
        The history and the best epoch, counted from 1.

    Raises:
        InputError: if the loss stops being a number.
    """
    key = {**asdict(plan), "seed": seed, "samples": len(sample.y)}
    with _reproducible(plan.threads, seed):
        optimizer = torch.optim.AdamW(
            network.parameters(),
            lr=plan.learning_rate,
            weight_decay=plan.weight_decay,
            fused=True,
        )
        shuffle = torch.Generator().manual_seed(seed)
        state = _State(network, optimizer, shuffle, [], {})
        if checkpoint:
            state.load(checkpoint, key)
        saved = time.monotonic()
        while not _is_over(state, plan):
            epoch = _run_epoch(state, sample, validation, plan)
            number = len(state.history) + 1
            if not math.isfinite(epoch.train_loss_nats + epoch.validation_loss_nats):
                raise InputError(
                    f"training diverged: the loss of epoch {number} is "
                    f"{epoch.train_loss_nats} nats (validation "
                    f"{epoch.validation_loss_nats}) at learning_rate "
                    f"{plan.learning_rate:g}: try a lower one"
                )
            state.history.append(epoch)
            _keep_best(state)
            if checkpoint and time.monotonic() - saved >= CHECKPOINT_SECONDS:
                state.save(checkpoint, key)
                saved = time.monotonic()
            progress(
                f"epoch {number} of {plan.epochs}: validation loss "
                f"{epoch.validation_loss_nats:.4f}, accuracy "
                f"{epoch.validation_accuracy:.4f}",
                number / plan.epochs,
            )
    network.load_state_dict(state.best)
    network.eval()
    return state.history, state.best_epoch


def evaluate(network: nn.Module, x: Tensor, batch_size: int = 16_384) -> Tensor:
    """Run a network in evaluation mode.

    Args:
        network: Left in evaluation mode.
        x: Shape (samples, ...).
        batch_size: Samples at once; bounds the memory.

    Returns:
        Its outputs, shape (samples, ...).
    """
    network.eval()
    with torch.no_grad():
        return torch.cat([network(part) for part in torch.split(x, batch_size)])


@contextmanager
def _reproducible(threads: int, seed: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)


def _is_over(state: _State, plan: Plan) -> bool:
    done = len(state.history)
    return done >= plan.epochs or done - state.best_epoch >= plan.patience


def _keep_best(state: _State) -> None:
    losses = [epoch.validation_loss_nats for epoch in state.history]
    if losses[-1] == min(losses) and losses.count(losses[-1]) == 1:
        state.best = copy.deepcopy(state.network.state_dict())
        state.best_epoch = len(losses)


def _run_epoch(state: _State, sample: Sample, validation: Sample, plan: Plan) -> Epoch:
    samples = len(sample.y)
    steps = math.ceil(samples / plan.batch_size)
    order = torch.randperm(samples, generator=state.shuffle)
    x, y = sample.x[order], sample.y[order]
    state.network.train()
    total = 0.0
    # Parts of equal size: a last batch of one sample would break batch norm.
    parts = zip(x.tensor_split(steps), y.tensor_split(steps), strict=True)
    for step, (inputs, labels) in enumerate(parts, start=len(state.history) * steps):
        rate = 0.5 + 0.5 * math.cos(math.pi * step / (plan.epochs * steps))
        for group in state.optimizer.param_groups:
            group["lr"] = plan.learning_rate * rate
        state.optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(state.network(inputs), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()
        total += loss.item() * len(labels)
    logits = evaluate(state.network, validation.x)
    return Epoch(
        learning_rate=plan.learning_rate * rate,
        train_loss_nats=total / samples,
        validation_loss_nats=cross_entropy(logits, validation.y).item(),
        validation_accuracy=(logits.argmax(1) == validation.y).float().mean().item(),
    )
