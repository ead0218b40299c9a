from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_file import DOMAIN, MODES, NetworkFile
from numpy.testing import assert_array_equal
from witness import assert_exact, samples, worth

from hawq.errors import FormatError, NetworkError
from hawq.integer.lower import lower_model
from hawq.integer.nodes import Quantize, Requantize, Select

TIES = np.array([[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]])
LEVELS = {
    "ROUND": [-2, -2, 0, 0, 2, 2],
    "HALF_EVEN": [-2, -2, 0, 0, 2, 2],
    "HALF_UP": [-3, -2, -1, 1, 2, 3],
    "HALF_DOWN": [-2, -1, 0, 0, 1, 2],
    "CEIL": [-2, -1, 0, 1, 2, 3],
    "FLOOR": [-3, -2, -1, 0, 1, 2],
    "UP": [-3, -2, -1, 1, 2, 3],
    "DOWN": [-2, -1, 0, 0, 1, 2],
}


def quantized(*shape, bits=8):
    file = NetworkFile(*shape)
    return file, file.quant("x", 0.125, bits, output="q")


# --- Quant ---------------------------------------------------------------------------


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("scale", [1.0, 0.3])
@pytest.mark.parametrize("mode", MODES)
def test_every_rounding_mode_at_ties(mode, scale, again):
    """qonnx PR110: rounding modes at half way between two levels."""
    file = NetworkFile(6)
    x = TIES * float(np.float32(scale))
    source = file.quant("x", scale / 2, 8) if again else "x"
    y = file.quant(source, scale, 4, mode=mode)
    got = worth(assert_exact(file.model(y), x), x, y)
    assert_array_equal(got, np.array([LEVELS[mode]]) * float(np.float32(scale)))


@pytest.mark.parametrize(
    ("signed", "narrow", "ends"),
    [(1, 0, [-8, 7]), (1, 1, [-7, 7]), (0, 0, [0, 15]), (0, 1, [0, 14])],
)
@pytest.mark.parametrize("again", [False, True])
def test_every_range_saturates(signed, narrow, ends, again):
    file = NetworkFile(2)
    source = file.quant("x", 1.0, 12) if again else "x"
    y = file.quant(source, 0.5, 4, signed=signed, narrow=narrow)
    x = np.array([[-1000.0, 1000.0]])
    got = worth(assert_exact(file.model(y), x), x, y)
    assert_array_equal(got, [np.array(ends) / 2])


@given(
    mode=st.sampled_from(MODES),
    scale=st.floats(0.0625, 4, width=32),
    bits=st.integers(1, 9),
    zero_point=st.integers(-9, 9),
    signed=st.integers(0, 1),
    narrow=st.integers(0, 1),
    again=st.booleans(),
)
def test_quantizers_of_any_parameters(
    mode, scale, bits, zero_point, signed, narrow, again
):
    file = NetworkFile(4)
    source = file.quant("x", 0.125, 8) if again else "x"
    given_ = {"signed": signed, "mode": mode}
    if bits > 1:
        given_ |= {"narrow": narrow, "zero_point": float(zero_point)}
    y = file.quant(source, scale, bits, **given_)
    assert_exact(file.model(y), samples(4, step=0.0625))


def test_a_zero_point_is_where_rounding_up_turns():
    """Found by fuzzing: UP with an even zero point went away from our zero."""
    file = NetworkFile(2)
    y = file.quant("x", 2.0, 4, mode="UP", zero_point=2.0)
    x = np.array([[-0.25, 0.25]])
    assert_array_equal(worth(assert_exact(file.model(y), x), x, y), [[0.0, 2.0]])


@pytest.mark.parametrize("operator", ["Quant", "IntQuant"])
@pytest.mark.parametrize("scales", [[0.25, 0.5, 1.0], [0.3, 0.7, 0.11]])
@pytest.mark.parametrize("zero_point", [0.0, 3.0])
def test_data_with_a_scale_a_channel(operator, scales, zero_point):
    file, q = quantized(3, 2)
    column = np.reshape(scales, (1, 3, 1))
    given_ = {"operator": operator, "zero_point": zero_point, "signed": 0}
    y = file.quant(q, column, 4, **given_)
    assert_exact(file.model(y), samples(3, 2))


