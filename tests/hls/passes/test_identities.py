from __future__ import annotations


def test_complaint_15_identity_at_the_end_leaves_its_name_to_the_output(
    net, same_values, kinds
):
    file = net(2)
    x = file.node("MatMul", file.node("Dropout", file.start()), file.drawn(2, 3))
    x = file.quant(file.node("Relu", x), 0.5, 4, signed=0)
    prepared = same_values(file.model(file.node("Identity", x)))
    assert kinds(prepared) == ["Quant", "MatMul", "Relu", "Quant"]
