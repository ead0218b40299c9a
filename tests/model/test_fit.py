"""Fitting: trained weights, their record, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from hawq.data.dataset import Dataset, split_dataset
from hawq.errors import DataError, NetworkError
from hawq.model.fit import fit
from hawq.model.metrics import measure
from hawq.model.network import load_float, standardise
from hawq.model.record import ModelRecord
from hawq.model.stage import Settings
from hawq.model.train import evaluate
from hawq.stage import StageContext

FEATURES = ("mass", "multiplicity")
CLASSES = ("g", "q", "t")
QUICK = {"epochs": 3, "batch_size": 64}


def _data(folder: Path, x: np.ndarray | None = None) -> Path:
    rng = np.random.default_rng(0)
    y = np.arange(600) % 3
    if x is None:
        centres = np.array([[80, 20], [20, 50], [170, 60]])
        x = centres[y] + [20, 8] * rng.normal(size=(600, 2))
    split = split_dataset(Dataset(x, y, FEATURES, CLASSES), (0.6, 0.2, 0.2), 0)
    for name, part in split._asdict().items():
        part.save(folder / f"{name}.h5")
    return folder


def _run(tmp_path: Path, data: Path, seed: int = 1, **settings: Any) -> ModelRecord:
    folder = tmp_path / f"model{len(list(tmp_path.glob('model*')))}"
    folder.mkdir()
    context = StageContext(
        folder=folder,
        settings=Settings(**QUICK | settings),
        inputs={"data": data},
        seed=seed,
        resume=tmp_path / "resume" / folder.name,
    )
    record = fit(context)
    record.save(folder / "record.json")
    return record


@pytest.mark.parametrize("batch_norm", [False, True])
def test_what_was_recorded_is_what_the_weights_give(
    batch_norm: bool, tmp_path: Path
) -> None:
    data = _data(tmp_path / "data")
    record = _run(tmp_path, data, batch_norm=batch_norm, epochs=20)
    network, loaded = load_float(tmp_path / "model0")
    assert loaded == record
    test = Dataset.read(data / "test.h5")
    x = torch.from_numpy(standardise(test.x, record))
    assert measure(evaluate(network, x).numpy(), test.y, CLASSES) == record.test
    assert record.test.accuracy > 0.8  # guessing gives 1/3; the classes hardly overlap
    assert ("bn1.weight" in network.state_dict()) == batch_norm
    assert record.network == "jets"
    assert len(record.history) == 20
    assert sorted(path.name for path in (tmp_path / "model0").iterdir()) == [
        "float.pt",
        "network.py",
        "record.json",
    ]


def test_standardisation_is_of_the_training_sample(tmp_path: Path) -> None:
    data = _data(tmp_path / "data")
    record = _run(tmp_path, data)
    x = Dataset.read(data / "train.h5").x.astype(float)
    assert_allclose(record.mean, x.mean(axis=0), rtol=1e-12)
    assert_allclose(record.std, x.std(axis=0), rtol=1e-12)


def test_seed_decides_the_weights(tmp_path: Path) -> None:
    data = _data(tmp_path / "data")
    first, again, other = (_run(tmp_path, data, seed) for seed in (1, 1, 2))
    assert first == again
    assert first.history != other.history
    weights = [(tmp_path / f"model{n}" / "float.pt").read_bytes() for n in range(3)]
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_network_of_the_user(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "network.py").write_text(
        "from torch import nn\n"
        "def build(classes, width):\n"
        "    return nn.Sequential(nn.LazyLinear(width), nn.Linear(width, classes))\n"
    )
    data = _data(tmp_path / "data")
    record = _run(tmp_path, data, network=folder, arguments={"width": 4})
    assert record.arguments == {"classes": 3, "width": 4}
    assert record.parameters == 2 * 4 + 4 + 4 * 3 + 3
    assert record.network == "mine"


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        (
            "def build(): ...\n",
            {"batch_norm": True},
            r": batch_norm = true, but build takes no argument batch_norm: add it, or "
            r"leave the setting out",
        ),
        (
            "from torch import nn\ndef build():\n    return nn.Linear(2, 5)\n",
            {},
            r": the network gives the shape \(2, 5\) for an input of shape \(2, 2\): "
            r"expected one logit for each of the 3 classes g, q, t",
        ),
        (
            "from torch import nn\ndef build():\n    return nn.Linear(16, 3)\n",
            {},
            r": the network does not take an input of shape \(2, 2\) \(samples, "
            r"features\): .*",
        ),
    ],
)
def test_network_that_does_not_fit(
    source: str, settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "network.py").write_text(source)
    data = _data(tmp_path / "data")
    with pytest.raises(NetworkError, match=rf"^.*/mine/network\.py{message}$"):
        _run(tmp_path, data, network=folder, **settings)


def test_constant_feature(tmp_path: Path) -> None:
    x = np.column_stack([np.full(600, 1.5), np.arange(600)])
    data = _data(tmp_path / "data", x)
    message = (
        r"^'mass' \(1\.5\) has the same value in all 360 training samples, so it "
        r"cannot be standardised: leave it out of `features`$"
    )
    with pytest.raises(DataError, match=message):
        _run(tmp_path, data)
