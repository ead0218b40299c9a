from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawq.frontend.rewriting.affine import RANGES, Affine, Range, covering, find_range

LIMITS = sorted(RANGES.values())


def quant(x, scale, zero_point, span):
    """QONNX's Quant, in rational arithmetic."""
    half = 2 ** (span.bits - span.is_signed)
    low = -half + span.is_narrow if span.is_signed else 0
    high = half - 1 - (span.is_narrow and not span.is_signed)
    return (round(max(low, min(high, x / scale + zero_point))) - zero_point) * scale


def affine(scale, point, low, high):
    return Affine(np.float32(scale), np.array(point), low, high)


@st.composite
def quantizations(draw):
    low, high = draw(st.sampled_from(LIMITS[:4]))
    point = draw(st.integers(low, high))
    scale = np.float32(draw(st.floats(2.0**-20, 2.0**20, width=32)))
    steps = st.integers(2 * low - 300, 2 * high + 300)
    return scale, point, low, high, Fraction(draw(steps), draw(st.integers(1, 3)))


@given(quantizations())
def test_stages_do_what_onnx_says_for_any_zero_point_ties_included(case):
    scale, point, low, high, steps = case
    exact = Fraction(scale.item())
    integer = max(low, min(high, round(steps) + point))
    value = steps * exact
    for span, zero_point in affine(scale, point, low, high).stages():
        value = quant(value, exact, int(zero_point), span)
    assert value == (integer - point) * exact


@pytest.mark.parametrize(
    ("point", "stages"),
    [
        (0, [(Range(8, True), 0)]),
        (-128, [(Range(8, False), 0)]),
        (2, [(Range(8, True), 2)]),
        (3, [(Range(9, True), 0), (Range(8, True), 3)]),
        (127, [(Range(9, True), 0), (Range(8, True), 127)]),
    ],
)
def test_int8_takes_one_quantizer_but_for_odd_zero_points(point, stages):
    found = affine(1, point, -128, 127).stages()
    assert [(span, int(zero_point)) for span, zero_point in found] == stages


def test_channels_with_several_zero_points_share_their_stages():
    spread = Affine(np.ones(2, "f4"), np.array([3, 4]), 0, 255, axis=0)
    (wide, _), (own, points) = spread.stages()
    assert wide == Range(9, True)
    assert own == Range(8, False)
    assert points.tolist() == [3, 4]


@given(st.integers(1, 64), st.booleans(), st.booleans())
def test_every_range_but_one_signed_bit_is_found(bits, is_signed, is_narrow):
    half = 2 ** (bits - is_signed)
    low = -half + is_narrow if is_signed else 0
    high = half - 1 - (is_narrow and not is_signed)
    found = find_range(low, high)
    if bits == 1 and (is_signed or is_narrow):
        assert found is None
    else:
        assert found == Range(bits, is_signed, is_narrow)


@pytest.mark.parametrize(
    ("low", "high"), [(-1, 0), (0, 0), (1, 2), (-8, 8), (-6, 7), (0, 4), (-4, 0)]
)
def test_other_bounds_are_no_range(low, high):
    assert find_range(low, high) is None


@given(st.integers(-(2**40), 2**40), st.integers(0, 2**41))
def test_a_covering_range_is_the_narrowest(low, extent):
    bits = covering(low, low + extent).bits
    assert -(2 ** (bits - 1)) <= low
    assert low + extent < 2 ** (bits - 1)
    assert bits == 2 or not -(2 ** (bits - 2)) <= low <= low + extent < 2 ** (bits - 2)
