"""The exact interpreter against ONNX's reference, on integers that floats hold."""

import numpy as np
import pytest
from network_file import DOMAIN, MODES
from numpy.testing import assert_array_equal
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from qonnx.custom_op.general.intquant import int_quant
from qonnx.custom_op.general.multithreshold import multithreshold
from qonnx.custom_op.general.trunc import trunc_v1, trunc_v2
from qonnx_exact.interpreter import interpret

RANDOM = np.random.default_rng(0)
VECTOR = RANDOM.integers(-8, 8, (2, 4)).astype(np.float32)
ROW = RANDOM.integers(-8, 8, (2, 4, 6)).astype(np.float32)
IMAGE = RANDOM.integers(-8, 8, (2, 4, 5, 6)).astype(np.float32)


def ints(*values):
    return np.array(values, dtype=np.int64)


def floats(*shape):
    return RANDOM.integers(-4, 4, shape).astype(np.float32)


OPERATORS = [
    ("Add", VECTOR, [floats(4)], {}),
    ("ArgMax", IMAGE, [], {"axis": 2, "select_last_index": 1}),
    ("ArgMax", IMAGE, [], {"axis": -1, "keepdims": 0}),
    ("AveragePool", IMAGE, [], {"kernel_shape": [2, 4], "strides": [2, 1]}),
    (
        "AveragePool",
        ROW,
        [],
        {"kernel_shape": [2], "pads": [1, 1], "count_include_pad": 1},
    ),
    ("AveragePool", ROW, [], {"kernel_shape": [1], "auto_pad": "SAME_UPPER"}),
    (
        "BatchNormalization",
        IMAGE,
        [floats(4), floats(4), floats(4), np.float32([1, 4, 16, 0.25])],
        {"epsilon": 0.0},
    ),
    ("Clip", VECTOR, [np.float32(-2), np.float32(3)], {}),
    ("Concat", ROW, [floats(2, 4, 1)], {"axis": -1}),
    ("Conv", ROW, [floats(2, 4, 3)], {"dilations": [2], "pads": [0, 2]}),
    ("Conv", ROW, [floats(4, 1, 2), floats(4)], {"group": 4, "strides": [2]}),
    ("Conv", IMAGE, [floats(4, 2, 3, 2)], {"group": 2, "pads": [1, 0, 2, 1]}),
    ("Conv", IMAGE, [floats(3, 4, 2, 2)], {"auto_pad": "SAME_LOWER"}),
    ("DepthToSpace", IMAGE, [], {"blocksize": 2}),
    ("DepthToSpace", IMAGE, [], {"blocksize": 2, "mode": "CRD"}),
    ("Div", VECTOR, [np.float32([2, -4, 0.5, 1])], {}),
    ("Flatten", IMAGE, [], {}),
    ("Gather", IMAGE, [ints(2, -1, 0)], {"axis": 1}),
    ("Gemm", VECTOR, [floats(3, 4), floats(3)], {"transB": 1, "alpha": 0.5}),
    ("GlobalAveragePool", ROW[:, :, :4], [], {}),
    ("GlobalMaxPool", IMAGE, [], {}),
    ("LeakyRelu", VECTOR, [], {"alpha": 0.25}),
    ("MatMul", IMAGE, [floats(6, 3)], {}),
    ("MaxPool", IMAGE, [], {"kernel_shape": [2, 3], "pads": [1, 0, 0, 1]}),
    (
        "MaxPool",
        ROW,
        [],
        {"kernel_shape": [2], "dilations": [2], "strides": [2], "ceil_mode": 1},
    ),
    ("MaxPool", IMAGE, [], {"kernel_shape": [3, 2], "auto_pad": "SAME_UPPER"}),
    ("Mul", IMAGE, [floats(4, 1, 1)], {}),
    ("Neg", VECTOR, [], {}),
    ("PRelu", IMAGE, [floats(4, 1, 1)], {}),
    ("Pad", ROW, [ints(0, 1, 2, 0, 0, 1)], {}),
    ("Pad", ROW, [ints(0, 1, 2, 0, 0, 1)], {"mode": "edge"}),
    ("Pad", ROW, [ints(0, 1, 2, 0, 0, 1)], {"mode": "reflect"}),
    ("ReduceMean", ROW[:, :, :4], [], {"axes": [2]}),
    ("Relu", VECTOR, [], {}),
    ("Reshape", IMAGE, [ints(0, 5, -1)], {}),
    ("Resize", ROW, [np.float32([]), np.float32([1, 1, 2])], {"mode": "nearest"}),
    (
        "Resize",
        ROW,
        [np.float32([]), np.float32([]), ints(2, 4, 9)],
        {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        },
    ),
    ("Slice", IMAGE, [ints(-1, 1), ints(-99, 9), ints(2, 3), ints(-2, 2)], {}),
    ("SpaceToDepth", IMAGE[:, :, :4], [], {"blocksize": 2}),
    ("Squeeze", IMAGE[:, :1], [ints(1)], {}),
    ("Sub", VECTOR, [floats(2, 1)], {}),
    ("Transpose", IMAGE, [], {"perm": [0, 2, 3, 1]}),
    ("Transpose", IMAGE, [], {}),
    ("Unsqueeze", ROW, [ints(1, -1)], {}),
]


