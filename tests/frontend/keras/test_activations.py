from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hawq.errors import NetworkError
from hawq.frontend.keras.activations import (
    activate,
    write_activation,
    write_leaky_relu,
    write_relu,
    write_softmax,
)
from hawq.frontend.keras.writer import Writer

X = np.arange(-8, 9, dtype=np.float32)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, np.maximum(X, 0)),
        ({"max_value": 6.0}, np.clip(X, 0, 6)),
        ({"max_value": 6}, np.clip(X, 0, 6)),
        ({"negative_slope": 0.25}, np.where(X < 0, X / 4, X)),
        (
            {"negative_slope": 0.25, "max_value": 6},
            np.where(X < 0, X / 4, X.clip(-9, 6)),
        ),
        (
            {"negative_slope": 0.25, "max_value": None, "threshold": 0.0},
            np.where(X < 0, X / 4, X),
        ),
    ],
)
def test_relu_has_a_slope_and_a_limit(layer_of, compute, settings, expected):
    assert_array_equal(
        compute(write_relu, layer_of("ReLU", **settings), X)[1], expected
    )


def test_relu_with_a_threshold_is_refused(layer_of, compute):
    message = (
        r"^layer 'l' \(ReLU\): a threshold other than 0 makes a jump, which is not "
        r"carried: set it to 0$"
    )

    with pytest.raises(NetworkError, match=message):
        compute(write_relu, layer_of("ReLU", threshold=1.0), X)


@pytest.mark.parametrize("key", ["alpha", "negative_slope"])
def test_leaky_relu_knows_both_names_of_its_slope(layer_of, compute, key):
    _, values = compute(write_leaky_relu, layer_of("LeakyReLU", **{key: 0.5}), X)

    assert_array_equal(values, np.where(X < 0, X / 2, X))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("relu", np.maximum(X, 0)),
        ("relu6", np.clip(X, 0, 6)),
        ({"class_name": "function", "config": "relu"}, np.maximum(X, 0)),
        ({"class_name": "ReLU", "config": {"max_value": 2.0}}, np.clip(X, 0, 2)),
    ],
)
def test_activation_is_a_name_or_a_layer(layer_of, compute, given, expected):
    layer = layer_of("Activation", activation=given)

    assert_array_equal(compute(write_activation, layer, X)[1], expected)


@pytest.mark.parametrize("given", [None, "linear"])
def test_no_activation_writes_nothing(layer_of, given):
    out = Writer()

    assert activate(out, layer_of("Dense", activation=given), "x") == "x"


def test_unknown_activation_is_refused(layer_of, compute):
    layer = layer_of("Dense", activation="gelu")
    message = (
        r"^layer 'l' \(Dense\): activation 'gelu' is not carried \(carried: linear, "
        r".*\): use relu, leaky_relu, a QKeras quantizer, or softmax at the end$"
    )

    with pytest.raises(NetworkError, match=message):
        compute(write_activation, layer, X)


def test_softmax_over_another_axis_is_refused(layer_of, compute):
    message = re.escape("layer 'l' (Softmax): axis 1 is not carried: use the last axis")

    with pytest.raises(NetworkError, match=f"^{message}$"):
        compute(write_softmax, layer_of("Softmax", axis=1), np.ones((2, 3)))
