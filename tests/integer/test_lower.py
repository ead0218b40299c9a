import contextlib
from fractions import Fraction

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hawq.errors import HawqError, NetworkError
from hawq.integer.execute import run
from hawq.integer.lower import lower_model, lower_qonnx
from hawq.integer.nodes import Affine, Dense, Quantize, Relu, Requantize

CARRIED = (
    r"\(carried: Add, ArgMax, AveragePool, BatchNormalization, BipolarQuant, Cast, "
    r"Clip, Concat, Constant, Conv, DepthToSpace, Div, Dropout, Flatten, Gather, Gemm, "
    r"GlobalAveragePool, GlobalMaxPool, Identity, IntQuant, LeakyRelu, MatMul, "
    r"MaxPool, Mul, MultiThreshold, Neg, PRelu, Pad, Quant, ReduceMean, Relu, Reshape, "
    r"Resize, Shape, Sigmoid, Slice, SpaceToDepth, Split, Squeeze, Sub, Tanh, TopK, "
    r"Transpose, Trunc, Unsqueeze, Upsample\)"
)


@pytest.fixture
def layer(network_file):
    """One layer: quantized input, weights, bias, ReLU and quantized output."""
    file = network_file(2)
    q = file.quant("x", 0.25, 6, output="data")
    w = file.weights([[1.0, -0.5], [2.0, 0.25]], 0.25, output="weights")
    b = file.weights([0.125, -1.0], 0.0625, output="bias")
    y = file.node("MatMul", q, w, output="product")
    z = file.node("Add", y, b, output="sum")
    r = file.node("Relu", z, output="positive")
    return file, file.quant(r, 0.5, 4, signed=0, output="result")


def test_a_layer_becomes_five_nodes_with_the_names_of_the_file(layer):
    file, result = layer
    graph = lower_model(file.model(result))
    kinds = [Quantize, Dense, Affine, Relu, Requantize]
    assert [type(node) for node in graph.nodes] == kinds
    assert list(graph.tensors) == ["data", "product", "sum", "positive", "result"]
    assert graph.outputs == ("result",)
    assert (graph.inputs[0].name, graph.inputs[0].shape) == ("x", (2,))
    assert_array_equal(graph.nodes[1].weights, [[4, -2], [8, 1]])
    assert_array_equal(graph.nodes[2].constant, [2, -16])
    assert graph.tensors["product"].scale == Fraction(1, 16)


def test_the_order_of_the_nodes_in_the_file_does_not_matter(layer):
    file, result = layer
    x = np.array([[1.0, -2.0], [3.0, 0.5]])
    expected = run(lower_model(file.model(result)), x)["result"]
    file.nodes.reverse()
    assert_array_equal(run(lower_model(file.model(result)), x)["result"], expected)


def test_constants_may_be_listed_as_inputs_and_computed_by_nodes(network_file):
    file = network_file(2)
    value = onnx.numpy_helper.from_array(np.float32([[1.0], [2.0]]))
    w = file.quant(file.node("Constant", value=value, output="value"), 1.0, 8)
    y = file.node("MatMul", file.quant("x", 1.0, 8), file.node("Identity", w))
    model = file.model(y)
    scale = onnx.helper.make_tensor_value_info("constant0", onnx.TensorProto.FLOAT, [])
    model.graph.input.append(scale)
    graph = lower_model(model)
    assert len(graph.inputs) == 1
    assert run(graph, [[3.0, 4.0]])[y].tolist() == [[11]]


@pytest.mark.parametrize("domain", ["onnx.brevitas", "finn.custom_op.general"])
def test_older_domains_of_quant_are_known(domain, network_file):
    file = network_file(2)
    y = file.quant("x", 1.0, 4, domain=domain)
    assert lower_model(file.model(y)).tensors[y].width == 4


def test_a_file_on_disk_is_lowered(layer, tmp_path):
    file, result = layer
    onnx.save(file.model(result), tmp_path / "network.onnx")
    assert lower_qonnx(tmp_path / "network.onnx").outputs == ("result",)


# --- refusals ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operator", "remedy"),
    [
        ("ConvTranspose", r"use Resize \(nearest\) and a Conv"),
        (
            "DequantizeLinear",
            r"read the file with hawq.frontend, which rewrites it as Quant",
        ),
        ("Gelu", r"train with Relu, or put a Quant behind a Sigmoid or Tanh"),
        ("HardSigmoid", r"write it as Mul, Add and Clip"),
        ("LSTM", r"unroll it, or use a network without loops"),
        ("LayerNormalization", r"train with batch norm"),
        ("Erf", r"replace it by operators of this list"),
    ],
)
def test_other_operators_are_refused_with_a_remedy(operator, remedy, network_file):
    file = network_file(2)
    y = file.node(operator, file.quant("x", 1.0, 4), output="y")
    message = rf"^node 'the_y' \({operator}\): this operator is not carried {CARRIED}: "
    with pytest.raises(NetworkError, match=message + remedy + "$"):
        lower_model(file.model(y))


def test_a_softmax_before_the_end_is_refused(network_file):
    file = network_file(2)
    y = file.node("Softmax", file.quant("x", 1.0, 4), output="y")
    message = (
        rf"^node 'the_y' \(Softmax\): this operator is not carried {CARRIED}: only at "
        r"the network's end, where it is left to the host$"
    )
    with pytest.raises(NetworkError, match=message):
        lower_model(file.model(file.node("Relu", y)))


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax"])
def test_a_softmax_at_the_end_is_left_to_the_host(operator, network_file):
    file = network_file(2)
    logits = file.quant("x", 1.0, 4, output="logits")
    graph = lower_model(file.model(file.node(operator, logits)))
    assert graph.outputs == ("logits",)


