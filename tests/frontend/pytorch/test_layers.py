from __future__ import annotations

import pytest
import torch
from torch import nn

from hawq.frontend.pytorch.layers import (
    Add,
    Concat,
    GlobalAverage,
    Permute,
    Rearrange,
    objection,
)


def test_layers_of_our_own():
    x = torch.arange(48.0).reshape(2, 3, 4, 2)
    assert torch.equal(Add()(x, x), 2 * x)
    assert torch.equal(Concat(1)(x, x), torch.cat([x, x], 1))
    assert torch.equal(Rearrange(4, 6)(x), x.reshape(2, 4, 6))
    assert torch.equal(Permute(0, 2, 3, 1)(x), x.permute(0, 2, 3, 1))
    torch.testing.assert_close(GlobalAverage(2)(x), x.mean((2, 3)))


@pytest.mark.parametrize("slope", [0.5, 0.25, 3 / 128, 2.0**-16, 1.0, 0.0])
def test_dyadic_slope_is_carried(slope):
    assert objection(nn.LeakyReLU(slope)) is None


@pytest.mark.parametrize("slope", [0.01, 0.1, 2.0**-17, -0.5, 1.5])
def test_other_slope_is_not(slope):
    assert "expected n/2^k" in (objection(nn.LeakyReLU(slope)) or "")


def test_subclass_is_another_layer():
    class Mine(nn.ReLU):
        def forward(self, x):
            return super().forward(x) + 1

    assert (objection(Mine()) or "").startswith("is not carried: use Linear, ")
