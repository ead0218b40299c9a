import re

import numpy as np
import pytest

from hawq.errors import DataError
from hawq.integer.samples import read_inputs, require_finite
from hawq.integer.tensor import RealInput

PAIR = [RealInput("a", (2,)), RealInput("b", ())]


def test_inputs_are_taken_by_name_and_exactly():
    arrays, samples = read_inputs(PAIR, {"b": [1, 2, 3], "a": np.ones((3, 2), "f4")})
    assert samples == 3
    assert {name: array.dtype for name, array in arrays.items()} == {
        "a": np.float32,
        "b": np.float64,
    }


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ({"a": np.ones((3, 2))}, "no data for input 'b', got data for: a"),
        (
            {"a": np.ones((3, 4)), "b": np.ones(3)},
            "input 'a' got shape (3, 4), expected (samples, 2)",
        ),
        (
            {"a": np.ones((3, 2)), "b": np.ones(4)},
            "inputs with different numbers of samples: {'a': 3, 'b': 4}",
        ),
        (
            {"a": np.ones((1, 2)), "b": np.array([2**53 + 1])},
            "input 'b' has type int64, expected real numbers that float64 holds "
            "exactly",
        ),
    ],
)
def test_what_does_not_fit_is_refused(x, message):
    with pytest.raises(DataError, match=rf"^{re.escape(message)}$"):
        read_inputs(PAIR, x)


def test_the_first_value_that_is_not_finite_is_named():
    x = np.zeros((3, 2))
    x[1, 0] = np.inf
    message = r"^input 'a': NaN or infinity in sample 6 at index \(0,\): clean the data"
    with pytest.raises(DataError, match=message):
        require_finite("a", x, 5)
