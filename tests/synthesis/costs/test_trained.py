"""Layers cut out of a flow's network."""

from __future__ import annotations

import numpy as np
import pytest

import hawq.model.stage
import hawq.sensitivity.stage
from hawq.data.dataset import Dataset, split_dataset
from hawq.errors import StageError
from hawq.model.network import load_float
from hawq.stage import StageContext
from hawq.synthesis.costs import trained
from hawq.synthesis.costs.trained import cut_layers


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A flow's folder with data, model and sensitivity: 3 features, net 3-6-5-3."""
    root = tmp_path_factory.mktemp("flow")
    names = {"data": "01-data", "model": "02-model", "sensitivity": "03-sensitivity"}
    folders = {stage: root / name for stage, name in names.items()}
    random = np.random.default_rng(0)
    y = np.arange(600) % 3
    x = np.array([[80, 20, 1], [20, 50, 3], [170, 60, 2]])[y]
    x = x + [40, 16, 1] * random.normal(size=(600, 3))
    whole = Dataset(x, y, ("mass", "multiplicity", "width"), ("g", "q", "t"))
    parts = split_dataset(whole, (0.6, 0.2, 0.2), 0)
    for name, part in parts._asdict().items():
        part.save(folders["data"] / f"{name}.h5")
    arguments = {"epochs": 4, "batch_size": 32, "arguments": {"hidden": [6, 5]}}
    for stage, settings in (
        (hawq.model.stage, arguments),
        (hawq.sensitivity.stage, {"samples": 128, "validation_bits": ()}),
    ):
        folder = folders[stage.__name__.split(".")[1]]
        folder.mkdir()
        context = StageContext(
            folder, stage.Settings(**settings), folders, 1, resume=root / "scratch"
        )
        stage.run(context).save(folder / "record.json")
    return root


def test_layers_are_the_networks_at_every_pair_of_widths(build):
    layers = cut_layers(build, ((3, 4), (8, 7)))

    assert [layer.name for layer in layers] == [
        f"{name} {bits}" for name in ("fc1", "fc2", "fc3") for bits in ("3x4", "8x7")
    ]
    assert [layer.signed for layer in layers] == [True, True, *[False] * 4]
    assert [layer.output_bits for layer in layers] == [4, 7, 4, 7, None, None]
    network, _ = load_float(build / "02-model")
    weight = network.fc2.weight.detach().numpy().astype(np.float64)
    fine = layers[3].weight
    scales = 2.0 ** np.arange(-12, 1)
    near = [np.clip(np.rint(weight / scale), -127, 127) for scale in scales]
    assert any(np.array_equal(fine, integers) for integers in near)
    assert np.corrcoef(fine.ravel(), weight.ravel())[0, 1] > 0.999


def test_a_layer_too_large_is_left_out(build, monkeypatch):
    monkeypatch.setattr(trained, "MOST_DIGIT_BITS", 300)

    names = [layer.name for layer in cut_layers(build, ((2, 2), (8, 8)))]

    assert "fc1 2x2" in names
    assert "fc2 8x8" not in names


def test_a_missing_stage_is_named(tmp_path):
    with pytest.raises(
        StageError,
        match=r"^\S+ has no finished stage model, whose network would test the cost "
        r"model: run the flow, or leave out the network$",
    ):
        cut_layers(tmp_path, ((4, 4),))
