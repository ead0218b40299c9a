import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from onnx import TensorProto, helper, numpy_helper

from hawq.errors import NetworkError
from hawq.frontend.qdq import qdq_to_qonnx

INT4, UINT4 = int(TensorProto.INT4), int(TensorProto.UINT4)
QUARTERS = np.arange(-1200, 1200, dtype="f4")[None] / 4  # ties at scale 1


def quants(model):
    """Every Quant: output → bits, signed, narrow, and scale and zero point as lists."""
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type == "Quant":
            scale, point, bits = (constants[name].tolist() for name in node.input[1:])
            flags = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            assert flags["rounding_mode"] == b"ROUND"
            found[node.output[0]] = (
                bits,
                flags["signed"],
                flags["narrow"],
                scale,
                point,
            )
    return found


def kinds(model):
    return [node.op_type for node in model.graph.node]


# --- data ----------------------------------------------------------------------------


def test_quantize_and_dequantize_become_one_quant_with_the_last_name(onnx_file):
    """hls4ml#1197: hls4ml knows no QuantizeLinear."""
    file = onnx_file(1, 4)
    y = file.pair("x", 0.25)
    model = qdq_to_qonnx(file.model(y))
    assert quants(model) == {y: (8, 1, 0, 0.25, 0)}
    assert [value.name for value in model.graph.output] == [y]
    assert len(model.graph.initializer) == 3
    assert model.opset_import[-1].domain == "qonnx.custom_op.general"
    onnx.checker.check_model(model)


@pytest.mark.parametrize("point", [0, 2, 3, 5])
@pytest.mark.parametrize(
    ("opset", "dtype"),
    [
        *((opset, dtype) for opset in (10, 13, 19, 21, 23) for dtype in ("i1", "u1")),
        *((21, dtype) for dtype in ("i2", "u2", INT4, UINT4)),
    ],
)
def test_every_opset_and_type_rounds_as_onnxruntime_does(
    opset, dtype, point, onnx_file, original, rewritten
):
    """qonnx PR110, finn#993: half to even, any zero point, any opset."""
    file = onnx_file(1, 2400)
    y = file.pair("x", 1.0, point, dtype)
    model = file.model(y, opset=opset)
    result = rewritten(qdq_to_qonnx(model), QUARTERS)[y]
    assert_array_equal(result, original(model, QUARTERS)[y])


@pytest.mark.parametrize("opset", [13, 21])
def test_wide_types_of_onnxruntimes_own_domain(opset, onnx_file, original, rewritten):
    file = onnx_file(1, 2400)
    y = file.pair("x", 0.5, 7, "u2", domain="com.microsoft")
    model = file.model(y, opset=opset, shape=(1, 2400))
    result = rewritten(qdq_to_qonnx(model), QUARTERS)[y]
    assert_array_equal(result, original(model, QUARTERS)[y])


def test_ties_with_an_odd_zero_point(onnx_file, rewritten):
    """qonnx PR110: round(x/s) + 1, not round(x/s + 1), which would give 1, 1, 3, -1."""
    file = onnx_file(1, 4)
    y = file.pair("x", 1.0, 1)
    model = qdq_to_qonnx(file.model(y))
    x = np.float32([[0.5, 1.5, 2.5, -0.5]])
    assert rewritten(model, x)[y].tolist() == [[0, 2, 2, 0]]
    assert len(quants(model)) == 2


def test_without_zero_point_the_integers_are_uint8(onnx_file, original, rewritten):
    file = onnx_file(1, 2400)
    scale = file.constant(1.0)
    y = file.node("DequantizeLinear", file.node("QuantizeLinear", "x", scale), scale)
    model = file.model(y)
    made = qdq_to_qonnx(model)
    assert quants(made) == {y: (8, 0, 0, 1.0, 0)}
    assert_array_equal(rewritten(made, QUARTERS)[y], original(model, QUARTERS)[y])


def test_without_zero_point_the_type_may_be_an_attribute(onnx_file):
    file = onnx_file(1, 4)
    scale = file.constant(1.0)
    q = file.node("QuantizeLinear", "x", scale, output_dtype=TensorProto.INT16)
    y = file.node("DequantizeLinear", q, scale)
    assert quants(qdq_to_qonnx(file.model(y, opset=21))) == {y: (16, 1, 0, 1.0, 0)}


