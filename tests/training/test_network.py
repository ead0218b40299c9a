from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from hawq.errors import NetworkError
from hawq.fixed import FixedPoint, Overflow
from hawq.training.network import (
    quantize_network,
    rebuild,
    trained_formats,
)

FORMATS = {
    "input": FixedPoint(True, 6, 2),
    "fc1.weight": FixedPoint(True, 5, 0),
    "relu1": FixedPoint(False, 4, 1),
    "fc2.weight": FixedPoint(True, 4, 1, overflow=Overflow.SATURATE_SYMMETRIC),
}


def integers_of(network: nn.Sequential, features: np.ndarray) -> np.ndarray:
    """What the formats say the network computes, on int64."""
    formats = trained_formats(network)
    fraction = formats["input"].fraction
    x = formats["input"].quantize(features)
    for name, activation in (("fc1", "relu1"), ("fc2", None)):
        layer = network.get_submodule(name)
        form = formats[f"{name}.weight"]
        weight = form.quantize(layer.weight.detach().numpy())
        fraction += form.fraction
        wide = FixedPoint(True, 32, 32 - fraction)
        x = x @ weight.T + wide.quantize(layer.bias.detach().numpy())
        if activation:
            x = formats[activation].requantize(np.maximum(x, 0), fraction)
            fraction = formats[activation].fraction
    return x


def test_quantized_network_computes_the_integers_of_its_formats(
    small_float: nn.Sequential,
) -> None:
    network = quantize_network(small_float, FORMATS).eval()
    features = np.random.default_rng(0).normal(size=(500, 4)) * 2
    out = network.double()(torch.from_numpy(features)).detach().numpy()
    step = 2.0**-6  # relu1 and fc2.weight have 3 fraction bits each
    np.testing.assert_array_equal(out / step, integers_of(network, features))


@pytest.mark.parametrize("learned", [False, True])
def test_formats_read_back_are_those_given(
    small_float: nn.Sequential, learned: bool
) -> None:
    network = quantize_network(small_float, FORMATS, learned_scales=learned).eval()
    assert trained_formats(network) == FORMATS


def test_channel_scales_widen_the_common_grid(small_float: nn.Sequential) -> None:
    channels = {"fc1.weight": torch.tensor([0, -1, 0, -3, 0, 0])}
    network = quantize_network(small_float, FORMATS, channel_integers=channels).eval()
    assert trained_formats(network)["fc1.weight"] == FixedPoint(True, 8, 0)


def test_rebuilt_network_is_the_trained_one(small_float: nn.Sequential) -> None:
    torch.manual_seed(0)
    network = quantize_network(small_float, FORMATS, learned_scales=True)
    x, y = torch.randn(64, 4), torch.randint(3, (64,))
    optimizer = torch.optim.Adam(network.parameters(), 0.05)
    for _ in range(5):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    network.eval()
    again = rebuild(small_float, FORMATS, network.state_dict(), learned_scales=True)
    torch.testing.assert_close(again(x), network(x), rtol=0, atol=0)
    assert trained_formats(again) == trained_formats(network)


def test_training_reaches_every_weight(small_float: nn.Sequential) -> None:
    network = quantize_network(small_float, FORMATS)
    x, y = torch.randn(256, 4), torch.randint(3, (256,))
    nn.functional.cross_entropy(network(x), y).backward()
    for name in ("fc1", "fc2"):
        gradient = network.get_submodule(name).weight.grad
        assert gradient is not None
        assert torch.count_nonzero(gradient) == gradient.numel()


def test_unknown_layer_is_named() -> None:
    network = nn.Sequential(OrderedDict(fc1=nn.Linear(2, 2), act=nn.GELU()))
    message = (
        r"^layer 'act' is a GELU: quantization-aware training knows Linear and ReLU "
        r"\(batch norm is folded before\)$"
    )
    with pytest.raises(NetworkError, match=message):
        quantize_network(network, FORMATS)


def test_missing_format_is_named() -> None:
    network = nn.Sequential(OrderedDict(other=nn.Linear(2, 2)))
    message = (
        r"^no format for site 'other\.weight'; the allocation has: "
        r"input, fc1\.weight, relu1, fc2\.weight$"
    )
    with pytest.raises(NetworkError, match=message):
        quantize_network(network, FORMATS)
