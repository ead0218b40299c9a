from __future__ import annotations

import re

import numpy as np
import pytest

from hawq.hls.stage import Settings
from hawq.hls.support import MAX_PARALLEL, unsupported
from hawq.integer.lower import lower_model

PARALLEL, STREAM = Settings(), Settings(io_type="io_stream")


def reasons(model, settings=PARALLEL):
    return unsupported(model, lower_model(model), settings)


def image(net, *size):
    file = net(*size)
    return file, file.start()


def test_small_networks_have_no_reason_against_them(net):
    file, x = image(net, 2, 4, 4)
    x = file.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = file.node("MatMul", file.node("Flatten", x), file.drawn(8, 2))
    assert reasons(file.model(x)) == reasons(file.model(x), STREAM) == []


def test_complaint_42_dilation_is_refused(net):
    file, x = image(net, 2, 8)
    x = file.node("Conv", x, file.drawn(2, 2, 3), dilations=[2])
    assert reasons(file.model(x)) == [
        "node 'the_conv2' (Conv): hls4ml 1.3 ignores dilations [2] and computes "
        "another convolution: put zeros into the kernel, or use the emulator"
    ]


def test_complaint_42_dilated_pool_is_refused(net):
    file, x = image(net, 2, 8)
    x = file.node("MaxPool", x, kernel_shape=[2], strides=[2], dilations=[2])
    assert "ignores its dilations [2]" in reasons(file.model(x))[0]


def test_complaint_41_pool_of_1_that_steps_by_2_is_refused(net):
    file, x = image(net, 2, 8)
    x = file.node("MaxPool", x, kernel_shape=[1], strides=[2])
    assert reasons(file.model(x)) == [
        "node 'the_maxpool1' (MaxPool): steps of [2] leave out elements between "
        "windows of [1], which hls4ml gets wrong: use a Conv of that stride"
    ]


@pytest.mark.parametrize("operator", ["Sigmoid", "Tanh"])
def test_complaints_26_to_33_tables_are_refused(operator, net):
    file, x = image(net, 4)
    model = file.model(file.quant(file.node(operator, x), 0.25, 4))
    assert reasons(model) == [
        f"node 'the_{operator.lower()}1' ({operator}): hls4ml does not carry this "
        "operator exactly: use the emulator"
    ]


def test_complaint_27_softmax_at_the_end_is_left_to_the_host(net):
    file, x = image(net, 4)
    x = file.node("Softmax", file.node("MatMul", x, file.drawn(4, 3)))
    assert reasons(file.model(x)) == []


def test_complaint_3_other_scales_than_powers_of_two_are_refused(net):
    file, x = image(net, 4)
    model = file.model(file.quant(file.node("Relu", x), 0.0613, 4))
    assert reasons(model) == [
        "node 'the_quant2' (Quant): a scale of 0.0613 with integers from -8 to 7 is no "
        "ap_fixed type: use a power-of-two scale and no zero point, or use the emulator"
    ]


def test_complaint_3_float32_scales_of_weights_are_wide_but_exact(net, same_values):
    file, x = image(net, 4)
    weights = file.weights(file.random.normal(size=(4, 2)), 0.0613, 4)
    model = file.model(file.node("MatMul", x, weights))
    assert reasons(model) == []
    same_values(model)


def test_complaint_37_sums_wider_than_a_float64_are_refused(net):
    file = net(2)
    x = file.quant("x", 2.0**-30, 32)
    weights = file.weights(np.array([[0.9], [0.7]]), 2.0**-31, 32)
    (reason,) = reasons(file.model(file.node("MatMul", x, weights)))
    assert re.match(r"^tensor 'matmul2' needs 57 bits, expected at most 53", reason)


def test_ports_that_are_floats_refuse_wide_outputs_and_several(net):
    file = net(2)
    x = file.quant("x", 2.0**-12, 16)
    x = file.node(
        "MatMul", x, file.weights(file.random.normal(size=(2, 2)), 2**-12, 16)
    )
    model = file.model(x, file.node("Relu", x))
    assert reasons(model) == []
    accelerator = reasons(model, Settings(target="VivadoAccelerator"))
    assert "more than the 24 that pass the ports" in accelerator[0]
    assert accelerator[-1] == "VivadoAccelerator has one output port, not 2: keep one"


def test_real_input_that_is_scaled_first_is_refused(net):
    file = net(4)
    x = file.node("Mul", "x", file.constant(0.5))
    assert reasons(file.model(file.quant(x, 0.25, 6))) == [
        "tensor 'quant1': the input is scaled or shifted before its quantizer: let the "
        "host do that and cut it off the file"
    ]


def test_input_quantized_in_two_ways_is_refused(net):
    file = net(4)
    x, y = file.quant("x", 0.25, 6), file.quant("x", 0.5, 6)
    (reason,) = reasons(file.model(file.node("Add", x, y)))
    assert reason.startswith("tensors quant0, quant1 quantize the input differently")


@pytest.mark.parametrize("settings", [PARALLEL, STREAM], ids=["parallel", "stream"])
def test_complaint_50_large_networks_are_refused_at_once(settings, net):
    file, x = image(net, 16, 128, 128)
    x = file.node("Conv", x, file.drawn(32, 16, 3, 3))
    (reason,) = reasons(file.model(x), settings)
    message = r"^the network has 73156608 multiplications, most of them for 'conv2', "
    assert re.match(message, reason)