@st.composite
def clips(draw):
    dtype = draw(st.sampled_from(["i1", "u1"]))
    low = -128 if dtype == "i1" else 0
    bits = draw(st.integers(2, 8))
    point = 0 if draw(st.booleans()) else draw(st.integers(0, 2**bits // 4))
    narrow = draw(st.integers(0, 1))
    half = 2 ** (bits - 1)
    bounds = (-half + narrow, half - 1) if low else (0, 2 * half - 1 - narrow)
    return dtype, bits, narrow, point, bounds, 2.0 ** draw(st.integers(-4, 4))


@settings(max_examples=40)
@given(case=clips())
def test_a_clip_between_sets_the_bits(case, onnx_file, original, rewritten):
    """hls4ml#1197: Brevitas writes fewer than 8 bits as a Clip of 8."""
    dtype, bits, _, point, (low, high), scale = case
    file = onnx_file(1, 2400)
    parameters = file.parameters(scale, point, dtype)
    bounds = [file.constant(b, dtype) for b in (low, high)]
    q = file.node("QuantizeLinear", "x", *parameters)
    y = file.node("DequantizeLinear", file.node("Clip", q, *bounds), *parameters)
    model = file.model(y)
    made = qdq_to_qonnx(model)
    assert quants(made)[y][0] == bits
    x = QUARTERS * np.float32(scale)
    assert_array_equal(rewritten(made, x)[y], original(model, x)[y])


def clipped(file, low, high, dtype="i1"):
    parameters = file.parameters(1.0, 0, dtype)
    bounds = [file.constant(b, dtype) for b in (low, high)]
    q = file.node("QuantizeLinear", "x", *parameters, name="q")
    y = file.node("Clip", q, *bounds, name="clip")
    return file.node("DequantizeLinear", y, *parameters)


@pytest.mark.parametrize(
    ("low", "high", "span"),
    [
        (0, 1, (1, 0, 0)),
        (-1, 1, (2, 1, 1)),
        (0, 2, (2, 0, 1)),
        (-2, 1, (2, 1, 0)),
        (0, 7, (3, 0, 0)),
        (-7, 7, (4, 1, 1)),
        (-127, 127, (8, 1, 1)),
    ],
)
def test_bounds_give_bits_sign_and_narrowness(low, high, span, onnx_file):
    """qonnx PR141: one signed bit means -1 and +1 in QONNX, so it is never written."""
    file = onnx_file(1, 4)
    y = clipped(file, low, high)
    assert quants(qdq_to_qonnx(file.model(y)))[y][:3] == span


@pytest.mark.parametrize(("low", "high"), [(-1, 0), (-5, 7), (0, 9), (3, 3)])
def test_bounds_of_no_bit_width_are_refused(low, high, onnx_file):
    """qonnx PR141."""
    file = onnx_file(1, 4)
    model = file.model(clipped(file, low, high))
    message = (
        rf"^node 'clip' \(Clip\): integers from {low} to {high} with zero point \[0\] "
        r"are the range of no bit width \(such as -8 to 7, -7 to 7 or 0 to 15; one "
        r"signed bit would mean -1 and \+1\): export with such a range$"
    )
    with pytest.raises(NetworkError, match=message):
        qdq_to_qonnx(model)


def test_data_with_one_scale_a_channel(onnx_file, original, rewritten):
    file = onnx_file(2, 3, 4)
    parameters = file.parameters([0.5, 1.0, 2.0], [0, 3, -4])
    q = file.node("QuantizeLinear", "x", *parameters, axis=1)
    y = file.node("DequantizeLinear", q, *parameters, axis=1)
    model = file.model(y)
    x = np.arange(-12, 12, dtype="f4").reshape(2, 3, 4) / 4
    assert_array_equal(rewritten(qdq_to_qonnx(model), x)[y], original(model, x)[y])


# --- fan out -------------------------------------------------------------------------


def test_one_quantizer_feeds_several_consumers_and_outputs(
    onnx_file, original, rewritten
):
    file = onnx_file(1, 4)
    parameters = file.parameters(0.5, 4, "u1")
    q = file.node("QuantizeLinear", "x", *parameters)
    a, b, c = (file.node("DequantizeLinear", q, *parameters) for _ in range(3))
    y = file.node("Add", file.node("Relu", a), b)
    model = file.model(y, c, b)
    made = qdq_to_qonnx(model)
    assert kinds(made).count("Quant") == 1
    x = np.float32([[-3.25, -0.75, 1.25, 2.0]])
    before, after = original(model, x), rewritten(made, x)
    for name in (y, b, c):
        assert_array_equal(after[name], before[name])


def test_a_quantizer_with_and_without_a_clip(onnx_file, original, rewritten):
    file = onnx_file(1, 2400)
    parameters = file.parameters(1.0, 0)
    q = file.node("QuantizeLinear", "x", *parameters)
    bounds = [file.constant(b, "i1") for b in (-8, 7)]
    narrow = file.node("DequantizeLinear", file.node("Clip", q, *bounds), *parameters)
    y = file.node("Add", narrow, file.node("DequantizeLinear", q, *parameters))
    model = file.model(y)
    made = qdq_to_qonnx(model)
    assert sorted(bits for bits, *_ in quants(made).values()) == [4, 8]
    assert_array_equal(rewritten(made, QUARTERS)[y], original(model, QUARTERS)[y])


# --- networks of integers ------------------------------------------------------------


def test_an_integer_input_becomes_a_real_one(onnx_file, original, rewritten):
    file = onnx_file(1, 256, dtype=TensorProto.UINT8)
    y = file.node("DequantizeLinear", "x", *file.parameters(0.5, 3, "u1"))
    model = file.model(y)
    made = qdq_to_qonnx(model)
    assert made.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    x = np.arange(256, dtype="u1")[None]
    result = rewritten(made, x.astype("f4"))[y]
    assert_array_equal(result, original(model, x)[y])


def test_an_integer_output_becomes_its_values(onnx_file, original, rewritten):
    file = onnx_file(1, 2400)
    y = file.node("QuantizeLinear", "x", *file.parameters(0.5, 3))
    model = file.model(y, dtype=TensorProto.INT8)
    integers = original(model, QUARTERS)[y].astype("f4")
    made = qdq_to_qonnx(model)
    assert_array_equal(rewritten(made, QUARTERS)[y], (integers - 3) / 2)


@pytest.mark.parametrize(
    ("to_scale", "to_point"), [(0.25, 3), (0.5, 7), (2.0, -4), (1.0, 0)]
)
def test_integers_read_with_another_scale(
    to_scale, to_point, onnx_file, original, rewritten
):
    file = onnx_file(1, 2400)
    q = file.node("QuantizeLinear", "x", *file.parameters(0.5, 3))
    y = file.node("DequantizeLinear", q, *file.parameters(to_scale, to_point))
    model = file.model(y)
    result = rewritten(qdq_to_qonnx(model), QUARTERS)[y]
    assert_array_equal(result, original(model, QUARTERS)[y])


def test_a_cast_gives_the_integers_themselves(onnx_file, original, rewritten):
    file = onnx_file(1, 2400)
    q = file.node("QuantizeLinear", "x", *file.parameters(0.5, 3))
    y = file.node("Cast", q, to=TensorProto.FLOAT)
    model = file.model(y)
    result = rewritten(qdq_to_qonnx(model), QUARTERS)[y]
    assert_array_equal(result, original(model, QUARTERS)[y])


@pytest.mark.parametrize("to", [TensorProto.INT8, TensorProto.INT32])
def test_integers_cast_to_integers(to, onnx_file, original, rewritten):
    """As PyTorch writes them; the second output takes the name of the cast."""
    file = onnx_file(1, 2400)
    parameters = file.parameters(0.5, 3)
    q = file.node("Cast", file.node("QuantizeLinear", "x", *parameters), to=to)
    back = file.node("Cast", q, to=TensorProto.INT8)
    y = file.node("DequantizeLinear", back, *parameters)
    model = file.model(y)
    model.graph.output.append(helper.make_tensor_value_info(q, to, [1, 2400]))
    after, before = rewritten(qdq_to_qonnx(model), QUARTERS), original(model, QUARTERS)
    assert_array_equal(after[y], before[y])
    assert_array_equal(after[q], (before[q].astype("f4") - 3) / 2)


def test_a_transpose_before_a_concat(onnx_file, original, rewritten):
    """finn#892: shapes are found behind both."""
    file = onnx_file(1, 2, 3)
    a = file.node("Transpose", file.pair("x", 0.5), perm=[0, 2, 1])
    b = file.node("Transpose", file.pair("x", 0.5, 1), perm=[0, 2, 1])
    y = file.pair(file.node("Concat", a, b, axis=1), 0.5)
    model = file.model(y)
    x = np.arange(6, dtype="f4").reshape(1, 2, 3) / 4
    after = rewritten(qdq_to_qonnx(model), x)[y]
    assert after.shape == (1, 6, 2)
    assert_array_equal(after, original(model, x)[y])


def test_a_convolution_with_a_bias_of_one_axis(onnx_file, original, rewritten):
    """qonnx#32."""
    file = onnx_file(1, 2, 5, 5)
    w = file.weights(np.arange(-27, 27).reshape(3, 2, 3, 3), [0.5, 1, 2], axis=0)
    b = file.weights([100, -200, 300], [0.25, 0.5, 1], "i4", axis=0)
    y = file.pair(file.node("Conv", file.pair("x", 0.5), w, b), 64.0, 5)
    model = file.model(y)
    x = np.random.default_rng(0).integers(-99, 99, (1, 2, 5, 5)).astype("f4") / 4
    assert_array_equal(rewritten(qdq_to_qonnx(model), x)[y], original(model, x)[y])


def test_unnamed_nodes_get_names(onnx_file):
    """hls4ml#686."""
    file = onnx_file(1, 4)
    y = file.node("Relu", file.pair("x", 0.5, 3, name=""), name="")
    made = qdq_to_qonnx(file.model(y))
    names = [node.name for node in made.graph.node]
    assert all(names)
    assert len(set(names)) == len(names)


def test_the_order_of_the_nodes_does_not_matter_and_the_file_stays(onnx_file):
    file = onnx_file(1, 4)
    y = file.node("Relu", file.pair("x", 0.5))
    file.nodes.reverse()
    model = file.model(y)
    before = model.SerializeToString()
    assert kinds(qdq_to_qonnx(model)) == ["Quant", "Relu"]
    assert model.SerializeToString() == before


def test_declared_types_and_shapes_follow_the_names(onnx_file):
    file = onnx_file(1, 4)
    y = file.node("Relu", file.pair("x", 0.5, name="pair"))
    model = onnx.shape_inference.infer_shapes(file.model(y))
    declared = qdq_to_qonnx(model).graph.value_info
    assert [(v.name, v.type.tensor_type.elem_type) for v in declared] == [
        ("dequantizelinear1", TensorProto.FLOAT)
    ]


# --- refusals ------------------------------------------------------------------------


def refused(file, *outputs, opset=21):
    with pytest.raises(NetworkError) as caught:
        qdq_to_qonnx(file.model(*outputs, opset=opset))
    return str(caught.value)


def test_dynamic_quantization(onnx_file):
    file = onnx_file(1, 1)
    node = helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], name="dyn")
    file.nodes.append(node)
    y = file.node("DequantizeLinear", "q", "s", "z")
    assert refused(file, y) == (
        "node 'dyn' (DynamicQuantizeLinear): scales that are computed from the data as "
        "it comes cannot be carried: quantize statically "
        "(onnxruntime.quantization.quantize_static)"
    )


