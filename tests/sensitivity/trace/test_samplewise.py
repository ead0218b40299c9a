import numpy as np
import pytest
import torch
from torch import nn

from hawq.sensitivity.hessian import hessian_trace
from hawq.sensitivity.trace.samplewise import Stop

SEEDS = 200


@pytest.fixture
def smooth(build):
    return build(
        nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)
    )


@pytest.fixture
def convolutions(build):
    return build(
        nn.Conv1d(2, 3, 2, padding=1), nn.SiLU(), nn.Linear(5, 2), nn.Tanh(),
        nn.Flatten(), nn.Linear(6, 3),
    )  # fmt: skip


def _fixed(model, batch, seed, probes, **options):
    return hessian_trace(
        model, [batch], None, seed, relative_error=1e-12, max_probes=probes, **options
    )


def _pulls(model, batch, dense, probes, **options):
    """(found - true) / stated error, shape (seeds, sites), of the sites with errors."""
    maps = [_fixed(model, batch, seed, probes, **options) for seed in range(SEEDS)]
    names = [e.site.name for e in maps[0].sites if e.probe_error > 1e-12]
    truth = {
        name: float(dense(model, *batch, name).diagonal().mean()) for name in names
    }
    return names, np.array([
        [(each[name].score - truth[name]) / each[name].probe_error for name in names]
        for each in maps
    ])


@pytest.mark.parametrize("options", [{}, {"route": "stochastic"}])
def test_coverage_of_the_error(smooth, data, dense, options):
    names, pulls = _pulls(smooth, data(24, (4,), 3), dense, 4, **options)
    assert {"input", "0.weight", "0.bias", "1"} <= set(names)
    # Four binomial standard deviations of 200 seeds.
    for limit, share in ((1, 0.683), (2, 0.954)):
        inside = (np.abs(pulls) < limit).mean(0)
        tolerance = 4 * np.sqrt(share * (1 - share) / SEEDS)
        np.testing.assert_allclose(inside, share, atol=tolerance)
    assert (np.abs(pulls.mean(0)) < 4 / np.sqrt(SEEDS)).all()


def test_coverage_with_several_positions(convolutions, data, dense):
    names, pulls = _pulls(convolutions, data(24, (2, 4), 3), dense, 4)
    assert names == ["input", "0.weight", "0.bias", "1", "2.weight", "2.bias"]
    for limit, share in ((1, 0.683), (2, 0.954)):
        inside = (np.abs(pulls) < limit).mean(0)
        tolerance = 4 * np.sqrt(share * (1 - share) / SEEDS)
        np.testing.assert_allclose(inside, share, atol=tolerance)


@pytest.mark.parametrize("options", [{}, {"loss": nn.CrossEntropyLoss()}])
def test_agreement_within_three_errors_over_twenty_seeds(smooth, data, dense, options):
    batch = data(40, (4,), 3)
    names = ["input", "0.weight", "0.bias", "1", "2.weight", "2.bias", "3", "4.weight"]
    truth = [float(dense(smooth, *batch, name).diagonal().mean()) for name in names]
    maps = [_fixed(smooth, batch, seed, 32, **options) for seed in range(20)]
    scores = np.array([[each[name].score for name in names] for each in maps])
    errors = np.array([[each[name].probe_error for name in names] for each in maps])
    away = np.abs(scores - truth) / (errors + 1e-9)
    # Of 160 draws 0.4 are expected beyond 3 errors; 3 or more have a chance of 1 %.
    assert np.sum(away > 3) <= 2
    assert away.max() < 4


def test_the_diagonal_is_unbiased(smooth, data, dense):
    batch = data(24, (4,), 3)
    maps = [_fixed(smooth, batch, seed, 4) for seed in range(60)]
    for name in ("input", "0.weight", "0.bias", "1"):
        truth = dense(smooth, *batch, name).diagonal().reshape(maps[0][name].site.shape)
        drawn = np.array([each[name].element for each in maps])
        error = drawn.std(0, ddof=1) / np.sqrt(60)
        assert (np.abs(drawn.mean(0) - truth.numpy()) < 5 * error).all()
        channel = drawn.reshape(60, len(truth), -1).mean(2)
        np.testing.assert_allclose(channel[0], maps[0][name].channel)


