"""What users of other converters complained of, one test for each kind.

Numbers are those of the projects' issues; the models lie in ``fixtures``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from numpy.testing import assert_array_equal
from qonnx.core.modelwrapper import ModelWrapper

from hawq.frontend.keras.activations import write_activation
from hawq.frontend.keras.linear import write_batch_norm, write_conv, write_dense
from hawq.frontend.keras.read import read_keras
from hawq.frontend.keras.windows import write_pool

FIXTURES = Path(__file__).parent / "fixtures"
DENSE = FIXTURES / "qkeras_dense.h5"


def quants(model: Any) -> dict[str, tuple[Any, ...]]:
    """Quantizer → scale, bits, signed and narrow."""
    wrapped = ModelWrapper(model)
    return {
        node.output[0]: (
            wrapped.get_initializer(node.input[1]).tolist(),
            wrapped.get_initializer(node.input[3]).item(),
            *(a.i for a in node.attribute if a.name in ("signed", "narrow")),
        )
        for node in wrapped.graph.node
        if node.op_type == "Quant"
    }


def test_one_bit_is_bipolar__qonnx_pr141(layer_of, compute):
    layer = layer_of("QActivation", activation="quantized_bits(1,0,alpha=1)")

    model, values = compute(write_activation, layer, [-0.5, 0.0, 0.5])

    assert [node.op_type for node in model.graph.node] == ["BipolarQuant"]
    assert_array_equal(values, [-1, 1, 1])


def test_qactivation_survives__qonnx_pr7():
    assert quants(read_keras(DENSE))["qactivation"] == (2.0**-3, 6, 0, 1)


def test_relu_6_has_six_bits_below_one__hls4ml_377():
    assert quants(read_keras(DENSE))["relu_6"] == (2.0**-6, 6, 0, 0)


@pytest.mark.parametrize(("integer", "step"), [(0, 2.0**-3), (2, 2.0**-1)])
def test_bits_4_0_and_4_2__hls4ml_437(integer, step):
    name = f"bits_4_{integer}/kernel"

    assert quants(read_keras(DENSE))[name] == (step, 4, 0, 1)


def test_alpha_none_of_a_kernel_is_auto_po2__qkeras_129(layer_of, compute):
    """Weights of 3 would saturate at 7/8; the fitted step of 1/2 holds them."""
    layer = layer_of(
        "QDense",
        [[3.0], [-3.5]],
        units=1,
        use_bias=False,
        kernel_quantizer="quantized_bits(4,0)",
    )

    model, values = compute(write_dense, layer, [1.0, 0.0])

    assert quants(model) == {"l/kernel": (0.5, 4, 1, 1)}
    assert_array_equal(values, [3.0])


def test_values_out_of_range_saturate__qkeras_60(layer_of, compute):
    layer = layer_of("QActivation", activation="quantized_bits(4,0,alpha=1)")

    assert_array_equal(compute(write_activation, layer, [-9.0, 9.0])[1], [-1, 0.875])


def test_batch_norm_is_not_folded__hls4ml_225_368(layer_of, compute):
    layer = layer_of(
        "QBatchNormalization",
        [3.0],
        [0.3],
        [1.1],
        [1.2],
        epsilon=3.0,
        gamma_quantizer="quantized_relu_po2(6,2048)",
        beta_quantizer="quantized_po2(5)",
        mean_quantizer="quantized_po2(5)",
        variance_quantizer="quantized_relu_po2(6,quadratic_approximation=True)",
    )

    model, values = compute(write_batch_norm, layer, [[5.0]])

    assert model.graph.node[-1].op_type == "BatchNormalization"
    assert_array_equal(values, [[(5 - 1) * 4 / 2 + 0.25]])


def test_pool_size_1_strides_2__hls4ml_995(layer_of, compute):
    layer = layer_of("MaxPooling1D", pool_size=[1], strides=[2])

    _, values = compute(write_pool, layer, [[1.0], [2.0], [3.0], [4.0], [5.0]])

    assert_array_equal(values, [[1], [3], [5]])


def test_dilation_is_honoured__hls4ml_1508(layer_of, compute):
    settings = {"filters": 1, "kernel_size": [2], "use_bias": False}
    kernel = [[[1.0]], [[10.0]]]
    x = [[1.0], [2.0], [3.0]]

    near = compute(write_conv, layer_of("Conv1D", kernel, **settings), x)[1]
    far = compute(
        write_conv, layer_of("Conv1D", kernel, dilation_rate=[2], **settings), x
    )[1]

    assert_array_equal(near, [[21], [32]])
    assert_array_equal(far, [[31]])


def test_same_pads_more_behind_for_even_kernels__hls4ml_pr1535(layer_of, compute):
    settings = {"filters": 1, "kernel_size": [2], "padding": "same", "use_bias": False}

    layer = layer_of("Conv1D", [[[1.0]], [[10.0]]], **settings)

    assert_array_equal(compute(write_conv, layer, [[1.0], [2.0]])[1], [[21], [2]])


def test_relu_has_its_max_value__hls4ml_pr1534(layer_of, compute):
    given = {"class_name": "ReLU", "config": {"max_value": 6.0}}
    layer = layer_of("Activation", activation=given)

    assert_array_equal(compute(write_activation, layer, [-1.0, 7.0])[1], [0, 6])


def test_number_first_keeps_its_place__hls4ml_pr1534():
    nodes = read_keras(FIXTURES / "keras3_operations.keras").graph.node

    minus = next(node for node in nodes if node.name == "subtract")

    assert list(minus.input) == ["subtract/number", "multiply"]
