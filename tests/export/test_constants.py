from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from onnx import TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper

from hawq.errors import InexactError
from hawq.export.constants import FoldChannelScales, NarrowBiases, quantize_constant


def model_of(
    value: np.ndarray, scale: np.ndarray, bits: int, zero: float = 0.0, narrow: int = 0
) -> ModelWrapper:
    """A graph ``y = x + Quant(value)``."""
    shape = list(value.shape)
    quant = helper.make_node(
        "Quant",
        ["value", "scale", "zero", "bits"],
        ["quantized"],
        "quant",
        domain="qonnx.custom_op.general",
        signed=1,
        narrow=narrow,
        rounding_mode="ROUND",
    )
    add = helper.make_node("Add", ["x", "quantized"], ["y"], "add")
    graph = helper.make_graph(
        [quant, add],
        "constant",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    model = ModelWrapper(helper.make_model(graph))
    for name, array in (
        ("value", value),
        ("scale", scale),
        ("zero", zero),
        ("bits", bits),
    ):
        model.set_initializer(name, np.asarray(array, dtype=np.float32))
    return model


VALUES = np.array([[0.9, -0.26], [0.5, 0.124], [-4.0, 0.01]])
SCALES = np.array([[0.25, 0.0625]])


def test_channels_are_put_on_the_finest_grid() -> None:
    model = model_of(VALUES, SCALES, bits=4)
    constant = quantize_constant(model, model.graph.node[0])
    # Column 0 on 1/4: 3.6 → 4, 2, -16 → -8; column 1 on 1/16: -4.16 → -4, 1.98 → 2, 0.
    np.testing.assert_array_equal(constant.integers, [[16, -4], [8, 2], [-32, 0]])
    assert constant.scale == Fraction(1, 16)


def test_folded_scales_yield_the_same_integers_from_one_scale() -> None:
    model = model_of(VALUES, SCALES, bits=4)
    before = quantize_constant(model, model.graph.node[0])
    model = model.transform(FoldChannelScales())
    node = model.get_nodes_by_op_type("Quant")[0]
    assert model.get_initializer(node.input[1]).shape == ()
    after = quantize_constant(model, node)
    np.testing.assert_array_equal(after.integers, before.integers)
    assert after.scale == before.scale
    # -32 to 16: six bits.
    assert model.get_initializer(node.input[3]) == 6


@pytest.mark.parametrize(
    ("low", "high", "width"), [(-4, 3, 3), (-5, 0, 4), (0, 3, 3), (0, 0, 2), (-1, 0, 2)]
)
def test_biases_get_the_narrowest_signed_width(low: int, high: int, width: int) -> None:
    value = np.array([low, high]) / 8
    model = model_of(value, np.array(0.125), bits=32).transform(NarrowBiases())
    node = model.get_nodes_by_op_type("Quant")[0]
    constant = quantize_constant(model, node)
    np.testing.assert_array_equal(
        constant.integers * constant.scale, np.array([low, high]) * Fraction(1, 8)
    )
    assert model.get_initializer(node.input[3]) == width


def test_scale_that_is_no_power_of_two_is_refused() -> None:
    model = model_of(VALUES, np.array(0.3), bits=4)
    message = (
        r"^tensor 'quantized': scale 0\.300000\d* is not a power of two: train with "
        r"power-of-two scales \(brevitas\.quant\.fixed_point\)$"
    )
    with pytest.raises(InexactError, match=message):
        model.transform(NarrowBiases())


def test_zero_point_goes_into_the_integers() -> None:
    model = model_of(VALUES, np.array(0.25), bits=4, zero=3.0)
    # round(4 v + 3) in [-8, 7], less 3: 3.6 → 4, -1.04 → -1; -16 is cut to -11.
    expected = [[4, -1], [2, 0], [-11, 0]]
    constant = quantize_constant(model, model.graph.node[0])
    np.testing.assert_array_equal(constant.integers, expected)
    model = model.transform(NarrowBiases())
    node = model.get_nodes_by_op_type("Quant")[0]
    assert model.get_initializer(node.input[2]) == 0
    np.testing.assert_array_equal(quantize_constant(model, node).integers, expected)
