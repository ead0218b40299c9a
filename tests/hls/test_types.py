from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawq.errors import FormatError, InexactError
from hawq.fixed import FixedPoint, Overflow, Rounding
from hawq.hls.prepare import prepare
from hawq.hls.types import accumulator_format, exact_format, layer_types, number_format
from hawq.integer.lower import lower_model
from hawq.integer.tensor import Tensor


def tensor(low, high, scale):
    ends = (np.array([end], dtype=np.int64) for end in (low, high))
    return Tensor("t", (1,), Fraction(scale), *ends)


def types_of(model):
    prepared = prepare(model, lower_model(model))
    return layer_types(prepared.model, prepared.graph)


@given(
    st.integers(-(2**40), 2**40),
    st.integers(0, 2**40),
    st.integers(-8, 8),
    st.sampled_from([1, 3, 5]),
)
def test_complaints_22_to_24_no_value_wraps_around(low, span, power, odd):
    given_tensor = tensor(low, low + span, odd * Fraction(2) ** power)
    for form in (exact_format(given_tensor), accumulator_format(given_tensor)):
        for end in (low, low + span):
            integer = end * given_tensor.scale / form.step
            assert integer.denominator == 1
            assert form.min <= integer <= form.max


def test_complaint_22_accumulators_hold_the_sum_not_the_input(net):
    file = net(64)
    x = file.quant("x", 2.0**-6, 7)  # fixed<7,1>, which wrapped in the complaint
    weights = file.weights(np.full((64, 1), 0.875) - np.eye(64, 1) / 8, 0.125, 4)
    types = types_of(file.model(file.node("MatMul", x, weights)))
    # 63 times 7 and one 6, times -64: the lowest sum is -28608, of 16 bits.
    expected = FixedPoint(True, 16, 7, Rounding.FLOOR, Overflow.WRAP)
    assert types["Dense_the_matmul2"].others["accum_t"] == expected
    assert types["Dense_the_matmul2"].result == expected


def test_complaint_25_unsigned_bytes_enter_as_unsigned_bytes(net):
    file = net(2)
    x = file.node("MatMul", file.quant("x", 1.0, 8, signed=0), file.drawn(2, 2))
    assert types_of(file.model(x))["x"].result == FixedPoint(False, 8, 8)


def test_complaint_34_relu_is_unsigned_and_has_the_quantizers_bits(net):
    file = net(2)
    x = file.node("Relu", file.node("MatMul", file.start(), file.drawn(2, 2)))
    types = types_of(file.model(file.quant(x, 2.0**-6, 6, signed=0)))
    assert types["the_relu3"].result == FixedPoint(False, 6, 0)


def test_complaint_38_types_keep_rounding_and_saturation(net):
    file = net(2)
    x = file.node("Relu", file.start())
    types = types_of(file.model(file.quant(x, 2.0, 4, mode="FLOOR", narrow=1)))
    symmetric = Overflow.SATURATE_SYMMETRIC
    assert types["the_relu1"].result == FixedPoint(
        True, 4, 5, Rounding.FLOOR, symmetric
    )


def test_mean_is_summed_before_it_is_divided(net):
    file = net(1, 4)
    x = file.node("AveragePool", file.start(), kernel_shape=[4], strides=[4])
    pool = types_of(file.model(x))["the_averagepool1"]
    # Integers from -32 to 31 of 1/4: the mean is on 1/16, the sum of four reaches 32.
    assert pool.result.fraction == pool.others["accum_t"].fraction == 4
    assert pool.others["accum_t"].integer == 6


def test_slope_and_constants_have_exact_types():
    assert number_format(np.array([0.125])) == FixedPoint(
        False, 1, -2, Rounding.FLOOR, Overflow.WRAP
    )
    assert number_format(np.array([-0.75, 2.0])) == FixedPoint(
        True, 5, 3, Rounding.FLOOR, Overflow.WRAP
    )


def test_scale_that_is_not_dyadic_is_refused():
    message = (
        r"^tensor 't': its scale 0\.333333 is no multiple of a power of two, so no "
        r"ap_fixed holds it: use power-of-two scales, or the emulator$"
    )
    with pytest.raises(InexactError, match=message):
        exact_format(tensor(0, 1, "1/3"))


def test_more_than_53_bits_are_refused():
    message = (
        r"^tensor 't' needs 54 bits, expected at most 53, which C-simulation hands "
        r"over: use fewer bits upstream, or the emulator$"
    )
    with pytest.raises(FormatError, match=message):
        exact_format(tensor(0, 2**54 - 1, 1))
