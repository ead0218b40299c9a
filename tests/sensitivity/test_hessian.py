import numpy as np
import pytest
import torch
from torch import nn

from hawq.errors import InputError
from hawq.records import SensitivityMap
from hawq.sensitivity.hessian import hessian_trace
from hawq.sensitivity.sites import find_sites
from hawq.testing import check_sensitivity_source


def _assert_exact(model, x, y, dense, loss="cross_entropy"):
    """Every site's trace, channels and diagonal against the dense Hessian."""
    third = len(x) // 3
    batches = [(x[:third], y[:third]), (x[third:], y[third:])]
    found = hessian_trace(model, batches, loss=loss)
    assert (found.route, found.probes) == ("exact", 0)
    assert [e.site for e in found.sites] == list(find_sites(model, x))
    for entry in found.sites:
        diagonal = dense(model, x, y, entry.site.name, loss).diagonal()
        shaped = diagonal.reshape(entry.site.shape).numpy()
        np.testing.assert_allclose(entry.element, shaped, rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(entry.score, shaped.mean(), rtol=1e-9)
        channel = shaped.reshape(len(shaped), -1).mean(1)
        np.testing.assert_allclose(entry.channel, channel, rtol=1e-9, atol=1e-14)
        assert entry.probe_error == 0


def test_keeps_the_contract():
    check_sensitivity_source(hessian_trace)


def test_a_relu_network_is_exact(build, data, dense):
    model = build(
        nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 16), nn.LeakyReLU(0.2),
        nn.Linear(16, 5),
    )  # fmt: skip
    assert sum(p.numel() for p in model.parameters()) == 893
    _assert_exact(model, *data(40, (16,), 5), dense)


def test_two_classes_are_exact(build, data, dense):
    model = build(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    _assert_exact(model, *data(12, (3,), 2), dense)


def test_the_squared_loss_is_exact(build, data, dense):
    model = build(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
    x, _ = data(30, (5,), 3)
    y, _ = data(30, (3,), 3, seed=1)
    _assert_exact(model, x, y, dense, "squared")


def test_batch_norm_in_evaluation_is_exact(build, data, dense):
    model = build(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)
    ).train()
    model[1].running_mean.normal_(generator=torch.Generator().manual_seed(0))
    model[1].running_var.fill_(0.3)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    x, y = data(21, (4,), 3)
    found = hessian_trace(model, [(x, y)])
    assert model[1].training
    torch.testing.assert_close(model.state_dict(), kept, rtol=0, atol=0)
    truth = dense(model, x, y, "0.weight").diagonal().reshape(6, 4)
    np.testing.assert_allclose(found["0.weight"].element, truth, rtol=1e-9)
    _assert_exact(model, x, y, dense)


CONVOLUTIONS = {
    "plain": ((nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 3)), (5, 5)),
    "inplace": (
        (nn.Conv2d(2, 3, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(27, 3)),
        (5, 5),
    ),
    "deep": (
        (
            nn.Conv2d(2, 4, 3, padding=1, stride=2, groups=2, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU6(),
            nn.MaxPool2d(2, 1),
            nn.Conv2d(4, 3, (1, 3), padding="same", dilation=2),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(3, 3),
        ),
        (6, 6),
    ),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_are_exact(build, data, dense, name):
    layers, shape = CONVOLUTIONS[name]
    _assert_exact(build(*layers), *data(15, (2, *shape), 3), dense)


def test_positions_of_linear_and_conv1d_are_exact(build, data, dense):
    model = build(
        nn.Conv1d(2, 3, 3), nn.ReLU(), nn.Linear(4, 2), nn.ReLU(), nn.Flatten(),
        nn.Linear(6, 3),
    )  # fmt: skip
    _assert_exact(model, *data(15, (2, 6), 3), dense)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.r1, self.r2 = nn.ReLU(), nn.ReLU()

    def forward(self, x):
        h = self.r1(self.a(x))
        h = h + self.r2(self.b(h))
        return self.c(h)


def test_residual_branches_are_exact(build, data, dense):
    model = build(Residual())[0]
    _assert_exact(model, *data(20, (4,), 3), dense)


class Tied(Residual):
    def forward(self, x):
        h = self.r1(self.a(x))
        return self.c(self.r2(self.a(h)) + h)


def test_a_layer_called_twice_is_left_to_products(build, data, dense):
    model = build(Tied())[0]
    x, y = data(20, (4,), 3)
    found = hessian_trace(model, [(x, y)])
    assert found.route == "stochastic"
    # Its 16 weights take fewer products one by one than probes.
    assert found.probes == 16
    truth = dense(model, x, y, "a.weight").diagonal().reshape(4, 4)
    np.testing.assert_allclose(found["a.weight"].element, truth, rtol=1e-9)
    assert found["r1"].probe_error == 0


def test_linear_least_squares():
    x = torch.randn(50, 7, generator=torch.Generator().manual_seed(0)).double()
    y = torch.zeros(50, 2, dtype=torch.float64)
    found = hessian_trace(nn.Linear(7, 2).double(), [(x, y)], loss="squared")
    # H = 2 · 1 ⊗ XᵀX / N: trace 2 · 2 · ‖X‖² / N over 14 weights.
    expected = 4 * float(x.square().sum()) / 50 / 14
    assert found["weight"].score == pytest.approx(expected, rel=1e-12)
    assert found["bias"].score == pytest.approx(2, rel=1e-12)
    spread = (4 * x.square().sum(1) / 14).std() / 50**0.5
    assert found["weight"].sample_error == pytest.approx(float(spread), rel=1e-9)


def test_a_quadratic_of_the_input():
    scale = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)

    def loss(f, y):
        return 0.5 * (f**2 * scale).sum(1).mean()

    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).double()
    found = hessian_trace(nn.ReLU(), [(x.abs(), x)], loss=loss, max_probes=2)
    np.testing.assert_allclose(found["input"].element, scale)
    assert found["input"].probe_error < 1e-12
    assert found.route == "stochastic"


def test_a_smooth_network_takes_the_stochastic_route_by_itself(build, data, dense):
    model = build(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 3))
    x, y = data(40, (4,), 3)
    found = hessian_trace(model, [(x, y)])
    assert found.route == "stochastic"
    assert found.probes > 0
    assert found["2.weight"].probe_error == 0
    for entry in found.sites:
        truth = dense(model, x, y, entry.site.name).diagonal().mean()
        assert abs(entry.score - float(truth)) < 4 * entry.probe_error + 1e-9


