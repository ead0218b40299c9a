import re
import warnings
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from hawq.errors import DataError
from hawq.fixed import FixedPoint, Overflow, Rounding
from hawq.integer import execute as golden
from hawq.integer.bounds import output_tensor
from hawq.integer.execute import execute, run, trace
from hawq.integer.executor import kernels
from hawq.integer.graph import build
from hawq.integer.grid import Grid
from hawq.integer.lower import lower_model, lower_qonnx
from hawq.integer.nodes import (
    Affine,
    Clip,
    Concat,
    Conv,
    Dense,
    LeakyRelu,
    MaxPool,
    Multiply,
    Quantize,
    Relu,
    Requantize,
    Reshape,
    Select,
    Sum,
    SumPool,
    Threshold,
    Transpose,
    Window,
)
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


SCALES = [Fraction(1, 8), Fraction(0.1), Fraction(float(np.float32(0.3))), Fraction(3)]


class Drawing:
    """A graph of any nodes, drawn one by one; the channels are the first axis."""

    def __init__(self, draw, last):
        self.draw, self.last = draw, last
        self.random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        shape = (5, 4, 2) if last else (2, 5, 4)
        self.real = RealInput("x", shape)
        self.values = {"x": self.real}
        self.nodes = []
        gain, offset = (
            np.array([[[Fraction(draw(st.sampled_from([-1.5, 0.1, 2.0])))]]])
            if draw(st.booleans())
            else None
            for _ in range(2)
        )
        self.add(Quantize, ("x",), self.grid(), gain, offset)

    def add(self, kind, names, *rest):
        node = kind(names, f"t{len(self.nodes)}", *rest)
        self.values[node.output] = output_tensor(node, self.values)
        self.nodes.append(node)

    def grid(self):
        draw, bits = self.draw, self.draw(st.integers(1, 10))
        return Grid(
            -(2**bits) if draw(st.booleans()) else 0,
            2**bits - 1,
            draw(st.sampled_from(SCALES)),
            draw(st.sampled_from(Rounding)),
            draw(st.sampled_from([Overflow.SATURATE, Overflow.SATURATE, Overflow.WRAP]))
            if draw(st.booleans())
            else Overflow.SATURATE,
            draw(st.sampled_from([0, 0, 1, -4])),
        )

    @property
    def x(self):
        return self.values[self.nodes[-1].output]

    @property
    def channels(self):
        return (
            self.x.shape[-1] if self.last or len(self.x.shape) < 3 else self.x.shape[0]
        )

    def column(self, size):
        rank = len(self.x.shape)
        shape = [1] * rank
        shape[-1 if self.last or rank < 3 else 0] = self.channels
        wide = self.draw(st.sampled_from([1, 10, 2**30])) if size > 1 else 1
        return self.random.integers(-size, size + 1, shape) * wide

    def window(self, kernel, pad):
        pads = tuple(self.draw(st.integers(0, pad)) for _ in range(4))
        strides = tuple(self.draw(st.integers(1, 2)) for _ in range(2))
        return Window(kernel, strides, (1, 1), pads, self.last)

    def step(self):
        name, shape = self.x.name, self.x.shape
        spatial = (shape[:-1] if self.last else shape[1:]) if len(shape) == 3 else ()
        kinds = ["dense", "affine", "relu", "leaky", "clip", "quant", "quant", "sum"]
        kinds += ["select", "square", "threshold", "concat"]
        if spatial:
            kinds += ["conv"] * 4 + ["depthwise", "flatten"]
            kinds += ["max", "sumpool", "transpose"] if min(spatial) > 1 else []
        match self.draw(st.sampled_from(kinds)):
            case "dense":
                weights = self.random.integers(-9, 10, (shape[-1], shape[-1]))
                bias = self.random.integers(-99, 99, shape[-1])
                chosen = bias if self.draw(st.booleans()) else None
                self.add(
                    Dense, (name,), weights, self.draw(st.sampled_from(SCALES)), chosen
                )
            case "conv" | "depthwise" as kind:
                groups = self.channels if kind == "depthwise" else 1
                kernel = tuple(min(s, self.draw(st.integers(1, 3))) for s in spatial)
                outputs = groups * self.draw(st.integers(1, 3))
                size = (outputs, self.channels // groups, *kernel)
                weights = self.random.integers(-9, 10, size)
                bias = self.random.integers(-99, 99, outputs)
                self.add(
                    Conv,
                    (name,),
                    weights,
                    self.draw(st.sampled_from(SCALES)),
                    self.window(kernel, 1),
                    groups,
                    bias if self.draw(st.booleans()) else None,
                )
            case "affine":
                scale = self.draw(st.sampled_from(SCALES))
                self.add(Affine, (name,), self.column(9), self.column(999), scale)
            case "relu":
                self.add(Relu, (name,))
            case "leaky":
                slope = self.draw(st.sampled_from([0.1, 0.25, 3.0, -0.5, 1 / 3]))
                self.add(LeakyRelu, (name,), Fraction(slope).limit_denominator(999))
            case "clip":
                low = self.draw(st.integers(-99, 0))
                self.add(Clip, (name,), low, low + self.draw(st.integers(0, 200)))
            case "quant":
                grid = self.grid()
                ratio = Fraction(
                    max(-self.x.low, self.x.high, 1), 2 ** self.draw(st.integers(2, 9))
                )
                near = (
                    self.x.scale
                    * ratio
                    * self.draw(st.sampled_from([1, Fraction(0.7)]))
                )
                self.add(Requantize, (name,), replace(grid, scale=near))
            case "sum":
                other = self.draw(st.integers(-3, 3)) or 5
                self.add(
                    Affine,
                    (name,),
                    np.array(other),
                    np.array(1),
                    self.x.scale / abs(other),
                )
                multiplier = abs(other) if self.draw(st.booleans()) else -abs(other)
                self.add(Sum, (name, self.x.name), (multiplier, 1))
            case "select":
                size = self.x.lows.size
                self.add(Select, (name,), self.random.integers(-1, size, shape), 0)
            case "square":
                self.add(Multiply, (name, name))
            case "threshold":
                few = np.sort(self.random.integers(-500, 500, (*[1] * len(shape), 5)))
                self.add(Threshold, (name,), few)
            case "concat":
                self.add(Concat, (name, name), len(shape) - 1 if self.last else 0)
            case "max":
                self.add(MaxPool, (name,), self.window((2, 2), 1))
            case "sumpool":
                self.add(SumPool, (name,), self.window((2, 2), 1), self.x.scale / 4)
            case "transpose":
                order = (1, 0, 2) if self.last else (0, 2, 1)
                self.add(Transpose, (name,), order)
            case "flatten":
                self.add(Reshape, (name,), (self.x.lows.size,))


@st.composite
def graphs(draw):
    drawing = Drawing(draw, draw(st.booleans()))
    for _ in range(draw(st.integers(1, 8))):
        drawing.step()
        if drawing.x.lows.size > 400 or drawing.x.width > 200:
            break
    return build([drawing.real], drawing.nodes, [drawing.x.name])


@given(graph=graphs(), seed=st.integers(0, 99))
@settings(max_examples=100)
def test_any_graph_gives_the_integers_of_python(graph, seed):
    random = np.random.default_rng(seed)
    steps = random.integers(-80, 80, (5, *graph.inputs[0].shape))
    x = steps * random.choice([0.05, 0.125, 0.15, 1.0])
    names = tuple(graph.tensors)
    expected = execute(graph, x, names, carriers=("object",))
    fused = run(graph, x)
    single = trace(graph, x)
    for name in names:
        assert_array_equal(single[name], expected[name], err_msg=name)
    for name in graph.outputs:
        assert_array_equal(fused[name], expected[name], err_msg=name)


@pytest.mark.parametrize("last", [False, True])
def test_blocks_of_rows_do_not_change_a_convolution(last, monkeypatch):
    shape = (9, 7, 4) if last else (4, 9, 7)
    random = np.random.default_rng(0)
    window = Window((3, 2), (2, 1), (1, 2), (1, 0, 2, 1), last)
    weights = random.integers(-9, 9, (6, 2, 3, 2))
    graph = build(
        [RealInput("x", shape)],
        [
            Quantize(("x",), "q", fixed(True, 8, 3)),
            Conv(("q",), "y", weights, Fraction(1, 8), window, 2),
            Requantize(("y",), "z", Grid(-128, 127, Fraction(0.1))),
        ],
        ["z"],
    )
    x = random.normal(size=(5, *shape))
    expected = execute(graph, x, ("z",), carriers=("object",))["z"]
    for elements in (1, 1000, 1 << 20):
        monkeypatch.setattr(kernels, "_BLOCK_ELEMENTS", elements)
        assert_array_equal(run(graph, x)["z"], expected)


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


def test_threads_together_stay_within_memory(small_graph, monkeypatch):
    used = []
    monkeypatch.setattr(golden, "_CHUNK_BYTES", 1)
    monkeypatch.setattr(golden, "_MOST_BYTES", 1)
    monkeypatch.setattr(golden, "ThreadPoolExecutor", used.append)
    run(small_graph, np.zeros((200, 3)), threads=8)
    assert used == []


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