def file(operator, x, constants, attributes, outputs=("y",), domain=""):
    names = [f"c{i}" for i in range(len(constants))]
    given = [n if c.size else "" for n, c in zip(names, constants, strict=True)]
    node = helper.make_node(
        operator, ["x", *given], outputs, domain=domain, **attributes
    )
    tensors = [
        numpy_helper.from_array(c, n) for n, c in zip(names, constants, strict=True)
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)]
    made = [helper.make_tensor_value_info(y, TensorProto.FLOAT, None) for y in outputs]
    graph = helper.make_graph([node], "one", inputs, made, tensors)
    opsets = [helper.make_opsetid("", 15), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets)


@pytest.mark.parametrize("case", OPERATORS, ids=lambda case: f"{case[0]}-{case[3]}")
def test_operators_of_onnx(case):
    operator, x, constants, attributes = case
    model = file(operator, x, constants, attributes)
    got = interpret(model, x)["y"].astype(np.float64)
    assert_array_equal(got, ReferenceEvaluator(model).run(None, {"x": x})[0])


@pytest.mark.parametrize(
    ("operator", "x", "constant", "attributes"),
    [("Split", ROW, ints(1, 3), {"axis": 1}), ("TopK", VECTOR, ints(1), {})],
)
def test_operators_of_onnx_with_two_outputs(operator, x, constant, attributes):
    model = file(operator, x, [constant], attributes, ("a", "b"))
    got = interpret(model, x)
    first, second = ReferenceEvaluator(model).run(None, {"x": x})
    assert_array_equal(got["a"].astype(np.float64), first)
    assert_array_equal(got["b"].astype(np.float64), second)


QUARTERS = np.arange(-40, 41, dtype=np.float64).reshape(1, -1) / 4


def quantized(operator, numbers, **attributes):
    constants = [np.asarray(n, dtype=np.float64) for n in numbers]
    model = file(operator, QUARTERS, constants, attributes, domain=DOMAIN)
    return interpret(model, QUARTERS)["y"].astype(np.float64)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("narrow", [0, 1])
@pytest.mark.parametrize(("bits", "zero_point"), [(3, 0.0), (4, 2.0), (2, -3.0)])
def test_quantizers_of_qonnx(mode, signed, narrow, bits, zero_point):
    attributes = {"signed": signed, "narrow": narrow, "rounding_mode": mode}
    got = quantized("Quant", [0.5, zero_point, bits], **attributes)
    parameters = (np.array(0.5), np.array(zero_point), np.array(float(bits)))
    expected = int_quant(QUARTERS, *parameters, signed, narrow, mode)
    assert_array_equal(got, expected)


@pytest.mark.parametrize("zero_point", [0.0, 1.0])
@pytest.mark.parametrize("mode", MODES)
def test_truncation_of_qonnx(mode, zero_point):
    numbers = [0.5, zero_point, 5.0, 3.0]
    got = quantized("Trunc", numbers, rounding_mode=mode)
    arrays = [np.array(n) for n in numbers]
    assert_array_equal(got, trunc_v1(QUARTERS, *arrays, mode))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_truncation_to_a_scale_of_qonnx(mode, scale):
    got = quantized("Trunc", [0.5, 0.0, 5.0, scale, 3.0], rounding_mode=mode, narrow=1)
    zero, width, last = (np.array(n) for n in (0.0, 5.0, 3.0))
    given = (np.array(0.5), zero, width, 1, 1, np.array(scale), last, mode)
    assert_array_equal(got, trunc_v2(QUARTERS, *given))


def test_thresholds_of_qonnx():
    thresholds = np.sort(floats(4, 3), axis=1)
    attributes = {"out_scale": 0.5, "out_bias": -1.0}
    model = file("MultiThreshold", IMAGE, [thresholds], attributes, domain=DOMAIN)
    got = interpret(model, IMAGE)["y"].astype(np.float64)
    assert_array_equal(got, multithreshold(IMAGE, thresholds, 0.5, -1.0))
