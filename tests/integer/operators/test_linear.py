import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_file import CHANNELS_LAST, MODES, NetworkFile
from numpy.testing import assert_array_equal
from witness import assert_exact, samples, worth

from hawq.errors import NetworkError
from hawq.integer.lower import lower_model
from hawq.integer.nodes import Affine, Conv, Dense

X = np.array([[1.0, -2.0], [0.25, 1.5]])
WEIGHTS = np.array([[1.0, -0.5, 0.25], [2.0, 0.25, -1.0]])
RANDOM = np.random.default_rng(0)


def quantized(*shape):
    file = NetworkFile(*shape)
    return file, file.quant("x", 0.25, 6, output="q")


# --- MatMul and Gemm -----------------------------------------------------------------


def test_data_times_a_matrix():
    file, q = quantized(2)
    y = file.node("MatMul", q, file.weights(WEIGHTS, 0.25))
    assert_array_equal(worth(assert_exact(file.model(y), X), X, y), X @ WEIGHTS)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3, 2)])
def test_data_of_more_axes_times_a_matrix(shape):
    file, q = quantized(*shape)
    y = file.node("MatMul", q, file.weights(WEIGHTS, 0.25))
    x = samples(*shape)
    rounded = np.rint(x * 4) / 4
    assert_array_equal(worth(assert_exact(file.model(y), x), x, y), rounded @ WEIGHTS)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3, 2)])
def test_a_matrix_times_data(shape):
    file, q = quantized(*shape)
    y = file.node("MatMul", file.weights(WEIGHTS, 0.25), q)
    x = samples(*shape, step=0.25)
    assert_array_equal(worth(assert_exact(file.model(y), x), x, y), WEIGHTS @ x)


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("bias", [0.125, [0.125], [0.5, 0.25, -1.0], [[0.5, 1.0, 2.0]]])
def test_gemm_with_every_shape_of_bias(transposed, plain, bias):
    file, q = quantized(2)
    w = file.weights(WEIGHTS.T if transposed else WEIGHTS, 0.25)
    b = file.constant(bias) if plain else file.weights(bias, 0.125)
    y = file.node("Gemm", q, w, b, transB=transposed)
    assert_array_equal(worth(assert_exact(file.model(y), X), X, y), X @ WEIGHTS + bias)


@pytest.mark.parametrize("alpha", [-1.5, 0.0, 0.3])
def test_gemm_factors_are_exact(alpha):
    file, q = quantized(2)
    w, b = file.weights(WEIGHTS, 0.25), file.weights([1.0, 2.0, 3.0])
    y = file.node("Gemm", q, w, b, alpha=alpha, beta=0.375)
    assert_exact(file.model(y), X)


@pytest.mark.parametrize("scales", [[0.5, 0.25, 2.0**-6], [0.3, 0.7, 0.11]])
@pytest.mark.parametrize("bias", [True, False])
def test_scales_of_channels(scales, bias):
    """hls4ml PR461: weights as integers, then a factor a channel."""
    file, q = quantized(2)
    b = [file.constant([0.1, 0.2, 0.3])] if bias else []
    y = file.node("Gemm", q, file.weights(WEIGHTS, [scales]), *b)
    graph = assert_exact(file.model(y), X)
    arbitrary = scales[0] == 0.3
    assert isinstance(graph.nodes[-1], Affine if arbitrary or bias else Dense)
    dense = next(node for node in graph.nodes if isinstance(node, Dense))
    assert abs(dense.weights).max() < 2**8 or not arbitrary


def test_a_scale_that_is_no_power_of_two():
    """hls4ml PR1208: MatMul with scale 0.0613, compare integers."""
    file, q = quantized(2)
    y = file.node("MatMul", q, file.weights(WEIGHTS, 0.0613, bits=6))
    graph = assert_exact(file.model(y), X)
    assert abs(graph.nodes[-1].weights).max() < 2**6


def test_a_weight_quantizer_with_a_zero_point():
    file, q = quantized(2)
    w = file.weights(WEIGHTS, 0.3, bits=4, signed=0, zero_point=5.0)
    assert_exact(file.model(file.node("MatMul", q, w)), X)


def test_weights_of_one_signed_bit_are_minus_or_plus_one():
    """qonnx PR141, qonnx#146: bits=1 signed means bipolar."""
    file, q = quantized(2)
    w = file.weights(WEIGHTS, 0.5, bits=1)
    y = file.node("MatMul", q, w)
    graph = assert_exact(file.model(y), X)
    expected = X @ np.where(WEIGHTS >= 0, 0.5, -0.5)
    assert_array_equal(worth(graph, X, y), expected)


