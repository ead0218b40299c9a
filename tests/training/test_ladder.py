"""The oracle of the curvature is autograd's own Hessian, weight by weight."""

import numpy as np
import torch

from hawq.training.ladder import (
    Formats,
    Shape,
    curvature,
    forward,
    gradient,
    snapped_weights,
)

SHAPE = Shape((3, 4, 3))


def test_curvature_is_the_diagonal_of_the_hessian():
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(1, SHAPE.weights, generator=generator)
    bias = torch.randn(1, SHAPE.biases, generator=generator)
    x = torch.randn(64, 3, generator=generator)
    y = torch.randint(3, (64,), generator=generator)
    formats = Formats(
        torch.full_like(weight, 20.0),
        torch.ones_like(weight),
        torch.full((1, SHAPE.channels), 12.0),
        torch.full((1, SHAPE.channels), 6.0),
    )

    def loss(row):
        logits, _, _ = forward(SHAPE, row.unsqueeze(0), bias, formats, x)
        return torch.nn.functional.cross_entropy(logits[0], y)

    # Rounding of activations passes gradients straight, so the Hessian is that of the
    # network without it.
    hessian = torch.autograd.functional.hessian(loss, weight[0])
    found, _, _ = curvature(SHAPE, weight, bias, formats, x)
    np.testing.assert_allclose(found[0], hessian.diagonal(), rtol=2e-3, atol=1e-6)


def test_gradient_is_that_of_autograd_through_the_roundings():
    generator = torch.Generator().manual_seed(4)
    weight = torch.randn(2, SHAPE.weights, generator=generator, requires_grad=True)
    bias = torch.randn(2, SHAPE.biases, generator=generator, requires_grad=True)
    x = torch.randn(64, 3, generator=generator)
    goal = torch.softmax(torch.randn(64, 3, generator=generator), -1)
    formats = Formats(
        torch.full_like(weight, 2.0).detach(),
        (weight > -1).float(),  # some are pruned
        torch.full((2, SHAPE.channels), 1.0),
        torch.full((2, SHAPE.channels), 1.0),  # many saturate
    )
    snapped = snapped_weights(weight, formats)
    logits, _, _ = forward(SHAPE, snapped, bias, formats, x)
    loss = -(goal * torch.log_softmax(logits, -1)).sum(-1).mean(1)
    expected = torch.autograd.grad(loss.sum(), (weight, bias))
    found_loss, found = gradient(SHAPE, snapped, bias, formats, x, goal)
    np.testing.assert_allclose(found_loss.detach(), loss.detach(), rtol=1e-6)
    # Sums of 64 samples in another order.
    np.testing.assert_allclose(found, torch.cat(expected, 1), rtol=1e-4, atol=1e-7)