def test_blocked_scales(onnx_file):
    file = onnx_file(1, 4)
    integers = file.constant(np.ones((4, 2)), "i1")
    scales = file.constant(np.ones((2, 2)))
    w = file.node("DequantizeLinear", integers, scales, axis=0, block_size=2, name="dq")
    assert refused(file, w) == (
        "node 'dq' (DequantizeLinear): blocked quantization is not carried: export one "
        "scale a channel"
    )


def test_operators_that_read_integers(onnx_file):
    file = onnx_file(1, 4)
    q = file.node("QuantizeLinear", "x", *file.parameters(1.0, 0))
    y = file.node("Neg", q, name="neg")
    assert refused(file, y).startswith(
        "node 'neg' (Neg): reads the integers 'quantizelinear0', which only "
        "DequantizeLinear, Clip, Cast, QLinear operators and Concat, "
    )


def test_integers_that_nothing_quantized(onnx_file):
    file = onnx_file(1, 4)
    q = file.node("Cast", "x", to=TensorProto.INT8)
    y = file.node("DequantizeLinear", q, *file.parameters(1.0, 0), name="dq")
    assert refused(file, y) == (
        "node 'dq' (DequantizeLinear): its integers 'cast0' are computed by an "
        "operator that is not carried on integers: put QuantizeLinear right before it"
    )


