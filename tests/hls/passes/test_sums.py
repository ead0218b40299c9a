from __future__ import annotations

import numpy as np
import pytest


@pytest.mark.parametrize("attributes", [{}, {"alpha": -0.5, "beta": 2.0}])
def test_complaint_5_gemm_becomes_a_product_and_its_bias(
    attributes, net, same_values, kinds
):
    file = net(3)
    made = file.node(
        "Gemm", file.start(), file.drawn(4, 3), file.drawn(4), transB=1, **attributes
    )
    prepared = same_values(file.model(made))
    assert kinds(prepared) == ["Quant", "MatMul", "BatchNormalization"]


def test_complaint_40_batch_norm_is_folded_exactly(net, same_values, kinds):
    file = net(2, 4, 4)
    x = file.node("Conv", file.start(), file.drawn(3, 2, 3, 3))
    numbers = [file.constant(v) for v in ([2, 1, -1], [0.5, 0, 1], [1, 0, 2])]
    x = file.node(
        "BatchNormalization", x, *numbers, file.constant([0.25, 4, 1]), epsilon=0.0
    )
    prepared = same_values(file.model(x))
    assert kinds(prepared) == ["Quant", "Conv"]


def test_affine_map_behind_a_quantizer_stays_a_layer(net, same_values, kinds):
    file = net(3)
    x = file.node("Mul", file.start(), file.constant([[0.5, 2, 1]]))
    x = file.node("Sub", file.constant([1.0]), x)
    prepared = same_values(file.model(file.quant(x, 0.5, 6)))
    assert kinds(prepared).count("BatchNormalization") == 2


def test_product_read_twice_is_not_folded_into(net, same_values, kinds):
    file = net(2)
    x = file.node("MatMul", file.start(), file.drawn(2, 2))
    scaled = file.node("Mul", x, file.constant(2.0))
    prepared = same_values(file.model(file.node("Add", x, scaled)))
    assert kinds(prepared) == ["Quant", "MatMul", "BatchNormalization", "Add"]


def test_weights_have_integers_of_every_sign(net, same_values):
    file = net(2)
    weights = file.weights(np.array([[-2.0], [1.75]]), 0.25, 4)
    same_values(file.model(file.node("MatMul", file.start(), weights)))
