"""Weights stay below 64: 8-bit kernels on older x86 saturate sums of two products."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from onnx import TensorProto, numpy_helper

from hawq.errors import NetworkError
from hawq.frontend.qlinear import qlinear_to_qonnx

RANDOM = np.random.default_rng(0)
MICROSOFT = {"domain": "com.microsoft"}


def image(file):
    """Quantize the input; gives its integers, scale and zero point."""
    parameters = file.parameters(0.5, 3, "u1")
    return [file.node("QuantizeLinear", "x", *parameters), *parameters]


def small(*shape):
    return RANDOM.integers(-63, 64, shape)


def agree(model, names, scale, point, shape, original, rewritten):
    """Compare integer tensors of the file with values of the QONNX graph."""
    x = RANDOM.integers(-400, 400, shape).astype("f4") / 4
    made = qlinear_to_qonnx(model)
    assert not [n.op_type for n in made.graph.node if "Linear" in n.op_type]
    before, after = original(model, x, names), rewritten(made, x)
    for name in names:
        integers = before[name].astype("f4") - point
        assert len(np.unique(integers)) > 4
        assert_array_equal(after[name], integers * np.float32(scale))


@pytest.mark.parametrize("scales", [0.25, [0.25, 1.0, 0.5]])
@pytest.mark.parametrize("has_bias", [False, True])
def test_convolutions(scales, has_bias, onnx_file, original, rewritten):
    file = onnx_file(1, 2, 6, 6)
    w = file.constant(small(3, 2, 3, 3), "i1")
    kernel = file.parameters(scales, np.zeros(np.shape(scales)))
    bias = [file.constant([500, -300, 7], "i4")] if has_bias else []
    result = file.parameters(16.0, 101, "u1")
    y = file.node(
        "QLinearConv", *image(file), w, *kernel, *result, *bias, pads=[1, 0, 1, 2]
    )
    model = file.model(y, dtype=TensorProto.UINT8)
    agree(model, [y], 16, 101, (1, 2, 6, 6), original, rewritten)


@pytest.mark.parametrize("scales", [0.25, [0.25, 1.0, 0.5]])
def test_matrix_products(scales, onnx_file, original, rewritten):
    file = onnx_file(5, 4)
    points = np.zeros(np.shape(scales))
    w = [file.constant(small(4, 3), "i1"), *file.parameters(scales, points)]
    result = file.parameters(8.0, 128, "u1")
    y = file.node("QLinearMatMul", *image(file), *w, *result)
    model = file.model(y, dtype=TensorProto.UINT8)
    agree(model, [y], 8, 128, (5, 4), original, rewritten)


def test_products_of_data_with_data(onnx_file, original, rewritten):
    file = onnx_file(4, 4)
    x = image(file)
    result = file.parameters(64.0, 7, "u1")
    y = file.node("QLinearMatMul", *x, *x, *result)
    model = file.model(y, dtype=TensorProto.UINT8)
    agree(model, [y], 64, 7, (4, 4), original, rewritten)


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("has_bias", [False, True])
def test_general_matrix_products(transposed, has_bias, onnx_file, original, rewritten):
    file = onnx_file(5, 4)
    w = file.constant(small(3, 4) if transposed else small(4, 3), "i1")
    kernel = file.parameters([0.25, 0.5, 1.0], [0, 0, 0])
    bias = file.constant([500, -300, 7], "i4") if has_bias else ""
    result = file.parameters(16.0, 99, "u1")
    inputs = [*image(file), w, *kernel, bias, *result]
    y = file.node("QGemm", *inputs, transB=transposed, **MICROSOFT)
    model = file.model(y, dtype=TensorProto.UINT8, shape=(5, 3))
    agree(model, [y], 16, 99, (5, 4), original, rewritten)


def test_a_general_product_may_give_its_sums(onnx_file, original, rewritten):
    file = onnx_file(5, 4)
    w = [file.constant(small(4, 3), "i1"), *file.parameters(0.25, 0)]
    y = file.node("QGemm", *image(file), *w, **MICROSOFT)
    model = file.model(y, shape=(5, 3))
    agree(model, [y], 1, 0, (5, 4), original, rewritten)


@pytest.mark.parametrize("operator", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize("is_constant", [False, True])
def test_elementwise(operator, is_constant, onnx_file, original, rewritten):
    """qonnx PR110: these add the zero point before they round."""
    file = onnx_file(1, 3, 40)
    x = image(file)
    other = x[0]
    if is_constant:
        other = file.constant(small(1, 3, 1) + 100, "u1")
    result = file.parameters(4.0, 77, "u1")
    y = file.node(
        operator, *x, other, *file.parameters(0.25, 64, "u1"), *result, **MICROSOFT
    )
    model = file.model(y, dtype=TensorProto.UINT8, shape=(1, 3, 40))
    agree(model, [y], 4, 77, (1, 3, 40), original, rewritten)


def test_concatenations_bring_their_parts_to_one_scale(onnx_file, original, rewritten):
    file = onnx_file(1, 3, 40)
    x = image(file)
    other = file.parameters(2.0, 128, "u1")
    coarse = [file.node("QuantizeLinear", "x", *other), *other]
    result = file.parameters(1.0, 45, "u1")
    y = file.node("QLinearConcat", *result, *x, *coarse, axis=1, **MICROSOFT)
    model = file.model(y, dtype=TensorProto.UINT8, shape=(1, 6, 40))
    agree(model, [y], 1, 45, (1, 3, 40), original, rewritten)


@pytest.mark.parametrize(
    ("operator", "attributes", "shape"),
    [
        ("QLinearGlobalAveragePool", {}, (4, 8, 1, 1)),
        (
            "QLinearAveragePool",
            {"kernel_shape": [2, 2], "strides": [2, 2]},
            (4, 8, 4, 4),
        ),
        ("QLinearLeakyRelu", {"alpha": 0.25}, (4, 8, 8, 8)),
    ],
)
def test_one_operand(operator, attributes, shape, onnx_file, original, rewritten):
    """qonnx PR110: ties with an odd zero point go where onnxruntime puts them."""
    file = onnx_file(4, 8, 8, 8)
    result = file.parameters(0.5, 5, "u1")
    y = file.node(operator, *image(file), *result, **attributes, **MICROSOFT)
    model = file.model(y, dtype=TensorProto.UINT8, shape=shape)
    agree(model, [y], 0.5, 5, (4, 8, 8, 8), original, rewritten)


def test_a_sigmoid_becomes_one_that_is_quantized(onnx_file, original, rewritten):
    file = onnx_file(1, 64)
    parameters = file.parameters(0.0625, 128, "u1")
    q = file.node("QuantizeLinear", "x", *parameters)
    result = file.parameters(2.0**-8, 0, "u1")
    y = file.node("QLinearSigmoid", q, *parameters, *result, **MICROSOFT)
    model = file.model(y, dtype=TensorProto.UINT8, shape=(1, 64))
    agree(model, [y], 2.0**-8, 0, (1, 64), original, rewritten)


def test_a_network_as_onnxruntime_writes_them(onnx_file, original, rewritten):
    file = onnx_file(1, 2, 6, 6)
    kernel = [file.constant(small(3, 2, 3, 3), "i1"), *file.parameters(0.25, 0)]
    middle = file.parameters(8.0, 0, "u1")
    bias = file.constant([500, -300, 7], "i4")
    a = file.node("QLinearConv", *image(file), *kernel, *middle, bias)
    b = file.node("MaxPool", a, kernel_shape=[2, 2], strides=[2, 2])
    c = file.node("Flatten", b)
    w = [file.constant(small(12, 5), "i1"), *file.parameters(0.5, 0)]
    result = file.parameters(128.0, 128, "u1")
    d = file.node("QLinearMatMul", c, *middle, *w, *result)
    y = file.node("DequantizeLinear", d, *result)
    model = file.model(y, shape=(1, 5))
    made = qlinear_to_qonnx(model)
    x = RANDOM.integers(-400, 400, (1, 2, 6, 6)).astype("f4") / 4
    assert_array_equal(rewritten(made, x)[y], original(model, x)[y])
    assert {a, b, c, y} <= {node.output[0] for node in made.graph.node}


# --- integer arithmetic --------------------------------------------------------------


def static(file, operator, w, w_point, bias, **attributes):
    """Quantize, multiply integers, add a bias to them, and scale the sums."""
    q, _, point = image(file)
    points = [] if w_point is None else [file.constant(w_point, "i1")]
    sums = file.node(operator, q, file.constant(w, "i1"), point, *points, **attributes)
    if bias is not None:
        sums = file.node("Add", sums, file.constant(bias, "i4"))
    real = file.node("Cast", sums, to=TensorProto.FLOAT)
    return file.node("Mul", real, file.constant(0.125))


@pytest.mark.parametrize("w_point", [None, 0, -5, [1, 0, -3]])
@pytest.mark.parametrize("bias", [None, [1000, -7, 2**24 + 2]])
def test_matmul_integer(w_point, bias, onnx_file, original, rewritten):
    file = onnx_file(5, 4)
    y = static(file, "MatMulInteger", small(4, 3), w_point, bias)
    agree(file.model(y), [y], 1, 0, (5, 4), original, rewritten)


@pytest.mark.parametrize("w_point", [None, 7])
def test_conv_integer(w_point, onnx_file, original, rewritten):
    file = onnx_file(1, 2, 5, 5)
    y = static(file, "ConvInteger", small(3, 2, 3, 3), w_point, None, pads=[1, 1, 1, 1])
    agree(file.model(y), [y], 1, 0, (1, 2, 5, 5), original, rewritten)


def test_integers_in_integers_out(onnx_file, original, rewritten):
    file = onnx_file(5, 4, dtype=TensorProto.UINT8)
    w = file.constant(small(4, 3), "i1")
    y = file.node("MatMulInteger", "x", w, file.constant(9, "u1"))
    model = file.model(y, dtype=TensorProto.INT32)
    x = RANDOM.integers(0, 256, (5, 4)).astype("u1")
    after = rewritten(qlinear_to_qonnx(model), x.astype("f4"))[y]
    assert_array_equal(after, original(model, x)[y])


def test_sums_of_integers_are_dequantized_by_a_scale(onnx_file, original, rewritten):
    file = onnx_file(5, 4)
    q, _, point = image(file)
    sums = file.node("MatMulInteger", q, file.constant(small(4, 3), "i1"), point)
    y = file.node("DequantizeLinear", sums, file.constant(0.25))
    agree(file.model(y), [y], 1, 0, (5, 4), original, rewritten)


def test_adds_of_real_data_stay(onnx_file):
    file = onnx_file(5, 4)
    x = image(file)
    real = file.node("Add", file.node("DequantizeLinear", *x), file.constant(0.5))
    made = qlinear_to_qonnx(file.model(real))
    assert [node.op_type for node in made.graph.node] == ["Quant", "Quant", "Add"]


# --- exactness -----------------------------------------------------------------------


def test_the_bias_has_the_exact_scale_of_the_accumulator(onnx_file):
    """brevitas#515: also where no float32 holds the product of the scales."""
    file = onnx_file(1, 2)
    x_scale, w_scales = np.float32(0.0371), np.float32([0.0613, 0.77])
    x = file.parameters(x_scale, 3, "u1")
    q = file.node("QuantizeLinear", "x", *x)
    w = [file.constant([[1, 2], [3, 4]], "i1"), *file.parameters(w_scales, [0, 0])]
    integers = [2**31 - 1, -12345]
    bias = file.constant(integers, "i4", name="bias")
    result = file.parameters(0.1, 0, "u1")
    y = file.node("QGemm", q, *x, *w, bias, *result, **MICROSOFT)
    made = qlinear_to_qonnx(file.model(y, dtype=TensorProto.UINT8, shape=(1, 2)))
    constants = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
    node = next(n for n in made.graph.node if n.output[0].startswith("bias"))
    value, scale = (constants[name].tolist() for name in node.input[:2])
    exact = [Fraction(x_scale.item()) * Fraction(w.item()) for w in w_scales]
    assert [Fraction(s) for s in scale] == exact
    found = [round(Fraction(v) / s) for v, s in zip(value, exact, strict=True)]
    assert found == integers