@pytest.mark.parametrize("method", ["hutchinson", "hutchpp", "xtrace"])
def test_estimators_by_name(build, data, dense, method):
    model = build(nn.Linear(9, 8), nn.GELU(), nn.Linear(8, 3))
    x, y = data(40, (9,), 3)
    found = hessian_trace(model, [(x, y)], seed=1, method=method, max_probes=60)
    weight = found["0.weight"]
    assert (weight.element is not None) == (method == "hutchinson")
    truth = float(dense(model, x, y, "0.weight").diagonal().mean())
    assert 0 < abs(weight.score - truth) < 4 * weight.probe_error
    assert found.probes <= 60


def test_a_loss_that_does_not_separate_is_left_to_products(build, data, dense):
    def root(f, y):
        losses = nn.functional.cross_entropy(f, y, reduction="none")
        return losses.square().mean().sqrt()

    model = build(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3))
    x, y = data(20, (3,), 3)
    message = (
        r"^the loss of the batch is not the mean of the losses of its samples: give "
        r"two batches or more, whose spread tells the standard error$"
    )
    with pytest.raises(InputError, match=message):
        hessian_trace(model, [(x, y)], loss=root)
    found = hessian_trace(model, [(x, y), (x, y)], loss=root)
    truth = dense(model, x, y, "0.weight", root).diagonal().reshape(4, 3)
    np.testing.assert_allclose(found["0.weight"].element, truth, rtol=1e-9)
    assert found["0.weight"].sample_error == pytest.approx(0, abs=1e-12)


def test_methods_that_do_not_hold_are_refused(build, data):
    model = build(Tied())[0]
    message = (
        r"^the method samplewise needs a loss that is the mean over samples and layers "
        r"that are called once: use auto or hutchinson$"
    )
    with pytest.raises(InputError, match=message):
        hessian_trace(model, [data(8, (4,), 3)], method="samplewise")
    message = (
        r"^method 'guess': expected one of auto, samplewise, hutchinson, hutchpp, "
        r"xtrace$"
    )
    with pytest.raises(InputError, match=message):
        hessian_trace(model, [data(8, (4,), 3)], method="guess")


def test_the_map_survives_the_disk(build, data, tmp_path):
    model = build(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 3))
    found = hessian_trace(model, [data(10, (4,), 3)], max_probes=4)
    found.save(tmp_path / "record.json")
    read = SensitivityMap.read(tmp_path / "record.json")
    assert read.model_dump() == found.model_dump()
    np.testing.assert_array_equal(read["0.weight"].element, found["0.weight"].element)


def test_coverage_of_the_error_from_samples(build, data):
    model = build(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3))
    x, y = data(40_000, (3,), 3)
    truth = hessian_trace(model, [(x, y)])
    pulls = np.array([
        [
            (a.score - b.score) / a.sample_error
            for a, b in zip(found.sites, truth.sites, strict=True)
        ]
        for found in (
            hessian_trace(model, [(x[i : i + 100], y[i : i + 100])])
            for i in range(0, 40_000, 100)
        )
    ])
    # Four binomial standard deviations of 400 samples of 100.
    for limit, share in ((1, 0.683), (2, 0.954)):
        inside = (np.abs(pulls) < limit).mean(0)
        tolerance = 4 * np.sqrt(share * (1 - share) / 400)
        np.testing.assert_allclose(inside, share, atol=tolerance)


class Dead(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.unused, self.act = nn.Linear(3, 3), nn.Linear(3, 9), nn.GELU()

    def forward(self, x):
        self.act(self.unused(x))
        return self.act(self.a(x))


@pytest.mark.parametrize("options", [{}, {"method": "hutchinson", "max_probes": 9}])
def test_what_the_output_does_not_depend_on_has_no_curvature(data, options):
    model = Dead().double()
    found = hessian_trace(model, [data(10, (3,), 3)], **options)
    for name in ("unused.weight", "unused.bias", "act"):
        assert found[name].score == found[name].standard_error == 0
    assert found["a.weight"].score != 0


def test_progress_is_told(build, data):
    told = []
    model = build(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 3))
    x, y = data(8, (3,), 3)
    hessian_trace(
        model,
        [(x[:4], y[:4]), (x[4:], y[4:])],
        max_probes=9,
        relative_error=1e-12,
        progress=lambda what, fraction: told.append((what, fraction)),
    )
    assert told == [
        ("curvature columns", 0.5),
        ("curvature columns", 1.0),
        ("probes", 0.0),
    ]
