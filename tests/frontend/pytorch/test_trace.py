"""What is not carried is refused, with the layer's name and the way out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hawq.errors import NetworkError
from hawq.frontend.pytorch.trace import trace_network


class Function(nn.Module):
    """A network of one function."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.gain = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return self.function(self, x)


def trace(network, *shape):
    return trace_network(network.double().eval(), shape)


LAYERS = [
    (nn.Softmax(2), r"\(Softmax\) has dim=2: use dim=-1$"),
    (nn.GELU(), r"\(GELU\) is not carried: use Linear, .*, Flatten, BatchNorm or Drop"),
    (nn.PReLU(), r"\(PReLU\) is not carried: use Linear, .*"),
    (
        nn.LeakyReLU(0.01),
        r"\(LeakyReLU\) has negative_slope=0\.01, expected n/2\^k from 0 to 1 with "
        r"k at most 16: use 1/128 = 0\.0078125$",
    ),
    (
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"),
        r"\(Conv2d\) has padding_mode='reflect': use 'zeros'$",
    ),
    (
        nn.MaxPool2d(2, ceil_mode=True),
        r"\(MaxPool2d\) has ceil_mode=True: use ceil_mode=False$",
    ),
    (
        nn.AvgPool2d(2, divisor_override=3),
        r"\(AvgPool2d\) has divisor_override: leave it out$",
    ),
    (
        nn.AdaptiveAvgPool2d((1, 2)),
        r"\(AdaptiveAvgPool2d\) has output_size=\(1, 2\): use 1, or AvgPool$",
    ),
    (
        nn.Hardtanh(0.0, 0.1),
        r"\(Hardtanh\) has the limit 0\.1, which is no float32: use one that is$",
    ),
    (
        nn.ConvTranspose2d(2, 2, 2),
        r"\(ConvTranspose2d\) is not carried: use Linear, .*",
    ),
]


@pytest.mark.parametrize(("layer", "message"), LAYERS, ids=lambda x: type(x).__name__)
def test_layer_is_refused_by_name(layer, message):
    with pytest.raises(NetworkError, match=r"^layer 'head\.1' " + message):
        trace(Head(layer), 2, 4, 4)


