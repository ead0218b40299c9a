import numpy as np
import pytest
import torch
from torch import nn

from hawq.errors import InputError
from hawq.fixed import FixedPoint
from hawq.records import SensitivityMap
from hawq.sensitivity.hessian import hessian_trace
from hawq.sensitivity.validate import Validation, spanning_format, validate


@pytest.fixture
def least_squares():
    """A linear model at its minimum, where the second order is all there is."""
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0)).double()
    model = nn.Sequential(nn.Linear(4, 3)).double()
    y = x @ torch.randn(4, 3, generator=torch.Generator().manual_seed(1)).double()
    y += torch.randn(200, 3, generator=torch.Generator().manual_seed(2))
    design = torch.cat([x, torch.ones(200, 1)], 1)
    solution = torch.linalg.lstsq(design, y).solution
    model[0].weight.data, model[0].bias.data = solution[:-1].T, solution[-1]
    return model, [(x[:60], y[:60]), (x[60:], y[60:])]


def test_a_quadratic_rises_as_predicted(least_squares):
    model, batches = least_squares
    found = hessian_trace(model, batches, loss="squared")
    result = validate(model, batches, found, (3, 4, 6), loss="squared")
    assert (result.samples, len(result.trials)) == (200, 9)
    x = torch.cat([x for x, _ in batches])
    for trial in result.trials:
        assert trial.predicted_by_element_nats is not None
        if trial.site == "0.bias":
            # Its block is diagonal: the prediction is exact.
            predicted = trial.predicted_by_element_nats
            assert trial.measured_nats == pytest.approx(predicted, rel=1e-9)
        if trial.site != "input":
            assert abs(trial.gradient_nats) < 1e-12
    (trial,) = [t for t in result.trials if (t.site, t.bits) == ("0.weight", 4)]
    grid = trial.format
    w = model[0].weight.detach()
    moved = torch.from_numpy(grid.dequantize(grid.quantize(w.numpy())))
    rise = (x @ (moved - w).T).square().sum(1).mean()  # exact at the minimum
    assert trial.measured_nats == pytest.approx(float(rise), rel=1e-9)
    assert trial.perturbation == pytest.approx(float((moved - w).square().sum()))


def test_the_network_is_left_as_it_was(least_squares):
    model, batches = least_squares
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    found = hessian_trace(model, batches, loss="squared")
    validate(model.train(), batches, found, (2, 3), loss="squared")
    assert model.training
    torch.testing.assert_close(model.state_dict(), kept, rtol=0, atol=0)
    assert not model._forward_pre_hooks
    assert not model[0]._forward_hooks


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.act = nn.Linear(3, 4), nn.Linear(4, 3), nn.ReLU()

    def forward(self, x):
        return self.act(self.b(self.act(self.a(x)))) + 0.5


def test_only_the_call_that_the_site_names_is_quantized(data):
    torch.manual_seed(0)
    model = Twice().double()
    x, y = data(50, (3,), 3)
    found = hessian_trace(model, [(x, y)])
    wanted = [found["act"], found["act#2"]]
    some = found.model_copy(update={"sites": tuple(wanted)})
    result = validate(model, [(x, y)], some, (2, 3))
    with torch.no_grad():
        hidden = model.act(model.a(x))
        last = model.act(model.b(hidden))
        loss = nn.functional.cross_entropy(last + 0.5, y)
        grid = spanning_format(last.numpy(), 3)
        moved = torch.from_numpy(grid.dequantize(grid.quantize(last.numpy())))
        rise = nn.functional.cross_entropy(moved + 0.5, y) - loss
    trial = result.trials[3]
    assert (trial.site, trial.bits) == ("act#2", 3)
    assert trial.measured_nats == pytest.approx(float(rise), rel=1e-9)
    squares = (moved - last).square().sum(1).mean()
    assert trial.perturbation == pytest.approx(float(squares))
    assert trial.predicted_nats == pytest.approx(
        0.5 * wanted[1].score * trial.perturbation
    )


def test_sensitive_sites_are_told_from_robust_ones(build, data):
    model = build(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4))
    x, _ = data(4000, (6,), 4)
    with torch.no_grad():
        p = model(x).softmax(1)  # labels of the model's own: a minimum of the loss
    y = torch.multinomial(p, 1, generator=torch.Generator().manual_seed(0))[:, 0]
    found = hessian_trace(model, [(x, y)])
    right = validate(model, [(x, y)], found, (3, 4, 5, 6))
    assert right.rank_correlation > 0.9
    scores = [entry.score for entry in found.sites]
    order = np.argsort(np.argsort(scores))
    upside_down = sorted(scores, reverse=True)
    wrong = found.model_copy(
        update={
            "sites": tuple(
                entry.model_copy(update={"score": upside_down[i]})
                for i, entry in zip(order, found.sites, strict=True)
            )
        }
    )
    reversed_order = validate(model, [(x, y)], wrong, (3, 4, 5, 6))
    assert reversed_order.rank_correlation < right.rank_correlation - 0.2


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 1.0], FixedPoint(False, 4, 1)),
        ([0.1, 0.99], FixedPoint(False, 4, 0)),
        ([-1.0, 0.5], FixedPoint(True, 4, 2)),
        ([0.0, 0.0], FixedPoint(False, 4, 0)),
        ([0.001, 0.0], FixedPoint(False, 4, -9)),
    ],
)
def test_formats_span_the_values(values, expected):
    assert spanning_format(np.array(values), 4) == expected


def test_a_validation_survives_the_disk(least_squares, tmp_path):
    model, batches = least_squares
    found = hessian_trace(model, batches, loss="squared")
    result = validate(model, batches, found, (3,), loss="squared")
    result.save(tmp_path / "validation.json")
    text = (tmp_path / "validation.json").read_text()
    assert Validation.model_validate_json(text) == result


@pytest.mark.parametrize(
    ("bits", "message"),
    [
        (
            (1, 4),
            r"^2 widths from 1 bits at 3 sites: a rank correlation needs three trials "
            r"or more, of 2 bits or more$",
        ),
        (
            (),
            r"^0 widths from 0 bits at 3 sites: a rank correlation needs three trials "
            r"or more, of 2 bits or more$",
        ),
    ],
)
def test_too_few_trials_are_refused(least_squares, bits, message):
    model, batches = least_squares
    found: SensitivityMap = hessian_trace(model, batches, loss="squared")
    with pytest.raises(InputError, match=message):
        validate(model, batches, found, bits, loss="squared")
