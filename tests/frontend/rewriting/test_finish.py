import numpy as np
import onnx
from onnx import TensorProto, helper

from hawq.frontend.qdq import qdq_to_qonnx
from hawq.frontend.rewriting.finish import tidy


def names(items):
    return [item.name for item in items]


def test_what_nothing_reads_is_dropped(onnx_file):
    file = onnx_file(1, 4)
    a = file.node("Add", "x", file.constant([1.0], name="read"), output="a")
    file.node("Mul", "x", file.constant([2.0], name="unread"), output="dead")
    model = file.model(file.node("Relu", a, output="y"))
    for name in ("read", "unread", "never"):
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])
        (model.graph.value_info if name == "never" else model.graph.input).append(value)
    for name in ("a", "dead", "y"):
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4])
        model.graph.value_info.append(value)
        note = onnx.TensorAnnotation(tensor_name=name)
        model.graph.quantization_annotation.append(note)
    tidy(model)
    graph = model.graph
    assert names(graph.node) == ["the_a", "the_y"]
    assert names(graph.initializer) == ["read"]
    assert names(graph.input) == ["x", "read"]
    assert names(graph.value_info) == ["a"]  # y is declared as the output
    kept = [note.tensor_name for note in graph.quantization_annotation]
    assert kept == ["a", "y"]
    onnx.checker.check_model(model)


def test_inputs_stay_even_if_nothing_reads_them(onnx_file):
    file = onnx_file(1, 4)
    model = file.model(file.node("Neg", file.constant([1.0]), output="y"))
    tidy(model)
    assert names(model.graph.input) == ["x"]


def test_the_domains_that_are_used_are_declared(onnx_file):
    file = onnx_file(1, 4)
    y = file.node("Round", "x", domain="mine")
    model = file.model(y, domains=[], shape=(1, 4))
    tidy(model)
    assert [(o.domain, o.version) for o in model.opset_import] == [
        ("", 13),
        ("mine", 1),
    ]


def outputs_of(model):
    """Output → operator that writes it."""
    return {node.output[0]: node.op_type for node in model.graph.node}


def test_values_have_the_name_that_dequantizing_gave_them(onnx_file):
    file = onnx_file(1, 4)
    parameters = file.parameters(0.5, 4)
    q = file.node("QuantizeLinear", "x", *parameters)
    a = file.node("DequantizeLinear", q, *parameters, output="a")
    b = file.node("DequantizeLinear", q, *parameters, output="b")
    y = file.node("Add", a, b, output="y")
    assert outputs_of(qdq_to_qonnx(file.model(y))) == {"a": "Quant", "y": "Add"}


def test_an_output_of_the_network_keeps_its_name_first(onnx_file):
    file = onnx_file(1, 4)
    parameters = file.parameters(0.5, 4)
    q = file.node("QuantizeLinear", "x", *parameters)
    a, b, c = (
        file.node("DequantizeLinear", q, *parameters, output=name) for name in "abc"
    )
    y = file.node("Relu", a, output="y")
    made = qdq_to_qonnx(file.model(y, b, c))
    assert outputs_of(made) == {"b": "Quant", "y": "Relu", "c": "Identity"}


def test_an_output_of_integers_keeps_its_name_too(onnx_file):
    file = onnx_file(1, 4)
    parameters = file.parameters(0.5, 4)
    q = file.node("QuantizeLinear", "x", *parameters, output="q")
    model = file.model(
        file.node("DequantizeLinear", q, *parameters, output="y"), dtype=1
    )
    model.graph.output.append(
        helper.make_tensor_value_info("q", TensorProto.INT8, [1, 4])
    )
    made = qdq_to_qonnx(model)
    assert outputs_of(made) == {"q": "Quant", "y": "Identity"}
    kinds = {v.type.tensor_type.elem_type for v in made.graph.output}
    assert kinds == {TensorProto.FLOAT}


def test_new_names_never_take_those_of_the_file(onnx_file):
    file = onnx_file(1, 4)
    taken = file.constant(np.float32([1]), name="y_scale")
    parameters = file.parameters(0.5, 4)
    q = file.node("QuantizeLinear", "x", *parameters, output="q")
    y = file.node("DequantizeLinear", q, *parameters, output="y")
    z = file.node("Mul", y, taken, output="q_scale")
    made = qdq_to_qonnx(file.model(z))
    written = [*names(made.graph.initializer), *outputs_of(made)]
    assert len(set(written)) == len(written)
    onnx.checker.check_model(made)
