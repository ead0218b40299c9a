"""Folders with a PyTorch or Brevitas network, read as a user has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import numpy_helper
from torch import nn
from whole_numbers import BITS, make_whole, run_double, whole_samples

from hawq.errors import DataError, NetworkError
from hawq.frontend.network import Kind, read_network
from hawq.frontend.torch_folder import (
    quantize_float,
    read_calibration,
    read_torch_folder,
    standardised,
)
from hawq.integer.execute import trace
from hawq.integer.lower import lower_model
from hawq.model.network import build_network

DENSE = """
from torch import nn

def build(hidden=6):
    return nn.Sequential(
        nn.Linear(4, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, 3)
    )
"""
BREVITAS = """
import brevitas.nn as qnn
from brevitas.quant import Int8ActPerTensorFixedPoint, Int8WeightPerTensorFixedPoint
from torch import nn

def build():
    return nn.Sequential(
        qnn.QuantIdentity(
            act_quant=Int8ActPerTensorFixedPoint, return_quant_tensor=True
        ),
        qnn.{layer},
    )
"""
LINEAR = "QuantLinear(4, 3, bias=False, weight_quant=Int8WeightPerTensorFixedPoint)"
CONVOLUTION = "QuantConv2d(1, 3, 3, bias=False)"


def write_folder(
    folder: Path,
    source: str,
    card: str = "",
    shape: tuple[int, ...] = (4,),
    **arguments: Any,
) -> Any:
    """Write network, weights and card; give the network."""
    (folder / "network.py").write_text(source)
    network = build_network(folder, arguments)
    # Brevitas takes its scales from the first batches.
    network.train()(torch.randn(8, *shape) * 3)
    network = make_whole(network)
    torch.save(network.state_dict(), folder / "weights.pt")
    if card:
        (folder / "card.toml").write_text(card)
    return network


def result(model: Any, x: Any) -> Any:
    graph = lower_model(model)
    (name,) = graph.outputs
    return trace(graph, x)[name] * float(graph.tensors[name].scale)


def test_float_folder_is_quantized(tmp_path: Path) -> None:
    network = write_folder(tmp_path, DENSE)
    x = whole_samples(4)
    model = read_torch_folder(tmp_path, x, BITS)
    np.testing.assert_array_equal(result(model, x), run_double(network, x))


def test_any_reader_finds_it(tmp_path: Path) -> None:
    write_folder(tmp_path, DENSE)
    found = read_network(tmp_path, data=whole_samples(4), bits=5)
    assert found.kind is Kind.PYTORCH
    bits = {
        i.name: numpy_helper.to_array(i).item()
        for i in found.model.graph.initializer
        if i.name.endswith("_bits") and "bias" not in i.name
    }
    assert set(bits.values()) == {5}
    assert len(bits) == 4


def test_batch_norm_is_folded_before_weights_are_rounded() -> None:
    """hls4ml#368, #225, brevitas#415: folded, but the old weights were written."""
    network = nn.Sequential(nn.Conv1d(1, 1, 1, bias=False), nn.BatchNorm1d(1)).eval()
    with torch.no_grad():
        network[0].weight.fill_(1 / 3)
        network[1].running_mean.fill_(1.0)
        network[1].running_var.fill_(4.0)
        network[1].weight.fill_(6.0)
        network[1].eps = 0.0
    # 6 (x/3 - 1)/2 = x - 3: exact once it is folded, and in float32 not before.
    x = whole_samples(1, 4)
    model = quantize_float(network, x, 4)
    np.testing.assert_array_equal(result(model, x), x.astype(np.float64) - 3)
    weights = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    assert weights["conv1d_0_weight_value"].item() == 1.0


def test_batch_norm_over_another_axis_is_refused() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).eval()
    with torch.no_grad():
        network[1].running_mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    x = np.ones((5, 3, 3), np.float32)
    message = (
        r"^folding the batch norms changed the outputs by up to \d[\d.]*: put each "
        r"directly behind a layer whose channels, the second axis, it normalises$"
    )
    with pytest.raises(NetworkError, match=message):
        quantize_float(network, x, 8)


def test_network_given_is_left_as_it_is() -> None:
    network = make_whole(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)))
    quantize_float(network, whole_samples(4), 8)
    assert isinstance(network[1], nn.BatchNorm1d)
    assert network[0].weight.dtype == torch.float32