# --- refusals ------------------------------------------------------------------------


def refused(file, y, **rest):
    with pytest.raises(NetworkError) as caught:
        qlinear_to_qonnx(file.model(y, dtype=TensorProto.UINT8, shape=(1, 3), **rest))
    return str(caught.value)


def test_a_factor_in_a_general_product(onnx_file):
    file = onnx_file(1, 4)
    w = [file.constant(small(4, 3), "i1"), *file.parameters(0.25, 0)]
    result = ["", *file.parameters(1.0, 0, "u1")]
    y = file.node("QGemm", *image(file), *w, *result, alpha=0.5, name="g", **MICROSOFT)
    assert refused(file, y) == (
        "node 'g' (QGemm): alpha is 0.5, expected 1: put the factor into the scales"
    )


def test_channels_last(onnx_file):
    file = onnx_file(1, 4, 4, 4)
    result = file.parameters(1.0, 0, "u1")
    y = file.node(
        "QLinearGlobalAveragePool",
        *image(file),
        *result,
        channels_last=1,
        name="pool",
        **MICROSOFT,
    )
    assert refused(file, y) == (
        "node 'pool' (QLinearGlobalAveragePool): channels last: quantize the model "
        "without onnxruntime's layout optimizer"
    )


def test_a_bias_computed_from_data(onnx_file):
    file = onnx_file(1, 4)
    w = [file.constant(small(4, 3), "i1"), *file.parameters(0.25, 0)]
    bias = file.node("Cast", "x", to=TensorProto.INT32)
    result = file.parameters(1.0, 0, "u1")
    y = file.node("QGemm", *image(file), *w, bias, *result, name="g", **MICROSOFT)
    assert refused(file, y) == (
        "node 'g' (QGemm): bias 'cast0' is computed from data: export it as a constant"
    )


