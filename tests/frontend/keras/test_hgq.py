"""Files of HGQ2: every integer that Keras computes, the integer graph computes too."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from hawq.errors import NetworkError
from hawq.frontend.keras.hgq import write_quantizer
from hawq.frontend.keras.layer import Layer
from hawq.frontend.keras.read import read_keras
from hawq.integer.execute import trace
from hawq.integer.lower import lower_model

FIXTURES = Path(__file__).parent / "fixtures" / "hgq2"
STEMS = sorted(path.stem for path in FIXTURES.glob("*.keras"))


def stored(stem: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Inputs, and what Keras made of them, by layer."""
    with np.load(FIXTURES / f"{stem}.npz") as file:
        values = {name: file[name] for name in file.files}
    return values.pop("input/x"), values


def test_there_are_files() -> None:
    assert len(STEMS) == 11


@pytest.mark.parametrize("stem", STEMS)
def test_integer_graph_equals_keras(stem: str) -> None:
    x, expected = stored(stem)

    graph = lower_model(read_keras(FIXTURES / f"{stem}.keras"))

    integers = trace(graph, x)
    values = {n: integers[n] * float(graph.tensors[n].scale) for n in expected}
    for name in expected:
        assert_array_equal(values[name], expected[name], name)


@pytest.mark.parametrize("stem", ["images", "sat_sym_rnd_inf_kif", "wrap_rnd_kif"])
def test_executor_equals_keras(stem: str) -> None:
    x, expected = stored(stem)
    model = ModelWrapper(read_keras(FIXTURES / f"{stem}.keras"))

    samples = [execute_onnx(model, {"x": x[i : i + 1]}, True) for i in (0, 50)]

    for name in expected:
        found = np.concatenate([sample[name] for sample in samples])
        assert_array_equal(found, expected[name][[0, 50]], name)


@pytest.mark.parametrize("stem", STEMS)
def test_files_tell_networks_apart(stem: str) -> None:
    """Results must vary, and inputs reach beyond every format."""
    x, expected = stored(stem)

    assert len(np.unique(expected["last"])) > 8
    assert np.abs(x).max() > 1000


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("wrap_rnd_kif", ["first/iq", "second/iq", "last/iq"]),
        ("wrap_that_fits", ["first/iq"]),
        ("sat_rnd_kif", []),
    ],
)
def test_only_what_can_overflow_wraps(stem: str, expected: list[str]) -> None:
    model = read_keras(FIXTURES / f"{stem}.keras")

    names = [node.name for node in model.graph.node]
    wrapped = [n.removesuffix("/wrapped") for n in names if n.endswith("/wrapped")]
    assert wrapped == expected


def changed(path: Path, stem: str, change: dict[str, object]) -> Path:
    """Copy a file with settings of the first quantizer of data changed."""
    with (
        zipfile.ZipFile(FIXTURES / f"{stem}.keras") as source,
        zipfile.ZipFile(path, "w") as target,
    ):
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                config = json.loads(content)
                layer = config["config"]["layers"][1]["config"]
                layer["iq_conf"]["config"].update(change)
                content = json.dumps(config).encode()
            target.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"overflow_mode": "WRAP_SM"},
            "iq has overflow_mode 'WRAP_SM', expected one of SAT, SAT_SYM, WRAP: "
            "train with one of these",
        ),
        (
            {"q_type": "float"},
            "iq has q_type 'float', expected one of kbi, kif: train with one of these",
        ),
        (
            {"round_mode": "UP"},
            "iq has round_mode 'UP', expected one of RND, RND_CONV, RND_INF, "
            "RND_MIN_INF, RND_ZERO, TRN, TRN_ZERO: train with one of these",
        ),
        (
            {"affine": [0.25, 0.5]},
            "iq has the setting affine, which is not carried: leave it out",
        ),
        (
            {"overflow_mode": "SAT"},
            "k of its iq is not 0 or 1: the file is damaged, save it again",
        ),
    ],
)
def test_quantizer_is_refused_by_name(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = changed(tmp_path / "m.keras", "wrap_rnd_kif", change)
    expected = re.escape(f"{path}: layer 'first' (QDense): {message}")

    with pytest.raises(NetworkError, match=f"^{expected}$"):
        read_keras(path)


def quantizer(layer_of, overflow: str, integer: float, fraction: float) -> Layer:
    """A signed quantizer of three channels."""
    settings = {"q_type": "kif", "overflow_mode": overflow, "round_mode": "RND"}
    order = (integer, fraction, 1) if overflow == "SAT" else (fraction, 1, integer)
    arrays = tuple(np.full(3, bits, dtype=np.float32) for bits in order)
    layer = layer_of("Quantizer", config={"config": settings})
    return replace(layer, quantizers={"q": arrays})


def test_wrapping_beyond_float32_is_refused(compute, layer_of) -> None:
    first, second = (
        quantizer(layer_of, overflow, integer, 4)
        for overflow, integer in (("SAT", 20), ("WRAP", 2))
    )
    message = re.escape(
        "layer 'l' (Quantizer): its q wraps values of up to 1.68e+07 steps, expected "
        "fewer than 2^23, which float32 holds: train with overflow_mode SAT"
    )

    with pytest.raises(NetworkError, match=f"^{message}$"):
        compute(
            lambda out, layer, xs: write_quantizer(
                out, second, [write_quantizer(out, layer, xs)]
            ),
            first,
            np.zeros(3),
        )