def test_brevitas_folder_needs_no_data(tmp_path: Path) -> None:
    network = write_folder(tmp_path, BREVITAS.format(layer=LINEAR))
    x = whole_samples(4)
    model = read_torch_folder(tmp_path)
    np.testing.assert_array_equal(result(model, x), run_double(network, x))


def test_shape_comes_from_the_card(tmp_path: Path) -> None:
    source = BREVITAS.format(layer=CONVOLUTION)
    write_folder(tmp_path, source, "input_shape = [1, 5, 4]", (1, 5, 4))
    model = read_torch_folder(tmp_path)
    shape = model.graph.input[0].type.tensor_type.shape
    assert [d.dim_value for d in shape.dim] == [1, 1, 5, 4]


def test_shape_that_nothing_tells_is_asked_for(tmp_path: Path) -> None:
    write_folder(tmp_path, BREVITAS.format(layer=CONVOLUTION), shape=(1, 5, 4))
    message = (
        r": nothing tells the shape of a sample: write input_shape = \[channels, "
        r"height, width\] into card\.toml$"
    )
    with pytest.raises(NetworkError, match=message):
        read_torch_folder(tmp_path)


def test_card_has_arguments_and_standardisation(tmp_path: Path) -> None:
    card = """
        arguments = { hidden = 5 }
        features = ["a", "b", "c", "d"]
        [standardisation]
        mean = [1, 0, -1, 2]
        std = [2, 2, 4, 1]
    """
    network = write_folder(tmp_path, DENSE, card, hidden=5)
    inside = whole_samples(4)
    raw = inside * np.float32([2, 2, 4, 1]) + np.float32([1, 0, -1, 2])
    np.testing.assert_array_equal(standardised(tmp_path, raw), inside)
    model = read_torch_folder(tmp_path, raw, BITS)
    np.testing.assert_array_equal(result(model, inside), run_double(network, inside))


def test_float_network_without_data_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, DENSE)
    message = (
        r": Sequential is a float network, and without samples its scales cannot be "
        r"calibrated: give --data X\.npz with some hundred of them$"
    )
    with pytest.raises(NetworkError, match=message):
        read_torch_folder(tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            np.zeros((0, 4)),
            r"the data have the shape \(0, 4\), expected \(samples, \.\.\.\), at least "
            r"one sample",
        ),
        (
            np.zeros(4),
            r"the data have the shape \(4,\), expected \(samples, \.\.\.\), at least "
            r"one sample",
        ),
        (
            np.full((3, 4), np.nan),
            r"the data have NaN or infinity: clean them first",
        ),
    ],
)
def test_bad_data_are_refused(tmp_path: Path, data: Any, message: str) -> None:
    write_folder(tmp_path, DENSE)
    with pytest.raises(DataError, match=f": {message}$"):
        read_torch_folder(tmp_path, data.astype(np.float32))


def test_data_must_fit_the_card(tmp_path: Path) -> None:
    write_folder(tmp_path, DENSE, "input_shape = [4]")
    message = (
        r": the data have the shape \(3, 5\), expected \(samples, 4\), at least one "
        r"sample$"
    )
    with pytest.raises(DataError, match=message):
        read_torch_folder(tmp_path, np.zeros((3, 5), np.float32))


def test_calibration_files(tmp_path: Path) -> None:
    x = whole_samples(4).astype(np.float64)
    np.save(tmp_path / "a.npy", x)
    np.savez(tmp_path / "b.npz", anything=x)
    np.savez(tmp_path / "c.npz", x=x, y=np.zeros(3))
    for name in ("a.npy", "b.npz", "c.npz"):
        got = read_calibration(tmp_path / name)
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, x)


def test_calibration_files_of_no_use(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", a=np.zeros(3), b=np.zeros(3))
    np.savez(tmp_path / "text.npz", x=np.array(["a"]))
    (tmp_path / "not.npz").write_bytes(b"nothing")
    for name, message in (
        ("two.npz", r" has the arrays a, b: expected one, or one that is called x$"),
        ("text.npz", r" holds <U1: expected numbers$"),
        ("not.npz", r": not a NumPy file of plain numbers: "),
        ("absent.npz", r": not a NumPy file of plain numbers: "),
    ):
        with pytest.raises(DataError, match=message):
            read_calibration(tmp_path / name)
