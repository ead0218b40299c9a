"""Whole files: every tensor that Keras computes, the QONNX executor computes too."""

from __future__ import annotations

import contextlib
import functools
import json
import operator
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from hawq.errors import NetworkError
from hawq.fixed import FixedPoint
from hawq.frontend.keras.read import LAYERS, read_keras
from hawq.frontend.network import quantize_inputs
from hawq.integer.execute import trace
from hawq.integer.lower import lower_model

FIXTURES = Path(__file__).parent / "fixtures"
FILES = sorted(p.name for p in FIXTURES.glob("*") if p.suffix in (".h5", ".keras"))
INPUT = FixedPoint(True, 8, 5)  # holds -4, -3.75 … 3.75, as the samples are
Values = dict[str, NDArray[np.float32]]


@functools.cache
def keras_values(stem: str) -> tuple[Values, Values]:
    """Inputs, and what Keras computes from them."""
    with np.load(FIXTURES / f"{stem}.npz") as file:
        stored = {name: file[name] for name in file.files}
    inputs = {n.removeprefix("input/"): v for n, v in stored.items() if "/" in n}
    return inputs, {n: v for n, v in stored.items() if "/" not in n}


@functools.cache
def executor_values(name: str) -> Values:
    """What the QONNX executor computes, as the file stands, sample by sample."""
    inputs, expected = keras_values(Path(name).stem)
    model = ModelWrapper(read_keras(FIXTURES / name))
    samples = [
        execute_onnx(model, {n: x[i : i + 1] for n, x in inputs.items()}, True)
        for i in range(len(next(iter(inputs.values()))))
    ]
    return {t: np.concatenate([s[t] for s in samples]) for t in expected}


CASES = [
    pytest.param(file, tensor, id=f"{file}-{tensor}")
    for file in FILES
    for tensor in keras_values(Path(file).stem)[1]
]


@pytest.mark.parametrize(("file", "tensor"), CASES)
def test_executor_equals_keras(file: str, tensor: str) -> None:
    expected = keras_values(Path(file).stem)[1][tensor]

    values = executor_values(file)[tensor]

    if tensor == "softmax":  # exp differs in its last bits from library to library
        np.testing.assert_allclose(values, expected, rtol=1e-5)
    else:
        np.testing.assert_array_equal(values, expected)


@functools.cache
def integer_values(name: str) -> Values:
    inputs, _ = keras_values(Path(name).stem)
    graph = lower_model(quantize_inputs(read_keras(FIXTURES / name), INPUT))
    integers = trace(graph, inputs)
    return {
        tensor: (integers[tensor] * float(graph.tensors[tensor].scale))
        for tensor in graph.tensors
    }


@pytest.mark.parametrize(
    ("file", "tensor"), [case for case in CASES if case.values[1] != "softmax"]
)
def test_integer_graph_equals_keras(file: str, tensor: str) -> None:
    expected = keras_values(Path(file).stem)[1][tensor]

    values = integer_values(file)[tensor]

    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("file", FILES)
def test_tensors_keep_names_and_shapes(file: str) -> None:
    inputs, expected = keras_values(Path(file).stem)

    model = ModelWrapper(read_keras(FIXTURES / file))

    assert {t.name for t in model.graph.input} == inputs.keys()
    assert {t: (1, *v.shape[1:]) for t, v in expected.items()} == {
        t: tuple(model.get_tensor_shape(t)) for t in expected
    }


CARRIED = ", ".join(sorted(LAYERS))


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("Lambda", "it holds code, which is never run: use layers"),
        (
            "TFOpLambda",
            "use layers (Add, Multiply, ...) in place of operators on tensors",
        ),
        ("QDenseBatchnorm", "use QDense and QBatchNormalization"),
        ("Sequential", "a model inside a model: add its layers one by one"),
        ("LSTM", "replace it by layers of this list"),
    ],
)
def test_layer_that_is_not_carried_is_named(sequence, entry, kind, remedy) -> None:
    path = sequence([3], entry(kind, "odd", function=["code"]))
    message = re.escape(
        f"{path}: layer 'odd' ({kind}): this layer is not carried (carried: "
        f"{CARRIED}): {remedy}"
    )

    with pytest.raises(NetworkError, match=f"^{message}$"):
        read_keras(path)


