"""Every layer: the file computes what PyTorch computes, where nothing is rounded."""

from __future__ import annotations

import copy
from collections import OrderedDict

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.cleanup import cleanup_model
from torch import Tensor, nn
from whole_numbers import BITS, make_whole, run_double, whole_samples

from hawq.csim.network import Sets, compare_executor
from hawq.frontend.pytorch.calibration import choose_formats
from hawq.frontend.pytorch.trace import trace_network
from hawq.frontend.pytorch.write import write_qonnx
from hawq.frontend.torch_folder import quantize_float
from hawq.integer.execute import trace
from hawq.integer.lower import lower_model
from hawq.training.network import quantize_network


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.norm2 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm1(self.conv1(x)))
        x = self.relu(x + self.norm2(self.conv2(x)))
        x = F.adaptive_avg_pool2d(F.max_pool2d(x, 2), 1)
        return self.fc(x.view(x.size(0), -1))


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(6, 4)
        self.b = nn.Linear(6, 4)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.cat([self.a(x).relu(), self.b(x)], dim=1))


class ChannelsLast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, (3, 2), padding="same")
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x.permute(0, 3, 1, 2)))
        return self.out(x.mean((2, 3)))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc(x)
        return self.fc(x) + x


class Transposed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 4, 3)
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv(x)).transpose(1, 2)
        return torch.flatten(self.fc(x), 1)


pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even")

CASES = {
    "dense": (
        nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3, bias=False)),
        (5,),
    ),
    "convolution": (
        nn.Sequential(
            nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), groups=2),
            nn.ReLU(),
            nn.Conv2d(6, 6, 3, padding="valid", groups=6),
            nn.Flatten(),
        ),
        (4, 8, 7),
    ),
    "convolution in one dimension": (
        nn.Sequential(
            nn.Conv1d(2, 3, 4, padding="same", dilation=2),
            nn.ReLU(),
            nn.Conv1d(3, 2, 3, stride=2, padding=1),
        ),
        (2, 12),
    ),
    "batch norms after and before": (
        nn.Sequential(
            nn.Conv1d(2, 3, 3),
            nn.BatchNorm1d(3),
            nn.ReLU(),
            nn.BatchNorm1d(3),
            nn.Conv1d(3, 2, 2),
            nn.Flatten(),
        ),
        (2, 6),
    ),
    "activations": (
        nn.Sequential(
            nn.Linear(5, 6),
            nn.ReLU6(),
            nn.Linear(6, 6),
            nn.LeakyReLU(0.125),
            nn.Linear(6, 6),
            nn.Hardtanh(-2, 3),
            nn.Linear(6, 6),
            nn.Hardtanh(),
        ),
        (5,),
    ),
    "pools": (
        nn.Sequential(
            nn.MaxPool2d(3, 2, 1),
            nn.AvgPool2d((2, 1)),
            nn.AvgPool2d(2, 2, 1),
            nn.Conv2d(2, 3, 1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Dropout(),
            nn.Identity(),
            nn.Flatten(),
            nn.Linear(3, 2),
        ),
        (2, 8, 12),
    ),
    "pools in one dimension": (
        nn.Sequential(
            nn.Conv1d(2, 4, 1),
            nn.ReLU(),
            nn.MaxPool1d(2, 1, dilation=2),
            nn.AvgPool1d(2),
            nn.AdaptiveAvgPool1d(1),
            nn.Flatten(),
            nn.Linear(4, 2),
        ),
        (2, 18),
    ),
    "average without padding": (
        nn.Sequential(
            nn.AvgPool2d(2, 2, 1, count_include_pad=False),
            nn.Flatten(),
            nn.Linear(18, 2),
        ),
        (2, 4, 4),
    ),
    "unflatten": (
        nn.Sequential(
            nn.Linear(4, 6), nn.ReLU(), nn.Unflatten(1, (2, 3)), nn.Conv1d(2, 2, 2)
        ),
        (4,),
    ),
    "residual": (Residual(), (2, 4, 4)),
    "branches": (Branches(), (6,)),
    "channels last": (ChannelsLast(), (4, 4, 2)),
    "one layer twice": (Twice(), (4,)),
    "dense on a sequence": (Transposed(), (3, 6)),
}


