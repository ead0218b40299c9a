from __future__ import annotations

import pytest
from network_file import DOMAIN

from hawq.hls.passes.quantizers import spell_roundings


def modes(model):
    return [
        a.s.decode()
        for node in model.graph.node
        for a in node.attribute
        if a.name == "rounding_mode"
    ]


def test_complaint_14_trunc_becomes_a_quantizer(net, same_values, kinds):
    file = net(4)
    x = file.node("MatMul", file.start(), file.drawn(4, 2))
    numbers = [file.constant(v) for v in (0.0625, 0.0, 10.0, 0.25, 6.0)]
    x = file.node("Trunc", x, *numbers, rounding_mode="FLOOR", domain=DOMAIN)
    assert kinds(same_values(file.model(x))) == ["Quant", "MatMul", "Quant"]


def test_complaint_12_other_roundings_reach_the_types_alone(net, same_values):
    file = net(2)
    x = file.quant(file.start(), 0.5, 4, mode="HALF_UP")
    model = same_values(file.model(x)).model
    assert modes(model) == ["ROUND", "HALF_UP"]
    spell_roundings(model)
    assert modes(model) == ["ROUND", "ROUND"]


@pytest.mark.parametrize("last", [[], ["Relu"]])
def test_quantizer_that_changes_nothing_is_dropped(last, net, same_values, kinds):
    file = net(2)
    x = file.quant(file.node("Relu", file.start()), 0.125, 8)
    for operator in last:
        x = file.node(operator, x)
    assert kinds(same_values(file.model(x))) == ["Quant", "Relu", *last]
