from __future__ import annotations

import re

import pytest
from numpy.testing import assert_array_equal

from hawq.errors import NetworkError
from hawq.frontend.keras.folded import write_folded

SETTINGS = {"filters": 2, "kernel_size": [1, 1], "use_bias": False, "epsilon": 1.0}
KERNEL = [[[[1.0, 2.0], [-1.0, 0.5]]]]
X = [[[3.0, 2.0]]]


def folded(layer_of, variance=(3.0, 15.0), **settings):
    ones = ([2.0, 4.0], [0.5, -0.5], [1.0, 2.0], variance)
    return layer_of("QConv2DBatchnorm", KERNEL, *ones, **{**SETTINGS, **settings})


def test_batch_norm_is_folded(layer_of, compute):
    _, values = compute(write_folded, folded(layer_of), X)

    assert_array_equal(values, [[[3 - 2 - 1 + 0.5, 6 + 1 - 2 - 0.5]]])


def test_weights_are_quantized_behind_the_fold(layer_of, compute):
    """2 / sqrt(3 + 1) is 1, so the first kernel is [1, -1], of which 0.75 is left."""
    layer = folded(layer_of, kernel_quantizer="quantized_bits(3,0,alpha=1)")

    _, values = compute(write_folded, layer, [[[1.0, 0.0]]])

    assert_array_equal(values, [[[0.75 - 1 + 0.5, 0.75 - 2 - 0.5]]])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"center": False}, "center=False is not carried: set it to True"),
        (
            {"variance": (-2.0, 1.0)},
            "its variance plus epsilon is not above 0: train again",
        ),
        (
            {
                "variance": (63.0, 256 / 9 - 1),
                "kernel_quantizer": "quantized_bits(3,0,alpha=1)",
            },
            "kernel_quantizer quantized_bits: a folded weight lies on the border of "
            "two steps, so that machines differ: use QConv2D and QBatchNormalization",
        ),
    ],
)
def test_what_cannot_be_carried_is_refused(layer_of, compute, changes, why):
    message = re.escape(f"layer 'l' (QConv2DBatchnorm): {why}")

    with pytest.raises(NetworkError, match=f"^{message}$"):
        compute(write_folded, folded(layer_of, **changes), X)
