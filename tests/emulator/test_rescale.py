from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hawq.emulator.rescale import Method, Staircase, plan_rescale
from hawq.errors import NetworkError
from hawq.fixed import Overflow, Rounding
from hawq.integer.grid import Grid

ratios = st.fractions(
    min_value=Fraction(1, 1000), max_value=1000, max_denominator=1000
).filter(bool)


def grid(rounding, zero_point=0, overflow=Overflow.SATURATE, bits=4):
    low = -(2 ** (bits - 1)) - zero_point
    return Grid(low, low + 2**bits - 1, Fraction(1), rounding, overflow, zero_point)


@given(
    rounding=st.sampled_from(Rounding),
    ratio=ratios,
    zero_point=st.integers(-3, 3),
    integer=st.integers(-(10**6), 10**6),
)
def test_stairs_are_those_of_the_golden_grid(rounding, ratio, zero_point, integer):
    stairs = Staircase(ratio, grid(rounding, zero_point))
    expected = int(stairs.grid.rounded(np.array([integer]), ratio)[0])
    assert stairs.level(integer) == expected
    assert stairs.step(expected) <= integer < stairs.step(expected + 1)


def computed(plan, rescaled, integer):
    """What the C++ function computes, in Python integers."""
    low, high = plan.limits
    n = min(max(integer, low), high)
    if plan.method is Method.MULTIPLY:
        multiplier, offset, shift = plan.numbers
        assert abs(n * multiplier) + abs(offset) <= plan.kind.reach
        y = (n * multiplier + offset) >> shift
    elif plan.method is Method.SEARCH:
        base, *steps = plan.numbers
        return base + sum(integer >= step for step in steps)
    else:
        factor, last = plan.numbers
        divisor = 2**last if plan.method is Method.SHIFT else last
        zero = rescaled.zero_point
        assert abs(n * factor + zero * divisor) + divisor <= plan.kind.reach
        unit = Grid(-(2**90), 2**90, Fraction(1), rescaled.rounding, zero_point=zero)
        y = int(unit.rounded(np.array([n]), Fraction(factor, divisor))[0])
    if plan.fit == "saturate":
        return min(max(y, rescaled.low), rescaled.high)
    if plan.fit == "wrap":
        count = rescaled.high - rescaled.low + 1
        return (y - rescaled.low) % count + rescaled.low
    return y


@given(data=st.data())
def test_every_plan_is_exact(data):
    chosen = grid(
        data.draw(st.sampled_from(Rounding)),
        data.draw(st.integers(-3, 3)),
        data.draw(st.sampled_from([Overflow.SATURATE, Overflow.WRAP])),
    )
    ratio = data.draw(ratios) * data.draw(
        st.sampled_from([1, Fraction(0.3), Fraction(1, 3) ** 60 * 2**95])
    )
    low, high = sorted(data.draw(st.tuples(*[st.integers(-(10**4), 10**4)] * 2)))
    widest = max(-low, high) * ratio.numerator + 4 * ratio.denominator
    # What wraps has no staircase: beyond all types it is refused, as another test says.
    assume(chosen.overflow is Overflow.SATURATE or widest < 2**120)
    plan = plan_rescale(low, high, ratio, chosen)
    edges = [int(k / ratio) + d for k in range(-12, 13) for d in (-1, 0, 1)]
    for integer in {low, high, *(n for n in edges if low <= n <= high)}:
        golden = int(chosen.requantize(np.array([integer]), ratio)[0])
        assert computed(plan, chosen, integer) == golden, (plan, integer)


@pytest.mark.parametrize(
    ("ratio", "reach", "method", "kind"),
    [
        (Fraction(1, 8), 2000, Method.SHIFT, "int16_t"),
        (Fraction(1, 8), 2 * 10**6, Method.SHIFT, "int16_t"),
        (Fraction(3, 2**20), 10**6, Method.SHIFT, "int32_t"),
        (Fraction(5, 7), 2000, Method.MULTIPLY, "int32_t"),
        (Fraction(0.1) * Fraction(0.7), 10**9, Method.MULTIPLY, "int32_t"),
        (Fraction(1, 3) ** 90 * 2**60, 2**100, Method.SEARCH, "int32_t"),
    ],
)
def test_the_cheapest_method_is_taken(ratio, reach, method, kind):
    plan = plan_rescale(-reach, reach, ratio, grid(Rounding.FLOOR))
    assert (plan.method, plan.kind.name) == (method, kind)


def test_a_grid_that_wraps_beyond_all_types_is_refused():
    wraps = grid(Rounding.FLOOR, overflow=Overflow.WRAP)
    with pytest.raises(
        NetworkError, match=r"^integers of 161 bits, expected at most 127$"
    ):
        plan_rescale(-(2**100), 2**100, Fraction(2**58 + 1, 3), wraps)
