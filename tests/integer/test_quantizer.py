from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hawq.errors import FormatError, InexactError, NetworkError
from hawq.fixed import FixedPoint, Overflow, Rounding
from hawq.integer.grid import Grid
from hawq.integer.quantizer import IntegerConstant, read_quantizer


def quantizer(scale=0.25, zero_point=0.0, width=4, **attributes):
    return read_quantizer(
        "w", np.array(scale), np.array(zero_point), np.array(width), **attributes
    )


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, FixedPoint(True, 4, 2)),
        ({"is_signed": False}, FixedPoint(False, 4, 2)),
        (
            {"is_narrow": True, "rounding_mode": "floor"},
            FixedPoint(True, 4, 2, Rounding.FLOOR, Overflow.SATURATE_SYMMETRIC),
        ),
        ({"rounding_mode": "HALF_UP"}, FixedPoint(True, 4, 2, Rounding.HALF_AWAY)),
        ({"rounding_mode": "UP"}, FixedPoint(True, 4, 2, Rounding.AWAY)),
    ],
)
def test_attributes_become_a_grid(attributes, expected):
    q = quantizer(**attributes)
    assert q.grid(*q.uniform()).fixed_point == expected


@pytest.mark.parametrize(
    ("attributes", "low", "high"),
    [
        ({}, -11, 4),
        ({"is_narrow": True}, -10, 4),
        ({"is_signed": False}, -3, 12),
        ({"is_signed": False, "is_narrow": True}, -3, 11),
    ],
)
def test_a_zero_point_moves_the_ends(attributes, low, high):
    q = quantizer(scale=np.float32(0.1), zero_point=3.0, **attributes)
    scale = Fraction(float(np.float32(0.1)))
    expected = Grid(low, high, scale, Rounding.HALF_EVEN, zero_point=3)
    assert q.grid(*q.uniform()) == expected


def test_scales_or_zero_points_of_channels_are_not_uniform():
    assert quantizer(scale=[0.25, 0.5]).uniform() is None
    assert quantizer(zero_point=[0.0, 1.0]).uniform() is None
    assert quantizer(scale=[[0.25], [0.25]]).uniform() == (Fraction(1, 4), 0)


def test_one_signed_bit_is_minus_or_plus_one():
    q = quantizer(width=1)
    assert q.is_bipolar
    constant = q.constant(np.array([-0.1, 0.0, 7.0]))
    assert_array_equal(constant.integers, [-1, 1, 1])
    assert constant.scale == Fraction(1, 4)


def test_a_scale_of_any_size_is_the_rational_it_is():
    constant = quantizer(scale=np.float32(0.3)).constant(np.array([1.0, -0.45]))
    assert_array_equal(constant.integers, [3, -1])  # 0.45 < 1.5 * float32(0.3)
    assert constant.scale == Fraction(10066330, 2**25)


def test_channels_of_any_scales_share_a_grid_exactly():
    q = quantizer(scale=[0.75, 0.5, 7.0], zero_point=[0.0, 2.0, 0.0])
    constant = q.constant(np.array([1.5, -6.0, 14.0]))
    assert_array_equal(
        constant.integers, [6, -20, 56]
    )  # -10 is the lowest of channel 1
    assert constant.scale == Fraction(1, 4)


def test_the_values_of_a_constant_are_fractions():
    constant = IntegerConstant(np.array([[1, -2]]), Fraction(1, 3))
    assert constant.exact().tolist() == [[Fraction(1, 3), Fraction(-2, 3)]]


def test_scales_without_a_useful_common_grid_are_refused():
    message = (
        r"^tensor 'w': its scales, from 1e-200 to 1, have no common grid of fewer than "
        r"512 bits: use power-of-two scales$"
    )
    with pytest.raises(InexactError, match=message):
        quantizer(scale=[1e-200, 1.0]).constant(np.array([1e-200, 1.0]))


def test_a_constant_rounds_and_saturates():
    constant = quantizer().constant(np.array([0.375, -9.0, 9.0], dtype=np.float32))
    assert_array_equal(constant.integers, [2, -8, 7])
    assert constant.scale == Fraction(1, 4)


