"""Training repeats exactly, survives a kill, stops early, and learns."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from hawq.errors import InputError
from hawq.model import train as module
from hawq.model.train import Plan, Sample, evaluate, train

PLAN = Plan(
    epochs=6, batch_size=32, learning_rate=0.02, weight_decay=0.0, patience=9, threads=1
)


class Killed(BaseException):
    """What a kill looks like from inside."""


def _sample(samples: int, seed: int) -> Sample:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, 4, generator=generator)
    noise = 0.3 * torch.randn(samples, generator=generator)
    return Sample(x, (x[:, 0] * x[:, 1] + noise > 0).long() + (x[:, 2] > 1).long())


def _network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return nn.Sequential(
            nn.Linear(4, 16),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(16, 3),
        )


def _kill_after(epochs: int) -> Callable[[str, float], None]:
    def progress(what: str, fraction: float) -> None:
        if fraction >= epochs / PLAN.epochs:
            raise Killed

    return progress


@pytest.fixture(autouse=True)
def _checkpoint_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.0)


def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    sample, validation = _sample(300, 1), _sample(100, 2)
    whole = _network()
    history, best = train(whole, sample, validation, PLAN, seed=3)
    checkpoint = tmp_path / "checkpoint.pt"
    for epochs in (2, 3, 5):
        with pytest.raises(Killed):
            train(
                _network(), sample, validation, PLAN, 3, checkpoint, _kill_after(epochs)
            )
    resumed = _network()
    done: list[float] = []
    again = train(
        resumed, sample, validation, PLAN, 3, checkpoint, lambda _, f: done.append(f)
    )
    assert done == [1.0]
    assert again == (history, best)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_best_weights_from_before_a_kill_are_kept(tmp_path: Path) -> None:
    sample = _sample(300, 1)
    flipped = Sample(sample.x, 2 - sample.y)
    whole, resumed = _network(), _network()
    history, best = train(whole, sample, flipped, PLAN, seed=3)
    assert best < 3
    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(Killed):
        train(_network(), sample, flipped, PLAN, 3, checkpoint, _kill_after(3))
    assert train(resumed, sample, flipped, PLAN, 3, checkpoint) == (history, best)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_seed_decides_everything() -> None:
    sample, validation = _sample(300, 1), _sample(100, 2)
    first, again, other = (
        train(_network(), sample, validation, PLAN, seed)[0] for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


def test_global_random_state_and_threads_are_left_alone() -> None:
    before = torch.get_rng_state(), torch.get_num_threads()
    train(_network(), _sample(64, 1), _sample(32, 2), PLAN, seed=3)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]


def test_best_epoch_is_kept() -> None:
    sample, validation = _sample(300, 1), _sample(100, 2)
    network = _network()
    history, best = train(network, sample, validation, PLAN, seed=3)
    losses = [epoch.validation_loss_nats for epoch in history]
    assert losses[best - 1] == min(losses)
    logits = evaluate(network, validation.x)
    assert nn.functional.cross_entropy(logits, validation.y).item() == min(losses)
    assert not network.training


def test_it_learns() -> None:
    network = _network()
    plan = replace(PLAN, epochs=30, patience=30, batch_size=128)
    train(network, _sample(2000, 1), _sample(500, 2), plan, seed=3)
    test = _sample(2000, 5)
    right = (evaluate(network, test.x).argmax(1) == test.y).float().mean().item()
    # Guessing the commonest class is right in 43 %; the noise allows about 88 %.
    assert right > 0.75


def test_early_stopping() -> None:
    sample = _sample(64, 1)
    flipped = Sample(sample.x, 2 - sample.y)
    plan = replace(PLAN, epochs=200, patience=5)
    history, best = train(_network(), sample, flipped, plan, seed=3)
    assert len(history) == best + 5


def test_learning_rate_falls_as_half_a_cosine() -> None:
    history, _ = train(_network(), _sample(64, 1), _sample(32, 2), PLAN, seed=3)
    rates = [epoch.learning_rate for epoch in history]
    # Two steps an epoch; the last step of epoch 3 is the 6th of 12, step 5 of 0..11.
    expected = 0.02 * (0.5 + 0.5 * torch.cos(torch.tensor(torch.pi * 5 / 12))).item()
    assert rates[2] == pytest.approx(expected, rel=1e-6)
    assert rates == sorted(rates, reverse=True)


def test_last_batch_of_one_sample_does_not_break_batch_norm() -> None:
    history, _ = train(_network(), _sample(65, 1), _sample(32, 2), PLAN, seed=3)
    assert len(history) == PLAN.epochs


def test_checkpoint_of_another_plan_is_not_used(tmp_path: Path) -> None:
    sample, validation = _sample(300, 1), _sample(100, 2)
    checkpoint = tmp_path / "checkpoint.pt"
    train(_network(), sample, validation, PLAN, 3, checkpoint)
    other = replace(PLAN, learning_rate=0.01)
    with_checkpoint = train(_network(), sample, validation, other, 3, checkpoint)
    assert with_checkpoint == train(_network(), sample, validation, other, 3)


def test_damaged_checkpoint_is_not_used(tmp_path: Path) -> None:
    sample, validation = _sample(300, 1), _sample(100, 2)
    checkpoint = tmp_path / "checkpoint.pt"
    train(_network(), sample, validation, PLAN, 3, checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    again = train(_network(), sample, validation, PLAN, 3, checkpoint)
    assert again == train(_network(), sample, validation, PLAN, 3)


def test_divergence_is_told() -> None:
    plan = replace(PLAN, learning_rate=1e38)
    message = (
        r"^training diverged: the loss of epoch \d is nan nats \(validation nan\) at "
        r"learning_rate 1e\+38: try a lower one$"
    )
    with pytest.raises(InputError, match=message):
        train(_network(), _sample(64, 1), _sample(32, 2), plan, seed=3)
