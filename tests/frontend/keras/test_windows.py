from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hawq.errors import NetworkError
from hawq.frontend.keras.layer import Layer
from hawq.frontend.keras.windows import slide, write_global_pool, write_pool

SERIES = np.array([[3.0, -1.0], [1.0, 2.0], [5.0, 0.0], [4.0, 8.0], [-2.0, 1.0]])


@given(st.integers(1, 20), st.integers(1, 6), st.integers(1, 4), st.integers(1, 3))
def test_same_gives_one_window_a_stride(size, kernel, stride, dilation):
    layer = Layer("l", "Conv1D", {"padding": "same"})

    window = slide(layer, (size,), (kernel,), (stride,), (dilation,))

    before, behind = window.pads
    assert window.sizes == (len(range(0, size, stride)),)
    assert behind - before in (0, 1)
    span = (kernel - 1) * dilation + 1
    assert before + behind == max(range(0, size, stride)[-1] + span - size, 0)


def test_causal_pads_before_only():
    layer = Layer("l", "Conv1D", {"padding": "causal"})

    assert slide(layer, (9,), (3,), (1,), (2,)).pads == (4, 0)


@pytest.mark.parametrize(
    ("config", "kernel", "why"),
    [
        ({}, 9, "a window of (9,) does not fit samples of (5,): use a smaller one"),
        (
            {"padding": "full"},
            1,
            "padding 'full' is not carried: use 'same' or 'valid'",
        ),
    ],
)
def test_window_that_cannot_slide_is_refused(config, kernel, why):
    layer = Layer("l", "Conv1D", config)
    message = re.escape(f"layer 'l' (Conv1D): {why}")

    with pytest.raises(NetworkError, match=f"^{message}$"):
        slide(layer, (5,), (kernel,), (1,), (1,))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [[3, 2], [5, 8]]),
        ({"pool_size": [1], "strides": [2]}, [[3, -1], [5, 0], [-2, 1]]),
        ({"pool_size": 2, "padding": "same"}, [[3, 2], [5, 8], [-2, 1]]),
        ({"pool_size": 3, "strides": 2, "padding": "same"}, [[3, 2], [5, 8], [4, 8]]),
    ],
)
def test_max_pool(layer_of, compute, settings, expected):
    layer = layer_of("MaxPooling1D", **settings)

    assert_array_equal(compute(write_pool, layer, SERIES)[1], expected)


def test_average_leaves_padding_out(layer_of, compute):
    layer = layer_of("AveragePooling1D", pool_size=2, padding="same")

    _, values = compute(write_pool, layer, SERIES)

    assert_array_equal(values, [[2, 0.5], [4.5, 4], [-2, 1]])


@pytest.mark.parametrize(("keepdims", "shape"), [(True, (1, 1, 2)), (False, (2,))])
def test_global_pool_keeps_axes_if_asked(layer_of, compute, keepdims, shape):
    layer = layer_of("GlobalAveragePooling2D", keepdims=keepdims)

    _, values = compute(write_global_pool, layer, SERIES[:4].reshape(2, 2, 2))

    assert_array_equal(values, np.reshape([3.25, 2.25], shape))


def test_qkeras_multiplies_by_a_quantized_inverse(layer_of, compute):
    """1/2 in two bits is 1/2, but 1/4 is 1/2 or 0: with half to even, 0."""
    settings = {"average_quantizer": "quantized_bits(2,0,alpha=1)"}
    x = SERIES[:4].reshape(2, 2, 2)

    half = compute(
        write_pool, layer_of("QAveragePooling2D", pool_size=[1, 2], **settings), x
    )[1]
    quarter = compute(
        write_pool, layer_of("QAveragePooling2D", pool_size=2, **settings), x
    )[1]

    assert_array_equal(half, [[[2, 0.5]], [[4.5, 4]]])
    assert_array_equal(quarter, [[[0, 0]]])


def test_channels_first_are_refused(layer_of, compute):
    message = re.escape(
        "layer 'l' (MaxPooling1D): data_format is 'channels_first', expected "
        "'channels_last': build the model with channels last"
    )

    with pytest.raises(NetworkError, match=f"^{message}$"):
        compute(
            write_pool, layer_of("MaxPooling1D", data_format="channels_first"), SERIES
        )


@pytest.mark.parametrize("write", [write_pool, write_global_pool])
def test_other_number_of_axes_is_refused(layer_of, compute, write):
    with pytest.raises(NetworkError, match=r"samples of shape \(5, 2\) "):
        compute(write, layer_of("MaxPooling2D"), SERIES)
