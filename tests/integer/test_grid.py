import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hawq.errors import FormatError
from hawq.fixed import FixedPoint, Overflow, Rounding
from hawq.integer.grid import Grid, common_scale

HALF = Fraction(1, 2)
ROUNDINGS = {
    Rounding.HALF_EVEN: round,
    Rounding.HALF_UP: lambda v: math.floor(v + HALF),
    Rounding.HALF_DOWN: lambda v: math.ceil(v - HALF),
    Rounding.HALF_AWAY: lambda v: sign(v) * math.floor(abs(v) + HALF),
    Rounding.HALF_ZERO: lambda v: sign(v) * math.ceil(abs(v) - HALF),
    Rounding.FLOOR: math.floor,
    Rounding.CEIL: math.ceil,
    Rounding.TOWARD_ZERO: math.trunc,
    Rounding.AWAY: lambda v: sign(v) * math.ceil(abs(v)),
}


def sign(value):
    return 1 if value > 0 else -1


def expected(grid, value):
    """Round one Fraction as the file would, around its zero point."""
    level = ROUNDINGS[grid.rounding](value / grid.scale + grid.zero_point)
    level -= grid.zero_point
    if grid.overflow is Overflow.WRAP:
        return (level - grid.low) % (grid.high - grid.low + 1) + grid.low
    return max(grid.low, min(grid.high, level))


scales = st.one_of(
    st.integers(-30, 30).map(lambda e: Fraction(2) ** e),
    st.floats(2.0**-20, 2.0**20, width=32).map(Fraction),
    st.fractions(Fraction(1, 1000), 1000),
)
roundings = st.sampled_from(list(Rounding))
zero_points = st.integers(-5, 5)
multiples = st.integers(-(2**12), 2**12)


@st.composite
def grids(draw):
    low = draw(st.integers(-300, 10))
    if draw(st.booleans()):
        count = 2 ** draw(st.integers(1, 9))
        ends = {"high": low + count - 1, "overflow": Overflow.WRAP}
    else:
        ends = {"high": low + draw(st.integers(0, 500))}
    return Grid(
        low,
        scale=draw(scales),
        rounding=draw(roundings),
        zero_point=draw(zero_points),
        **ends,
    )


@given(grids(), st.lists(st.integers(-(2**70), 2**70) | multiples, min_size=1), scales)
def test_requantize_rounds_the_exact_ratio(grid, integers, scale):
    got = grid.requantize(np.array(integers, dtype=object), scale)
    assert got.tolist() == [expected(grid, n * scale) for n in integers]
    small = [n for n in integers if abs(n) < 2**62] or [0]
    got = grid.requantize(np.array(small, dtype=np.int64), scale)
    assert got.tolist() == [expected(grid, n * scale) for n in small]


@given(grids(), st.lists(multiples, min_size=1))
def test_requantize_decides_ties(grid, quarters):
    got = grid.requantize(np.array(quarters), grid.scale / 4)
    assert got.tolist() == [expected(grid, n * grid.scale / 4) for n in quarters]


@given(grids(), st.lists(st.floats(-1e9, 1e9) | st.floats(-300, 300), min_size=1))
def test_quantize_rounds_the_exact_quotient(grid, values):
    got = grid.quantize(np.array(values))
    assert got.tolist() == [expected(grid, Fraction(v)) for v in values]


@given(grids(), st.lists(multiples, min_size=1), st.integers(-2, 2))
def test_quantize_decides_what_is_a_tie_or_next_to_one(grid, quarters, steps):
    values = [float(n * grid.scale / 4) for n in quarters]
    for _ in range(abs(steps)):
        values = [math.nextafter(v, math.copysign(math.inf, steps)) for v in values]
    got = grid.quantize(np.array(values))
    assert got.tolist() == [expected(grid, Fraction(v)) for v in values]


@given(
    grids(),
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=8),
    st.fractions(-100, 100, max_denominator=10**9),
    st.fractions(-100, 100, max_denominator=10**9),
)
def test_quantize_after_gain_and_offset(grid, values, gain, offset):
    column = np.full((len(values), 1), gain, dtype=object)
    shift = np.full((), offset, dtype=object)
    got = grid.quantize(np.array(values)[:, None], column, shift)[:, 0]
    assert got.tolist() == [expected(grid, Fraction(v) * gain + offset) for v in values]


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("value", [5e-324, -5e-324, 1.7e308, -1.7e308, 0.0])
@pytest.mark.parametrize("scale", [Fraction(2) ** 60, Fraction(3, 10**30), Fraction(3)])
def test_numbers_beyond_all_levels(rounding, value, scale):
    grid = Grid(-100, 100, scale, rounding)
    with np.errstate(over="ignore", under="ignore"):
        got = grid.quantize(np.array([value]))
    assert got.tolist() == [expected(grid, Fraction(value))]


