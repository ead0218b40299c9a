"""Network files: what is compared, and what is said of the user's data."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest

from hawq.csim.network import (
    Sets,
    compare_executor,
    compare_integers,
    make_sets,
    read_data,
    require_equal,
    samples_within,
    saturation,
    spell,
)
from hawq.errors import DataError, MismatchError
from hawq.integer.graph import Graph
from hawq.integer.lower import lower_model
from hawq.integer.tensor import Tensor


@pytest.fixture(scope="module")
def model(small_qonnx: Path) -> onnx.ModelProto:
    return onnx.load(str(small_qonnx))


@pytest.fixture(scope="module")
def graph(model: onnx.ModelProto) -> Graph:
    return lower_model(model)


@pytest.fixture(scope="module")
def sets(graph: Graph) -> Sets:
    x = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    return make_sets(graph, {"features": x}, samples=15, corners=10, seed=1)


def test_the_executor_agrees(model: onnx.ModelProto, graph: Graph, sets: Sets) -> None:
    comparison = compare_executor(model, graph, sets, 12)
    assert comparison.equal
    assert comparison.inputs["data"] == 12
    assert {row.tensor for row in comparison.tensors} == set(graph.tensors)
    assert sum(row.noise for row in comparison.tensors) == 0


def test_a_flipped_weight_bit_is_named(
    model: onnx.ModelProto, graph: Graph, sets: Sets
) -> None:
    wrong = onnx.ModelProto()
    wrong.CopyFrom(model)
    tensor = next(t for t in wrong.graph.initializer if t.name == "fc1_weight_value")
    values = onnx.numpy_helper.to_array(tensor).copy()
    values[0, 0] += 2.0**-5
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    comparison = compare_executor(wrong, graph, sets, 12)
    assert comparison.first is not None
    assert comparison.first.tensor == "fc1_product"
    with pytest.raises(MismatchError, match=r"^QONNX executor differs from golden"):
        require_equal(comparison)


def test_a_wrong_integer_of_a_rung_is_named(graph: Graph, sets: Sets) -> None:
    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        name = next(n for n, x in sets.inputs.items() if x["features"] is not None)
        assert name
        values = {"fc2": sets.golden["data"]["fc2"].copy()}
        values["fc2"][3, 1] += 1
        return values

    only = Sets({"data": sets.inputs["data"]}, {"data": sets.golden["data"]})
    comparison = compare_integers(graph, "rung", only, run, 10**9)
    assert comparison.first is not None
    assert (comparison.first.sample, comparison.first.index) == (3, (1,))
    expected = int(sets.golden["data"]["fc2"][3, 1])
    assert comparison.first.expected == str(expected)
    assert comparison.first.got == str(expected + 1)


def test_saturating_values_are_counted(graph: Graph) -> None:
    x = np.array([[0.0, 1.9375, 1.97, -2.04]], dtype=np.float32)  # fixed<6,2>
    assert saturation(graph, {"features": x}) == {"features": 0.5}


def test_few_samples_of_a_large_network(graph: Graph) -> None:
    elements = sum(t.lows.size for t in graph.tensors.values())
    assert samples_within(graph, 10 * elements) == 10
    assert samples_within(graph, 1) == 1


def test_scales_of_any_kind_are_spelt() -> None:
    ends = np.array([-3]), np.array([3])
    assert spell(Tensor("t", (1,), Fraction(1, 4), *ends)) == "fixed<3,1,TRN,WRAP,0>"
    assert spell(Tensor("t", (1,), Fraction(1, 3), *ends)) == "int3*0.333333"


@pytest.mark.parametrize("names", [("features",), ("x",), ("anything",)])
def test_one_array_is_enough(tmp_path: Path, graph: Graph, names: tuple[str]) -> None:
    x = np.ones((2, 4), dtype=np.float32)
    np.savez(tmp_path / "x.npz", **{names[0]: x})
    np.testing.assert_array_equal(read_data(tmp_path / "x.npz", graph)["features"], x)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"a": np.ones((2, 4)), "b": np.ones(3)},
            r"^.* has no array features; it has a, b: save one array for each input of "
            r"the network$",
        ),
        (
            {"x": np.ones((2, 5))},
            r"^.*: 'features' has shape \(2, 5\), expected \(samples, 4\)$",
        ),
        (
            {"x": np.ones((2, 2, 2))},
            r"^.*: 'features' has shape \(2, 2, 2\), expected \(samples, 4\): the "
            r"elements would fit, but in which order\? reshape or transpose the data$",
        ),
        (
            {"x": np.array([["a"] * 4])},
            r"^.*: 'features' has type <U1, expected numbers$",
        ),
        (
            {"x": np.full((1, 4), np.nan)},
            r"^.*: 'features' has NaN or infinity: clean the data first$",
        ),
    ],
)
def test_wrong_data_are_refused(
    tmp_path: Path, graph: Graph, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_data(tmp_path / "x.npz", graph)


def test_pickled_data_are_not_opened(tmp_path: Path, graph: Graph) -> None:
    np.save(tmp_path / "x.npy", np.array([{}], dtype=object))
    with pytest.raises(DataError, match=r"^.*: not a NumPy file of plain numbers: "):
        read_data(tmp_path / "x.npy", graph)
