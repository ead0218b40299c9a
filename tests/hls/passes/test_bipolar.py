from __future__ import annotations


def test_complaint_2_signs_stay_numbers(net, same_values, kinds):
    file = net(3)
    x = file.bipolar("x", 1.0)
    weights = file.bipolar(file.constant(file.random.normal(size=(3, 4))), 0.5)
    x = file.bipolar(file.node("MatMul", x, weights), 0.5)
    prepared = same_values(file.model(x))
    assert "BipolarQuant" not in kinds(prepared)
    assert kinds(prepared).count("MatMul") == 1


def test_complaint_13_one_signed_bit_is_a_sign(net, same_values, kinds):
    file = net(3)
    x = file.quant(file.node("MatMul", file.start(), file.drawn(3, 4)), 0.5, 1)
    prepared = same_values(file.model(x))
    assert kinds(prepared)[2:] == [
        "BatchNormalization",
        "Relu",
        "Quant",
        "BatchNormalization",
    ]
