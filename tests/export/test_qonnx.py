from __future__ import annotations

import copy
from collections import OrderedDict
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from qonnx.core.modelwrapper import ModelWrapper
from torch import nn

from hawq.export.qonnx import export_qonnx
from hawq.fixed import FixedPoint
from hawq.integer.execute import trace
from hawq.integer.lower import lower_qonnx
from hawq.training.network import quantize_network


def test_every_tensor_bears_the_name_of_its_layer(small_qonnx: Path) -> None:
    model = ModelWrapper(str(small_qonnx))
    chain = [
        (n.op_type, n.name, n.input[0], n.output[0])
        for n in model.graph.node
        if model.get_initializer(n.input[0]) is None
    ]
    assert chain == [
        ("Quant", "input_quant", "features", "input"),
        ("MatMul", "fc1", "input", "fc1_product"),
        ("Add", "fc1_add", "fc1_product", "fc1"),
        ("Relu", "relu1", "fc1", "relu1_real"),
        ("Quant", "relu1_quant", "relu1_real", "relu1"),
        ("MatMul", "fc2", "relu1", "fc2_product"),
        ("Add", "fc2_add", "fc2_product", "fc2"),
    ]
    constants = {n.name for n in model.graph.node} - {name for _, name, _, _ in chain}
    assert constants == {
        "fc1_weight_quant",
        "fc1_bias_quant",
        "fc2_weight_quant",
        "fc2_bias_quant",
    }


def test_file_is_valid_and_every_shape_is_known(small_qonnx: Path) -> None:
    model = ModelWrapper(str(small_qonnx))
    onnx.shape_inference.infer_shapes(model.model)
    assert model.model.producer_name == "hawq"
    assert [p.name for p in small_qonnx.parent.iterdir()] == ["network.onnx"]
    assert all(model.get_tensor_shape(t) for t in ("features", "relu1_real", "fc2"))


@pytest.mark.parametrize("channels", [None, [0, -2, 1, 0, -1, 0]])
def test_file_computes_what_the_network_computes(
    tmp_path: Path, channels: list[int] | None
) -> None:
    torch.manual_seed(1)
    network = quantize_network(
        nn.Sequential(OrderedDict(a=nn.Linear(5, 6), b=nn.ReLU(), c=nn.Linear(6, 2))),
        {
            "input": FixedPoint(True, 7, 3),
            "a.weight": FixedPoint(True, 5, 1),
            "b": FixedPoint(False, 5, 2),
            "c.weight": FixedPoint(True, 3, 0),
        },
        channel_integers=None
        if channels is None
        else {"a.weight": torch.tensor(channels)},
    ).eval()
    export_qonnx(network, tmp_path / "network.onnx")
    graph = lower_qonnx(tmp_path / "network.onnx")
    features = np.random.default_rng(0).normal(size=(400, 5)).astype(np.float32) * 3
    with torch.no_grad():
        expected = network.double()(torch.from_numpy(features).double()).numpy()
    fraction = graph.tensors["c"].fraction
    np.testing.assert_array_equal(
        trace(graph, features)["c"], np.ldexp(expected, fraction)
    )


def test_biases_of_zero_are_read_back(
    small_float: nn.Sequential, tmp_path: Path
) -> None:
    network = copy.deepcopy(small_float)
    with torch.no_grad():
        for layer in (network.fc1, network.fc2):
            layer.bias.zero_()
    formats = {
        "input": FixedPoint(True, 6, 2),
        "fc1.weight": FixedPoint(True, 5, 0),
        "relu1": FixedPoint(False, 4, 1),
        "fc2.weight": FixedPoint(True, 4, 0),
    }
    export_qonnx(quantize_network(network, formats).eval(), tmp_path / "network.onnx")
    sums = trace(lower_qonnx(tmp_path / "network.onnx"), np.zeros((1, 4), np.float32))
    np.testing.assert_array_equal(sums["fc1"], np.zeros((1, 6)))
