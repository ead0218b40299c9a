from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hawq.errors import NetworkError
from hawq.frontend.keras import moves

X = np.arange(12, dtype=np.float32).reshape(2, 3, 2)


@pytest.mark.parametrize(
    ("write", "kind", "settings", "expected"),
    [
        (moves.write_flatten, "Flatten", {}, X.ravel()),
        (moves.write_reshape, "Reshape", {"target_shape": [4, -1]}, X.reshape(4, 3)),
        (moves.write_permute, "Permute", {"dims": [3, 1, 2]}, X.transpose(2, 0, 1)),
        (
            moves.write_zero_padding,
            "ZeroPadding2D",
            {"padding": [[1, 0], [0, 2]]},
            np.pad(X, ((1, 0), (0, 2), (0, 0))),
        ),
        (
            moves.write_zero_padding,
            "ZeroPadding2D",
            {"padding": [1, 2]},
            np.pad(X, ((1, 1), (2, 2), (0, 0))),
        ),
        (
            moves.write_upsampling,
            "UpSampling2D",
            {"size": [2, 3]},
            X.repeat(2, 0).repeat(3, 1),
        ),
    ],
)
def test_elements_are_moved(layer_of, compute, write, kind, settings, expected):
    _, values = compute(write, layer_of(kind, **settings), X)

    assert_array_equal(values, expected)


@pytest.mark.parametrize(("padding", "pads"), [(1, (1, 1)), ([1, 2], (1, 2))])
def test_series_are_padded(layer_of, compute, padding, pads):
    layer = layer_of("ZeroPadding1D", padding=padding)

    _, values = compute(moves.write_zero_padding, layer, X[0])

    assert_array_equal(values, np.pad(X[0], (pads, (0, 0))))


@pytest.mark.parametrize("axis", [-1, 1, 3])
def test_tensors_are_joined(layer_of, compute, axis):
    layer = layer_of("Concatenate", axis=axis)

    _, values = compute(moves.write_concatenate, layer, X, X + 1)

    along = axis if axis < 0 else axis - 1
    assert_array_equal(values, np.concatenate([X, X + 1], along))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("Add", X + X[:1] + X), ("Multiply", X * X[:1] * X)],
)
def test_three_tensors_are_merged(layer_of, compute, kind, expected):
    _, values = compute(moves.write_merge, layer_of(kind), X, X[:1], X)

    assert_array_equal(values, expected)


@pytest.mark.parametrize(
    ("write", "kind", "settings", "others", "why"),
    [
        (
            moves.write_reshape,
            "Reshape",
            {"target_shape": [5, -1]},
            (),
            "target_shape [5, -1] does not hold the 12 elements of a sample",
        ),
        (
            moves.write_reshape,
            "Reshape",
            {},
            (),
            "target_shape None does not hold the 12 elements of a sample",
        ),
        (
            moves.write_permute,
            "Permute",
            {"dims": [1, 1, 2]},
            (),
            "dims [1, 1, 2] is no order of 3 axes: save the model again",
        ),
        (
            moves.write_zero_padding,
            "ZeroPadding2D",
            {"padding": [[1, -1], [0, 0]]},
            (),
            "padding [[1, -1], [0, 0]] does not fit 2 axes: save the model again",
        ),
        (
            moves.write_upsampling,
            "UpSampling2D",
            {"interpolation": "bilinear"},
            (),
            "interpolation 'bilinear' is not carried: use 'nearest'",
        ),
        (
            moves.write_concatenate,
            "Concatenate",
            {"axis": 0},
            (X,),
            "samples of shapes [(2, 3, 2), (2, 3, 2)] cannot be joined along axis 0",
        ),
        (
            moves.write_concatenate,
            "Concatenate",
            {},
            (X[:1],),
            "samples of shapes [(2, 3, 2), (1, 3, 2)] cannot be joined along axis -1",
        ),
        (
            moves.write_merge,
            "Add",
            {},
            (X[0],),
            "samples of shapes [(2, 3, 2), (3, 2)] do not fit together",
        ),
        (
            moves.write_merge,
            "Subtract",
            {},
            (X, X),
            "it reads 3 tensors, expected 2: build it again",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    layer_of, compute, write, kind, settings, others, why
):
    message = re.escape(f"layer 'l' ({kind}): {why}")

    with pytest.raises(NetworkError, match=f"^{message}$"):
        compute(write, layer_of(kind, **settings), X, *others)
