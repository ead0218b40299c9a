from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hawq.errors import NetworkError
from hawq.frontend.keras import linear

X = np.arange(12, dtype=np.float32).reshape(3, 4)
RNG = np.random.default_rng(0)


def whole(*shape: int) -> np.ndarray:
    return RNG.integers(-3, 4, shape).astype(np.float32)


def test_dense_multiplies_the_last_axis(layer_of, compute):
    kernel, bias = whole(4, 2), whole(2)
    layer = layer_of("Dense", kernel, bias, units=2, activation="relu")

    _, values = compute(linear.write_dense, layer, X)

    assert_array_equal(values, np.maximum(X @ kernel + bias, 0))


def test_groups_of_a_convolution(layer_of, compute):
    kernel = whole(1, 2, 6)
    layer = layer_of(
        "Conv1D", kernel, filters=6, kernel_size=[1], groups=2, use_bias=False
    )

    _, values = compute(linear.write_conv, layer, X)

    parts = [X[:, :2] @ kernel[0, :, :3], X[:, 2:] @ kernel[0, :, 3:]]
    assert_array_equal(values, np.concatenate(parts, -1))


def test_dilation_of_a_convolution(layer_of, compute):
    kernel = whole(2, 4, 1)
    layer = layer_of(
        "Conv1D", kernel, filters=1, kernel_size=2, dilation_rate=2, use_bias=False
    )

    _, values = compute(linear.write_conv, layer, X)

    assert_array_equal(values, X[:1] @ kernel[0] + X[2:] @ kernel[1])


def test_depthwise_multiplies_each_channel(layer_of, compute):
    kernel, bias = whole(1, 4, 2), whole(8)
    layer = layer_of("DepthwiseConv1D", kernel, bias, kernel_size=1, depth_multiplier=2)

    _, values = compute(linear.write_depthwise, layer, X)

    assert_array_equal(values, (X[:, :, None] * kernel[0]).reshape(3, 8) + bias)


def test_scale_a_channel_follows_its_channel(layer_of, compute):
    """Depthwise kernels share a scale among channels, one for each multiplier."""
    kernel = np.ones((1, 4, 2))
    layer = layer_of(
        "QDepthwiseConv2D",
        kernel[None],
        kernel_size=1,
        depth_multiplier=2,
        use_bias=False,
        depthwise_quantizer="quantized_bits(4,1,alpha=[1.0,4.0])",
    )

    _, values = compute(linear.write_depthwise, layer, np.ones((1, 1, 4)))

    assert_array_equal(values.ravel(), [1, 4] * 4)


@pytest.mark.parametrize("axis", [-1, 2, [2], 1, [1]])
def test_batch_norm(layer_of, compute, axis):
    count = 4 if axis in (-1, 2, [2]) else 3
    gamma, beta, mean = whole(count), whole(count), whole(count)
    layer = layer_of(
        "BatchNormalization",
        gamma,
        beta,
        mean,
        np.full(count, 3.0),
        axis=axis,
        epsilon=1.0,
    )

    _, values = compute(linear.write_batch_norm, layer, X)

    x = X if count == 4 else X.T
    expected = (x - mean) / 2 * gamma + beta
    assert_array_equal(values, expected if count == 4 else expected.T)


@pytest.mark.parametrize(
    ("write", "kind", "settings", "why"),
    [
        (
            linear.write_batch_norm,
            "BatchNormalization",
            {"axis": [1, 2]},
            "axis [1, 2] is not carried: normalise the last axis",
        ),
        (
            linear.write_conv,
            "Conv1D",
            {"filters": 2, "groups": 3},
            "3 groups do not divide 4 channels",
        ),
        (
            linear.write_conv,
            "Conv2D",
            {"filters": 2},
            "samples have shape (3, 4), expected 2 axes and channels",
        ),
    ],
)
def test_what_cannot_be_carried_is_refused(
    layer_of, compute, write, kind, settings, why
):
    message = re.escape(f"layer 'l' ({kind}): {why}")

    with pytest.raises(NetworkError, match=f"^{message}$"):
        compute(write, layer_of(kind, **settings), X)
