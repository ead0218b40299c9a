from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hawq.hls.passes.constants import dyadic, on_grid
from hawq.integer.quantizer import IntegerConstant


def test_complaint_4_channels_of_their_own_scale_share_the_finest_grid(
    net, same_values
):
    file = net(3)
    weights = file.weights(np.ones((3, 2)), [[0.25, 0.0625]], 4)
    turned = file.node("Transpose", file.node("Transpose", weights))
    prepared = same_values(file.model(file.node("MatMul", file.start(), turned)))
    scales = [n for n in prepared.model.graph.node if n.op_type == "Quant"]
    assert len(scales) == 2  # the input's and one of the weights, with one scale


def test_shapes_computed_from_data_are_folded(net, same_values, kinds):
    file = net(2, 3)
    x = file.start()
    whole = file.node("Shape", x)
    first = file.node("Gather", whole, file.constant(0, dtype="i8"))
    first = file.node("Unsqueeze", first, file.constant([0], dtype="i8"))
    shape = file.node("Concat", first, file.constant([6], dtype="i8"), axis=0)
    prepared = same_values(file.model(file.node("Reshape", x, shape)))
    assert kinds(prepared) == ["Quant", "Reshape"]


@pytest.mark.parametrize(
    ("values", "integers", "scale"),
    [
        ([0.75, -1.5, 0], [1, -2, 0], Fraction(3, 4)),
        ([0.0, 0.0], [0, 0], Fraction(1)),
        ([6.0, 4.0], [3, 2], Fraction(2)),
    ],
)
def test_grid_is_the_coarsest_of_a_power_of_two(values, integers, scale):
    found = on_grid(np.array(values))
    power = Fraction(scale.numerator & -scale.numerator, scale.denominator)
    assert found.scale == power
    expected = [int(Fraction(v) / power) for v in values]
    np.testing.assert_array_equal(found.integers, expected)
    assert [Fraction(i) * scale for i in integers] == [Fraction(v) for v in values]


def test_dyadic_scale_is_brought_to_a_power_of_two():
    found = dyadic(IntegerConstant(np.array([1, -2]), Fraction(3, 8)))
    assert found.scale == Fraction(1, 8)
    np.testing.assert_array_equal(found.integers, [3, -6])