def test_layer_of_hgq2_is_refused_by_name(sequence, entry) -> None:
    module = "hgq.layers.core.einsum_dense"
    path = sequence([3], {**entry("QEinsumDense", "odd"), "module": module})
    message = re.escape(
        f"{path}: layer 'odd' (QEinsumDense): this layer of HGQ2 is not carried "
        "(carried: QBatchNormDense, QBatchNormalization, QConv1D, QConv2D, QDense, "
        "Quantizer, and layers of Keras): replace it, or give the model to alkaid or "
        "hls4ml directly"
    )

    with pytest.raises(NetworkError, match=f"^{message}$"):
        read_keras(path)


def test_own_layer_of_a_known_name_is_refused(sequence, entry) -> None:
    path = sequence([3], {**entry("Dense", "odd"), "module": "mine.layers"})
    message = re.escape(
        f"{path}: layer 'odd' (Dense): its class is of 'mine.layers', expected one of "
        "keras, tf_keras, qkeras: what it does is not in the file, replace it by their "
        "layers"
    )

    with pytest.raises(NetworkError, match=f"^{message}$"):
        read_keras(path)


def test_softmax_inside_is_refused(sequence, entry) -> None:
    path = sequence([3], entry("Softmax", "soft"), entry("ReLU", "relu"))
    message = re.escape(
        f"{path}: layer 'soft': a softmax inside the network is not carried: use it at "
        "the end only, where it is left to the host"
    )

    with pytest.raises(NetworkError, match=f"^{message}$"):
        read_keras(path)


def test_model_that_does_nothing_is_refused(sequence, entry) -> None:
    path = sequence([3], entry("Dropout", "drop"))
    message = re.escape(
        f"{path}: the model has inputs ['x'] and outputs ['x'], expected different "
        "tensors, at least one of each: build it again"
    )

    with pytest.raises(NetworkError, match=f"^{message}$"):
        read_keras(path)


def test_layer_with_too_many_inputs_is_refused(
    tmp_path, entry, input_entry, write_h5
) -> None:
    node = [[["x", 0, 0, {}], ["x", 0, 0, {}]]]
    layers = [input_entry(3), {**entry("ReLU", "y"), "inbound_nodes": node}]
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [["y", 0, 0]]}
    config = {"class_name": "Functional", "config": {"layers": layers, **ends}}
    path = write_h5(tmp_path / "m.h5", config, {})
    message = re.escape(
        f"{path}: layer 'y' (ReLU): it reads 2 tensors, expected 1: save it again"
    )

    with pytest.raises(NetworkError, match=f"^{message}$"):
        read_keras(path)


JUNK = st.sampled_from([
    None,
    True,
    -1,
    0,
    2**70,
    1e308,
    float("nan"),
    "",
    "x",
    [],
    [[]],
    {},
    [1, "a"],
])


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to everything in a configuration."""
    if path:
        yield path
    inner = dict(enumerate(value)) if isinstance(value, list) else value
    if isinstance(inner, dict):
        for key, child in inner.items():
            yield from leaves(child, (*path, key))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "m.keras"


@settings(deadline=None, max_examples=100)
@given(data=st.data(), file=st.sampled_from([f for f in FILES if f.endswith("keras")]))
def test_damaged_configuration_is_read_or_refused(scratch, data, file) -> None:
    with zipfile.ZipFile(FIXTURES / file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    *outer, last = data.draw(st.sampled_from(list(leaves(config))))
    functools.reduce(operator.getitem, outer, config)[last] = data.draw(JUNK)
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(scratch, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)

    with contextlib.suppress(NetworkError):
        onnx.checker.check_model(read_keras(scratch))


@pytest.mark.parametrize("file", FILES)
def test_model_is_valid(file: str) -> None:
    onnx.checker.check_model(read_keras(FIXTURES / file))


def test_model_without_a_name_is_valid(scratch) -> None:
    """Found by random damage: ONNX wants a name of the graph."""
    file = next(f for f in FILES if f.endswith("keras"))
    with zipfile.ZipFile(FIXTURES / file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    config["config"]["name"] = ""
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(scratch, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    onnx.checker.check_model(read_keras(scratch))
