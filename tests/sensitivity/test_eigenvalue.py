import numpy as np
import pytest
import torch
from torch import nn

from hawq.sensitivity import eigenvalue
from hawq.sensitivity.eigenvalue import largest, top_eigenvalue
from hawq.testing import check_sensitivity_source


class Dense:
    def __init__(self, matrix):
        self.matrix, self.dimension, self.spent = matrix, len(matrix), 0

    def product(self, vectors):
        self.spent += len(vectors)
        return vectors @ self.matrix

    def sample_error(self, vectors):
        return 0.0


def _symmetric(dimension, seed=0):
    a = np.random.default_rng(seed).standard_normal((dimension, dimension))
    return (a + a.T) / 2


def test_keeps_the_contract():
    check_sensitivity_source(top_eigenvalue)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.GELU])
@pytest.mark.parametrize("dense_limit", [0, 256])
def test_every_block_against_the_dense_hessian(
    build, data, dense, monkeypatch, activation, dense_limit
):
    monkeypatch.setattr(eigenvalue, "_DENSE", dense_limit)
    model = build(
        nn.Linear(4, 6), activation(), nn.Linear(6, 5), activation(), nn.Linear(5, 3)
    )
    x, y = data(40, (4,), 3)
    batches = [(x[:13], y[:13]), (x[13:], y[13:])]
    found = top_eigenvalue(model, batches, relative_error=1e-9)
    assert found.route == ("exact" if activation is nn.ReLU else "stochastic")
    for entry in found.sites:
        truth = torch.linalg.eigvalsh(dense(model, x, y, entry.site.name))[-1]
        assert entry.score == pytest.approx(float(truth), rel=1e-9)
        assert entry.probe_error <= 1e-9 * entry.score
        assert entry.sample_error > 0


def test_lanczos_finds_the_largest_not_the_widest():
    matrix = np.diag(np.r_[np.linspace(-9, -1, 299), 2.0])
    found = largest(Dense(matrix), 1e-8, 1000, np.random.default_rng(0))
    assert found.value == pytest.approx(2.0, rel=1e-12)
    assert abs(found.vector[-1]) == pytest.approx(1.0, rel=1e-9)
    assert found.products < 150


def test_the_residual_bounds_the_error():
    matrix = _symmetric(400)
    truth = np.linalg.eigvalsh(matrix)
    for limit in (10, 20, 40):
        block = Dense(matrix)
        found = largest(block, 1e-12, limit, np.random.default_rng(1))
        assert block.spent == found.products == limit
        vector = found.vector
        residual = np.linalg.norm(matrix @ vector - found.value * vector)
        assert found.residual == pytest.approx(residual, rel=1e-6)
        assert np.abs(truth - found.value).min() <= found.residual


def test_lanczos_stops_at_the_tolerance():
    loose, tight = (
        largest(Dense(_symmetric(300)), tolerance, 300, np.random.default_rng(0))
        for tolerance in (1e-1, 1e-6)
    )
    assert loose.products < tight.products < 300
    assert tight.residual <= 1e-6 * tight.value


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_a_block_of_low_rank_ends_early(rank):
    basis = np.eye(300)[:rank]
    found = largest(Dense(2 * basis.T @ basis), 1e-9, 300, np.random.default_rng(0))
    assert found.value == pytest.approx(2.0 * bool(rank), abs=1e-12)
    assert found.products <= rank + 2


def test_errors_from_samples_cover(build, data):
    model = build(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3))
    x, y = data(20_000, (3,), 3)
    truth = top_eigenvalue(model, [(x, y)])
    pulls = np.array([
        [
            (a.score - b.score) / a.sample_error
            for a, b in zip(found.sites, truth.sites, strict=True)
        ]
        for found in (
            top_eigenvalue(model, [(x[i : i + 400], y[i : i + 400])])
            for i in range(0, 20_000, 400)
        )
    ])
    # Four binomial standard deviations of 50; the largest of noisy blocks lies high.
    tolerance = 4 * np.sqrt(0.954 * 0.046 / 50)
    assert ((np.abs(pulls) < 2).mean(0) > 0.954 - tolerance).all()
