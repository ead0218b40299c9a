"""Networks come from a folder anywhere on disk; what is wrong with it is named."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from hawq.errors import DataError, NetworkError, StageError
from hawq.model.metrics import measure
from hawq.model.network import (
    build_network,
    load_float,
    parameters_of_build,
    standardise,
)
from hawq.model.record import ModelRecord
from hawq.paths import shipped

TAGGER = shipped("models") / "jets"
FEATURES = tuple(f"f{j}" for j in range(16))
CLASSES = ("g", "q", "t", "w", "z")


def _record() -> ModelRecord:
    rng = np.random.default_rng(0)
    metrics = measure(rng.normal(size=(50, 5)), np.arange(50) % 5, CLASSES)
    return ModelRecord(
        features=FEATURES,
        classes=CLASSES,
        mean=tuple(rng.normal(size=16).tolist()),
        std=tuple(rng.uniform(0.1, 50, size=16).tolist()),
        network="jets",
        arguments={"features": 16, "classes": 5, "hidden": [64, 32, 32]},
        parameters=4389,
        seed=0,
        best_epoch=1,
        history=(),
        validation=metrics,
        test=metrics,
    )


def _finish(folder: Path) -> dict[str, torch.Tensor]:
    network = build_network(TAGGER, _record().arguments)
    _record().save(folder / "record.json")
    (folder / "network.py").write_text((TAGGER / "network.py").read_text())
    torch.save(network.state_dict(), folder / "float.pt")
    return network.state_dict()


@pytest.mark.parametrize(
    ("batch_norm", "parameters"), [(False, 4389), (True, 4389 + 2 * (64 + 32 + 32))]
)
def test_tagger_of_the_paper(batch_norm: bool, parameters: int) -> None:
    network = build_network(TAGGER, {"batch_norm": batch_norm})
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert network(torch.zeros(2, 16)).shape == (2, 5)
    names = [name for name, _ in network.named_children()]
    assert names[:2] == (["fc1", "bn1"] if batch_norm else ["fc1", "relu1"])
    assert names[-2:] == ["relu3", "fc4"]


def test_other_sizes() -> None:
    network = build_network(TAGGER, {"features": 3, "classes": 2, "hidden": [7]})
    assert [name for name, _ in network.named_children()] == ["fc1", "relu1", "fc2"]
    assert network(torch.zeros(1, 3)).shape == (1, 2)


def test_two_networks_of_the_same_file_name(tmp_path: Path) -> None:
    source = (
        "from torch import nn\ndef build(width):\n    return nn.Linear(width, {})\n"
    )
    for outputs in (2, 3):
        folder = tmp_path / str(outputs)
        folder.mkdir()
        (folder / "network.py").write_text(source.format(outputs))
    shapes = [build_network(tmp_path / n, {"width": 4}).out_features for n in "23"]
    assert shapes == [2, 3]
    assert parameters_of_build(tmp_path / "2") == {"width"}
    assert {path.name for path in tmp_path.rglob("*")} == {"2", "3", "network.py"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "x = 1\n",
            r"defines no function `build`: add `def build\(features, classes\) -> "
            r"nn\.Module`, which returns the network",
        ),
        (
            "def build(features): ...\n",
            r": build\(features\) cannot be called with \{'features': 16, 'classes': "
            r"5\}: got an unexpected keyword argument 'classes'",
        ),
        (
            "def build(features, classes):\n    return 3\n",
            r": build returned int, expected a torch nn\.Module",
        ),
        (
            "def build(:\n",
            r" cannot be imported: SyntaxError: .* \(it must be one file that imports "
            r"only installed packages\)",
        ),
        (
            "import layers_beside_it\n",
            r" cannot be imported: ModuleNotFoundError: No module named "
            r"'layers_beside_it' \(it must be one file that imports only installed "
            r"packages\)",
        ),
    ],
)
def test_what_is_wrong_with_a_network_is_named(
    source: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "network.py").write_text(source)
    with pytest.raises(NetworkError, match=rf"^.*/network\.py ?{message}$"):
        build_network(tmp_path, {"features": 16, "classes": 5})


def test_no_network(tmp_path: Path) -> None:
    message = (
        r"^.*/nowhere cannot be read \(.*\): a network is a folder with a "
        r"`network\.py` that defines `build\(features, classes\)`$"
    )
    with pytest.raises(NetworkError, match=message):
        build_network(tmp_path / "nowhere", {})


def test_load_gives_what_was_saved(tmp_path: Path) -> None:
    saved = _finish(tmp_path)
    network, record = load_float(tmp_path)
    assert record == _record()
    assert not network.training
    for name, value in saved.items():
        assert torch.equal(network.state_dict()[name], value)


@pytest.mark.parametrize("name", ["record.json", "float.pt", "network.py"])
def test_missing_file(name: str, tmp_path: Path) -> None:
    _finish(tmp_path)
    (tmp_path / name).unlink()
    message = rf"^.*/{name} is missing: run the model stage again$"
    with pytest.raises(StageError, match=message):
        load_float(tmp_path)


def test_half_a_record(tmp_path: Path) -> None:
    _finish(tmp_path)
    text = (tmp_path / "record.json").read_text()
    (tmp_path / "record.json").write_text(text[:200])
    message = r"(?s)^.*/record\.json is damaged: run the model stage again \(.*\)$"
    with pytest.raises(StageError, match=message):
        load_float(tmp_path)


@pytest.mark.parametrize("damage", ["half", "another network", "text"])
def test_weights_that_do_not_fit(damage: str, tmp_path: Path) -> None:
    _finish(tmp_path)
    path = tmp_path / "float.pt"
    if damage == "half":
        path.write_bytes(path.read_bytes()[:999])
    elif damage == "text":
        path.write_text("weights")
    else:
        torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    message = (
        r"(?s)^.*/float\.pt does not hold the weights of .*/network\.py: run the model "
        r"stage again \(.*\)$"
    )
    with pytest.raises(StageError, match=message):
        load_float(tmp_path)


def test_standardise_rounds_once() -> None:
    record = _record()
    x = np.random.default_rng(1).normal(size=(200, 16)).astype(np.float32)
    expected = [
        [
            np.float32((float(value) - mean) / std)
            for value, mean, std in zip(row, record.mean, record.std, strict=True)
        ]
        for row in x
    ]
    found = standardise(x, record)
    assert found.dtype == np.float32
    assert_array_equal(found, expected)
    assert math.isfinite(found.sum())


def test_standardise_refuses_other_columns() -> None:
    message = (
        r"^x has the shape \(3, 15\): expected \(samples, 16\), the columns f0, .*, "
        r"f15 in raw units$"
    )
    with pytest.raises(DataError, match=message):
        standardise(np.zeros((3, 15)), _record())
