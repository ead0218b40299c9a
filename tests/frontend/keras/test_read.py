"""Whole files: every tensor that Keras computes, the QONNX executor computes too."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from hawq.fixed import FixedPoint
from hawq.frontend.keras.read import read_keras
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


@pytest.mark.parametrize("file", FILES)
def test_model_is_valid(file: str) -> None:
    onnx.checker.check_model(read_keras(FIXTURES / file))