def test_signs_have_no_variance_before_the_last_activation(smooth, data, dense):
    batch = data(24, (4,), 3)
    found = _fixed(smooth, batch, 0, 3)["2.weight"]
    truth = dense(smooth, *batch, "2.weight").diagonal().reshape(4, 5)
    np.testing.assert_allclose(found.element, truth, rtol=1e-9, atol=1e-12)
    assert found.probe_error < 1e-7 * found.score  # differences of squares round


def test_the_remainder_is_easier_to_probe_than_the_hessian(smooth, data):
    batch = data(200, (4,), 3)
    split = _fixed(smooth, batch, 0, 16)
    whole = _fixed(smooth, batch, 0, 16, route="stochastic")
    for name in ("2.weight", "2.bias", "3", "4.weight"):
        assert split[name].probe_error < 0.1 * whole[name].probe_error


@pytest.mark.parametrize("options", [{}, {"relative_error": 0.1, "max_probes": 64}])
def test_draws_do_not_depend_on_how_many_are_propagated_at_once(
    convolutions, data, options
):
    x, y = data(30, (2, 4), 3)
    batches = [(x[:11], y[:11]), (x[11:], y[11:])]
    one, many = (
        hessian_trace(
            convolutions,
            batches,
            seed=7,
            probe_batch=size,
            **({"relative_error": 1e-12, "max_probes": 9} | options),
        )
        for size in (1, 4)
    )
    assert one.probes == many.probes
    for a, b in zip(one.sites, many.sites, strict=True):
        # Rounding of float64 products of other shapes.
        np.testing.assert_allclose(a.score, b.score, rtol=1e-10)
        np.testing.assert_allclose(a.probe_error, b.probe_error, rtol=1e-6, atol=1e-15)
        np.testing.assert_allclose(a.element, b.element, rtol=1e-9, atol=1e-14)


def test_probing_some_sites_draws_the_same_as_probing_all(smooth, data):
    batch = data(24, (4,), 3)
    every = _fixed(smooth, batch, 3, 8)
    wanted = [every["1"].site]
    some = hessian_trace(smooth, [batch], wanted, 3, relative_error=1e-12, max_probes=8)
    np.testing.assert_allclose(some["1"].score, every["1"].score, rtol=1e-10)


def test_probing_stops_when_the_error_is_reached(smooth, data):
    x, _ = data(300, (4,), 3)
    y = smooth(x).detach() + 0.1  # near the minimum no trace is close to zero
    options = {"loss": "squared", "route": "stochastic", "max_probes": 4096}
    coarse = hessian_trace(smooth, [(x, y)], relative_error=0.05, **options)
    fine = hessian_trace(smooth, [(x, y)], relative_error=0.01, **options)
    assert 2 <= coarse.probes < fine.probes < 4096
    for entry in fine.sites:
        assert entry.probe_error <= 0.01 * entry.score


def test_the_schedule_doubles_up_to_the_limit():
    assert list(Stop(0.1, 20, 4).schedule(3)) == [3, 6, 12, 20]
    assert list(Stop(0.1, 2, 4).schedule(3)) == [2]


def test_errors_from_samples_leave_the_probes_out(smooth, data):
    batch = data(400, (4,), 3)
    few = _fixed(smooth, batch, 0, 2, route="stochastic")
    many = _fixed(smooth, batch, 1, 256, route="stochastic")
    for name in ("0.weight", "2.weight", "4.weight"):
        np.testing.assert_allclose(
            few[name].sample_error, many[name].sample_error, rtol=0.2
        )
    assert few["4.bias"].probe_error > 5 * many["4.bias"].probe_error


def test_several_batches_count_samples(smooth, data):
    x, y = data(60, (4,), 3)
    batches = [(x[:10], y[:10]), (x[10:], y[10:])]
    found = hessian_trace(smooth, batches, seed=2, max_probes=256, relative_error=1e-3)
    whole = hessian_trace(smooth, [(x, y)], seed=3, max_probes=256, relative_error=1e-3)
    for a, b in zip(found.sites, whole.sites, strict=True):
        error = np.hypot(a.probe_error, b.probe_error)
        assert abs(a.score - b.score) < 4 * error + 1e-9
    np.testing.assert_allclose(
        torch.tensor(found.loss_nats), torch.tensor(whole.loss_nats)
    )
