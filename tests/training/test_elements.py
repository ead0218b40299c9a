import numpy as np
import pytest
import torch

from hawq.training.elements import Ramp, Trainer, resume, settle, train
from hawq.training.ladder import Shape

SHAPE = Shape((4, 8, 3))


def blobs(samples, seed):
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(3, (samples,), generator=generator)
    centres = torch.tensor([[2.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 2.0, 0]])
    return centres[y] + 0.5 * torch.randn(samples, 4, generator=generator), y


def run(epochs=60):
    x, y = blobs(512, 1)
    ramp = Ramp(epochs, batch=64, first=2000, second=600, last=40, sample=256)
    one_hot = torch.nn.functional.one_hot(y, 3).float()
    trainer = Trainer(SHAPE, ramp, x, one_hot, one_hot)
    costs = []

    def progress(_, trainer, accuracy):
        costs.append(trainer.cost.item())
        return False

    return train(trainer, *blobs(256, 2), progress), costs


def test_the_budget_falls_log_linearly_to_the_last():
    ramp = Ramp(100, first=1000, second=800, last=50, warm=0.1)
    assert ramp.budget(0.0) == pytest.approx(1000)
    assert ramp.budget(0.1) == pytest.approx(800)
    assert ramp.budget(1.0) == pytest.approx(50)
    assert ramp.budget(0.55) == pytest.approx((800 * 50) ** 0.5)


def test_the_ramp_meets_its_budgets_and_learns():
    archive, costs = run()
    # The price follows the budget, so the cost lags a little behind; from 600 to 40.
    assert costs[-1] <= 80
    filled = archive.validation >= 0
    assert filled.sum() >= 10
    assert archive.validation.max().item() > 0.9
    cheap = filled & (archive.cost <= 150)
    assert archive.validation[cheap].max().item() > 0.8  # chance is 0.33


def test_the_same_seed_gives_the_same_networks():
    first, second = run(8)[0], run(8)[0]
    np.testing.assert_array_equal(first.tensors["weight"], second.tensors["weight"])


def trainer_of(networks):
    x, y = blobs(512, 1)
    one_hot = torch.nn.functional.one_hot(y, 3).float()
    ramp = Ramp(1, batch=64, rates=(2e-3,) * networks, soft=(0.0,) * networks)
    return Trainer(SHAPE, ramp, x, one_hot, one_hot)


def test_a_pruned_weight_stays_where_it_is():
    trainer = trainer_of(1)
    trainer.formats.alive[0, 5] = 0
    before = trainer.parameters.clone()
    trainer.step()
    trainer.step()
    moved = (trainer.parameters != before)[0]
    assert not moved[5]
    assert moved[: SHAPE.weights].sum() > 10


def test_settling_moves_no_format_and_does_not_raise_the_loss():
    trainer, judge = trainer_of(2), blobs(256, 2)
    rows = {name: value.clone() for name, value in trainer.snapshot().items()}
    rows["weight"][:, ::3] = 0
    resume(trainer, rows, 1e-3)
    start, _ = trainer.evaluate(*judge)
    found = settle(trainer, *judge, epochs=4)
    resume(trainer, found, 1e-3)
    end, _ = trainer.evaluate(*judge)
    assert (end < start).all()
    assert not found["weight"][:, ::3].any()
    for name in ("fraction", "integer"):
        np.testing.assert_array_equal(found[name], rows[name])


def test_the_worst_quarter_goes_on_from_the_best():
    trainer = trainer_of(4)
    before = trainer.parameters.clone()
    trainer.replace_worst(torch.tensor([3.0, 1.0, 4.0, 2.0]))
    np.testing.assert_array_equal(trainer.parameters, before[[0, 1, 1, 3]])
