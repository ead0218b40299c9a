import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hawq.errors import NetworkError
from hawq.integer.execute import run, trace
from hawq.integer.lower import lower_model

X = np.array([[1.0, -2.0], [0.25, 1.5]])
REAL = np.random.default_rng(0).normal(size=(2, 3))
WEIGHTS = [[1.0, -0.5, 0.25], [2.0, 0.25, -1.0]]


def result(file, *outputs, x=X):
    graph = lower_model(file.model(*outputs))
    values = trace(graph, x)
    return [values[name] * float(graph.tensors[name].scale) for name in outputs]


@pytest.mark.parametrize("dtype", ["f4", "i8"])
def test_matmul(dtype, network_file):
    file = network_file(2)
    w = file.quant(file.constant(WEIGHTS), 0.25, file_bits(dtype))
    y = file.node("MatMul", file.quant("x", 0.25, 6), w)
    assert_array_equal(result(file, y)[0], X @ WEIGHTS)


def file_bits(dtype):
    return np.array(8, dtype=dtype)


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("bias", [0.125, [0.125], [0.5, 0.25, -1.0], [[0.5, 1.0, 2.0]]])
def test_gemm_with_every_shape_of_bias(transposed, bias, network_file):
    file = network_file(2)
    matrix = np.transpose(WEIGHTS) if transposed else WEIGHTS
    w, b = file.weights(matrix, 0.25), file.weights(bias, 0.125)
    y = file.node("Gemm", file.quant("x", 0.25, 6), w, b, transB=transposed)
    assert_array_equal(result(file, y)[0], X @ WEIGHTS + bias)


def test_gemm_factors_are_exact(network_file):
    file = network_file(2)
    w, b = file.weights(WEIGHTS, 0.25), file.weights([1.0, 2.0, 3.0])
    y = file.node("Gemm", file.quant("x", 0.25, 6), w, b, alpha=-1.5, beta=0.375)
    expected = X @ WEIGHTS * -1.5 + np.array([1.0, 2.0, 3.0]) * 0.375
    assert_array_equal(result(file, y)[0], expected)


def test_gemm_with_a_factor_of_zero(network_file):
    file = network_file(2)
    w, b = file.weights(WEIGHTS, 0.25), file.weights([1.0, 2.0, 3.0])
    y = file.node("Gemm", file.quant("x", 0.25, 6), w, b, alpha=0.0)
    assert_array_equal(result(file, y)[0], [[1.0, 2.0, 3.0]] * 2)


def test_scales_of_channels_give_wider_integers_of_equal_value(network_file):
    file = network_file(2)
    w = file.weights(WEIGHTS, [0.5, 0.25, 2.0**-6])
    y = file.node("MatMul", file.quant("x", 0.25, 6), w)
    assert_array_equal(result(file, y)[0], X @ WEIGHTS)


@pytest.mark.parametrize("data_first", [True, False])
@pytest.mark.parametrize("scale", [2.0**-8, 0.25, 4.0])
def test_add_aligns_the_grids(data_first, scale, network_file):
    file = network_file(2)
    q, c = file.quant("x", 0.25, 6), file.weights([8.0, -4.0], scale, bits=16)
    y = file.node("Add", *([q, c] if data_first else [c, q]))
    assert_array_equal(result(file, y)[0], X + np.array([8.0, -4.0]))


def test_reshape_flatten_and_identity_keep_the_integers(network_file):
    file = network_file(2, 3)
    q = file.quant("x", 1.0, 8)
    a = file.node("Reshape", q, file.constant([1, -1], dtype="i8"))
    b = file.node("Reshape", a, file.constant([-1, 3, 2], dtype="i8"))
    c = file.node("Reshape", b, file.constant([0, 0, 1, -1], dtype="i8"))
    d = file.node("Identity", file.node("Flatten", c))
    x = np.arange(12.0).reshape(2, 2, 3)
    values = result(file, a, b, c, d, x=x)
    shapes = [(2, 6), (2, 3, 2), (2, 3, 1, 2), (2, 6)]
    for value, shape in zip(values, shapes, strict=True):
        assert_array_equal(value, x.reshape(shape))


