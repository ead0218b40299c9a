import numpy as np
import pytest
from network_file import NetworkFile
from numpy.testing import assert_array_equal
from witness import assert_exact, samples, worth

from hawq.errors import NetworkError
from hawq.integer.lower import lower_model

X = np.array([[-2.0, -0.25, 0.0, 1.5]])


def quantized(*shape):
    file = NetworkFile(*shape)
    return file, file.quant("x", 0.25, 6, output="q")


def activated(operator, *constants, x=X, **attributes):
    file, q = quantized(*x.shape[1:])
    names = [file.constant(c) if c is not None else "" for c in constants]
    y = file.node(operator, q, *names, **attributes)
    return worth(assert_exact(file.model(y), x), x, y)


def test_relu():
    assert_array_equal(activated("Relu"), np.maximum(X, 0))


@pytest.mark.parametrize("slope", [0.125, 0.3, 2.0, 0.0, -0.5])
def test_leaky_relu_of_any_slope(slope):
    exact = float(np.float32(slope))
    expected = np.where(X < 0, X * exact, X)
    assert_array_equal(activated("LeakyRelu", alpha=slope), expected)
    assert_array_equal(activated("PRelu", [slope]), expected)


def test_the_default_slope_is_a_float32():
    """Found by fuzzing: 0.01 was read as a float64."""
    expected = np.where(X < 0, X * float(np.float32(0.01)), X)
    assert_array_equal(activated("LeakyRelu"), expected)


def test_a_quantized_slope():
    file, q = quantized(4)
    y = file.node("PRelu", q, file.weights([0.3], 0.1, bits=4))
    assert_exact(file.model(y), X)


@pytest.mark.parametrize(
    "limits",
    [(-1.0, 1.0), (None, 0.3), (-0.3,), (None, -5.0), (3.0,), (20.0,), (-90.0, -80.0)],
    ids=str,
)
def test_clip_with_limits_as_inputs(limits):
    """Found by fuzzing: limits beyond the data were refused."""
    exact = [None if v is None else float(np.float32(v)) for v in limits]
    low, high = (*exact, None)[:2]
    expected = np.clip(
        X, -np.inf if low is None else low, np.inf if high is None else high
    )
    assert_array_equal(activated("Clip", *limits), expected)


def test_clip_with_limits_as_attributes():
    got = activated("Clip", min=-1.0, max=float(np.finfo(np.float32).max))
    assert_array_equal(got, np.maximum(X, -1.0))


def test_clip_with_a_limit_from_a_quantizer():
    file, q = quantized(4)
    y = file.node("Clip", q, "", file.weights(0.7, 0.1))
    assert_exact(file.model(y), X)


# --- the choice of a class -----------------------------------------------------------

TIED = np.array([[[1.0, 3.0, 3.0], [2.0, 2.0, -1.0]]])


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("axis", [1, 2, -1])
def test_argmax_takes_the_first_or_the_last_of_equals(axis, last, keepdims):
    attributes = {"axis": axis, "select_last_index": last, "keepdims": keepdims}
    got = activated("ArgMax", x=TIED, **attributes)
    if axis == 1:
        expected = np.array([[[1, 0, 0]]])
    else:
        expected = np.array([[[2], [1]]]) if last else np.array([[[1], [0]]])
    assert_array_equal(got, expected if keepdims else np.squeeze(expected, axis))


def test_argmax_of_a_vector_is_one_number():
    """Found by fuzzing: a tensor of no axes."""
    assert_array_equal(activated("ArgMax", axis=1, keepdims=0), [3])


@pytest.mark.parametrize("wanted", [[0, 1], [0], [1]])
def test_the_largest_of_a_vector(wanted):
    file, q = quantized(4)
    outputs = file.split("TopK", 2, q, file.constant([1], dtype="i8"))
    graph = assert_exact(file.model(*(outputs[i] for i in wanted)), X)
    expected = {outputs[0]: [[1.5]], outputs[1]: [[3.0]]}
    for name in graph.outputs:
        assert_array_equal(worth(graph, X, name), expected[name])


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax"])
def test_a_final_softmax_is_left_to_the_host(operator):
    file, q = quantized(4)
    graph = assert_exact(file.model(file.node(operator, q)), samples(4))
    assert graph.outputs == ("q",)


# --- refusals ------------------------------------------------------------------------

REFUSALS = {
    "slopes of channels": (
        lambda f: f.node("PRelu", "q", f.constant([0.1, 0.2, 0.1, 0.1]), output="y"),
        r"^node 'the_y' \(PRelu\): a slope a channel is not carried: use one slope$",
    ),
    "infinite slope": (
        lambda f: f.node("LeakyRelu", "q", output="y", alpha=np.inf),
        r"^node 'the_y' \(LeakyRelu\): slope inf, expected a finite number$",
    ),
    "limits in the wrong order": (
        lambda f: f.node("Clip", "q", f.constant(1.0), f.constant(-1.0), output="y"),
        r"^node 'the_y' \(Clip\): limits 1 and -1 are in the wrong order$",
    ),
    "limits of channels": (
        lambda f: f.node("Clip", "q", f.constant([1.0, 2.0]), output="y"),
        r"^node 'the_y' \(Clip\): limit 'min' is \[1.0, 2.0\], expected one number$",
    ),
    "a limit that is no number": (
        lambda f: f.node("Clip", "q", f.constant(np.nan), output="y"),
        r"^node 'the_y' \(Clip\): limit 'min' is nan, expected one number$",
    ),
    "the largest sample": (
        lambda f: f.node("ArgMax", "q", output="y"),
        r"^node 'the_y' \(ArgMax\): axis 0 is the batch, or does not exist: use a "
        r"later one$",
    ),
    "the two largest": (
        lambda f: f.node("TopK", "q", f.constant([2], dtype="i8"), output="y"),
        r"^node 'the_y' \(TopK\): k \[2\] along axis 1 is not carried: use k = 1, the "
        r"largest, of a vector$",
    ),
    "a constant": (
        lambda f: f.node("Relu", f.weights([1.0], output="w"), output="y"),
        r"^node 'the_y' \(Relu\): input 'w' is a constant, expected the network's "
        r"data: put the data first$",
    ),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_cannot_be_carried_is_refused_by_name(kind):
    write, message = REFUSALS[kind]
    file, _ = quantized(4)
    with pytest.raises(NetworkError, match=message):
        lower_model(file.model(write(file)))
