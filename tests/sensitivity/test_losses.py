import pytest
import torch
from torch import nn
from torch.nn import functional

from hawq.errors import DataError, NetworkError
from hawq.sensitivity.losses import (
    check_targets,
    curvature_columns,
    loss_sum,
    output_gradient,
    sample_losses,
    separates,
)

OUTPUTS = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).double()
LABELS = torch.tensor([0, 3, 1, 1, 2])
TARGETS = torch.arange(20.0, dtype=torch.float64).reshape(5, 4)


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_columns_of_cross_entropy_factor_its_hessian(scale):
    columns = curvature_columns("cross_entropy", scale * OUTPUTS)
    assert columns.shape == (3, 5, 4)
    for n in range(5):
        hessian = torch.autograd.functional.hessian(
            lambda f, n=n: functional.cross_entropy(f, LABELS[n]), scale * OUTPUTS[n]
        )
        s = columns[:, n].T
        torch.testing.assert_close(s @ s.T, hessian, rtol=1e-12, atol=1e-14)


def test_columns_of_the_squared_loss_factor_twice_the_identity():
    s = curvature_columns("squared", OUTPUTS)[:, 2].T
    torch.testing.assert_close(s @ s.T, 2 * torch.eye(4, dtype=torch.float64))


def test_one_class_has_no_curvature():
    columns = curvature_columns("cross_entropy", OUTPUTS[:, :1])
    assert columns.shape == (1, 5, 1)
    assert not columns.any()


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        ("cross_entropy", LABELS),
        ("squared", TARGETS),
        (nn.CrossEntropyLoss(label_smoothing=0.2), LABELS),
        (nn.MSELoss(), TARGETS),
    ],
)
def test_sum_samples_and_gradient_agree(loss, y):
    free = OUTPUTS.clone().requires_grad_()
    each = sample_losses(loss, free, y)
    torch.testing.assert_close(each.sum(), loss_sum(loss, free, y))
    (expected,) = torch.autograd.grad(each.sum(), free)
    torch.testing.assert_close(output_gradient(loss, OUTPUTS, y), expected)


def test_squared_sums_over_outputs():
    each = sample_losses("squared", OUTPUTS, TARGETS)
    torch.testing.assert_close(each, ((OUTPUTS - TARGETS) ** 2).sum(1))


def test_a_mean_over_samples_separates():
    assert separates("cross_entropy", OUTPUTS, LABELS)
    assert separates(nn.CrossEntropyLoss(), OUTPUTS, LABELS)


def test_a_maximum_over_samples_does_not_separate():
    def worst(f, y):
        return functional.cross_entropy(f, y, reduction="none").max()

    assert not separates(worst, OUTPUTS, LABELS)


@pytest.mark.parametrize(
    ("loss", "outputs", "y", "error", "message"),
    [
        (
            "hinge",
            OUTPUTS,
            LABELS,
            NetworkError,
            r"^loss 'hinge': expected one of cross_entropy, squared, or a callable "
            r"\(outputs, y\) -> scalar$",
        ),
        (
            "squared",
            OUTPUTS,
            LABELS,
            DataError,
            r"^squared loss: y is torch.int64 of shape \(5,\), expected floats of the "
            r"outputs' shape \(5, 4\)$",
        ),
        (
            "cross_entropy",
            OUTPUTS[:, :, None],
            LABELS,
            NetworkError,
            r"^cross_entropy: the network's output has the shape \(5, 4, 1\), expected "
            r"logits of shape \(samples, classes\); pass a callable loss for others$",
        ),
        (
            "cross_entropy",
            OUTPUTS,
            TARGETS,
            DataError,
            r"^cross_entropy: y is torch.float64 of shape \(5, 4\), expected int64 "
            r"class indices of shape \(5,\)$",
        ),
        (
            "cross_entropy",
            OUTPUTS,
            LABELS + 1,
            DataError,
            r"^cross_entropy: labels from 1 to 4, expected 0 to 3: the network has 4 "
            r"outputs$",
        ),
    ],
)
def test_targets_that_do_not_fit_are_refused(loss, outputs, y, error, message):
    with pytest.raises(error, match=message):
        check_targets(loss, outputs, y)
