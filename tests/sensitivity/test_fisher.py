import numpy as np
import pytest
import torch
from torch import nn

from hawq.errors import InputError
from hawq.sensitivity.fisher import fisher
from hawq.sensitivity.hessian import hessian_trace
from hawq.testing import check_sensitivity_source


def test_keeps_the_contract():
    check_sensitivity_source(fisher)


@pytest.mark.parametrize(
    ("loss", "criterion"),
    [
        ("cross_entropy", nn.CrossEntropyLoss()),
        (nn.CrossEntropyLoss(label_smoothing=0.1),) * 2,
    ],
)
def test_squares_of_the_gradients_of_single_samples(build, data, loss, criterion):
    model = build(nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 3))
    x, y = data(9, (4,), 3)
    found = fisher(model, [(x[:2], y[:2]), (x[2:], y[2:])], loss=loss)
    assert (found.route, found.probes) == ("exact", 0)
    for name, parameter in model.named_parameters():
        squares = torch.stack([
            torch.autograd.grad(criterion(model(x[[n]]), y[[n]]), parameter)[0] ** 2
            for n in range(9)
        ])
        entry = found[name]
        np.testing.assert_allclose(entry.element, squares.mean(0), rtol=1e-9)
        each = squares.flatten(1).mean(1)
        assert entry.score == pytest.approx(float(each.mean()), rel=1e-9)
        assert entry.sample_error == pytest.approx(float(each.std() / 3), rel=1e-9)


def test_labels_drawn_from_the_model_give_the_hessian(build, data):
    model = build(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    x, _ = data(20_000, (4,), 3)
    with torch.no_grad():
        p = model(x).softmax(1)
    y = torch.multinomial(p, 1, generator=torch.Generator().manual_seed(0))[:, 0]
    information = fisher(model, [(x, y)])
    curvature = hessian_trace(model, [(x, y)])
    for a, b in zip(information.sites, curvature.sites, strict=True):
        assert abs(a.score - b.score) < 4 * a.sample_error


def test_a_loss_that_does_not_separate_is_refused(build, data):
    def worst(f, y):
        return nn.functional.cross_entropy(f, y, reduction="none").max()

    message = (
        r"^the Fisher information needs the gradient of each sample's loss, but the "
        r"loss of the batch is not the mean of the losses of its samples$"
    )
    with pytest.raises(InputError, match=message):
        fisher(build(nn.Linear(4, 3)), [data(9, (4,), 3)], loss=worst)