def test_dense_layers_after_a_reshape_and_on_sequences(network_file):
    file = network_file(3, 2)
    w = file.node("Transpose", file.weights(np.transpose(WEIGHTS), 0.25), perm=[1, 0])
    y = file.node("MatMul", file.quant("x", 0.25, 6), w)
    z = file.node("Add", y, file.weights([1.0, 2.0, 3.0]))
    s = file.node("Add", z, file.weights([[1.0], [2.0], [3.0]]))
    x = np.arange(24.0).reshape(4, 3, 2) / 4
    graph = lower_model(file.model(s))
    expected = x @ WEIGHTS + [1.0, 2.0, 3.0] + np.array([[1.0], [2.0], [3.0]])
    got = run(graph, x)[s] * float(graph.tensors[s].scale)
    assert_array_equal(got, expected)


def test_constants_are_reshaped_and_transposed_before_they_are_quantized(network_file):
    file = network_file(2)
    flat = file.constant(np.ravel(WEIGHTS))
    matrix = file.node("Reshape", flat, file.constant([2, 3], dtype="i8"))
    twice = file.node("Transpose", file.node("Transpose", matrix))
    w = file.quant(file.node("Identity", twice), 0.25, 8)
    y = file.node("MatMul", file.quant("x", 0.25, 6), w)
    assert_array_equal(result(file, y)[0], X @ WEIGHTS)


@pytest.mark.parametrize("mode", ["ROUND", "FLOOR", "CEIL", "UP", "DOWN"])
def test_data_are_quantized_again(mode, network_file):
    file = network_file(2)
    y = file.quant(file.quant("x", 0.25, 6), 1.0, 3, mode=mode)
    functions = {
        "ROUND": np.rint,
        "FLOOR": np.floor,
        "CEIL": np.ceil,
        "UP": lambda v: np.copysign(np.ceil(abs(v)), v),
        "DOWN": np.trunc,
    }
    assert_array_equal(result(file, y)[0], functions[mode](X))


def test_data_of_a_narrow_unsigned_range_stop_one_below_the_top(network_file):
    file = network_file(2)
    y = file.quant("x", 0.5, 4, signed=0, narrow=1)
    assert_array_equal(result(file, y, x=np.array([[9.0, -1.0]]))[0], [[7.0, 0.0]])


def test_two_tensors_of_data_are_added(network_file):
    file = network_file(2)
    q = file.quant("x", 0.25, 6)
    y = file.node("Add", q, file.quant(q, 0.5, 4, mode="FLOOR"))
    assert_array_equal(result(file, y)[0], X + np.floor(2 * X) / 2)


def test_a_plain_bias_is_exact(network_file):
    file = network_file(2)
    y = file.node("Add", file.quant("x", 0.25, 6), file.constant([1 / 3, -0.125]))
    expected = X + np.array([1 / 3, -0.125], dtype=np.float32).astype(float)
    assert_array_equal(result(file, y)[0], expected)


# --- refusals ------------------------------------------------------------------------


def quantized(file):
    return file.quant("x", 0.25, 6, output="q")


