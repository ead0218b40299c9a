from __future__ import annotations

import pytest


def test_complaint_6_pool_over_one_axis_gets_a_second(net, same_values, kinds):
    file = net(2, 8)
    x = file.node("AveragePool", file.start(), kernel_shape=[2], strides=[2])
    prepared = same_values(file.model(x))
    assert kinds(prepared) == ["Quant", "Reshape", "AveragePool", "Reshape"]


@pytest.mark.parametrize("operator", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pool_is_a_pool_of_the_image(operator, net, same_values, kinds):
    file = net(2, 4, 4)
    prepared = same_values(file.model(file.node(operator, file.start())))
    assert kinds(prepared) == ["Quant", operator.removeprefix("Global")]


def test_automatic_padding_is_stated(net, same_values):
    file = net(1, 5, 5)
    x = file.node("Conv", file.start(), file.drawn(1, 1, 3, 3), auto_pad="SAME_UPPER")
    prepared = same_values(file.model(x))
    (conv,) = (n for n in prepared.model.graph.node if n.op_type == "Conv")
    pads = next(list(a.ints) for a in conv.attribute if a.name == "pads")
    assert pads == [1, 1, 1, 1]


def test_matrix_of_the_last_axis_is_a_convolution(net, same_values, kinds):
    file = net(5, 3)
    x = file.node("MatMul", file.start(), file.drawn(3, 4))
    prepared = same_values(file.model(file.node("Add", x, file.drawn(4))))
    assert kinds(prepared) == ["Quant", "Conv"]


def test_upsampling_has_three_inputs(net, same_values):
    file = net(2, 3, 3)
    x = file.node("Conv", file.start(), file.drawn(2, 2, 1, 1))
    scales = file.constant([1.0, 1.0, 2.0, 2.0])
    prepared = same_values(file.model(file.node("Upsample", x, scales, mode="nearest")))
    (resize,) = (n for n in prepared.model.graph.node if n.op_type == "Resize")
    assert len(resize.input) == 3