@pytest.mark.parametrize("scale", [1.0, 0.3])
@pytest.mark.parametrize("source", ["x", "q"])
@pytest.mark.parametrize("operator", ["Quant", "BipolarQuant"])
def test_one_bit_is_minus_or_plus_one(operator, source, scale):
    """qonnx PR141, qonnx#146."""
    file, _ = quantized(4)
    if operator == "Quant":
        y = file.quant(source, scale, 1)
    else:
        y = file.node(operator, source, file.constant(scale), domain=DOMAIN)
    x = np.array([[-3.0, -0.125, 0.0, 0.125]])
    got = worth(assert_exact(file.model(y), x), x, y)
    assert_array_equal(got, np.array([[-1, -1, 1, 1]]) * float(np.float32(scale)))


def test_one_bit_with_a_scale_a_channel():
    file, q = quantized(3, 2)
    scales = file.constant(np.reshape([0.5, 0.3, 2.0], (1, 3, 1)))
    y = file.node("BipolarQuant", q, scales, domain=DOMAIN)
    assert_exact(file.model(y), samples(3, 2))


def test_one_unsigned_bit():
    file = NetworkFile(3)
    y = file.quant("x", 0.5, 1, signed=0, mode="CEIL")
    x = np.array([[-0.1, 0.1, 9.0]])
    assert_array_equal(worth(assert_exact(file.model(y), x), x, y), [[0.0, 0.5, 0.5]])


@pytest.mark.parametrize("value", [0.7, [0.7], [[0.7, -3.0]]])
@pytest.mark.parametrize("scale", [0.5, 0.3])
def test_constants_of_every_shape_are_quantized(value, scale):
    """Found by fuzzing: a constant of no axes."""
    file, q = quantized(2)
    y = file.node("Add", q, file.weights(value, scale, bits=4, mode="FLOOR"))
    assert_exact(file.model(y), samples(2))


def test_a_scale_from_a_constant_subgraph():
    file = NetworkFile(2)
    root = file.node("Sqrt", file.constant(0.5))
    scale = file.node("Div", root, file.constant(7.0))
    numbers = [scale, file.constant(0.0), file.constant(5.0)]
    y = file.node("Quant", "x", *numbers, domain=DOMAIN)
    assert_exact(file.model(y), samples(2))


def test_real_inputs_are_moved_before_their_quantizer():
    file = NetworkFile(2, 3)
    turned = file.node("Transpose", "x", perm=[0, 2, 1])
    padded = file.node("Pad", turned, file.constant([0, 1, 0, 0, 0, 2], dtype="i8"))
    y = file.quant(file.node("Flatten", padded), 0.3, 5, mode="CEIL", zero_point=-3.0)
    graph = assert_exact(file.model(y), samples(2, 3))
    assert isinstance(graph.nodes[0], Quantize)
    assert any(isinstance(node, Select) for node in graph.nodes)


def test_two_quantizers_read_one_input():
    file = NetworkFile(2)
    a, b = file.quant("x", 0.25, 4), file.quant("x", 0.3, 6)
    assert_exact(file.model(file.node("Add", a, b)), samples(2))


def test_the_quantizer_of_an_activation_survives():
    """qonnx PR7: an activation's Quant was optimized away as linear."""
    file, q = quantized(2)
    y = file.quant(q, 0.125, 8)
    graph = assert_exact(file.model(y), samples(2))
    assert [type(n) for n in graph.nodes] == [Quantize, Requantize]


# --- Trunc ---------------------------------------------------------------------------


def trunc(file, x, *numbers, **attributes):
    names = [file.constant(n) for n in numbers]
    return file.node("Trunc", x, *names, domain=DOMAIN, **attributes)


def test_trunc_drops_bits_and_keeps_the_scale():
    file, q = quantized(4)
    y = trunc(file, q, 0.125, 0.0, 8.0, 6.0)
    x = np.array([[-1.0, -0.125, 0.875, 1.0]])
    got = worth(assert_exact(file.model(y), x), x, y)
    assert_array_equal(got, [[-0.25, -0.125, 0.125, 0.25]])


def test_trunc_moves_to_a_coarser_scale():
    file, q = quantized(4)
    y = trunc(file, q, 0.125, 0.0, 8.0, 0.5, 3.0)
    x = np.array([[-9.0, -0.125, 0.875, 9.0]])
    got = worth(assert_exact(file.model(y), x), x, y)
    assert_array_equal(got, [[-2.0, -0.5, 0.5, 1.5]])


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("scale", [0.125, 0.0625, 0.3])
def test_trunc_after_an_average(version, scale):
    """finn-plus#92: Trunc whose scales differ from the tensor's."""
    file, q = quantized(2, 4)
    mean = file.node("AveragePool", q, kernel_shape=[2], strides=[2])
    last = (8.0, 6.0) if version == 1 else (8.0, 4 * float(np.float32(scale)), 6.0)
    y = trunc(file, mean, scale, 0.0, *last, rounding_mode="HALF_UP")
    assert_exact(file.model(y), samples(2, 4))