def test_weights_that_are_few_integers_need_no_quantizer():
    file, q = quantized(2)
    y = file.node("MatMul", q, file.constant(WEIGHTS))
    assert_array_equal(worth(assert_exact(file.model(y), X), X, y), X @ WEIGHTS)


def test_a_matrix_of_zeros():
    file, q = quantized(2)
    y = file.node("Gemm", q, file.weights(np.zeros((2, 3))), file.constant([1.0, 0, 2]))
    assert_exact(file.model(y), X)


def test_sums_that_float32_rounds_stay_below_a_threshold():
    """finn PR1635: float32 sums reach a threshold that the exact sum does not."""
    file = NetworkFile(2)
    q = file.quant("x", 1.0, 16)
    y = file.node("MatMul", q, file.weights([[4096.0], [-1.0]], bits=16))
    level = file.quant(y, 2.0**25, 4, mode="FLOOR")
    x = np.array([[8192.0, 1.0], [8192.0, 0.0], [8192.0, -1.0]])
    assert np.float32(2**25 - 1) == 2**25
    graph = assert_exact(file.model(level), x)
    assert_array_equal(worth(graph, x, level), [[0.0], [2.0**25], [2.0**25]])


def test_a_sum_just_below_a_tie_goes_down():
    """finn PR1635: an input just below the step k + 1/2."""
    file = NetworkFile(2)
    q = file.quant("x", 1.0, 16)
    y = file.node("MatMul", q, file.weights([[1.0], [2.0**-20]], [[1.0], [2.0**-20]]))
    level = file.quant(y, 2.0, 8, mode="HALF_UP")
    x = np.array([[5.0, -1.0], [5.0, 0.0], [-5.0, 1.0], [-5.0, 0.0]])
    graph = assert_exact(file.model(level), x)
    assert_array_equal(worth(graph, x, level), [[4.0], [6.0], [-4.0], [-6.0]])


# --- Conv ----------------------------------------------------------------------------