def test_a_known_name_in_a_foreign_domain_is_refused(network_file):
    file = network_file(2)
    y = file.node("Relu", file.quant("x", 1.0, 4), output="y", domain="my.ops")
    message = (
        rf"^node 'the_y' \(Relu\): this operator of domain 'my.ops' is not carried "
        rf"{CARRIED}: replace it by operators of this list$"
    )
    with pytest.raises(NetworkError, match=message):
        lower_model(file.model(y))


def test_an_unnamed_node_gets_a_name(network_file):
    file = network_file(2)
    y = file.node("Relu", "x", output="y", name="")
    message = (
        r"^node 'Relu_0' \(Relu\): input 'x' is real-valued: put a Quant before it "
        r"\(brevitas.nn.QuantIdentity\), or give its format \(--input fixed<16,6>\)$"
    )
    with pytest.raises(NetworkError, match=message):
        lower_model(file.model(y))


@pytest.mark.parametrize("shape", [[4], [1, "n"], [1, 0]])
def test_inputs_of_unknown_shape_are_refused(shape, network_file):
    file = network_file(2)
    file.input = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)
    y = file.quant("x", 1.0, 4)
    message = (
        r"^input 'x' has shape \[.*\], expected a batch axis and then known sizes: "
        r"export with a fixed input shape$"
    )
    with pytest.raises(NetworkError, match=message):
        lower_model(file.model(y))


def test_an_input_beyond_all_memory_is_refused(network_file):
    file = network_file(2**16, 2**15)
    y = file.quant("x", 1.0, 4)
    message = (
        r"^input 'x' has 2147483648 elements a sample, expected at most 16777216: the "
        r"file is damaged, or the network too large$"
    )
    with pytest.raises(NetworkError, match=message):
        lower_model(file.model(y))


def test_a_long_chain_in_reverse_order_is_sorted(network_file):
    file = network_file(2)
    y = file.quant("x", 1.0, 4)
    for _ in range(300):
        y = file.node("Relu", y)
    file.nodes.reverse()
    assert len(lower_model(file.model(y)).nodes) == 301


def test_a_dynamic_batch_is_welcome(network_file):
    file = network_file(2)
    file.input = onnx.helper.make_tensor_value_info(
        "x", onnx.TensorProto.FLOAT, ["batch", 2]
    )
    y = file.quant("x", 1.0, 4)
    assert lower_model(file.model(y)).inputs[0].shape == (2,)


def test_a_real_output_is_refused(network_file):
    file = network_file(2)
    file.quant("x", 1.0, 4)
    message = (
        r"^output 'x' is not computed from quantized data: put a Quant on the "
        r"network's input \(brevitas.nn.QuantIdentity\)$"
    )
    with pytest.raises(NetworkError, match=message):
        lower_model(file.model("x"))


def test_tensors_that_nothing_writes_are_refused(network_file):
    file = network_file(2)
    y = file.node("Relu", "nowhere", output="y")
    message = (
        r"^tensor 'nowhere', read by node 'the_y' \(Relu\), is written by nothing: "
        r"export it again$"
    )
    with pytest.raises(NetworkError, match=message):
        lower_model(file.model(y))


def test_an_empty_model_is_refused(network_file):
    message = r"^the file has no nodes: give an ONNX file of a network$"
    with pytest.raises(NetworkError, match=message):
        lower_model(network_file(2).model())


def test_a_missing_file_is_refused(tmp_path):
    message = r"^.*none.onnx: cannot be read: No such file or directory$"
    with pytest.raises(NetworkError, match=message):
        lower_qonnx(tmp_path / "none.onnx")


@pytest.mark.parametrize("kept", [-7, 100])
def test_a_truncated_file_is_refused(kept, layer, tmp_path):
    file, result = layer
    path = tmp_path / "half.onnx"
    path.write_bytes(file.model(result).SerializeToString()[:kept])
    message = (
        r"^.*half.onnx: not an ONNX file, or a damaged one \(.*\): export it again$"
    )
    with pytest.raises(NetworkError, match=message):
        lower_qonnx(path)


@given(data=st.data())
def test_damaged_files_are_lowered_or_refused_but_never_crash(data, networks):
    content = bytearray(data.draw(networks(bits=6)).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(
            st.integers(1, 255)
        )
    with contextlib.suppress(HawqError, DecodeError):
        lower_model(onnx.load_model_from_string(bytes(content)))


def test_names_that_are_not_text_are_refused(network_file):
    file = network_file(2)
    model = file.model(file.quant("x", 1.0, 4, output="result"))
    content = model.SerializeToString().replace(b"result", b"r\xffsult")
    message = (
        r"^the name b'r\\xffsult' is not text: the file is damaged, export it again$"
    )
    with pytest.raises(NetworkError, match=message):
        lower_model(onnx.load_model_from_string(content))


def test_nodes_without_output_are_refused(network_file):
    file = network_file(2)
    y = file.quant("x", 1.0, 4, name="lonely")
    model = file.model(y)
    del model.graph.node[0].output[:]
    message = r"^node 'lonely' \(Quant\) has no output: export it again$"
    with pytest.raises(NetworkError, match=message):
        lower_model(model)