def test_one_number_is_quantized_as_an_array_of_no_axes():
    got = Grid(-8, 7, Fraction(1, 3)).quantize(np.array(0.5))
    assert (got.shape, int(got)) == ((), 2)


@given(grids(), st.lists(st.integers(-(2**70), 2**70), min_size=1))
def test_fit_saturates_or_wraps(grid, integers):
    unit = Grid(grid.low, grid.high, Fraction(1), overflow=grid.overflow)
    got = grid.fit(np.array(integers, dtype=object)).tolist()
    assert got == [expected(unit, Fraction(n)) for n in integers]


def test_rounded_has_no_ends():
    grid = Grid(-1, 1, Fraction(1, 2))
    assert grid.rounded(np.array([-9, 5, 100]), Fraction(1, 4)).tolist() == [-4, 2, 50]


# --- formats -------------------------------------------------------------------------

formats = st.builds(
    FixedPoint,
    st.booleans(),
    st.integers(2, 64),
    st.integers(-20, 80),
    roundings,
    st.sampled_from(list(Overflow)),
)


@given(formats)
def test_a_format_is_a_grid_and_back(form):
    grid = Grid.of(form)
    assert (grid.low, grid.high, grid.scale) == (form.min, form.max, form.step)
    again = grid.fixed_point
    assert (again.min, again.max, again.step) == (form.min, form.max, form.step)
    assert again.rounding is form.rounding
    assert (again.overflow is Overflow.WRAP) == (form.overflow is Overflow.WRAP)
    assert form.overflow is Overflow.SATURATE_SYMMETRIC or again == form


@pytest.mark.parametrize(
    "grid",
    [
        Grid(-8, 7, Fraction(3, 8)),
        Grid(-7, 8, Fraction(1, 8)),
        Grid(0, 14, Fraction(1, 8)),
        Grid(0, 2**64, Fraction(1, 8)),
        Grid(-8, 7, Fraction(1), zero_point=1),
        Grid(-8, 7, Fraction(1), Rounding.AWAY, zero_point=2),
        Grid(-8, 7, Fraction(1), Rounding.HALF_ZERO, zero_point=-2),
    ],
    ids=str,
)
def test_grids_that_no_format_holds(grid):
    assert grid.fixed_point is None


@pytest.mark.parametrize("rounding", [Rounding.HALF_EVEN, Rounding.FLOOR])
def test_a_zero_point_that_changes_no_rounding_is_no_obstacle(rounding):
    grid = Grid(-8, 7, Fraction(1, 4), rounding, zero_point=2)
    assert grid.fixed_point == FixedPoint(True, 4, 2, rounding)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (3, 2, Fraction(1)),
            r"^no grid from 3 to 2 of scale 1: expected low <= high and a scale above "
            r"0$",
        ),
        (
            (-1, 1, Fraction(0)),
            r"^no grid from -1 to 1 of scale 0: expected low <= high and a scale above "
            r"0$",
        ),
        (
            (-1, 1, Fraction(1), Rounding.FLOOR, Overflow.WRAP),
            r"^a grid from -1 to 1 cannot wrap: expected a power of two of integers$",
        ),
    ],
)
def test_grids_that_do_not_exist_are_refused(arguments, message):
    with pytest.raises(FormatError, match=message):
        Grid(*arguments)


@pytest.mark.parametrize(
    ("given_scales", "common"),
    [
        (["1/4", "1/32"], "1/32"),
        (["3/4", "1/2"], "1/4"),
        (["8"], "8"),
        (["6", "4"], "2"),
        (["1/3", "1/7", "1/3"], "1/21"),
    ],
)
def test_common_scale(given_scales, common):
    assert common_scale(*map(Fraction, given_scales)) == Fraction(common)


def test_scales_of_a_fit_keep_their_type():
    assert_array_equal(Grid(-4, 3, Fraction(1)).fit(np.array([-9, 9])), [-4, 3])