def test_data_with_one_scale_a_channel(onnx_file):
    file = onnx_file(4, 4)
    parameters = file.parameters(np.ones(4), np.zeros(4), "u1")
    q = file.node("QuantizeLinear", "x", *parameters, axis=0)
    w = [file.constant(small(4, 3), "i1"), *file.parameters(0.25, 0)]
    bias = file.constant([1, 2, 3], "i4")
    result = file.parameters(1.0, 0, "u1")
    y = file.node("QGemm", q, *parameters, *w, bias, *result, name="g", **MICROSOFT)
    assert refused(file, y) == (
        "node 'g' (QGemm): data with one scale a channel: export one scale a tensor"
    )


def test_a_result_without_scale(onnx_file):
    file = onnx_file(1, 4)
    y = file.node("QLinearSigmoid", *image(file), name="s", **MICROSOFT)
    assert refused(file, y) == (
        "node 's' (QLinearSigmoid): input 3 is absent: the file is damaged, export it "
        "again"
    )


def test_a_sum_of_integers_that_have_a_scale(onnx_file):
    file = onnx_file(1, 4)
    q, *_ = image(file)
    y = file.node("Add", q, q, name="sum")
    assert refused(file, y) == (
        "node 'sum' (Add): adds the integers 'quantizelinear0', which have a scale: "
        "put DequantizeLinear before it"
    )


def test_operators_of_onnxruntime_that_are_not_known(onnx_file):
    file = onnx_file(1, 4)
    result = file.parameters(1.0, 0, "u1")
    y = file.node("QLinearSoftmax", *image(file), *result, name="soft", **MICROSOFT)
    assert refused(file, y).startswith(
        "node 'soft' (QLinearSoftmax): reads the integers 'quantizelinear0', which "
        "only DequantizeLinear, "
    )
