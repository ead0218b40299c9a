from fractions import Fraction

import numpy as np
import pytest

from hawq.errors import FormatError, InexactError
from hawq.fixed import FixedPoint, Overflow, Rounding
from hawq.integer.grid import Grid
from hawq.integer.tensor import Tensor


def tensor(low, high, scale=Fraction(1, 8), declared=None):
    lows = np.array([low, low + 1], dtype=object)
    return Tensor("sum", (2,), scale, lows, np.array([high - 1, high]), declared)


def test_an_accumulator_has_the_narrowest_exact_format():
    t = tensor(-129, 5)
    expected = FixedPoint(True, 9, 6, Rounding.FLOOR, Overflow.WRAP)
    assert (t.low, t.high, t.signed, t.width, t.fraction) == (-129, 5, True, 9, 3)
    assert t.format == expected


def test_a_tensor_without_negative_integers_is_unsigned():
    t = tensor(0, 63, Fraction(4))
    assert t.format == FixedPoint(False, 6, 8, Rounding.FLOOR, Overflow.WRAP)


def test_a_quantized_tensor_keeps_its_declared_format():
    form = FixedPoint(True, 16, 2)
    declared = Grid.of(form)
    assert tensor(-3, 3, declared=declared).format == form
    assert tensor(-3, 3, declared=declared).width == 3


def test_more_than_64_bits_have_no_format():
    t = tensor(-(2**70), 1)
    assert t.width == 71
    message = (
        rf"^tensor 'sum': integers from -{2**70} to 1 need 71 bits, expected at most "
        r"64: use fewer bits upstream$"
    )
    with pytest.raises(FormatError, match=message):
        _ = t.format


def test_a_scale_that_is_no_power_of_two_has_no_format():
    t = tensor(-3, 3, Fraction(3, 8))
    message = (
        r"^tensor 'sum': scale 3/8 is not a power of two, so no fixed-point format "
        r"holds it: use power-of-two scales$"
    )
    with pytest.raises(InexactError, match=message):
        _ = t.format


def test_bounds_cannot_be_changed():
    with pytest.raises(ValueError, match=r"^assignment destination is read-only$"):
        tensor(-1, 1).lows[0] = 5


def test_a_tensor_without_elements_is_zero():
    nothing = np.zeros((0,), dtype=np.int64)
    t = Tensor("none", (0,), Fraction(1), nothing, nothing)
    assert (t.low, t.high, t.signed) == (0, 0, False)