@pytest.mark.parametrize("case", CASES)
def test_file_computes_what_pytorch_computes(case, rewritten):
    network, shape = CASES[case]
    network = make_whole(network)
    x = whole_samples(*shape)
    model = quantize_float(network, x, BITS)
    expected = run_double(network, x)
    graph = lower_model(model)
    (name,) = graph.outputs
    golden = trace(graph, x)[name]
    np.testing.assert_array_equal(golden * float(graph.tensors[name].scale), expected)
    for i in range(3):
        got = rewritten(model, x[i : i + 1])[name]
        np.testing.assert_array_equal(got, expected[i : i + 1])


@pytest.mark.parametrize("case", CASES)
def test_file_is_clean_and_every_shape_is_known(case):
    network, shape = CASES[case]
    model = quantize_float(make_whole(network), whole_samples(*shape), 8)
    onnx.checker.check_model(model)
    shapes = {v.name for v in (*model.graph.value_info, *model.graph.output)}
    assert shapes == {name for node in model.graph.node for name in node.output}
    cleaned = cleanup_model(ModelWrapper(model))
    assert len(cleaned.graph.node) == len(model.graph.node)
    for node in cleaned.graph.node:
        assert cleaned.get_tensor_shape(node.output[0])


@pytest.mark.parametrize("end", [nn.Softmax(-1), nn.Softmax(1)])
def test_softmax_at_the_end_is_left_to_the_host(end):
    network = make_whole(nn.Sequential(nn.Linear(4, 3), end))
    x = whole_samples(4)
    model = quantize_float(network, x, BITS)
    assert model.graph.node[-1].op_type == "Softmax"
    graph = lower_model(model)
    (name,) = graph.outputs
    logits = trace(graph, x)[name] * float(graph.tensors[name].scale)
    np.testing.assert_array_equal(logits, run_double(network[:1], x))


def test_tensors_are_named_as_a_trained_network_s(small_float):
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    model = quantize_float(small_float, x, 6)
    chain = [
        (n.op_type, n.input[0], n.output[0])
        for n in model.graph.node
        if not n.input[0].endswith("_value")
    ]
    assert chain == [
        ("Quant", "features", "input"),
        ("MatMul", "input", "fc1_product"),
        ("Add", "fc1_product", "fc1"),
        ("Relu", "fc1", "relu1_real"),
        ("Quant", "relu1_real", "relu1"),
        ("MatMul", "relu1", "fc2_product"),
        ("Add", "fc2_product", "fc2"),
    ]
    assert {i.name for i in model.graph.initializer} >= {
        "fc1_weight_value",
        "fc1_weight_scale",
        "fc1_bias_bits",
        "relu1_scale",
    }


def test_layers_without_names_get_readable_ones():
    inner = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    network = nn.Sequential(OrderedDict([("0", inner), ("last", nn.Linear(3, 2))]))
    model = quantize_float(make_whole(network), whole_samples(3), 8)
    names = [n.output[0] for n in model.graph.node if n.op_type in {"Add", "Quant"}]
    assert names == [
        "input",
        "linear_0_0_weight",
        "linear_0_0_bias",
        "linear_0_0",
        "relu_0_1",
        "last_weight",
        "last_bias",
        "last",
    ]


@pytest.mark.parametrize("size", [1.0, 2.0**-12, 3e5])
def test_bias_is_a_multiple_of_its_scale(size):
    """brevitas#515: an exported bias was no multiple of its scale."""
    network = nn.Sequential(nn.Linear(3, 4))
    with torch.no_grad():
        network[0].bias.copy_(torch.randn(4) * size)
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    model = quantize_float(network, x, 6)
    constants = {
        i.name: onnx.numpy_helper.to_array(i).astype(np.float64)
        for i in model.graph.initializer
    }
    steps = [constants[f"{n}_scale"] for n in ("input", "linear_0_weight")]
    assert constants["linear_0_bias_scale"] == steps[0] * steps[1]
    integers = constants["linear_0_bias_value"] / constants["linear_0_bias_scale"]
    np.testing.assert_array_equal(integers, np.rint(integers))
    width = constants["linear_0_bias_bits"]
    assert np.abs(integers).max() < 2 ** (width - 1)