REFUSALS = {
    "real data": (
        lambda f: f.node("MatMul", "x", f.weights(WEIGHTS), output="y"),
        r"^node 'the_y' \(MatMul\): input 'x' is real-valued: put a Quant before it "
        r"\(brevitas.nn.QuantIdentity\), or give its format \(--input fixed<16,6>\)$",
    ),
    "real weights": (
        lambda f: f.node("MatMul", quantized(f), f.constant(REAL, "w"), output="y"),
        r"^node 'the_y' \(MatMul\): constant 'w' is not quantized: put a Quant on it "
        r"\(weight_quant in Brevitas\), or quantize the network without training "
        r"\(docs: your own network\)$",
    ),
    "weights first": (
        lambda f: f.node("MatMul", f.weights(WEIGHTS), quantized(f), output="y"),
        r"^node 'the_y' \(MatMul\): a constant times a vector sums over the batch: put "
        r"data first$",
    ),
    "constants alone": (
        lambda f: f.node("Relu", f.weights(WEIGHTS, output="w"), output="y"),
        r"^node 'the_y' \(Relu\): input 'w' is a constant, expected the network's "
        r"data: put the data first$",
    ),
    "product of two data": (
        lambda f: f.node("MatMul", quantized(f), "q", output="y"),
        r"^node 'the_y' \(MatMul\): input 'q' is computed by the network, expected a "
        r"quantized constant: two tensors of data cannot be combined$",
    ),
    "batch last": (
        lambda f: f.node(
            "Gemm", quantized(f), f.weights(WEIGHTS), output="y", transA=1
        ),
        r"^node 'the_y' \(Gemm\): transA=1 puts the batch last: export with transA=0$",
    ),
    "transposed data": (
        lambda f: f.node("Transpose", quantized(f), output="y"),
        r"^node 'the_y' \(Transpose\): perm \[1, 0\] moves the batch: keep it the "
        r"first axis$",
    ),
    "weights that are no matrix": (
        lambda f: f.node("MatMul", quantized(f), f.weights([1.0, 2.0]), output="y"),
        r"^node 'the_y' \(MatMul\): weights of shape \(2,\), expected a matrix$",
    ),
    "bias of the wrong shape": (
        lambda f: f.node("Add", quantized(f), f.weights([1.0] * 3), output="y"),
        r"^node 'the_y' \(Add\): a constant of shape \(3,\) does not fit samples of "
        r"shape \(2,\)$",
    ),
    "bias that depends on the sample": (
        lambda f: f.node(
            "Add", quantized(f), f.weights([[1.0] * 2, [2.0] * 2]), output="y"
        ),
        r"^node 'the_y' \(Add\): a constant of shape \(2, 2\) does not fit samples of "
        r"shape \(2,\)$",
    ),
    "batch reshaped away": (
        lambda f: f.node(
            "Reshape", quantized(f), f.constant([2, -1], dtype="i8"), output="y"
        ),
        r"^node 'the_y' \(Reshape\): shape \[2, -1\] does not keep the batch as the "
        r"first axis$",
    ),
    "impossible reshape": (
        lambda f: f.node(
            "Reshape", quantized(f), f.constant([1, 3], dtype="i8"), output="y"
        ),
        r"^node 'the_y' \(Reshape\): shape \(2,\) does not fit the shape \[3\]$",
    ),
    "flattened batch": (
        lambda f: f.node("Flatten", quantized(f), output="y", axis=0),
        r"^node 'the_y' \(Flatten\): axis 0, expected 1, which keeps the batch$",
    ),
    "computed scale": (
        lambda f: f.node(
            "Quant",
            "x",
            quantized(f),
            *(f.constant(v) for v in (0.0, 4.0)),
            output="y",
            domain="qonnx.custom_op.general",
        ),
        r"^node 'the_y' \(Quant\): input 'q' is computed by the network, expected a "
        r"constant$",
    ),
    "missing input": (
        lambda f: f.node(
            "Quant", "x", f.constant(1.0), output="y", domain="qonnx.custom_op.general"
        ),
        r"^node 'the_y' \(Quant\): has 2 inputs, expected at least 3: the file is "
        r"damaged, export it again$",
    ),
    "channels of data": (
        lambda f: f.quant("x", [0.5, 0.25], 4, output="y"),
        r"^node 'the_y' \(Quant\): a zero point a channel, or a scale a channel on the "
        r"network's input, is not carried: use one a tensor$",
    ),
    "other kinds of constant": (
        lambda f: f.node("Constant", output="y", value_float=1.0),
        r"^node 'the_y' \(Constant\): attribute 'value_float', expected a tensor "
        r"'value': fold constants first \(qonnx-cleanup\)$",
    ),
    "attribute of the wrong type": (
        lambda f: f.node("Gemm", quantized(f), f.weights(WEIGHTS), output="y", alpha=2),
        r"^node 'the_y' \(Gemm\): attribute 'alpha' is 2, expected a value like 1.0: "
        r"the file is damaged, export it again$",
    ),
    "infinite factor": (
        lambda f: f.node(
            "Gemm", quantized(f), f.weights(WEIGHTS), output="y", alpha=np.inf
        ),
        r"^node 'the_y' \(Gemm\): alpha or beta is inf, expected a finite number$",
    ),
    "impossible transpose": (
        lambda f: f.node(
            "MatMul",
            quantized(f),
            f.node("Transpose", f.weights(WEIGHTS), output="y", perm=[1, 1]),
        ),
        r"^node 'the_y' \(Transpose\): perm \[1, 1\] does not fit 2 axes$",
    ),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_cannot_be_carried_is_refused_by_name(kind, network_file):
    write, message = REFUSALS[kind]
    file = network_file(2)
    output = write(file)
    with pytest.raises(NetworkError, match=message):
        lower_model(file.model(output))
