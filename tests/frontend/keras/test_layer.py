from __future__ import annotations

import re

import numpy as np
import pytest

from hawq.errors import NetworkError
from hawq.frontend.keras.layer import plain, whole_numbers

DAMAGED = "the file is damaged, save it again"
NUMBER = "a number that float32 holds"


@pytest.mark.parametrize(
    ("value", "read", "expected"),
    [
        (2.5, lambda layer: layer.whole("key", 1), "a whole number"),
        (True, lambda layer: layer.whole("key", 1), "a whole number"),
        ("a", lambda layer: layer.number("key", default=0.0), NUMBER),
        (
            float("nan"),
            lambda layer: layer.number("key", default=0.0),
            NUMBER,
        ),
        (2, lambda layer: layer.flag("key", True), "true or false"),
        ([1, 0], lambda layer: layer.sizes("key", 2), "2 whole numbers above 0"),
        ([1], lambda layer: layer.sizes("key", 2), "2 whole numbers above 0"),
        ("ab", lambda layer: layer.sizes("key", 2), "2 whole numbers above 0"),
    ],
)
def test_wrong_setting_is_refused(layer_of, value, read, expected) -> None:
    layer = layer_of("Dense", key=value)
    text = f"layer 'l' (Dense): key is {value!r}, expected {expected}: {DAMAGED}"

    with pytest.raises(NetworkError, match=f"^{re.escape(text)}$"):
        read(layer)


def test_settings_are_read(layer_of) -> None:
    layer = layer_of("Dense", alpha=0.5, size=3, sizes=[1, 2], yes=1)

    assert layer.number("negative_slope", "alpha", default=0.0) == 0.5
    assert layer.sizes("size", 2) == (3, 3)
    assert layer.sizes("sizes", 2) == (1, 2)
    assert layer.sizes("absent", 2, 7) == (7, 7)
    assert layer.flag("yes", False)


def test_absent_weight_is_refused(layer_of) -> None:
    message = (
        r"^layer 'l' \(Dense\): the file holds 0 weights of it, expected at least 1: "
        r"save the whole model, with its weights$"
    )

    with pytest.raises(NetworkError, match=message):
        layer_of("Dense").weight(0, 2)


def test_weight_of_wrong_shape_is_refused(layer_of) -> None:
    message = (
        r"^layer 'l' \(Dense\): weight 0 has shape \(2,\), expected \(3,\): the file "
        r"is damaged, save it again$"
    )

    with pytest.raises(NetworkError, match=message):
        layer_of("Dense", [1, 2]).weight(0, 3)


def test_weight_without_end_is_refused(layer_of) -> None:
    message = r"^layer 'l' \(Dense\): weight 0 has NaN or infinity: train again$"

    with pytest.raises(NetworkError, match=message):
        layer_of("Dense", [1, np.inf]).weight(0, 2)


@pytest.mark.parametrize(
    "value",
    [
        {"class_name": "__numpy__", "config": {"value": [1.0], "dtype": "float64"}},
        {"type": "ndarray", "value": [1.0]},
        [1.0],
    ],
)
def test_numpy_arrays_are_unwrapped(value) -> None:
    assert plain(value) == [1.0]


def test_flags_are_no_whole_numbers() -> None:
    assert whole_numbers([1, 2])
    assert not whole_numbers([1, True])
    assert not whole_numbers(1)
