"""Any kind of file becomes one QONNX model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hawq.errors import FormatError, NetworkError
from hawq.fixed import FixedPoint
from hawq.frontend.network import (
    Kind,
    is_network,
    quantize_annotated,
    quantize_inputs,
    read_network,
)
from hawq.integer.execute import run
from hawq.integer.lower import lower_model

SHARED = Path(__file__).parents[3] / "shared" / "data"


def real_model(annotation: str = "") -> onnx.ModelProto:
    """One dense layer of small whole weights on a real input."""
    weights = numpy_helper.from_array(np.array([[3], [-2]], dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="fc")],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
        [weights],
    )
    if annotation:
        note = graph.quantization_annotation.add()
        note.tensor_name = "x"
        entry = note.quant_parameter_tensor_names.add()
        entry.key, entry.value = "finn_datatype", annotation
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])


def test_an_input_without_quantizer_gets_the_format_given() -> None:
    form = FixedPoint(True, 6, 3)
    graph = lower_model(quantize_inputs(real_model(), form))
    assert graph.inputs[0].name == "x"
    assert graph.tensors["x_quantized"].format == form
    y = run(graph, np.array([[1.0, 0.5], [100.0, 0.0]]))["y"]
    np.testing.assert_array_equal(y, [[16], [93]])  # 2 of 1/8; 3 times 31/8


def test_a_quantized_input_is_left_alone(small_qonnx: Path) -> None:
    model = onnx.load(str(small_qonnx))
    again = quantize_inputs(model, FixedPoint(True, 6, 3))
    assert len(again.graph.node) == len(model.graph.node)


def test_a_format_that_qonnx_lacks_is_refused() -> None:
    with pytest.raises(
        FormatError,
        match=r"^QONNX has no quantizer fixed<6,3,RND_CONV,WRAP,0>: expected rounding ",
    ):
        quantize_inputs(real_model(), FixedPoint.parse("fixed<6,3,RND_CONV,WRAP>"))


@pytest.mark.parametrize(
    ("annotation", "lowest", "highest"),
    [("INT4", -8, 7), ("UINT2", 0, 3), ("BIPOLAR", -1, 1), ("TERNARY", -1, 1)],
)
def test_an_annotated_input_holds_its_datatype(
    annotation: str, lowest: int, highest: int
) -> None:
    graph = lower_model(quantize_annotated(real_model(annotation)))
    x = graph.tensors["x_quantized"]
    assert (x.low, x.high, x.scale) == (lowest, highest, 1)


def test_a_float_annotation_says_nothing() -> None:
    assert len(quantize_annotated(real_model("FLOAT32")).graph.node) == 1


def test_kinds_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "network.py").touch()
    assert is_network(tmp_path)
    assert is_network(Path("net.KERAS"))
    assert not is_network(Path("jets.toml"))
    with pytest.raises(
        NetworkError,
        match=r"^net\.pb: not a network: expected a file \.onnx, \.h5, \.hdf5, "
        r"\.keras, or a folder with network\.py$",
    ):
        read_network(Path("net.pb"))


def test_a_qonnx_file(small_qonnx: Path) -> None:
    network = read_network(small_qonnx)
    assert network.kind is Kind.QONNX
    assert network.name == small_qonnx.stem


def test_the_published_jet_model_gives_its_outputs() -> None:
    """472 of 600 real jets, and the stored softmax to its float32 precision."""
    path = SHARED / "qonnx" / "qkeras_jettagging.onnx"
    if not path.exists():
        pytest.skip("shared data are not here")
    jets = np.load(SHARED / "jets" / "jsc_openml_600.npz")
    network = read_network(path, input_format=FixedPoint.parse("fixed<32,8>"))
    graph = lower_model(network.model)
    (output,) = graph.outputs
    logits = run(graph, jets["x"])[output] * float(graph.tensors[output].scale)
    assert (logits.argmax(1) == jets["y"]).sum() == 472
    powers = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = powers / powers.sum(1, keepdims=True)
    # float32 exp and division of another library: a few units in the last place
    np.testing.assert_allclose(probabilities, jets["zoo_qkeras_out"], atol=3e-7)
