"""Keras files made by hand, with h5py and json alone."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from hawq.frontend.keras.layer import Layer
from hawq.frontend.keras.writer import Writer

collect_ignore = ["make_fixtures.py", "make_hgq_fixtures.py"]  # they need Keras

Weights = Sequence[Any]
Entry = dict[str, Any]


def entry(kind: str, name: str, **config: Any) -> Entry:
    """One layer of a configuration."""
    return {"class_name": kind, "config": {"name": name, **config}}


def input_entry(*shape: int | None, name: str = "x") -> Entry:
    return entry("InputLayer", name, batch_shape=[None, *shape])


def write_h5(path: Path, config: Any, weights: dict[str, Weights]) -> Path:
    """Write a file as Keras 2 does."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        group = file.create_group("model_weights")
        for layer, arrays in weights.items():
            inner = group.create_group(layer)
            names = [f"{layer}/{i}" for i in range(len(arrays))]
            inner.attrs["weight_names"] = names
            for name, array in zip(names, arrays, strict=True):
                inner[name] = np.asarray(array, dtype=np.float32)
    return path


def write_zip(path: Path, config: Any, weights: dict[str, Weights]) -> Path:
    """Write a file as Keras 3 does; ``weights`` by running numbers of classes."""
    inner = path.with_suffix(".weights")
    with h5py.File(inner, "w") as file:
        for key, arrays in weights.items():
            group = file.create_group(f"layers/{key}/vars")
            for i, array in enumerate(arrays):
                group[str(i)] = np.asarray(array, dtype=np.float32)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.write(inner, "model.weights.h5")
    return path


def sequential(*layers: Entry) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "m", "layers": [*layers]}}


@pytest.fixture(scope="session", name="entry")
def entry_fixture() -> Callable[..., Entry]:
    return entry


@pytest.fixture(scope="session", name="input_entry")
def input_entry_fixture() -> Callable[..., Entry]:
    return input_entry


@pytest.fixture(scope="session", name="sequential")
def sequential_fixture() -> Callable[..., dict[str, Any]]:
    return sequential


@pytest.fixture(scope="session", name="write_h5")
def write_h5_fixture() -> Callable[..., Path]:
    return write_h5


@pytest.fixture(scope="session", name="write_zip")
def write_zip_fixture() -> Callable[..., Path]:
    return write_zip


@pytest.fixture(scope="session", name="layer_of")
def layer_of_fixture() -> Callable[..., Layer]:
    return layer_of


@pytest.fixture(scope="session", name="compute")
def compute_fixture() -> Callable[..., Any]:
    return compute


@pytest.fixture(scope="session")
def stored_quantizers() -> dict[str, NDArray[Any]]:
    """What qkeras made of weights and of data; see ``make_fixtures.py``."""
    with np.load(Path(__file__).parent / "fixtures" / "quantizers.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture
def sequence(tmp_path: Path) -> Callable[..., Path]:
    """Write a Sequential model of an input shape, layers and weights."""

    def make(shape: Sequence[int], *layers: Entry, **weights: Weights) -> Path:
        config = sequential(input_entry(*shape), *layers)
        return write_h5(tmp_path / "m.h5", config, weights)

    return make


def layer_of(kind: str, *weights: Any, **config: Any) -> Layer:
    """A layer called ``l``."""
    arrays = tuple(np.asarray(w, dtype=np.float32) for w in weights)
    return Layer("l", kind, config, weights=arrays)


def compute(
    write: Callable[[Writer, Layer, list[str]], str],
    layer: Layer,
    x: Any,
    *others: Any,
) -> tuple[onnx.ModelProto, NDArray[np.float32]]:
    """Write one layer and run it on one sample of each input."""
    out, given = Writer(), {}
    out.prefix = "l"
    for name, value in zip("xyz", (x, *others), strict=False):
        given[name] = np.asarray(value, dtype=np.float32)[None]
        out.shapes[name] = given[name].shape[1:]
    result = write(out, layer, list(given))
    model = out.model("m", list(given), [result])
    return model, execute_onnx(ModelWrapper(model), given)[result][0]
