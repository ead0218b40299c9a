import numpy as np
import pytest
import torch
from torch import nn

from hawq.sensitivity import columns
from hawq.sensitivity.columns import accumulate, sample_chunks, summarise
from hawq.sensitivity.losses import output_gradient
from hawq.sensitivity.problem import pose
from hawq.sensitivity.tape import evaluating


def _gradient(loss):
    return lambda outputs, y: output_gradient(loss, outputs, y)[None]


def _by_loops(model, x, y, name):
    """Squares of the gradients of single samples by a parameter, one by one."""
    squares = []
    for n in range(len(x)):
        value = nn.functional.cross_entropy(model(x[n : n + 1]), y[n : n + 1])
        (gradient,) = torch.autograd.grad(value, model.get_parameter(name))
        squares.append(gradient**2)
    return torch.stack(squares)


@pytest.fixture
def convolutions(build):
    return build(
        nn.Conv2d(2, 4, 3, groups=2), nn.Tanh(), nn.Conv2d(4, 3, 2, padding=1),
        nn.Tanh(), nn.Flatten(2), nn.Linear(9, 2), nn.Flatten(), nn.Linear(6, 3),
    ).eval()  # fmt: skip


@pytest.mark.parametrize("chunk", [1, 1 << 22])
def test_squares_of_single_gradients(convolutions, data, monkeypatch, chunk):
    monkeypatch.setattr(columns, "_CHUNK_ELEMENTS", chunk)
    x, y = data(7, (2, 4, 4), 3)
    with evaluating(convolutions):
        problem = pose(
            convolutions, [(x[:2], y[:2]), (x[2:], y[2:])], None, 0, "cross_entropy"
        )
        found, loss = accumulate(problem, problem.sites, _gradient("cross_entropy"))
    mean = nn.functional.cross_entropy(convolutions(x), y).item()
    assert loss == pytest.approx(mean, rel=1e-12)
    for name, _ in convolutions.named_parameters():
        squares = _by_loops(convolutions, x, y, name)
        torch.testing.assert_close(found[name].element, squares.sum(0))
        torch.testing.assert_close(
            torch.cat(found[name].trace), squares.flatten(1).sum(1)
        )


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.act = nn.Linear(3, 3), nn.Tanh()

    def forward(self, x):
        return self.a(self.act(self.a(x)))


def test_gradients_of_a_layer_called_twice_are_added_before_they_are_squared(data):
    model = Twice().double()
    x, y = data(5, (3,), 3)
    with evaluating(model):
        problem = pose(model, [(x, y)], None, 0, "cross_entropy")
        found, _ = accumulate(problem, problem.sites, _gradient("cross_entropy"))
    for name in ("a.weight", "a.bias"):
        expected = _by_loops(model, x, y, name).sum(0)
        torch.testing.assert_close(found[name].element, expected)


def test_summary_of_known_numbers(build, data):
    model = build(nn.Linear(2, 2))
    with evaluating(model):
        problem = pose(model, [data(3, (2,), 2)], None, 0, "cross_entropy")
    site = problem.sites[1]
    curvature = columns.Curvature()
    curvature.add(torch.tensor([1.0, 2.0]), torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    curvature.add(torch.tensor([6.0]), torch.tensor([[0.0, 3.0], [3.0, 0.0]]))
    (entry,) = summarise([site], {site.name: curvature}, {site.name: 0.5})
    assert entry.score == pytest.approx(3 / 4)  # mean trace 3, four elements
    assert entry.probe_error == pytest.approx(0.5 / 4)
    # Variance of 1, 2, 6 is 7; the probes' share of 7/3 is 1/4.
    assert entry.sample_error == pytest.approx((7 / 3 - 0.25) ** 0.5 / 4)
    np.testing.assert_allclose(entry.element, [[1 / 3, 1], [1, 2 / 3]])
    np.testing.assert_allclose(entry.channel, [2 / 3, 5 / 6])


def test_chunks_cover_the_samples(monkeypatch):
    monkeypatch.setattr(columns, "_CHUNK_ELEMENTS", 10)
    assert sample_chunks(5, 4) == [slice(0, 2), slice(2, 4), slice(4, 6)]
    assert sample_chunks(2, 100) == [slice(0, 1), slice(1, 2)]
