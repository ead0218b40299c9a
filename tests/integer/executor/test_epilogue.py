from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hawq.fixed import Rounding
from hawq.integer.executor.epilogue import exact_epilogue, filtered_epilogue
from hawq.integer.executor.normal_form import NormalForm

REACH = 2**20


@st.composite
def forms(draw, largest=2**40):
    """Maps of two channels that bring sums up to ``REACH`` to a few hundred."""
    divisor = draw(st.integers(2, largest))
    size = max(1, divisor // draw(st.integers(1, REACH)))
    factors = [draw(st.integers(-size, size)) for _ in range(2)]
    offsets = [draw(st.integers(-9 * divisor, 9 * divisor)) for _ in range(2)]
    slope = Fraction(draw(st.integers(0, 20)), 2 ** draw(st.integers(0, 4)))
    top = 20 * REACH * 20
    low, high = draw(st.integers(-300, 0)), draw(st.integers(0, 300))
    return NormalForm(
        -top,
        top,
        np.array(factors) * slope.denominator,
        np.array(offsets) * slope.denominator,
        divisor * slope.denominator,
        slope,
        draw(st.sampled_from(Rounding)),
        0 if slope != 1 else draw(st.integers(0, 2)),
        low,
        high,
    )


def sums(seed):
    random = np.random.default_rng(seed)
    near = random.integers(-40, 40, (2, 50))
    far = random.integers(-REACH, REACH, (2, 50))
    return np.concatenate([near, far], axis=1)


def expected(form, x):
    wide = x.astype(object)
    return form.exact(wide, form.factor[:, None], form.offset[:, None])


def run(epilogue, x, carrier="float64"):
    out = np.empty(x.shape, dtype=carrier)
    epilogue.run(x.astype(carrier), out)
    return out


@given(form=forms(), seed=st.integers(0, 99))
def test_filtered_floats_give_the_exact_integers(form, seed):
    x = sums(seed)
    epilogue = filtered_epilogue(form, REACH, 1)
    assert_array_equal(run(epilogue, x), expected(form, x))
    assert_array_equal(run(epilogue, x, "float32"), expected(form, x))


@given(form=forms(largest=2**9), seed=st.integers(0, 99))
def test_exact_floats_give_the_exact_integers(form, seed):
    x = sums(seed)
    epilogue = exact_epilogue(form, form.reach(REACH), "float64", 1)
    assert_array_equal(run(epilogue, x), expected(form, x))


@pytest.mark.parametrize("rounding", Rounding)
def test_ties_are_done_in_integers(rounding):
    form = NormalForm(
        -50,
        50,
        np.array([3**30, 3**30]),
        np.array([0, 3**30]),
        2 * 3**30,
        rounding=rounding,
    )
    epilogue = filtered_epilogue(form, 100, 1)
    x = np.arange(-100, 100).reshape(2, 100)
    assert_array_equal(run(epilogue, x), expected(form, x))


def test_a_float_that_is_too_short_is_not_used():
    form = NormalForm(-9, 9, np.array(3), divisor=2, rounding=Rounding.FLOOR)
    assert exact_epilogue(form, 2**24, "float32", 1) is not None
    assert exact_epilogue(form, 2**24 + 1, "float32", 1) is None
    assert exact_epilogue(form, 2**24 + 1, "float64", 1) is not None


def test_a_division_leaves_three_bits_free():
    form = NormalForm(-9, 9, np.array(3), divisor=6, rounding=Rounding.FLOOR)
    assert exact_epilogue(form, 2**21, "float32", 1) is not None
    assert exact_epilogue(form, 2**21 + 1, "float32", 1) is None


@pytest.mark.parametrize(
    "form",
    [
        NormalForm(-9, 9),
        NormalForm(-(2**60), 2**60, np.array(3), divisor=7, rounding=Rounding.FLOOR),
        NormalForm(0, 1, np.array(1), divisor=7**200, rounding=Rounding.FLOOR),
        NormalForm(0, 9, np.array(7**200), divisor=3, rounding=Rounding.FLOOR),
    ],
)
def test_what_would_always_be_in_doubt_is_not_filtered(form):
    assert filtered_epilogue(form, 100, 1) is None