@given(
    mode=st.sampled_from(MODES),
    drop=st.integers(0, 4),
    zero_point=st.integers(-3, 3),
    scale=st.sampled_from([0.125, 0.25, 0.3, 2.0]),
)
def test_trunc_of_any_parameters(mode, drop, zero_point, scale):
    file, q = quantized(4)
    y = trunc(file, q, scale, float(zero_point), 8.0, 8.0 - drop, rounding_mode=mode)
    assert_exact(file.model(y), samples(4, step=0.0625))


@given(
    mode=st.sampled_from(MODES),
    drop=st.integers(0, 3),
    signed=st.integers(0, 1),
    narrow=st.integers(0, 1),
    ratio=st.sampled_from([1.0, 1.3, 0.8]),
)
def test_trunc_to_a_scale_near_a_power_of_two(mode, drop, signed, narrow, ratio):
    file, q = quantized(4)
    given_ = {"rounding_mode": mode, "signed": signed, "narrow": narrow}
    y = trunc(file, q, 0.125, 0.0, 8.0, 0.125 * 2**drop * ratio, 5.0, **given_)
    assert_exact(file.model(y), samples(4, step=0.0625))


# --- MultiThreshold ------------------------------------------------------------------


def multi_threshold(file, x, thresholds, **attributes):
    names = (x, file.constant(thresholds))
    return file.node("MultiThreshold", *names, domain=DOMAIN, **attributes)


def test_thresholds_are_counted_scaled_and_shifted():
    file, q = quantized(4)
    thresholds = [[-1.0, 0.0, 0.5]]
    y = multi_threshold(file, q, thresholds, out_scale=0.5, out_bias=-1.0)
    x = np.array([[-1.125, -1.0, 0.375, 0.5]])
    got = worth(assert_exact(file.model(y), x), x, y)
    assert_array_equal(got, [[-1.0, -0.5, 0.0, 0.5]])


@pytest.mark.parametrize(
    ("shape", "layout", "channels"),
    [
        ((3,), "", 3),
        ((3,), "NC", 3),
        ((2, 3), "", 3),
        ((3, 2), "NCW", 3),
        ((3, 2, 2), "", 3),
        ((2, 2, 3), "NHWC", 3),
        ((2, 2, 3), "NHWC", 1),
        ((3, 2, 1, 2), "", 3),
    ],
)
def test_thresholds_of_channels_in_every_layout(shape, layout, channels):
    file, q = quantized(*shape)
    thresholds = np.sort(np.random.default_rng(1).normal(size=(channels, 5)), axis=1)
    y = multi_threshold(file, q, thresholds, data_layout=layout)
    assert_exact(file.model(y), samples(*shape))


def test_thresholds_beyond_the_accumulator():
    """finn PR1561: thresholds narrower or wider than what they are compared with."""
    file, q = quantized(2)
    y = multi_threshold(file, q, [[-1e30, -100.0, -16.0, 15.875, 16.0, 3e38]])
    x = np.array([[-100.0, 100.0]])
    assert_array_equal(worth(assert_exact(file.model(y), x), x, y), [[3.0, 4.0]])


def test_thresholds_between_two_integers_are_rounded_up():
    file = NetworkFile(3)
    q = file.quant("x", 0.3, 6)
    y = multi_threshold(file, q, [[float(np.float32(0.3)), 0.3001, 0.5999]])
    x = np.array([[0.0, 0.3, 0.6]])
    assert_array_equal(worth(assert_exact(file.model(y), x), x, y), [[0, 1, 3]])


def test_thresholds_of_channels_on_channels_alike():
    """Found by fuzzing: bounds that no channel changes met thresholds that do."""
    file, _ = quantized(1)
    ones = file.quant("x", 1.0, 2)
    wide = file.node("Concat", ones, ones, ones, axis=1)
    y = multi_threshold(file, wide, [[-1.0], [0.0], [1.0]])
    assert_exact(file.model(y), samples(1))


# --- refusals ------------------------------------------------------------------------

