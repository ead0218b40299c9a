"""Brevitas networks: the file computes what Brevitas computes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from qonnx.core.modelwrapper import ModelWrapper
from torch import nn
from whole_numbers import run_double

from hawq.csim.network import Sets, compare_executor
from hawq.errors import NetworkError
from hawq.frontend.pytorch.brevitas_network import export_network, is_quantized
from hawq.integer.execute import trace
from hawq.integer.lower import lower_model
from hawq.training.quantizers import AccumulatorBias, qnn

brevitas_quant = pytest.importorskip("brevitas.quant")

ACTIVATION = brevitas_quant.Int8ActPerTensorFixedPoint
POSITIVE = brevitas_quant.Uint8ActPerTensorFixedPoint
WEIGHT = brevitas_quant.Int8WeightPerTensorFixedPoint

Layers = Callable[[], nn.Module]


def identity(quantizer: type = ACTIVATION) -> nn.Module:
    return qnn.QuantIdentity(act_quant=quantizer, return_quant_tensor=True)


def relu(quantizer: type = POSITIVE) -> nn.Module:
    return qnn.QuantReLU(act_quant=quantizer, return_quant_tensor=True)


def linear(*sizes: int, kind: Any = qnn.QuantLinear, **rest: Any) -> nn.Module:
    given = {"weight_quant": WEIGHT, "return_quant_tensor": True, "bias": True}
    given |= {"bias_quant": AccumulatorBias} | rest
    return kind(*sizes, **given)


def conv1d(*sizes: int, **rest: Any) -> nn.Module:
    return linear(*sizes, kind=qnn.QuantConv1d, **rest)


def conv2d(*sizes: int, **rest: Any) -> nn.Module:
    return linear(*sizes, kind=qnn.QuantConv2d, **rest)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = identity()
        self.conv1 = conv2d(2, 4, 3, padding=1)
        self.relu1 = relu()
        self.conv2 = conv2d(4, 4, 3, padding=1)
        self.both = identity()
        self.relu2 = relu()
        self.out = linear(4 * 16, 3)

    def forward(self, x: Any) -> Any:
        x = self.relu1(self.conv1(self.first(x)))
        x = self.relu2(self.both(x) + self.both(self.conv2(x)))
        return self.out(x.view(x.shape[0], -1))


def calibrated(network: nn.Module, shape: tuple[int, ...], seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    network.train()
    for _ in range(20):
        network(torch.randn(8, *shape))
    return network.eval()


def samples(shape: tuple[int, ...], count: int = 40) -> Any:
    return np.random.default_rng(1).normal(size=(count, *shape)).astype(np.float32) * 2


def head(features: int) -> list[nn.Module]:
    # A pool of torch gives a plain tensor, without the scale that a bias would need.
    plain = {"bias": False, "bias_quant": None, "return_quant_tensor": False}
    return [nn.Flatten(), linear(features, 2, **plain)]


EXACT: dict[str, tuple[Layers, tuple[int, ...]]] = {
    "dense": (
        lambda: nn.Sequential(identity(), linear(4, 5), relu(), linear(5, 2)),
        (4,),
    ),
    "average pool in one dimension": (
        lambda: nn.Sequential(
            identity(), conv1d(2, 3, 3), relu(), nn.AvgPool1d(2), *head(9)
        ),
        (2, 8),
    ),
    "global average pool in one dimension": (
        lambda: nn.Sequential(
            identity(), conv1d(2, 3, 3), relu(), nn.AdaptiveAvgPool1d(1), *head(3)
        ),
        (2, 10),
    ),
    "global average pool": (
        lambda: nn.Sequential(
            identity(), conv2d(2, 3, 3), relu(), nn.AdaptiveAvgPool2d(1), *head(3)
        ),
        (2, 6, 6),
    ),
    "truncated average pool": (
        lambda: nn.Sequential(
            identity(),
            conv2d(2, 3, 3),
            relu(),
            qnn.TruncAvgPool2d(2, bit_width=4, return_quant_tensor=True),
            *head(12),
        ),
        (2, 6, 6),
    ),
    "batch norm that is not folded": (
        lambda: nn.Sequential(
            identity(),
            conv2d(2, 3, 3),
            nn.BatchNorm2d(3),
            relu(),
            nn.MaxPool2d(2),
            *head(12),
        ),
        (2, 6, 6),
    ),
    "signs": (
        lambda: nn.Sequential(
            identity(),
            linear(4, 6, weight_quant=brevitas_quant.SignedBinaryWeightPerTensorConst),
            identity(brevitas_quant.SignedBinaryActPerTensorConst),
            linear(6, 2),
        ),
        (4,),
    ),
    "residual": (Residual, (2, 4, 4)),
}


@cache
def exported(case: str) -> tuple[nn.Module, onnx.ModelProto]:
    build, shape = ANY[case]
    network = calibrated(build(), shape)
    return network, export_network(network, shape)


@pytest.mark.parametrize("case", EXACT)
def test_file_computes_what_brevitas_computes(case: str, rewritten: Any) -> None:
    """hls4ml#1458, finn-plus#92, brevitas#415: pools, Trunc, batch norms."""
    network, model = exported(case)
    _, shape = EXACT[case]
    graph = lower_model(model)
    x = samples(shape)
    expected = run_double(network, x)
    (name,) = graph.outputs
    golden = trace(graph, x)[name]
    np.testing.assert_array_equal(golden * float(graph.tensors[name].scale), expected)
    for i in range(2):
        got = rewritten(model, x[i : i + 1])[name]
        np.testing.assert_array_equal(got, expected[i : i + 1])


