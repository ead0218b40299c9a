from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hawq.fixed import Rounding
from hawq.integer.rounding import FLOAT_ROUNDING, INDIFFERENT, turns_at_halves

EIGHTHS = [Fraction(n, 8) for n in range(-33, 34)]
HALF = Fraction(1, 2)
EXACT = {
    Rounding.HALF_EVEN: round,
    Rounding.HALF_UP: lambda v: floor(v + HALF),
    Rounding.HALF_DOWN: lambda v: ceil(v - HALF),
    Rounding.HALF_AWAY: lambda v: floor(v + HALF) if v > 0 else ceil(v - HALF),
    Rounding.HALF_ZERO: lambda v: ceil(v - HALF) if v > 0 else floor(v + HALF),
    Rounding.FLOOR: floor,
    Rounding.CEIL: ceil,
    Rounding.TOWARD_ZERO: int,
    Rounding.AWAY: lambda v: ceil(v) if v > 0 else floor(v),
}


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("rounding", Rounding)
def test_floats_round_as_rationals_do(rounding, dtype):
    values = np.array(EIGHTHS, dtype=dtype)
    FLOAT_ROUNDING[rounding](values, out=values)
    assert_array_equal(values, [EXACT[rounding](v) for v in EIGHTHS])


@pytest.mark.parametrize("rounding", Rounding)
def test_results_change_at_halves_or_at_integers(rounding):
    before, after = np.arange(-4.0, 4) + 0.375, np.arange(-4.0, 4) + 0.625
    FLOAT_ROUNDING[rounding](before, out=before)
    FLOAT_ROUNDING[rounding](after, out=after)
    assert (before != after).all() == turns_at_halves(rounding)


@pytest.mark.parametrize("rounding", INDIFFERENT)
def test_indifferent_modes_move_with_their_values(rounding):
    values = np.array(EIGHTHS, dtype=np.float64)
    moved = FLOAT_ROUNDING[rounding](values - 7, out=np.empty_like(values)) + 7
    assert_array_equal(moved, FLOAT_ROUNDING[rounding](values, out=values))