REFUSALS = {
    "computed scale": (
        lambda f: f.node(
            "Quant",
            "x",
            "q",
            *(f.constant(v) for v in (0.0, 4.0)),
            output="y",
            domain=DOMAIN,
        ),
        NetworkError,
        r"^node 'the_y' \(Quant\): input 'q' is computed by the network, expected a "
        r"constant$",
    ),
    "missing input": (
        lambda f: f.node("Quant", "x", f.constant(1.0), output="y", domain=DOMAIN),
        NetworkError,
        r"^node 'the_y' \(Quant\): has 2 inputs, expected at least 3: the file is "
        r"damaged, export it again$",
    ),
    "channels of real data": (
        lambda f: f.quant("x", [0.5, 0.25], 4, output="y"),
        NetworkError,
        r"^node 'the_y' \(Quant\): a zero point a channel, or a scale a channel on the "
        r"network's input, is not carried: use one a tensor$",
    ),
    "zero points of channels": (
        lambda f: f.quant("q", [0.5, 0.25], 4, zero_point=[0.0, 1.0], output="y"),
        NetworkError,
        r"^node 'the_y' \(Quant\): a zero point a channel, or a scale a channel on the "
        r"network's input, is not carried: use one a tensor$",
    ),
    "one signed bit with a zero point": (
        lambda f: f.quant("q", 0.5, 1, zero_point=1.0, output="y"),
        FormatError,
        r"^tensor 'y': zero point 1.0 of one signed bit, expected 0: -1 and \+1 lie "
        r"around it$",
    ),
    "bipolar without scale": (
        lambda f: f.node(
            "BipolarQuant", "q", f.constant(-1.0), output="y", domain=DOMAIN
        ),
        FormatError,
        r"^tensor 'y': scale -1.0, expected a finite number above 0$",
    ),
    "more bits after truncation": (
        lambda f: trunc(f, "q", 0.125, 0.0, 6.0, 8.0, output="y"),
        NetworkError,
        r"^node 'the_y' \(Trunc\): the output has 2 bits more than the input: use "
        r"Quant$",
    ),
    "truncation to a finer scale": (
        lambda f: trunc(f, "q", 0.125, 0.0, 8.0, 0.0625, 4.0, output="y"),
        NetworkError,
        r"^node 'the_y' \(Trunc\): the output's scale is finer than the input's: use "
        r"Quant$",
    ),
    "truncation of channels": (
        lambda f: trunc(f, "q", [0.125, 0.25], 0.0, 8.0, 4.0, output="y"),
        NetworkError,
        r"^node 'the_y' \(Trunc\): expected one scale and one whole zero point a "
        r"tensor$",
    ),
    "unknown truncation": (
        lambda f: trunc(
            f, "q", 0.125, 0.0, 8.0, 4.0, output="y", rounding_mode="nearest"
        ),
        NetworkError,
        r"^node 'the_y' \(Trunc\): rounding mode 'NEAREST', expected one of ROUND, "
        r"HALF_EVEN, HALF_UP, HALF_DOWN, CEIL, FLOOR, UP, DOWN$",
    ),
    "zero point between levels": (
        lambda f: trunc(f, "q", 0.125, 1.0, 8.0, 0.25, 4.0, output="y"),
        NetworkError,
        r"^node 'the_y' \(Trunc\): zero point 1 is no multiple of 2: use 0$",
    ),
    "thresholds of a vector": (
        lambda f: multi_threshold(f, "q", [1.0, 2.0], output="y"),
        NetworkError,
        r"^node 'the_y' \(MultiThreshold\): thresholds of shape \(2,\), expected "
        r"\(channels, thresholds\)$",
    ),
    "thresholds of other channels": (
        lambda f: multi_threshold(f, "q", np.ones((3, 2)), output="y"),
        NetworkError,
        r"^node 'the_y' \(MultiThreshold\): thresholds for 3 channels do not fit "
        r"samples of shape \(2,\)$",
    ),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_cannot_be_carried_is_refused_by_name(kind):
    write, error, message = REFUSALS[kind]
    file, _ = quantized(2)
    with pytest.raises(error, match=message):
        lower_model(file.model(write(file)))


def test_scales_of_the_levels():
    file, q = quantized(2)
    y = trunc(file, q, 0.125, 0.0, 8.0, 0.5, 3.0)
    assert lower_model(file.model(y)).tensors[y].scale == Fraction(1, 2)
