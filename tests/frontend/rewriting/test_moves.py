import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hawq.errors import NetworkError
from hawq.frontend.qdq import qdq_to_qonnx

X = np.random.default_rng(0).integers(-99, 99, (1, 4, 4, 4)).astype("f4") / 4


@pytest.fixture
def file(onnx_file):
    return onnx_file(1, 4, 4, 4)


def quantized(file, scale=0.5, point=3):
    parameters = file.parameters(scale, point)
    return file.node("QuantizeLinear", "x", *parameters), parameters


@pytest.mark.parametrize(
    ("operator", "others", "attributes"),
    [
        ("Reshape", [("i8", [1, 64])], {}),
        ("Flatten", [], {}),
        ("Transpose", [], {"perm": [0, 2, 3, 1]}),
        ("Squeeze", [("i8", [0])], {}),
        ("Unsqueeze", [("i8", [1])], {}),
        ("Identity", [], {}),
        ("MaxPool", [], {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0]}),
        ("Slice", [("i8", [1]), ("i8", [3]), ("i8", [2])], {}),
        ("Gather", [("i8", [2, 0])], {"axis": 1}),
        ("Tile", [("i8", [1, 2, 1, 1])], {}),
        ("Expand", [("i8", [2, 4, 4, 4])], {}),
        ("DepthToSpace", [], {"blocksize": 2}),
        ("SpaceToDepth", [], {"blocksize": 2}),
        ("Pad", [("i8", [0, 0, 1, 2, 0, 0, 0, 1]), ("i1", 3)], {}),
        ("Pad", [("i8", [0, 0, 1, 2, 0, 0, 0, 1])], {"mode": "edge"}),
        ("Resize", [("f4", []), ("f4", [1, 1, 2, 2])], {}),
    ],
)
def test_integers_move_as_their_values_do(
    operator, others, attributes, file, original, rewritten
):
    q, parameters = quantized(file)
    inputs = [file.constant(values, dtype) for dtype, values in others]
    moved = file.node(operator, q, *inputs, **attributes)
    y = file.node("DequantizeLinear", moved, *parameters)
    model = file.model(y, opset=14)
    after = rewritten(qdq_to_qonnx(model), X)[y]
    assert_array_equal(after, original(model, X)[y])


def test_a_relu_of_integers_without_zero_point(file, original, rewritten):
    q, parameters = quantized(file, point=0)
    y = file.node("DequantizeLinear", file.node("Relu", q), *parameters)
    model = file.model(y, opset=14)
    assert_array_equal(rewritten(qdq_to_qonnx(model), X)[y], original(model, X)[y])


def test_several_parts_and_their_concatenation(file, original, rewritten):
    q, parameters = quantized(file)
    names = ["first", "second"]
    file.node("Split", q, axis=1, output="first")
    file.nodes[-1].output.append("second")
    joined = file.node("Concat", *names[::-1], q, axis=1)
    y = file.node("DequantizeLinear", joined, *parameters)
    model = file.model(y)
    assert_array_equal(rewritten(qdq_to_qonnx(model), X)[y], original(model, X)[y])


def test_quantized_again_behind_a_move(file, original, rewritten):
    q, parameters = quantized(file)
    bounds = [file.constant(b, "i1") for b in (-5, 10)]
    clipped = file.node("Clip", file.node("Flatten", q), *bounds)
    y = file.node("DequantizeLinear", clipped, *parameters)
    z = file.node("DequantizeLinear", q, *parameters)
    model = file.model(y, z)
    # -5 to 10 around 3 are -8 to 7: four bits
    made = qdq_to_qonnx(model)
    after, before = rewritten(made, X), original(model, X)
    assert_array_equal(after[y], before[y])
    assert_array_equal(after[z], before[z])


def refused(file, *outputs):
    with pytest.raises(NetworkError) as caught:
        qdq_to_qonnx(file.model(*outputs, opset=14))
    return str(caught.value)


def test_one_scale_a_channel_is_not_followed(file):
    parameters = file.parameters(np.ones(4), np.zeros(4))
    q = file.node("QuantizeLinear", "x", *parameters, axis=1)
    y = file.node("Flatten", q, name="flat")
    assert refused(file, file.node("DequantizeLinear", y, *parameters)) == (
        "node 'flat' (Flatten): moves integers that have one scale a channel: put "
        "DequantizeLinear before it"
    )


def test_parts_of_several_scales_are_not_joined(file):
    (a, parameters), (b, _) = quantized(file), quantized(file, scale=1.0)
    y = file.node("Concat", a, b, axis=1, name="join")
    assert refused(file, file.node("DequantizeLinear", y, *parameters)) == (
        "node 'join' (Concat): its inputs are integers of several scales: put "
        "DequantizeLinear before it"
    )


def test_padding_with_another_integer_than_the_zero_point(file):
    q, parameters = quantized(file)
    pads = [file.constant([0, 0, 1, 1] * 2, "i8"), file.constant(0, "i1")]
    y = file.node("Pad", q, *pads, name="pad")
    assert refused(file, file.node("DequantizeLinear", y, *parameters)) == (
        "node 'pad' (Pad): pads integers with 0, which is not their zero point: pad "
        "with zeros before quantizing"
    )


def test_interpolation(file):
    q, parameters = quantized(file)
    scales = [file.constant([], "f4"), file.constant([1, 1, 2, 2])]
    y = file.node("Resize", q, *scales, mode="linear", name="up")
    assert refused(file, file.node("DequantizeLinear", y, *parameters)) == (
        "node 'up' (Resize): interpolates integers: put DequantizeLinear before it"
    )


def test_a_relu_around_a_zero_point(file):
    q, parameters = quantized(file)
    y = file.node("Relu", q, name="relu")
    assert refused(file, file.node("DequantizeLinear", y, *parameters)) == (
        "node 'relu' (Relu): a Relu of integers whose zero point is not 0: put "
        "DequantizeLinear before it"
    )
