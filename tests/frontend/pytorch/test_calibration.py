"""Which tensors are rounded, and to what."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hawq.errors import DataError
from hawq.fixed import FixedPoint, Overflow
from hawq.frontend.pytorch.calibration import (
    choose_formats,
    exponents,
    never_negative,
    rounded,
)
from hawq.frontend.pytorch.trace import trace_network


class Skip(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4, bias=False)
        self.b = nn.Linear(4, 4, bias=False)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.b(self.relu(self.a(x))) + x)


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 4, 3)
        self.pool = nn.MaxPool1d(2)
        self.flat = nn.Flatten()
        self.fc = nn.Linear(12, 2)

    def forward(self, x):
        return self.fc(self.flat(self.pool(self.conv(x))))


def steps_of(network, *shape):
    return trace_network(network.double().eval(), shape)


def test_sums_of_a_residual_branch_are_not_rounded():
    assert rounded(steps_of(Skip(), 4)) == {"input", "relu", "relu_2"}


def test_a_layer_reads_what_is_rounded_once():
    # The convolution's own sums stay; what leaves pool and flatten is read.
    assert rounded(steps_of(Pooled(), 2, 8)) == {"input", "flat"}


def test_logits_stay_exact():
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    assert rounded(steps_of(network, 4)) == {"input", "relu_1"}


def test_formats_span_the_values():
    network = nn.Sequential(nn.Linear(2, 1, bias=False), nn.ReLU())
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, -0.5]]))
    steps = steps_of(network, 2)
    samples = torch.tensor([[-2.0, 0.0], [1.75, 1.0]], dtype=torch.float64)
    formats = choose_formats(steps, samples, 4)
    assert formats == {
        "input": FixedPoint(True, 4, 2),  # -8/4 to 7/4
        "linear_0.weight": FixedPoint(
            True, 4, 2, overflow=Overflow.SATURATE_SYMMETRIC
        ),  # -7/4 to 7/4: 7/8 is below 1
        "relu_1": FixedPoint(False, 4, 1),  # up to 1.25
    }
    assert exponents(steps, formats) == {"input": -2, "relu_1": -3}


def test_input_that_is_never_negative_is_unsigned():
    steps = steps_of(nn.Sequential(nn.Linear(2, 1)), 2)
    samples = torch.rand(20, 2, dtype=torch.float64)
    assert not choose_formats(steps, samples, 8)["input"].signed


def test_sign_of_a_rare_sample_counts():
    steps = steps_of(nn.Sequential(nn.Linear(1, 1)), 1)
    samples = torch.ones(3000, 1, dtype=torch.float64)
    samples[1] = -1
    assert choose_formats(steps, samples, 8)["input"].signed


@pytest.mark.parametrize(
    ("layer", "unsigned"),
    [
        (nn.ReLU(), True),
        (nn.ReLU6(), True),
        (nn.Hardtanh(0, 1), True),
        (nn.Hardtanh(-2, -1), False),
        (nn.Hardtanh(-1, 1), True),  # of what never is negative
        (nn.LeakyReLU(0.5), True),
        (nn.AvgPool1d(2), True),
        (nn.Flatten(), True),
        (nn.Linear(4, 4), False),
    ],
)
def test_what_never_is_negative(layer, unsigned):
    steps = steps_of(nn.Sequential(layer), 2, 4)
    assert never_negative(steps, input_is=True) == (
        {"input", steps[0].name} if unsigned else {"input"}
    )


def test_sums_whose_samples_are_positive_are_signed():
    # Other inputs could make them negative: their bound, not the samples, decides.
    network = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    with torch.no_grad():
        network[0].weight.fill_(1.0)
        network[0].bias.fill_(0.0)
    steps = steps_of(network, 1)
    formats = choose_formats(steps, torch.ones(9, 1, dtype=torch.float64), 8)
    assert formats["linear_0"].signed


def test_a_unit_that_never_fires_has_a_format():
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        network[0].weight.zero_()
        network[0].bias.fill_(-1)
    steps = steps_of(network, 2)
    formats = choose_formats(steps, torch.randn(9, 2, dtype=torch.float64), 8)
    np.testing.assert_array_equal(formats["relu_1"].quantize(np.zeros(3)), 0)


def test_values_that_are_no_numbers_are_refused():
    steps = steps_of(nn.Sequential(nn.Linear(2, 1)), 2)
    message = r"^input: 1 of 2 values are NaN or infinite: a scale needs finite values$"
    with pytest.raises(DataError, match=message):
        choose_formats(steps, torch.tensor([[1.0, np.nan]], dtype=torch.float64), 8)


def test_many_samples_are_thinned_evenly():
    steps = steps_of(nn.Sequential(nn.Linear(1, 1)), 1)
    samples = torch.linspace(-1, 0, 5000, dtype=torch.float64)[:, None]
    thin = choose_formats(steps, samples[torch.arange(0, 5000, 4)], 8)
    assert choose_formats(steps, samples, 8) == thin