class Head(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.head = nn.Sequential(nn.ReLU(), layer)

    def forward(self, x):
        return self.head(x)


OPERATIONS = [
    (
        lambda s, x: torch.sin(x),
        r"operation 'sin' is not carried: write it as a layer of torch\.nn",
    ),
    (
        lambda s, x: torch.relu(x * 2),
        r"operation 'mul' is not carried: write it as a layer of torch\.nn",
    ),
    (
        lambda s, x: x + 1,
        r"operation 'add' is no sum of two tensors of one shape: use x \+ y",
    ),
    (
        lambda s, x: torch.add(x, x, alpha=2),
        r"operation 'add' is no sum of two tensors of one shape: use x \+ y",
    ),
    (
        lambda s, x: x + x[:, :1],
        r"operation 'getitem' is not carried: write it as a layer of torch\.nn",
    ),
    (
        lambda s, x: torch.cat([x, x], dim=0),
        r"operation 'cat' changes the batch: keep it the first axis",
    ),
    (
        lambda s, x: x + s.gain.expand(2, 4),
        r"operation 'expand' is not carried: write it as a layer of torch\.nn",
    ),
    (
        lambda s, x: x.reshape(-1),
        r"operation 'reshape' changes the batch: keep it the first axis",
    ),
    (
        lambda s, x: x.mean(),
        r"operation 'mean' is a mean over other axes than all behind the channels: use "
        r"AvgPool",
    ),
    (
        lambda s, x: F.dropout(x, 0.5),
        r"operation 'dropout' drops elements at random in evaluation too: pass "
        r"training=self\.training",
    ),
    (
        lambda s, x: x if x.sum() > 0 else -x,
        r"the forward of Function cannot be traced \(.*\): write it without "
        r"data-dependent control flow, its layers made in __init__",
    ),
    (
        lambda s, x: nn.ReLU()(x),
        r"the forward of Function cannot be traced \(module is not installed as a "
        r"submodule\): write it without data-dependent control flow, its layers made "
        r"in __init__",
    ),
    (
        lambda s, x: (torch.relu(x), x),
        r"the network returns a tuple, expected one tensor",
    ),
    (
        lambda s, x: x.contiguous(),
        r"the network computes nothing: its output is its input",
    ),
]


@pytest.mark.parametrize(("function", "message"), OPERATIONS)
def test_operation_is_refused_by_name(function, message):
    with pytest.raises(NetworkError, match=f"^{message}$"):
        trace(Function(function), 4)


def test_softmax_inside_is_refused():
    message = (
        r"^'softmax' is a Softmax inside the network, expected one that ends it: "
        r"integers have no exponential$"
    )
    with pytest.raises(NetworkError, match=message):
        trace(Function(lambda _, x: torch.relu(torch.softmax(x, dim=-1))), 4)


def test_two_inputs_are_refused():
    class Two(nn.Module):
        def forward(self, x, y):
            return x + y

    message = (
        r"^the forward of Two takes 2 tensors, expected 1: concatenate them before the "
        r"network$"
    )
    with pytest.raises(NetworkError, match=message):
        trace(Two(), 4)


def test_samples_of_another_shape_are_refused():
    message = r"^the network does not take samples of shape \(4,\): mat1 and mat2 .*$"
    with pytest.raises(NetworkError, match=message):
        trace(nn.Sequential(nn.Linear(3, 2)), 4)


@pytest.mark.parametrize(
    "function",
    [
        lambda s, x: torch.flatten(x, 1),
        lambda s, x: x.flatten(1),
        lambda s, x: x.view(x.shape[0], -1),
        lambda s, x: x.view(-1, 12),
        lambda s, x: x.reshape((x.size(0), 12)),
    ],
)
def test_view_and_flatten_are_carried(function):
    """hls4ml#1038, PR852: view was unknown, and Flatten silently skipped."""
    (step,) = trace(Function(function), 3, 2, 2)
    assert step.shape == (12,)
    x = torch.arange(24.0).reshape(2, 3, 2, 2)
    torch.testing.assert_close(step.module(x), x.flatten(1), rtol=0, atol=0)


FUNCTIONS = [
    (F.relu, nn.ReLU()),
    (torch.relu, nn.ReLU()),
    (lambda x: x.relu(), nn.ReLU()),
    (F.relu6, nn.ReLU6()),
    (lambda x: F.softmax(x, dim=-1), nn.Softmax(-1)),
    (lambda x: torch.softmax(x, 1), nn.Softmax(1)),
    (lambda x: F.hardtanh(x, -2, 3), nn.Hardtanh(-2, 3)),
    (lambda x: F.leaky_relu(x, 0.25), nn.LeakyReLU(0.25)),
    (lambda x: F.max_pool2d(x, 2), nn.MaxPool2d(2)),
    (lambda x: F.max_pool2d(x, 3, 1, 1), nn.MaxPool2d(3, 1, 1)),
    (lambda x: F.avg_pool2d(x, 2, padding=1), nn.AvgPool2d(2, padding=1)),
    (lambda x: F.avg_pool1d(x.flatten(2), 4), nn.AvgPool1d(4)),
    (lambda x: F.adaptive_avg_pool2d(x, 1), nn.AdaptiveAvgPool2d(1)),
    (lambda x: F.avg_pool2d(x, x.shape[2:]), nn.AvgPool2d(4)),
    (lambda x: F.adaptive_avg_pool1d(x.flatten(2), 1), nn.AdaptiveAvgPool1d(1)),
]


@pytest.mark.parametrize(("function", "layer"), FUNCTIONS)
def test_function_is_the_layer(function, layer):
    step = trace(Function(lambda _, x: function(x)), 2, 4, 4)[-1]
    assert type(step.module) is type(layer)
    x = torch.randn(2, 2, 16 if isinstance(layer, nn.AvgPool1d) else 4, 4) * 4
    x = x[..., 0] if type(layer).__name__.endswith("1d") else x
    torch.testing.assert_close(step.module(x), layer(x), rtol=0, atol=0)


def test_layer_that_gives_no_tensor_is_refused_by_name():
    message = r"^layer 'head\.1' \(LSTM\) is not carried: use Linear, "
    with pytest.raises(NetworkError, match=message):
        trace(Head(nn.LSTM(4, 3)), 3, 4)


def test_hooks_are_refused():
    network = Head(nn.ReLU())
    network.head.register_forward_hook(lambda *_: None)
    message = (
        r"^layer 'head' \(Sequential\) has forward hooks, which a file cannot hold: "
        r"remove them$"
    )
    with pytest.raises(NetworkError, match=message):
        trace(network, 4)


def test_names_that_others_are_made_of_are_not_given_twice():
    class Clash(nn.Module):
        def __init__(self):
            super().__init__()
            self.input = nn.Linear(4, 4)
            self.fc_product = nn.ReLU()
            self.fc = nn.Linear(4, 4)

        def forward(self, x):
            return self.fc(self.fc_product(self.input(x)))

    steps = trace(Clash(), 4)
    assert [step.name for step in steps] == ["input_2", "fc_product", "fc_2"]
    assert [step.inputs for step in steps] == [
        ("input",),
        ("input_2",),
        ("fc_product",),
    ]


def test_what_nothing_reads_is_left_out():
    (step,) = trace(Function(lambda _, x: (torch.relu(x), F.relu6(x))[0]), 4)
    assert step.name == "relu"
