from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper

from hawq.errors import NetworkError
from hawq.export.naming import NameAfterLayers, NameAfterModules


def test_too_few_names_are_refused(small_qonnx: Path) -> None:
    with pytest.raises(NetworkError, match=r"^no layer name left for node 'relu1'$"):
        ModelWrapper(str(small_qonnx)).transform(NameAfterLayers(["input", "fc1"]))


def test_too_many_names_are_refused(small_qonnx: Path) -> None:
    names = ["input", "fc1", "relu1", "fc2", "relu2"]
    message = r"^layers without a node in the graph: \['relu2'\]$"
    with pytest.raises(NetworkError, match=message):
        ModelWrapper(str(small_qonnx)).transform(NameAfterLayers(names))


def exported(*scopes: list[str]) -> ModelWrapper:
    """A chain of Relu nodes with the exporter's notes, as torch writes them."""
    nodes = []
    for i, scope in enumerate(scopes):
        node = helper.make_node("Relu", [f"t{i}"], [f"t{i + 1}"])
        note = node.metadata_props.add()
        note.key, note.value = "pkg.torch.onnx.name_scopes", repr(scope)
        nodes.append(node)
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3])
        for name in ("t0", f"t{len(scopes)}")
    ]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:])
    return ModelWrapper(helper.make_model(graph))


@pytest.mark.parametrize(
    ("scopes", "names"),
    [
        ([["", "block", "block.relu", "relu"]], ["block_relu"]),
        ([["", "relu"], ["", "relu_1"]], ["relu", "relu_1"]),
        ([["", "0", "relu"], ["", "1", "relu_1"]], ["layer_0", "layer_1"]),
        # A module used twice, with another between.
        ([["", "a", "x"], ["", "b", "y"], ["", "a", "z"]], ["a", "b", "a_2"]),
        # Two nodes of one module: what leaves it bears its name.
        ([["", "a", "x"], ["", "a", "y"]], ["a_relu", "a"]),
        # The proxies of Brevitas belong to their layer.
        ([["", "r", "r.act_quant", "r.act_quant.impl.f", "relu"]], ["r"]),
        # A name the exporter gave is free for others; that of the input is not.
        ([["", "t2", "x"], ["", "features", "y"]], ["t2", "features_2"]),
    ],
)
def test_names_come_from_modules(scopes: list[list[str]], names: list[str]) -> None:
    model = exported(*scopes).transform(NameAfterModules())
    assert [node.output[0] for node in model.graph.node] == names
    assert [node.input[0] for node in model.graph.node] == ["features", *names[:-1]]
    assert model.graph.output[0].name == names[-1]


def test_node_without_notes_keeps_its_own_name() -> None:
    model = exported([])
    model.graph.node[0].name = "Relu_7"
    model = model.transform(NameAfterModules())
    assert model.graph.output[0].name == "Relu_7"
