import pytest
import torch
from torch import nn

from hawq.sensitivity.piecewise import (
    operations,
    parameter_uses,
    piecewise_linear_ports,
)
from hawq.sensitivity.tape import evaluating, record


def _linear_ports(model, *shape):
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    with evaluating(model):
        tape = record(model, x)
        return piecewise_linear_ports(tape, operations(tape))


def test_everything_before_a_smooth_activation_is_curved():
    model = nn.Sequential(
        nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 2)
    )
    assert _linear_ports(model, 3) == {"3", "4"}


@pytest.mark.parametrize(
    "activation",
    [nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.Hardtanh, nn.Hardsigmoid],
)
def test_piecewise_linear_activations(activation):
    model = nn.Sequential(nn.Linear(3, 4), activation(), nn.Linear(4, 2))
    assert _linear_ports(model, 3) == {"input", "0", "1", "2"}


@pytest.mark.parametrize(
    "activation", [nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.Hardswish]
)
def test_smooth_activations(activation):
    model = nn.Sequential(nn.Linear(3, 4), activation(), nn.Linear(4, 2))
    assert _linear_ports(model, 3) == {"1", "2"}


def test_convolutions_pools_and_batch_norm_are_piecewise_linear():
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True),
        nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Conv2d(4, 3, 1, groups=1), nn.ReLU(),
        nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2),
    )  # fmt: skip
    ports = {"input", "0", "2", "5", "6", "10"}
    assert _linear_ports(model, 2, 8, 8) == ports


class Forward(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.a, self.act, self.b = nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3)
        self.function = function

    def forward(self, x):
        return self.function(self, x)


def _residual(m, x):
    h = m.act(m.a(x))
    return m.b(h) + h - x


def _gated(m, x):
    return m.act(m.a(x)) * m.b(x)


def _divided_by(m, x):
    return m.b(x) / (2 + m.act(m.a(x)))


def _constant_over(m, x):
    return 1 / (2 + m.act(m.a(x)))


def _attention(m, x):
    return (m.a(x) @ m.b(x).T) @ x


def _smooth_branch(m, x):
    return m.a(x).tanh() + m.b(x)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (_residual, {"input", "a", "act", "b"}),
        (_gated, {"a", "act", "b"}),  # curved in x, which both factors hold
        (_divided_by, {"b"}),
        (_constant_over, set()),
        (_attention, {"a", "b"}),
        (_smooth_branch, {"b"}),
    ],
)
def test_products_and_branches(function, expected):
    assert _linear_ports(Forward(function), 3) == expected


def test_a_softmax_at_the_end_is_curved():
    assert not _linear_ports(nn.Sequential(nn.Linear(3, 2), nn.Softmax(1)), 3)


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0]


def test_an_unknown_operation_counts_as_curved():
    assert not _linear_ports(Forward(lambda m, x: Square.apply(m.a(x))), 3)


def test_a_long_chain_is_walked_without_recursion():
    model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(2000)))
    assert len(_linear_ports(model, 2)) == 2001


def test_uses_of_shared_parameters_are_counted():
    def twice(m, x):
        return m.a(m.act(m.a(x))) + nn.functional.linear(x, m.b.weight) @ m.b.weight

    model = Forward(twice)
    with evaluating(model):
        uses = parameter_uses(operations(record(model, torch.ones(2, 3))))
    assert uses[id(model.a.weight)] == 2
    assert uses[id(model.a.bias)] == 2
    assert uses[id(model.b.weight)] == 2
    assert id(model.b.bias) not in uses