def test_channels_go_to_the_finest_grid_exactly():
    values = np.array([[1.0, 1.0], [-2.0, 0.5]])
    constant = quantizer(scale=[[1.0, 0.25]], width=8).constant(values)
    assert_array_equal(constant.integers, [[4, 4], [-8, 2]])
    assert constant.scale == Fraction(1, 4)


def test_a_channel_of_zeros_does_not_refine_the_grid():
    constant = quantizer(scale=[1.0, 2.0**-30], width=8).constant(np.array([3.0, 0.0]))
    assert_array_equal(constant.integers, [3, 0])
    assert constant.scale == 1


def test_grids_far_apart_give_python_integers():
    constant = quantizer(scale=[2.0**70, 1.0]).constant(np.array([2.0**70, 1.0]))
    assert constant.integers.tolist() == [2**70, 1]


def test_unsigned_narrow_constants_stop_one_below_the_top():
    constant = quantizer(scale=1.0, is_signed=False, is_narrow=True).constant(
        np.array([99.0, -1.0])
    )
    assert_array_equal(constant.integers, [14, 0])


def test_integers_are_quantized_again():
    first = IntegerConstant(np.array([5, 6, 7]), Fraction(1, 16))
    constant = quantizer().constant(first)
    assert_array_equal(constant.integers, [1, 2, 2])
    assert constant.scale == Fraction(1, 4)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        (
            {"scale": -0.5},
            FormatError,
            r"^tensor 'w': scale -0.5, expected a finite number above 0$",
        ),
        (
            {"scale": [1.0, 0.0]},
            FormatError,
            r"^tensor 'w': scale 0.0, expected a finite number above 0$",
        ),
        (
            {"scale": np.nan},
            FormatError,
            r"^tensor 'w': scale nan, expected a finite number above 0$",
        ),
        (
            {"zero_point": [0.0, 3.5]},
            InexactError,
            r"^tensor 'w': zero point 3.5, expected a whole number: export with "
            r"integer zero points$",
        ),
        (
            {"zero_point": np.inf},
            InexactError,
            r"^tensor 'w': zero point inf, expected a whole number: export with "
            r"integer zero points$",
        ),
        (
            {"width": 0},
            FormatError,
            r"^tensor 'w': bit width 0, expected 1 to 64$",
        ),
        ({"width": 65}, FormatError, r"^tensor 'w': bit width 65, expected 1 to 64$"),
        (
            {"width": 3.5},
            FormatError,
            r"^tensor 'w': bit width \[3.5\], expected one whole number$",
        ),
        (
            {"width": [3, 4]},
            FormatError,
            r"^tensor 'w': bit width \[3.0, 4.0\], expected one whole number$",
        ),
        (
            {"width": np.nan},
            FormatError,
            r"^tensor 'w': bit width \[nan\], expected one whole number$",
        ),
        (
            {"rounding_mode": "nearest"},
            FormatError,
            r"^tensor 'w': rounding mode 'NEAREST', expected one of ROUND, HALF_EVEN, "
            r"HALF_UP, HALF_DOWN, CEIL, FLOOR, UP, DOWN$",
        ),
        (
            {"width": 1, "is_signed": False, "is_narrow": True},
            FormatError,
            r"^tensor 'w': a narrow range of 1 unsigned bit holds nothing but 0: use 2 "
            r"bits$",
        ),
    ],
)
def test_quantizers_that_cannot_be_carried_are_refused(parameters, error, message):
    with pytest.raises(error, match=message):
        quantizer(**parameters)


@pytest.mark.parametrize(
    ("scale", "values", "message"),
    [
        (
            [1.0, 2.0, 4.0],
            np.zeros((3, 2)),
            r"^tensor 'w': a scale of shape \(3,\) does not fit a constant of shape "
            r"\(3, 2\)$",
        ),
        (
            1.0,
            np.array([1.0, np.inf]),
            r"^tensor 'w': its constant has NaN or infinity$",
        ),
    ],
)
def test_constants_that_cannot_be_quantized_are_refused(scale, values, message):
    with pytest.raises(NetworkError, match=message):
        quantizer(scale=scale).constant(values)
