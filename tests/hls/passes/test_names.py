from __future__ import annotations

import onnx

from hawq.hls.passes.names import avoid_reserved


def test_complaint_7_unnamed_nodes_and_odd_names_become_identifiers(net, same_values):
    file = net(2)
    x = file.quant("x", 0.25, 6, name="")
    x = file.node("MatMul", x, file.drawn(2, 3), name="/layer.0/MatMul")
    x = file.node("Relu", x, name="LAYER_0_matmul")
    model = file.model(file.quant(x, 0.5, 4, name="7"))
    model.graph.input[0].name = "0"
    model.graph.node[0].input[0] = "0"
    prepared = same_values(model)
    names = [n.name for n in prepared.model.graph.node if not n.name.endswith("_quant")]
    assert names == ["quant0", "layer_0_MatMul", "LAYER_0_matmul_1", "quant_7"]
    assert prepared.input == "x_0"


def test_reshape_and_what_it_writes_have_one_name(net, same_values):
    file = net(2, 3)
    x = file.node("Flatten", file.start(), name="f")
    prepared = same_values(file.model(file.node("MatMul", x, file.drawn(6, 2))))
    (reshape,) = (n for n in prepared.model.graph.node if n.op_type == "Reshape")
    assert list(reshape.output) == [reshape.name] == ["f"]


def test_tensor_called_input_is_renamed(net):
    file = net(2)
    x = file.quant("x", 0.25, 6, output="input")
    model = file.model(file.node("Relu", x))
    copy = avoid_reserved(model)
    assert [n.input[0] for n in copy.graph.node] == ["x", "input_0"]
    assert onnx.ModelProto.SerializeToString(model) != copy.SerializeToString()
