import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hawq.integer.evaluate import pool
from hawq.integer.executor.moves import largest, lines, pick
from hawq.integer.nodes import Window


@given(st.data())
def test_lines_pick_what_indices_do(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    picked = tuple(
        np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=5)))
        for n in shape
    )
    x = np.random.default_rng(0).normal(size=(*shape, 2))
    order = data.draw(st.permutations(range(x.ndim)))
    lying = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
    indices = np.arange(x[..., 0].size).reshape(shape)[np.ix_(*picked)]
    found = lines(indices, shape)
    assert found is not None
    assert_array_equal(pick(lying, found), x.reshape(-1, 2)[indices])


@pytest.mark.parametrize(
    "indices",
    [
        [[0, 1], [2, 4]],  # not a line
        [[0, -1], [3, -1]],  # a fill
        [0, 1],  # another rank
        np.zeros((0, 2), dtype=np.int64),
    ],
)
def test_no_lines_where_a_selection_is_none_along_axes(indices):
    assert lines(np.array(indices), (2, 3)) is None


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    ("kernel", "strides", "dilations"),
    [((2, 2), (2, 2), (1, 1)), ((3, 1), (1, 2), (2, 1)), ((1, 4), (2, 1), (1, 1))],
)
def test_the_largest_axis_by_axis_is_the_largest(kernel, strides, dilations, last):
    window = Window(kernel, strides, dilations, (0, 0, 0, 0), last)
    x = np.random.default_rng(0).integers(-9, 9, (7, 8, 6, 2)).astype(np.float32)
    before = x.copy()
    assert_array_equal(largest(x, window), pool(x, window, np.maximum, -9))
    assert_array_equal(x, before)
