from fractions import Fraction

import numpy as np
import pytest
from network_file import CHANNELS_LAST, NetworkFile
from numpy.testing import assert_array_equal
from witness import assert_exact, samples, worth

from hawq.errors import NetworkError
from hawq.integer.lower import lower_model

ROW = np.array([[[1.0, -2.0, 3.0, 4.0, -5.0]]])


def quantized(*shape):
    file = NetworkFile(*shape)
    return file, file.quant("x", 0.125, 8, output="q")


def pooled(operator, x=ROW, **attributes):
    file, q = quantized(*x.shape[1:])
    y = file.node(operator, q, **attributes)
    return worth(assert_exact(file.model(y), x), x, y)


def test_max_pool():
    got = pooled("MaxPool", kernel_shape=[2], strides=[2])
    assert_array_equal(got, [[[1.0, 4.0]]])


def test_max_pool_with_a_stride_beyond_its_kernel():
    """hls4ml#995: pool size 1, strides 2."""
    got = pooled("MaxPool", kernel_shape=[1], strides=[2])
    assert_array_equal(got, [[[1.0, 3.0, -5.0]]])


def test_padding_is_never_the_largest():
    got = pooled("MaxPool", -abs(ROW), kernel_shape=[2], pads=[1, 1])
    assert_array_equal(got, [[[-1.0, -1.0, -2.0, -3.0, -4.0, -5.0]]])


def test_ceil_mode_keeps_the_incomplete_window():
    got = pooled("MaxPool", kernel_shape=[2], strides=[2], ceil_mode=1)
    assert_array_equal(got, [[[1.0, 4.0, -5.0]]])


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize(
    "window",
    [
        {},
        {"strides": [2, 1], "pads": [1, 0, 0, 1]},
        {"dilations": [2, 1], "ceil_mode": 1, "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
    ],
    ids=str,
)
def test_max_pool_over_two_axes(window, channels_last):
    shape = (5, 4, 2) if channels_last else (2, 5, 4)
    file, q = quantized(*shape)
    domain = {"domain": CHANNELS_LAST} if channels_last else {}
    y = file.node("MaxPool", q, kernel_shape=[2, 2], **window, **domain)
    assert_exact(file.model(y), samples(*shape))


@pytest.mark.parametrize("factor", [0.3, -0.5, 7.0])
def test_a_factor_passes_max_pool(factor):
    """finn#279: a scalar Mul other than 1 before MaxPool broke the network."""
    file, q = quantized(1, 5)
    scaled = file.node("Mul", q, file.constant(factor))
    y = file.node("MaxPool", scaled, kernel_shape=[2])
    got = worth(assert_exact(file.model(y), ROW), ROW, y)
    products = ROW * float(np.float32(factor))
    assert_array_equal(got, np.maximum(products[..., :-1], products[..., 1:]))


# --- averages ------------------------------------------------------------------------


def test_an_average_is_an_exact_sum_of_a_finer_scale():
    file, q = quantized(1, 5)
    y = file.node("AveragePool", q, kernel_shape=[3])
    graph = assert_exact(file.model(y), ROW)
    assert graph.tensors[y].scale == Fraction(1, 24)
    assert_array_equal(worth(graph, ROW, y), [[[2 / 3, 5 / 3, 2 / 3]]])


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, [0.5, -0.5, 0.5, 3.5, -0.5, -2.5]), (0, [1.0, -0.5, 0.5, 3.5, -0.5, -5.0])],
)
def test_padding_is_counted_or_not(count, expected):
    got = pooled("AveragePool", kernel_shape=[2], pads=[1, 1], count_include_pad=count)
    assert_array_equal(got, [[expected]])


@pytest.mark.parametrize(
    "window",
    [
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"pads": [1, 0, 1, 1]},
        {"pads": [0, 1, 0, 0], "count_include_pad": 1},
        {"strides": [1, 2], "ceil_mode": 1},
    ],
    ids=str,
)
def test_averages_over_two_axes(window):
    file, q = quantized(2, 5, 4)
    y = file.node("AveragePool", q, kernel_shape=[3, 2], **window)
    assert_exact(file.model(y), samples(2, 5, 4))


@pytest.mark.parametrize(
    ("operator", "reduce"), [("GlobalAveragePool", np.mean), ("GlobalMaxPool", np.max)]
)
@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 2)])
def test_windows_over_everything(operator, reduce, shape):
    x = samples(*shape)
    got = pooled(operator, x)
    axes = tuple(range(2, x.ndim))
    assert_array_equal(got, reduce(x, axis=axes, keepdims=True))


@pytest.mark.parametrize("axes", [[2, 3], [-1, -2], [1, 2]])
def test_a_mean_over_the_spatial_axes(axes):
    x = samples(2, 4, 2)
    got = pooled("ReduceMean", x, axes=axes)
    assert_array_equal(got, x.mean(axis=tuple(axes), keepdims=True))


