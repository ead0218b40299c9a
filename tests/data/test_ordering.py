"""The stable order against NumPy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

pytest.importorskip("numba", reason="pip install 'hawq[jets]'")

from hawq.data.ordering import stable_order


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.integers(-3, 3), max_size=40))
def test_equal_keys_keep_their_order(keys: list[int]) -> None:
    array = np.array(keys, np.int64)
    assert_array_equal(stable_order(array), np.argsort(array, kind="stable"))


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False), max_size=40))
def test_floats_are_ordered(keys: list[float]) -> None:
    array = np.array(keys, np.float64)
    assert_array_equal(stable_order(array), np.argsort(array, kind="stable"))