def test_complaint_50_streams_are_offered_to_what_is_large_in_parallel(net):
    file, x = image(net, 4, 64, 64)
    x = file.node("Conv", x, file.drawn(8, 4, 3, 3))
    model = file.model(x)
    (reason,) = reasons(model)
    assert reason.endswith(f"expected at most {MAX_PARALLEL}: set io_stream")
    assert reasons(model, STREAM) == []


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"kernel_shape": [3], "strides": [3]}, "a mean of 3 is no multiple"),
        ({"kernel_shape": [2], "strides": [2], "pads": [1, 1]}, "divides padded"),
    ],
)
def test_means_that_hls4ml_rounds_its_own_way_are_refused(attributes, why, net):
    file, x = image(net, 2, 6)
    x = file.node("AveragePool", x, count_include_pad=1, **attributes)
    assert why in reasons(file.model(x))[0]


@pytest.mark.parametrize("target", ["Quartus", "Catapult"])
def test_targets_that_round_means_and_widen_bits_refuse_them(target, net):
    file, x = image(net, 2, 6)
    mean = file.node("AveragePool", x, kernel_shape=[2], strides=[2])
    bit = file.quant(file.node("Relu", x), 1.0, 1, signed=0)
    settings = Settings(target=target)
    assert reasons(file.model(mean, bit), settings) == [
        "node 'the_averagepool1' (AveragePool): hls4ml cuts means off at their input's "
        f"last bit for {target}: use a Conv of constant weights, or Vitis or Vivado",
        f"node 'the_quant3' (Quant): hls4ml makes 2 bits of 1 for {target}: use 2 "
        "bits, or Vitis or Vivado",
    ]


def test_padded_maximum_of_unsigned_data_is_refused(net):
    file, x = image(net, 2, 6)
    pool = {"kernel_shape": [2], "strides": [2], "pads": [1, 1]}
    signed = file.node("MaxPool", x, **pool)
    unsigned = file.node("MaxPool", file.node("Relu", x), **pool)
    (reason,) = reasons(file.model(signed, unsigned))
    assert reason.startswith("node 'the_maxpool3' (MaxPool): hls4ml pads unsigned data")


def test_overlapping_pools_do_not_stream(net):
    file, x = image(net, 2, 6)
    model = file.model(file.node("MaxPool", x, kernel_shape=[2], strides=[1]))
    assert reasons(model) == []
    assert "hls4ml streams only those that touch" in reasons(model, STREAM)[0]


def test_axes_do_not_move_in_a_stream(net):
    file, x = image(net, 2, 3)
    x = file.node("Transpose", file.node("Relu", x), perm=[0, 2, 1])
    model = file.model(file.node("Relu", x))
    assert reasons(model) == []
    assert "axes cannot be moved in a stream" in reasons(model, STREAM)[0]


def test_streams_of_vectors_are_joined_where_hls4ml_does_it_rightly(net):
    file, x = image(net, 4)
    y = file.node("MatMul", x, file.drawn(4, 2))
    model = file.model(file.node("Concat", file.node("Relu", x), y, axis=1))
    assert reasons(model, STREAM) == []
    catapult = {"target": "Catapult"}
    assert reasons(model, Settings(**catapult)) == []
    assert reasons(model, Settings(io_type="io_stream", **catapult)) == [
        "node 'the_concat4' (Concat): hls4ml 1.3 joins streams rightly along the "
        "channels of images alone on Catapult: set io_parallel"
    ]


def test_quantizer_that_no_value_reaches_is_refused(net):
    file, x = image(net, 4)
    model = file.model(file.quant(file.node("Relu", x), 16.0, 4))
    assert reasons(model) == [
        "node 'the_quant2' (Quant): no value reaches its step of 16, on which "
        "ap_fixed's headers fail: use a finer scale"
    ]


def test_oblong_images_are_not_resized(net):
    file, x = image(net, 2, 3, 4)
    x = file.node("Conv", x, file.drawn(2, 2, 1, 1))
    scales = file.constant([1.0, 1.0, 2.0, 2.0])
    x = file.node("Upsample", x, scales, mode="nearest")
    assert "hls4ml 1.3 swaps height and width" in reasons(file.model(x))[0]


@pytest.mark.parametrize("scale", [[[0.5, 0.25]], [[0.5, 0.5]]])
def test_signs_have_one_scale(scale, net):
    file, x = image(net, 2)
    x = file.node("MatMul", x, file.drawn(2, 2))
    found = reasons(file.model(file.bipolar(x, scale)))
    assert [r.rsplit(": ", 1)[0] for r in found] == [
        "node 'the_bipolarquant3' (BipolarQuant): has a scale a channel, which types "
        "lack"
    ] * (scale == [[0.5, 0.25]])


def test_depthwise_convolutions_are_refused_where_they_are_wrong(net):
    file, x = image(net, 2, 5)
    model = file.model(file.node("Conv", x, file.drawn(2, 1, 3), group=2))
    assert reasons(model) == []
    assert reasons(model, Settings(target="Catapult")) == [
        "node 'the_conv2' (Conv): hls4ml 1.3 gets depthwise convolutions wrong for "
        "Catapult with io_parallel: put zeros into a kernel of one group, or use "
        "Vitis or Vivado"
    ]


def test_groups_are_one_or_one_a_channel(net):
    file, x = image(net, 4, 5)
    x = file.node("Conv", x, file.drawn(4, 2, 3), group=2)
    assert "has 2 groups" in reasons(file.model(x))[0]


def test_output_that_is_the_input_is_refused(net):
    file, x = image(net, 4)
    (reason,) = reasons(file.model(x))
    assert reason.startswith("output 'quant0' is the quantized input")


@pytest.mark.parametrize(
    ("target", "lacks"), [("oneAPI", "icpx"), ("Libero", "templates")]
)
def test_targets_that_lack_something_say_what(target, lacks, net):
    file, x = image(net, 4)
    model = file.model(file.node("Relu", x))
    (reason,) = reasons(model, Settings(target=target))
    assert reason.startswith(f"target {target}: ")
    assert lacks in reason