def test_a_mean_with_axes_as_an_input():
    file, q = quantized(2, 4)
    y = file.node("ReduceMean", q, file.constant([2], dtype="i8"))
    assert_exact(file.model(y), samples(2, 4))


def test_sums_beyond_64_bits_are_bounded():
    """Found by fuzzing: bounds of a pooled sum overflowed int64."""
    file, q = quantized(1, 4)
    wide = file.node("Mul", q, file.constant(float(np.float32(1 / 3))))
    for _ in range(2):
        wide = file.node("Mul", wide, wide)
    y = file.node("AveragePool", wide, kernel_shape=[3])
    assert_exact(file.model(y), samples(1, 4))


# --- refusals ------------------------------------------------------------------------

REFUSALS = {
    "no kernel": (
        "MaxPool",
        {},
        r"^node 'the_y' \(MaxPool\): kernel \[0\], strides \[1\] and dilations \[1\] "
        r"do not fit weights over \(0,\) and samples over \(5,\): export again$",
    ),
    "kernel of other axes": (
        "MaxPool",
        {"kernel_shape": [2, 2]},
        r"^node 'the_y' \(MaxPool\): kernel \[2, 2\], strides \[1\] and dilations "
        r"\[1\] do not fit weights over \(2, 2\) and samples over \(5,\): export "
        r"again$",
    ),
    "strides of 0": (
        "MaxPool",
        {"kernel_shape": [2], "strides": [0]},
        r"^node 'the_y' \(MaxPool\): kernel \[2\], strides \[0\] and dilations \[1\] "
        r"do not fit weights over \(2,\) and samples over \(5,\): export again$",
    ),
    "negative pads": (
        "MaxPool",
        {"kernel_shape": [2], "pads": [-1, 0]},
        r"^node 'the_y' \(MaxPool\): pads \[-1, 0\], expected 2 numbers of 0 or more$",
    ),
    "unknown padding": (
        "MaxPool",
        {"kernel_shape": [2], "auto_pad": "CIRCULAR"},
        r"^node 'the_y' \(MaxPool\): auto_pad 'CIRCULAR' is unknown: export with "
        r"explicit pads$",
    ),
    "a window too large": (
        "MaxPool",
        {"kernel_shape": [6]},
        r"^MaxPool to 'y': the window does not fit into samples of shape \(1, 5\)$",
    ),
    "nothing but padding": (
        "MaxPool",
        {"kernel_shape": [2], "pads": [2, 0]},
        r"^MaxPool to 'y': pads \(2, 0\) leave windows with nothing but padding$",
    ),
    "an average of nothing": (
        "AveragePool",
        {"kernel_shape": [2], "pads": [2, 0]},
        r"^node 'the_y' \(AveragePool\): a window covers nothing but padding: use "
        r"smaller pads$",
    ),
    "column order": (
        "MaxPool",
        {"kernel_shape": [2], "storage_order": 1},
        r"^node 'the_y' \(MaxPool\): indices of a MaxPool are not carried: use its "
        r"values alone$",
    ),
    "an average of an incomplete window": (
        "AveragePool",
        {
            "kernel_shape": [2],
            "strides": [2],
            "ceil_mode": 1,
        },
        r"^node 'the_y' \(AveragePool\): ceil_mode=1 counts padding differently: use "
        r"ceil_mode=0$",
    ),
    "a mean over channels": (
        "ReduceMean",
        {"axes": [0, 1]},
        r"^node 'the_y' \(ReduceMean\): a mean over axes \[0, 1\] is not carried: use "
        r"GlobalAveragePool, over all spatial axes with keepdims$",
    ),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_cannot_be_carried_is_refused_by_name(kind):
    operator, attributes, message = REFUSALS[kind]
    file, q = quantized(1, 5)
    y = file.node(operator, q, output="y", **attributes)
    with pytest.raises(NetworkError, match=message):
        lower_model(file.model(y))


def test_indices_of_max_pool_are_refused():
    file, q = quantized(1, 5)
    y, _ = file.split("MaxPool", 2, q, kernel_shape=[2])
    message = r"indices of a MaxPool are not carried: use its values alone$"
    with pytest.raises(NetworkError, match=message):
        lower_model(file.model(y))


def test_vectors_have_no_spatial_axes():
    file, q = quantized(3)
    y = file.node("GlobalAveragePool", q, output="y")
    message = (
        r"^node 'the_y' \(GlobalAveragePool\): samples of shape \(3,\) have no spatial "
        r"axes$"
    )
    with pytest.raises(NetworkError, match=message):
        lower_model(file.model(y))
