import numpy as np
import onnx
import pytest
from numpy.testing import assert_array_equal
from onnx import TensorProto, helper

from hawq.errors import NetworkError
from hawq.frontend.functions import inline_functions
from hawq.frontend.safety import sound_model

OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]


def function(name, *calls):
    """A function that applies others (or operators) one behind the other."""
    nodes = [
        helper.make_node(
            call, [f"t{i}"], [f"t{i + 1}"], domain="mine" if call[0] == "f" else ""
        )
        for i, call in enumerate(calls)
    ]
    return helper.make_function("mine", name, ["t0"], [f"t{len(calls)}"], nodes, OPSETS)


def network(*functions):
    node = helper.make_node("f0", ["x"], ["y"], domain="mine")
    x, y = (
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3]) for n in ("x", "y")
    )
    graph = helper.make_graph([node], "network", [x], [y])
    return helper.make_model(
        graph, functions=functions, opset_imports=OPSETS, ir_version=8
    )


def test_functions_are_inlined_and_compute_the_same(original):
    model = network(function("f0", "f1", "Neg"), function("f1", "Abs", "Sqrt"))
    made = sound_model(model)
    assert [n.op_type for n in made.graph.node] == ["Abs", "Sqrt", "Neg"]
    assert all(node.name for node in made.graph.node)
    assert not made.functions
    x = np.float32([[4, -9, 16]])
    assert_array_equal(original(made, x)["y"], original(model, x)["y"])


def test_a_model_without_functions_is_left_alone(onnx_file):
    file = onnx_file(1, 3)
    model = file.model(file.node("Relu", "x"))
    assert inline_functions(model) is model


@pytest.mark.parametrize("calls", [["f0"], ["f1"]])
def test_functions_that_call_themselves(calls):
    model = network(function("f0", *calls), function("f1", "Abs", "f0"))
    with pytest.raises(
        NetworkError, match=r"^function 'f[01]' calls itself: export it again$"
    ):
        sound_model(model)


def test_functions_that_double_at_each_level():
    levels = [function(f"f{i}", f"f{i + 1}", f"f{i + 1}") for i in range(40)]
    with pytest.raises(NetworkError) as caught:
        sound_model(network(*levels, function("f40", "Abs")))
    assert str(caught.value) == (
        f"{2**40} nodes with its functions unfolded, expected at most {2**15}: export "
        "a smaller network"
    )


def test_functions_are_checked_before_they_are_inlined():
    body = function("f0", "If")
    graph = helper.make_graph([], "body", [], [])
    body.node[0].attribute.append(helper.make_attribute("then_branch", graph))
    with pytest.raises(NetworkError, match=r"control flow"):
        sound_model(network(body))


def test_the_model_stays(onnx_file):
    model = network(function("f0", "Abs"))
    before = onnx.ModelProto()
    before.CopyFrom(model)
    sound_model(model)
    assert model == before
