from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from onnx import TensorProto, helper, numpy_helper

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


def integers_of(model, name):
    """Quantize a constant as the file says, in rational arithmetic."""
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    node = next(n for n in model.graph.node if n.output[0] == name)
    value, scale, point, _ = (constants[n] for n in node.input)
    assert not point.any()
    scales = np.broadcast_to(scale, value.shape)
    pairs = zip(value.ravel().tolist(), scales.ravel().tolist(), strict=True)
    return [round(Fraction(v) / Fraction(s)) for v, s in pairs]


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", INT4, UINT4])
def test_integer_constants_become_quants_of_their_values(dtype, onnx_file):
    file = onnx_file(2, 3)
    values = [[1, 0, 7], [5, 3, 2]]
    y = file.node("MatMul", "x", file.weights(np.transpose(values), 0.0613, dtype))
    made = qdq_to_qonnx(file.model(y, opset=21))
    (name,) = quants(made)
    assert integers_of(made, name) == np.transpose(values).ravel().tolist()


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_weights_with_one_scale_and_zero_point_a_channel(
    axis, onnx_file, original, rewritten
):
    file = onnx_file(2, 3)
    integers = np.arange(-128, 127, 30).reshape(3, 3)
    parameters = file.parameters([0.5, 0.25, 2.0], [0, -128, 127])
    w = file.node(
        "DequantizeLinear", file.constant(integers, "i1"), *parameters, axis=axis
    )
    y = file.node("MatMul", "x", w)
    model = file.model(y)
    made = qdq_to_qonnx(model)
    assert quants(made)[w][:3] == (9, 1, 0)  # -128 - 127 needs nine bits
    x = np.float32([[1, 2, 3], [-4, 0.5, 6]])
    assert_array_equal(rewritten(made, x)[y], original(model, x)[y])


def test_unsigned_weights_around_a_zero_point_become_signed(onnx_file):
    file = onnx_file(1, 2)
    parameters = file.parameters(0.5, 128, "u1")
    integers = file.constant([[0], [255]], "u1")
    w = file.node("DequantizeLinear", integers, *parameters)
    made = qdq_to_qonnx(file.model(file.node("MatMul", "x", w)))
    assert quants(made) == {w: (8, 1, 0, 0.5, 0)}
    assert integers_of(made, w) == [-128, 127]


@pytest.mark.parametrize("scale", [2.0**-30, 0.0613, 1e-9])
def test_biases_of_32_bits_give_their_integers_back(scale, onnx_file):
    """brevitas#515: float32 does not hold every integer of more than 24 bits."""
    integers = [2**31 - 1, -(2**31), 2**24 + 1, -(2**23) - 1, 12345, 0]
    file = onnx_file(1, 6)
    b = file.weights(integers, scale, "i4")
    made = qdq_to_qonnx(file.model(file.node("Add", "x", b)))
    assert quants(made)[b][:3] == (32, 1, 0)
    assert integers_of(made, b) == integers


@given(
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1),
    st.floats(0, allow_infinity=False, exclude_min=True, width=32),
)
def test_any_integer_at_any_scale_is_given_back(onnx_file, integers, scale):
    file = onnx_file(1, len(integers))
    b = file.weights(integers, scale, "i4")
    made = qdq_to_qonnx(file.model(file.node("Add", "x", b)))
    assert integers_of(made, b) == integers


def test_scales_from_constant_nodes_and_subgraphs(onnx_file, original, rewritten):
    file = onnx_file(1, 2400)
    value = numpy_helper.from_array(np.float32([4.0]))
    four = file.node("Constant", value=value, output="four")
    wide = file.node("Div", four, file.constant([8.0]))
    scale = file.node("Squeeze", wide, file.constant([0], "i8"))
    point = file.node("Cast", file.constant(3.0), to=TensorProto.UINT8)
    q = file.node("QuantizeLinear", "x", scale, point)
    y = file.node("DequantizeLinear", q, scale, file.node("Identity", point))
    model = file.model(y)
    made = qdq_to_qonnx(model)
    assert set(kinds(made)) == {"Quant"}
    assert_array_equal(rewritten(made, QUARTERS)[y], original(model, QUARTERS)[y])


def test_float_weights_may_be_quantized_in_the_file(onnx_file, original, rewritten):
    file = onnx_file(1, 2)
    w = file.pair(file.constant([[0.8], [-900.0]]), 0.25)
    y = file.node("MatMul", "x", w)
    model = file.model(y)
    x = np.float32([[1, 2]])
    assert_array_equal(rewritten(qdq_to_qonnx(model), x)[y], original(model, x)[y])


# --- whole networks ------------------------------------------------------------------


class Drawn:
    """A QDQ network drawn step by step; values stay exact in float32."""

    def __init__(self, draw, file):
        self.draw, self.file = draw, file

    def quantized(self, x, size):
        """Quantize data of up to ``size``, maybe clipped, maybe moved as integers."""
        dtype = self.draw(st.sampled_from(["i1", "u1"]))
        low = -128 if dtype == "i1" else 0
        point = self.draw(st.integers(low, low + 255))
        scale = 2.0 ** (int(np.log2(size)) - 7 + self.draw(st.integers(-1, 1)))
        parameters = self.file.parameters(scale, point, dtype)
        x = self.file.node("QuantizeLinear", x, *parameters)
        for _ in range(self.draw(st.integers(0, 2))):
            x = self.draw(st.sampled_from([self.pooled, self.turned, self.same]))(x)
        return self.file.node("DequantizeLinear", x, *parameters), scale * 255

    def pooled(self, x):
        return self.file.node("MaxPool", x, kernel_shape=[1, 1])

    def turned(self, x):
        return self.file.node("Transpose", x, perm=[0, 1, 3, 2])

    def same(self, x):
        return self.file.node("Identity", x)

    def convolved(self, x, size):
        shape = (3, 3, 1, 1)
        values = self.draw(st.lists(st.integers(-9, 9), min_size=9, max_size=9))
        scales = self.draw(st.sampled_from([0.5, [0.25, 1.0, 0.5]]))
        w = self.file.weights(np.reshape(values, shape), scales, axis=0)
        bias = self.file.weights([7, -3, 100], 2.0**-5, "i4")
        return self.file.node("Conv", x, w, bias), 32 * size

    def branches(self, x, size):
        (a, left), (b, right) = self.quantized(x, size), self.quantized(x, size)
        return self.file.node("Add", a, b), left + right

    def rectified(self, x, size):
        return self.file.node("Relu", x), size


@st.composite
def networks(draw, file):
    drawn = Drawn(draw, file)
    x, size = drawn.quantized("x", 64.0)
    for _ in range(draw(st.integers(1, 4))):
        step = draw(st.sampled_from([drawn.convolved, drawn.branches, drawn.rectified]))
        x, size = drawn.quantized(*step(x, size))
    return file.model(file.node("Identity", x, output="y"))


@settings(max_examples=50)
@given(data=st.data())
def test_random_networks_give_what_onnxruntime_gives(
    data, onnx_file, original, rewritten
):
    model = data.draw(networks(onnx_file(1, 3, 4, 4)))
    x = np.random.default_rng(0).integers(-512, 512, (1, 3, 4, 4)).astype("f4") / 8
    after = rewritten(qdq_to_qonnx(model), x)["y"]
    assert_array_equal(after, original(model, x)["y"])
