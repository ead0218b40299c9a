import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hawq.emulator.index import broadcast_index, gather_index


class Tables:
    """Takes tables, and evaluates the C++ expressions that read them."""

    def __init__(self):
        self.known = {}

    def __call__(self, values):
        name = f"t{len(self.known)}"
        self.known[name] = values.tolist()
        return name

    def evaluate(self, expression, size):
        text = expression.replace("INT64_C", "").replace("/", "//")
        code = compile(text, "index", "eval")
        return [eval(code, {"e": e, **self.known}) for e in range(size)]


shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


@given(shape=shapes, data=st.data())
def test_broadcasts_are_those_of_numpy(shape, data):
    small = tuple(data.draw(st.sampled_from([1, n])) for n in shape)
    small = small[data.draw(st.integers(0, len(small) - 1)) :]
    tables = Tables()
    expression = broadcast_index(small, shape, tables)
    elements = np.arange(np.prod(small)).reshape(small)
    expected = np.broadcast_to(elements, shape).ravel()
    assert_array_equal(tables.evaluate(expression, expected.size), expected)


@given(shape=shapes, seed=st.integers(0, 99), data=st.data())
def test_gathers_pick_the_elements(shape, seed, data):
    random = np.random.default_rng(seed)
    indices = np.arange(np.prod(shape)).reshape(shape)
    change = data.draw(
        st.sampled_from([
            lambda a: a.transpose(random.permutation(a.ndim)),
            lambda a: np.pad(a, 1, constant_values=-1),
            lambda a: a.repeat(2, axis=0)[::3],
            lambda a: random.permutation(a.ravel()),
            lambda a: np.full((2, 2), -1),
        ])
    )
    picked, tables = change(indices), Tables()
    got = tables.evaluate(gather_index(picked, tables), picked.size)
    assert_array_equal(np.maximum(got, -1), picked.ravel())


def test_an_upsampled_picture_needs_no_table_of_its_size():
    indices = np.arange(3 * 64 * 64).reshape(3, 64, 64).repeat(2, 1).repeat(2, 2)
    tables = Tables()
    gather_index(indices, tables)
    assert sorted(len(t) for t in tables.known.values()) == [3, 128, 128]


@pytest.mark.parametrize(
    ("small", "expected"), [((1, 1), "0"), ((4,), "e % 4"), ((3, 4), "e")]
)
def test_common_broadcasts_need_no_table(small, expected):
    assert broadcast_index(small, (3, 4), table=Tables()) == expected
