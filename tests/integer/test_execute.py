import re
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from hawq.errors import DataError
from hawq.fixed import FixedPoint, Overflow, Rounding
from hawq.integer import execute as golden
from hawq.integer.execute import execute, run, trace
from hawq.integer.graph import build
from hawq.integer.grid import Grid
from hawq.integer.lower import lower_model, lower_qonnx
from hawq.integer.nodes import Dense, Quantize, Relu, Requantize
from hawq.integer.tensor import RealInput

BATCH = 8


def fixed(*args, **rest):
    return Grid.of(FixedPoint(*args, **rest))


def qonnx_executor(model, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = ModelWrapper(model).transform(InferShapes())
        return execute_onnx(wrapped, {model.graph.input[0].name: x}, True)


def real_values(graph, integers):
    return {
        name: array.astype(object) * graph.tensors[name].scale
        for name, array in integers.items()
    }


def in_file(graph):
    """Names of tensors without those that lowering added."""
    return [name for name in graph.tensors if not name.endswith(".sums")]


@given(data=st.data())
def test_every_tensor_equals_exact_rational_arithmetic(
    data, networks, inputs_for, exact
):
    model = data.draw(networks(bits=data.draw(st.sampled_from([6, 12, 24, 40]))))
    graph = lower_model(model)
    x = inputs_for(model, BATCH, "f8")
    expected = exact(model, x)
    got = real_values(graph, trace(graph, x))
    assert list(got) == list(graph.tensors)
    for name in in_file(graph):
        assert_array_equal(got[name], expected[name], err_msg=name)


@given(data=st.data())
def test_every_tensor_equals_the_qonnx_executor(data, networks, inputs_for):
    model = data.draw(networks(bits=6, batch=BATCH))
    graph = lower_model(model)
    assume(max(t.width for t in graph.tensors.values()) <= 22)  # float32 is exact
    x = inputs_for(model, BATCH, "f4")
    expected = qonnx_executor(model, x)
    got = trace(graph, x)
    for name in in_file(graph):
        value = got[name] * float(graph.tensors[name].scale)
        assert_array_equal(value, expected[name], err_msg=name)


def test_a_brevitas_export_equals_the_qonnx_executor(small_qonnx):
    model = ModelWrapper(str(small_qonnx)).model
    graph = lower_qonnx(small_qonnx)
    for x in np.random.default_rng(1).normal(size=(20, 1, 4)).astype(np.float32) * 3:
        expected = qonnx_executor(model, x)
        for name, integers in trace(graph, x).items():
            value = integers * float(graph.tensors[name].scale)
            assert_array_equal(value, expected[name], err_msg=name)


@given(data=st.data())
def test_all_number_types_give_the_same_integers(data, networks, inputs_for):
    model = data.draw(networks(bits=data.draw(st.sampled_from([6, 12, 24]))))
    graph = lower_model(model)
    x = inputs_for(model, BATCH, "f4")
    names = tuple(graph.tensors)
    expected = execute(graph, x, names, carriers=("object",))
    for carriers in (golden.CARRIERS, ("float64", "object"), ("int64", "object")):
        got = execute(graph, x, names, carriers=carriers)
        for name in names:
            assert_array_equal(got[name], expected[name], err_msg=name)


@given(data=st.data())
def test_fused_steps_give_the_integers_of_single_ones(data, networks, inputs_for):
    model = data.draw(networks(bits=data.draw(st.sampled_from([6, 12, 24]))))
    graph = lower_model(model)
    x = inputs_for(model, BATCH, "f4")
    single = trace(graph, x)
    for name, integers in run(graph, x).items():
        assert_array_equal(integers, single[name])
    for name in graph.tensors:
        assert_array_equal(execute(graph, x, [name])[name], single[name], err_msg=name)


@given(data=st.data())
def test_no_integer_leaves_its_bounds(data, networks, inputs_for):
    model = data.draw(networks(bits=data.draw(st.sampled_from([6, 24, 40]))))
    graph = lower_model(model)
    for name, integers in trace(graph, inputs_for(model, 64, "f8")).items():
        tensor = graph.tensors[name]
        assert (integers >= tensor.lows).all()
        assert (integers <= tensor.highs).all()


@pytest.fixture
def small_graph():
    return build(
        [RealInput("x", (3,))],
        [
            Quantize(("x",), "q", fixed(True, 6, 2)),
            Dense(("q",), "y", np.array([[1, -2], [3, 4], [-5, 6]]), Fraction(1, 8)),
            Relu(("y",), "r"),
            Requantize(("r",), "z", fixed(False, 5, 4)),
        ],
        ["z"],
    )


@pytest.mark.parametrize("samples", [0, 1, 63, 64, 200])
@pytest.mark.parametrize("threads", [1, 3])
def test_chunks_and_threads_do_not_change_the_result(
    samples, threads, small_graph, monkeypatch
):
    x = np.random.default_rng(0).normal(size=(200, 3))
    expected = run(small_graph, x, threads=1)["z"][:samples]
    monkeypatch.setattr(golden, "_CHUNK_BYTES", 1)
    got = run(small_graph, x[:samples], threads=threads)["z"]
    assert got.dtype == np.int64
    assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i8", "?"])
def test_inputs_of_any_real_type_are_taken_exactly(dtype, small_graph):
    x = np.array([[0, 1, 0], [1, 0, 1]])
    expected = run(small_graph, x.astype(np.float64))["z"]
    assert_array_equal(run(small_graph, x.astype(dtype))["z"], expected)


def test_inputs_beyond_the_range_saturate(small_graph):
    x = np.array([[3e38, -3e38, 3e38]])
    expected = [[31, -32, 31]]
    assert_array_equal(trace(small_graph, x.astype(np.float32))["q"], expected)
    assert_array_equal(trace(small_graph, x * 1e269)["q"], expected)


def test_integers_beyond_int64_are_python_integers():
    graph = build(
        [RealInput("x", (1,))],
        [
            Quantize(("x",), "q", fixed(False, 64, 64)),
            Dense(("q",), "y", np.array([[2**40]]), Fraction(1)),
        ],
        ["y"],
    )
    result = trace(graph, np.array([[2.0**63]]))
    assert result["q"].tolist() == [[2**63]]
    assert result["y"].tolist() == [[2**103]]


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("overflow", Overflow)
def test_every_mode_of_the_contract_is_carried(rounding, overflow):
    form = FixedPoint(True, 4, 2, rounding, overflow)
    graph = build(
        [RealInput("x", (1,))],
        [
            Quantize(("x",), "q", fixed(True, 8, 4, rounding, overflow)),
            Requantize(("q",), "z", Grid.of(form)),
        ],
        ["z"],
    )
    x = np.arange(-9, 9, 1 / 64)[:, None]
    got = trace(graph, x)
    assert_array_equal(got["q"], FixedPoint(True, 8, 4, rounding, overflow).quantize(x))
    assert_array_equal(got["z"], form.requantize(got["q"], 4))


# --- messages ---------------------------------------------------------------------


def test_wrong_shape_is_refused(small_graph):
    message = r"^input 'x' got shape \(2, 4\), expected \(samples, 3\)$"
    with pytest.raises(DataError, match=message):
        run(small_graph, np.zeros((2, 4)))


def test_missing_input_is_refused(small_graph):
    message = r"^no data for input 'x', got data for: y$"
    with pytest.raises(DataError, match=message):
        run(small_graph, {"y": np.zeros((2, 3))})


def test_nan_is_refused(small_graph):
    x = np.zeros((500, 3), dtype=np.float32)
    x[400, 2] = np.nan
    where = r"sample 400 at index \(2,\)"
    message = rf"^input 'x': NaN or infinity in {where}: clean the data first$"
    with pytest.raises(DataError, match=message):
        run(small_graph, x)


@pytest.mark.parametrize(
    "x",
    [
        np.array([[2**53 + 1, 0, 0]]),
        np.array([["a", "b", "c"]]),
        np.array([[1j, 0, 0]]),
    ],
)
def test_values_that_float64_cannot_hold_are_refused(x, small_graph):
    message = (
        rf"^input 'x' has type {re.escape(str(x.dtype))}, expected real numbers that "
        r"float64 holds exactly$"
    )
    with pytest.raises(DataError, match=message):
        run(small_graph, x)


def test_inputs_with_different_numbers_of_samples_are_refused():
    form = fixed(True, 4, 2)
    graph = build(
        [RealInput("a", (1,)), RealInput("b", (1,))],
        [Quantize(("a",), "p", form), Quantize(("b",), "q", form)],
        ["p", "q"],
    )
    message = r"^inputs with different numbers of samples: \{'a': 2, 'b': 3\}$"
    with pytest.raises(DataError, match=message):
        run(graph, {"a": np.zeros((2, 1)), "b": np.zeros((3, 1))})