def float_scales() -> nn.Module:
    signed = brevitas_quant.Int8ActPerTensorFloat
    return nn.Sequential(
        identity(signed),
        linear(
            4,
            6,
            weight_quant=brevitas_quant.Int8WeightPerChannelFloat,
            bias_quant=brevitas_quant.Int32Bias,
        ),
        relu(brevitas_quant.Uint8ActPerTensorFloat),
        linear(
            6,
            2,
            weight_quant=brevitas_quant.Int8WeightPerTensorFloat,
            bias_quant=brevitas_quant.Int32Bias,
        ),
    )


ANY = EXACT | {"scales of any size": (float_scales, (4,))}


def test_scales_may_be_any() -> None:
    """hls4ml PR1208, PR461, brevitas#343: no power of two, and one a channel."""
    network, model = exported("scales of any size")
    graph = lower_model(model)
    x = samples((4,))
    golden = trace(graph, x)
    sets = Sets({"x": {"features": x}}, {"x": golden})
    comparison = compare_executor(model, graph, sets, len(x))
    # The executor's float32 rounds; what it rounds is within the bound, nothing more.
    assert comparison.equal
    # Activations are whole steps in Brevitas, too: at most ties and float noise differ.
    with torch.no_grad():
        hidden = network[:3](torch.from_numpy(x))
    step = float(graph.tensors["layer_2"].scale)
    integers = np.rint(hidden.value.numpy() / step)
    np.testing.assert_array_equal(golden["layer_2"], integers)


def test_weights_a_channel_are_their_integers_and_a_factor() -> None:
    """hls4ml PR461: integers of w/s, and a scale of each channel."""
    network, model = exported("scales of any size")
    constants = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    weight = network[1].quant_weight()
    assert constants["layer_1_weight_scale"].size == 6
    got = constants["layer_1_weight_value"] / constants["layer_1_weight_scale"]
    np.testing.assert_array_equal(
        np.rint(got), torch.round(weight.value / weight.scale).detach()
    )


def test_every_quantizer_of_a_residual_network_is_in_the_file() -> None:
    """brevitas#1608: the exporter dropped quantizers in residual adds."""
    _, model = exported("residual")
    producers = {n.output[0]: n.op_type for n in model.graph.node}
    (add,) = [n for n in model.graph.node if n.op_type == "Add"]
    assert [producers[name] for name in add.input] == ["Quant", "Quant"]
    scales = {
        node.input[1] for node in model.graph.node if node.output[0] in set(add.input)
    }
    constants = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    first, second = (constants[name] for name in scales)
    assert first == second
    assert [n.op_type for n in model.graph.node].count("Quant") == 11


def test_tensors_are_named_after_modules_and_shapes_are_known() -> None:
    _, model = exported("residual")
    wrapper = ModelWrapper(model)
    data = [n for n in model.graph.node if wrapper.get_initializer(n.input[0]) is None]
    assert sorted(n.output[0] for n in data) == [
        "add",
        "both",
        "both_2",
        "conv1",
        "conv2",
        "first",
        "out",
        "relu1",
        "relu1_real",
        "relu2",
        "relu2_real",
        "view",
    ]
    assert [v.name for v in model.graph.input] == ["features"]
    assert {n.output[0] for n in model.graph.node} - {n.output[0] for n in data} == {
        f"{layer}_{part}"
        for layer in ("conv1", "conv2", "out")
        for part in ("weight", "bias")
    }
    assert wrapper.get_tensor_shape("add") == [1, 4, 4, 4]
    assert all(wrapper.get_tensor_shape(n.output[0]) for n in model.graph.node)


@pytest.mark.parametrize("returned", [False, True])
def test_bias_without_the_scale_of_its_input_is_refused(returned: bool) -> None:
    """brevitas#1376: Int32Bias says no more than "Input scale required"."""
    last = linear(4, 3, return_quant_tensor=returned)
    network = nn.Sequential(nn.ReLU(), last).eval()
    message = (
        r"^layer '1': the network does not run on a sample of shape \(4,\): (Input "
        r"scale required|QuantLayer is not correctly configured); its bias stands on "
        r"the grid of its input, so the layer before must have "
        r"return_quant_tensor=True$"
    )
    with pytest.raises(NetworkError, match=message):
        export_network(network, (4,))


def test_sample_of_another_shape_is_refused() -> None:
    network = calibrated(nn.Sequential(identity(), linear(4, 3)), (4,))
    message = r"^layer '1': the network does not run on a sample of shape \(5,\): mat1 "
    with pytest.raises(NetworkError, match=message):
        export_network(network, (5,))


def test_one_bit_that_is_no_sign_is_refused() -> None:
    """qonnx PR141: an unsigned bit would be exported as -1 and +1."""
    bit = qnn.QuantReLU(bit_width=1, act_quant=POSITIVE, return_quant_tensor=True)
    network = calibrated(nn.Sequential(identity(), bit, linear(4, 3)), (4,))
    message = (
        r"^layer '1' quantizes to 1 bit that is no sign: the export would make it -1 "
        r"and \+1; give it 2 bits, or quant_type BINARY$"
    )
    with pytest.raises(NetworkError, match=message):
        export_network(network, (4,))


def test_float_network_is_not_quantized() -> None:
    assert not is_quantized(nn.Sequential(nn.Linear(2, 2)))
    assert is_quantized(nn.Sequential(nn.ReLU(), identity()))
