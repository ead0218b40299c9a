import numpy as np
import pytest
import torch
from torch import nn

from hawq.sensitivity import blocks
from hawq.sensitivity.blocks import GaussNewtonBlock, HessianBlock
from hawq.sensitivity.problem import pose
from hawq.sensitivity.tape import evaluating


def _networks(build):
    return {
        "relu": (build(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)), (4,)),
        "gelu": (build(nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 3)), (4,)),
        "conv": (
            build(
                nn.Conv2d(2, 4, 2, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
            ),
            (2, 3, 3),
        ),
    }


def _posed(model, x, y):
    return pose(model, [(x[:5], y[:5]), (x[5:], y[5:])], None, 0, "cross_entropy")


@pytest.mark.parametrize("name", ["relu", "gelu", "conv"])
@pytest.mark.parametrize("probe_batch", [1, 4])
def test_hessian_blocks_are_the_dense_hessian(build, data, dense, name, probe_batch):
    model, shape = _networks(build)[name]
    x, y = data(70, shape, 3)
    with evaluating(model):
        problem = _posed(model, x, y)
        for site in problem.sites:
            block = HessianBlock(problem, site, probe_batch)
            found = block.product(np.eye(block.dimension))
            expected = dense(model, x, y, site.name)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("chunk", [1, 200, 1 << 20])
@pytest.mark.parametrize("name", ["relu", "conv"])
def test_gauss_newton_blocks_are_the_dense_hessian(
    build, data, dense, monkeypatch, name, chunk
):
    monkeypatch.setattr(blocks, "_CHUNK_ELEMENTS", chunk)
    model, shape = _networks(build)[name]
    x, y = data(20, shape, 3)
    with evaluating(model):
        problem = _posed(model, x, y)
        for site in problem.sites:
            block = GaussNewtonBlock(problem, site)
            found = block.product(np.eye(block.dimension))
            expected = dense(model, x, y, site.name)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("site", ["0.weight", "0.bias", "1", "input"])
def test_the_error_is_the_spread_of_the_samples(build, data, dense, site):
    model, _ = _networks(build)["relu"]
    x, y = data(64, (4,), 3)
    with evaluating(model):
        problem = _posed(model, x, y)
        found = next(s for s in problem.sites if s.name == site)
        v = np.random.default_rng(0).standard_normal((1, found.elements))
        exact = GaussNewtonBlock(problem, found).sample_error(v)
        grouped = HessianBlock(problem, found, 8).sample_error(v)
    t = torch.from_numpy(v[0])
    each = torch.stack([
        t @ dense(model, x[n : n + 1], y[n : n + 1], site) @ t for n in range(64)
    ])
    assert exact == pytest.approx(float(each.std() / 8), rel=1e-9)
    # Thirty-odd groups know their spread to an eighth.
    assert grouped == pytest.approx(exact, rel=0.5)


def test_a_linear_loss_has_no_curvature(build, data):
    def mean(f, y):
        return f.mean()

    model = build(nn.Linear(3, 2))
    with evaluating(model):
        problem = pose(model, [data(6, (3,), 2)], None, 0, mean)
        block = HessianBlock(problem, problem.sites[1], 2)
        assert not block.product(np.eye(6)).any()