@settings(max_examples=30)
@given(data=st.data())
def test_any_chain_computes_what_pytorch_computes(data):
    channels, size = 2, 8
    layers: list[nn.Module] = []
    for _ in range(data.draw(st.integers(1, 5))):
        kind = data.draw(st.sampled_from(["conv", "norm", "activation", "pool"]))
        if kind in {"conv", "norm"}:
            after = data.draw(st.sampled_from([2, 4]))
            kernel = data.draw(st.sampled_from([1, 3]))
            layers.append(
                nn.Conv2d(
                    channels,
                    after,
                    kernel,
                    padding=kernel // 2,
                    groups=data.draw(st.sampled_from([1, 2])),
                    bias=data.draw(st.booleans()),
                )
            )
            channels = after
        if kind == "norm":
            layers.append(nn.BatchNorm2d(channels))
        if kind == "activation":
            some = [nn.ReLU(), nn.ReLU6(), nn.Hardtanh(-2, 2), nn.LeakyReLU(0.5)]
            layers.append(data.draw(st.sampled_from(some)))
        if kind == "pool" and size > 2:
            layers.append(data.draw(st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]))(2))
            size //= 2
    layers += [nn.Flatten(), nn.Linear(channels * size * size, 3)]
    network = make_whole(nn.Sequential(*layers), data.draw(st.integers(0, 99)))
    x = whole_samples(2, 8, 8, samples=16)
    graph = lower_model(quantize_float(network, x, 24))
    (name,) = graph.outputs
    got = trace(graph, x)[name] * float(graph.tensors[name].scale)
    np.testing.assert_array_equal(got, run_double(network, x))


@pytest.mark.parametrize("bits", [2, 3, 6, 8])
def test_rounded_network_is_its_brevitas_twin(small_float, bits):
    x = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    steps = trace_network(copy.deepcopy(small_float).double().eval(), (4,))
    formats = choose_formats(steps, torch.from_numpy(x).double(), bits)
    twin = quantize_network(small_float, formats).eval()
    graph = lower_model(write_qonnx(steps, formats, (4,)))
    golden = trace(graph, x)
    expected = run_double(twin, x)
    step = float(graph.tensors["fc2"].scale)
    np.testing.assert_array_equal(golden["fc2"] * step, expected)


@pytest.mark.parametrize("case", ["residual", "branches", "one layer twice", "pools"])
def test_rounded_network_is_the_same_in_the_executor(case):
    network, shape = CASES[case]
    network = copy.deepcopy(network)
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = np.random.default_rng(0).normal(size=(40, *shape)).astype(np.float32)
    model = quantize_float(network.eval(), x, 6)
    graph = lower_model(model)
    golden = {name: v[:4] for name, v in trace(graph, x).items()}
    sets = Sets({"x": {"features": x[:4]}}, {"x": golden})
    comparison = compare_executor(model, graph, sets, 4)
    assert comparison.equal
    names = {name for name in graph.tensors if "." not in name}
    assert {row.tensor for row in comparison.tensors} == names


def test_bias_that_is_large_on_the_grid_of_the_sums_is_not_cut():
    network = nn.Sequential(nn.Linear(1, 1))
    with torch.no_grad():
        network[0].weight.fill_(2.0**-30)
        network[0].bias.fill_(3.0)
    x = np.linspace(-1, 1, 9, dtype=np.float32)[:, None]
    graph = lower_model(quantize_float(network, x, 8))
    (name,) = graph.outputs
    got = trace(graph, x)[name] * float(graph.tensors[name].scale)
    np.testing.assert_allclose(got, 3.0, rtol=2**-28)  # 3 is exact; x moves the rest