@pytest.mark.parametrize(
    ("to", "name"),
    [(TensorProto.UINT8, "uint8"), (INT4, "int4"), (TensorProto.FLOAT16, "float16")],
)
def test_casts_to_other_types(to, name, onnx_file):
    file = onnx_file(1, 4)
    q = file.node("QuantizeLinear", "x", *file.parameters(1.0, 0))
    y = file.node("Cast", q, to=to, name="cast")
    assert refused(file, y) == (
        f"node 'cast' (Cast): casts the integers 'quantizelinear0' to {name}, expected "
        "float32, or integers that hold them: cast to float32"
    )


def test_other_scales_by_channel(onnx_file):
    file = onnx_file(1, 2)
    q = file.node("QuantizeLinear", "x", *file.parameters([1.0, 2.0], [0, 0]))
    y = file.node("DequantizeLinear", q, *file.parameters(1.0, 0), name="dq")
    assert refused(file, y) == (
        "node 'dq' (DequantizeLinear): reads 'quantizelinear0' with other scales, one "
        "a channel, than it was quantized with: export it again"
    )


def test_bounds_computed_from_data(onnx_file):
    file = onnx_file(1, 2)
    q = file.node("QuantizeLinear", "x", *file.parameters(1.0, 0))
    bound = file.node("ReduceMax", q, keepdims=0)
    file.nodes[-1].input[0] = "x"
    y = file.node("Clip", q, bound, name="clip")
    assert refused(file, y) == (
        "node 'clip' (Clip): input 'reducemax1' is computed from data or not one "
        "number: export it as a constant"
    )
