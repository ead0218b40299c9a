"""The oracle of the curvature is autograd's own Hessian, weight by weight."""

import numpy as np
import torch

from hawq.training.ladder import Formats, Shape, curvature, forward

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