WINDOWS = [
    {},
    {"strides": [2], "pads": [1, 0]},
    {"dilations": [2], "pads": [0, 2]},
    {"auto_pad": "SAME_UPPER", "strides": [2]},
    {"auto_pad": "SAME_LOWER", "dilations": [2]},
    {"auto_pad": "VALID"},
]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_convolutions_over_one_axis(window, groups, bias):
    file, q = quantized(4, 7)
    w = file.weights(RANDOM.normal(size=(4, 4 // groups, 3)), 0.3, bits=5)
    b = [file.constant(RANDOM.normal(size=4))] if bias else []
    y = file.node("Conv", q, w, *b, group=groups, kernel_shape=[3], **window)
    assert_exact(file.model(y), samples(4, 7, count=2))


@pytest.mark.parametrize(
    "window",
    [
        {},
        {"strides": [1, 2], "pads": [1, 0, 2, 1]},
        {"dilations": [2, 1], "pads": [2, 0, 0, 1], "strides": [2, 2]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 1]},
    ],
    ids=str,
)
@pytest.mark.parametrize("channels_last", [True, False])
def test_convolutions_over_two_axes(window, channels_last):
    shape = (5, 4, 2) if channels_last else (2, 5, 4)
    file, q = quantized(*shape)
    kernels = RANDOM.normal(size=(3, 2, 3, 2))
    if channels_last:
        kernels = np.moveaxis(kernels, 1, -1)
    domain = {"domain": CHANNELS_LAST} if channels_last else {}
    w = file.weights(kernels, 0.25, bits=4)
    y = file.node("Conv", q, w, kernel_shape=[3, 2], **window, **domain)
    assert_exact(file.model(y), samples(*shape, count=2))


def test_dilation_is_not_ignored():
    """hls4ml#1508: dilated and plain convolutions must differ."""
    x = np.arange(6.0)[None, None]
    results = []
    for dilation in (1, 2):
        file = NetworkFile(1, 6)
        q = file.quant("x", 1.0, 8)
        w = file.weights([[[1.0, -2.0]]])
        y = file.node("Conv", q, w, dilations=[dilation])
        results.append(worth(assert_exact(file.model(y), x), x, y).ravel())
    assert_array_equal(results[0], x[0, 0, :-1] - 2 * x[0, 0, 1:])
    assert_array_equal(results[1], x[0, 0, :-2] - 2 * x[0, 0, 2:])


def test_depthwise_weights_with_a_scale_a_channel():
    file, q = quantized(3, 4, 4)
    scales = np.array([0.3, 0.5, 0.11]).reshape(3, 1, 1, 1)
    w = file.weights(RANDOM.normal(size=(3, 1, 2, 2)), scales, bits=4)
    y = file.node("Conv", q, w, file.constant([0.1, 0.2, 0.3]), group=3)
    assert_exact(file.model(y), samples(3, 4, 4, count=2))


@given(
    st.integers(1, 12),
    st.sampled_from(MODES),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(0, 2),
    st.floats(0.01, 1.0),
)
def test_convolutions_of_any_widths(bits, mode, kernel, stride, pad, scale):
    file, q = quantized(2, 5)
    values = np.random.default_rng(bits).normal(size=(2, 2, kernel)) * 2.0**bits * scale
    w = file.weights(values, scale, bits=bits, mode=mode)
    y = file.node("Conv", q, w, strides=[stride], pads=[pad, 1])
    assert_exact(file.model(y), samples(2, 5, count=2))


def test_the_corners_attain_the_bounds_of_a_convolution():
    file, q = quantized(2, 3)
    w = file.weights(RANDOM.normal(size=(1, 2, 3)), 0.25, bits=4)
    y = file.node("Conv", q, w)
    graph = lower_model(file.model(y))
    weights = graph.nodes[-1].weights[0]
    corners = np.stack([
        np.where(weights > 0, 7.75, -8.0),
        np.where(weights > 0, -8.0, 7.75),
    ])
    assert isinstance(graph.nodes[-1], Conv)
    tensor = graph.tensors[y]
    ends = np.array([tensor.high, tensor.low]) * float(tensor.scale)
    assert_array_equal(worth(graph, corners, y).ravel(), ends)


# --- refusals ------------------------------------------------------------------------

REFUSALS = {
    "real data": (
        lambda f: f.node("MatMul", "x", f.weights(WEIGHTS), output="y"),
        r"^node 'the_y' \(MatMul\): input 'x' is real-valued: put a Quant before it "
        r"\(brevitas.nn.QuantIdentity\), or give its format \(--input fixed<16,6>\)$",
    ),
    "real weights": (
        lambda f: f.node(
            "MatMul", "q", f.constant(RANDOM.normal(size=(2, 3)), "w"), output="y"
        ),
        r"^node 'the_y' \(MatMul\): constant 'w' is not quantized: put a Quant on it "
        r"\(weight_quant in Brevitas\), or quantize the network without training "
        r"\(docs: your own network\)$",
    ),
    "weights first on a vector": (
        lambda f: f.node("MatMul", f.weights(WEIGHTS), "q", output="y"),
        r"^node 'the_y' \(MatMul\): a constant times a vector sums over the batch: put "
        r"data first$",
    ),
    "product of two data": (
        lambda f: f.node("MatMul", "q", "q", output="y"),
        r"^node 'the_y' \(MatMul\): input 'q' is computed by the network, expected a "
        r"quantized constant: two tensors of data cannot be combined$",
    ),
    "weights that are no matrix": (
        lambda f: f.node("MatMul", "q", f.weights([1.0, 2.0]), output="y"),
        r"^node 'the_y' \(MatMul\): weights of shape \(2,\), expected a matrix$",
    ),
    "weights of another size": (
        lambda f: f.node("MatMul", "q", f.weights(np.ones((3, 2))), output="y"),
        r"^Dense to 'y': weights of shape \(3, 2\) do not fit 'q' of shape \(2,\)$",
    ),
    "batch last": (
        lambda f: f.node("Gemm", "q", f.weights(WEIGHTS), output="y", transA=1),
        r"^node 'the_y' \(Gemm\): transA=1 puts the batch last: export with transA=0$",
    ),
    "bias of the wrong shape": (
        lambda f: f.node(
            "Gemm", "q", f.weights(WEIGHTS), f.constant([1.0, 2.0]), output="y"
        ),
        r"^node 'the_y' \(Gemm\): a constant of shape \(2,\) does not fit samples of "
        r"shape \(3,\)$",
    ),
    "infinite factor": (
        lambda f: f.node("Gemm", "q", f.weights(WEIGHTS), output="y", alpha=np.inf),
        r"^node 'the_y' \(Gemm\): alpha or beta is inf, expected a finite number$",
    ),
    "attribute of the wrong type": (
        lambda f: f.node("Gemm", "q", f.weights(WEIGHTS), output="y", alpha=2),
        r"^node 'the_y' \(Gemm\): attribute 'alpha' is 2, expected a value like 1.0: "
        r"the file is damaged, export it again$",
    ),
    "kernel without axes": (
        lambda f: f.node("Conv", "q", f.weights(WEIGHTS), output="y"),
        r"^node 'the_y' \(Conv\): weights of shape \(2, 3\), expected \(out, in, "
        r"\*kernel\)$",
    ),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_cannot_be_carried_is_refused_by_name(kind):
    write, message = REFUSALS[kind]
    file, _ = quantized(2)
    with pytest.raises(NetworkError, match=message):
        lower_model(file.model(write(file)))
