import shutil
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from hawq.data.dataset import Dataset
from hawq.errors import StageError
from hawq.export.qonnx import export_qonnx
from hawq.fixed import FixedPoint
from hawq.report import evidence
from hawq.training.network import quantize_network


def test_read_everything(flow: dict[str, Path]) -> None:
    found = evidence.read(flow)
    absent = [name for name, value in vars(found).items() if value is None]
    assert absent == []
    assert list(found.manifests) == list(flow)


def test_read_only_data(flow: dict[str, Path]) -> None:
    found = evidence.read({"data": flow["data"]})
    assert found.model is None
    assert found.logits == {}
    assert len(found.test) == 300


def test_without_firmware_the_float_network_is_run(flow: dict[str, Path]) -> None:
    with_firmware = evidence.read(flow)
    stages = {name: flow[name] for name in ("data", "model")}
    found = evidence.read(stages)
    assert list(found.logits) == ["float"]
    assert list(with_firmware.logits) == ["float", "firmware"]
    assert_allclose(found.logits["float"], with_firmware.logits["float"], rtol=1e-6)
    assert_array_equal(found.labels, with_firmware.labels)


def test_a_baseline_may_be_missing(own_flow: dict[str, Path]) -> None:
    (own_flow["allocation"] / "uniform.json").unlink()
    found = evidence.read(own_flow)
    assert found.uniform is None
    assert found.against is not None


def test_a_damaged_record(own_flow: dict[str, Path]) -> None:
    (own_flow["training"] / "record.json").write_text("{}")
    with pytest.raises(
        StageError,
        match=r"^\S+record\.json is missing or damaged: run its stage again \(.*\)$",
    ):
        evidence.read(own_flow)


def test_a_missing_record(own_flow: dict[str, Path]) -> None:
    (own_flow["model"] / "record.json").unlink()
    with pytest.raises(
        StageError,
        match=r"^\S+record\.json is missing or damaged: run its stage again \(.*\)$",
    ):
        evidence.read(own_flow)


def test_a_missing_folder(own_flow: dict[str, Path]) -> None:
    shutil.rmtree(own_flow["hls"])
    with pytest.raises(
        StageError, match=r"^\S+hls is missing: run the stage hls again$"
    ):
        evidence.read(own_flow)


def test_real_jets_in_unknown_units_are_matched(
    flow: dict[str, Path], tmp_path: Path
) -> None:
    stages = {name: flow[name] for name in ("data", "model")}
    found = evidence.read(stages)
    train = Dataset.read(flow["data"] / "train.h5")
    path = tmp_path / "real.npz"
    np.savez(
        path,
        x=(train.x - 3) / 7,
        y=train.y,
        features=list(train.features),
        classes=list(train.classes),
    )
    real = evidence.read_real(found, path, is_matched=True)
    assert real.outputs is None
    # The map is fitted, not known: to a tenth of the standard deviation of 2.
    assert_allclose(real.jets.x, train.x, atol=0.2)
    plain = evidence.read_real(found, path, is_matched=False)
    assert_allclose(plain.jets.x, (train.x - 3) / 7, rtol=1e-5)


def test_real_jets_run_through_float_network_and_integers(
    own_flow: dict[str, Path], tmp_path: Path
) -> None:
    layers = OrderedDict(fc1=nn.Linear(2, 3))
    formats = {"input": FixedPoint(True, 8, 3), "fc1.weight": FixedPoint(True, 6, 2)}
    twin = quantize_network(nn.Sequential(layers), formats).eval()
    export_qonnx(twin, own_flow["export"] / "network.onnx")
    found = evidence.read(own_flow)
    path = tmp_path / "real.npz"
    test = found.test
    np.savez(
        path,
        x=test.x,
        y=test.y,
        features=list(test.features),
        classes=list(test.classes),
    )
    outputs = evidence.read_real(found, path, is_matched=False).outputs
    assert outputs is not None
    assert found.outputs is not None
    assert_allclose(outputs.float_logits, found.outputs.float_logits, rtol=1e-6)
    x = torch.from_numpy(((test.x.astype(np.float64) - 11) / 2.5).astype(np.float32))
    expected = twin.double()(x.double()).detach().numpy()
    # Input and weights have 5 and 4 fraction bits: the logits stand on a grid of 9.
    assert_array_equal(outputs.integers, expected * 2**9)
