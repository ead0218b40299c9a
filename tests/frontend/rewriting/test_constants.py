import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from hawq.errors import NetworkError
from hawq.frontend.rewriting.constants import fold_constants

VALUES = np.arange(-3, 3, dtype="f4").reshape(1, 2, 3)


def fold(file, y):
    file.node("Relu", "x", output="data")
    return fold_constants(file.model(y, opset=file_opset(file)).graph).get(y)


def file_opset(file):
    return getattr(file, "opset", 13)


@pytest.mark.parametrize(
    ("operator", "others", "attributes"),
    [
        ("Identity", [], {}),
        ("Cast", [], {"to": TensorProto.INT8}),
        ("Reshape", [[0, -1]], {}),
        ("Reshape", [[3, 2]], {}),
        ("Transpose", [], {}),
        ("Transpose", [], {"perm": [1, 0, 2]}),
        ("Squeeze", [], {}),
        ("Squeeze", [[0]], {}),
        ("Unsqueeze", [[0, 4]], {}),
        ("Neg", [], {}),
        ("Abs", [], {}),
    ],
)
def test_values_are_those_of_the_reference(operator, others, attributes, onnx_file):
    file = onnx_file(1)
    inputs = [file.constant(VALUES), *(file.constant(o, "i8") for o in others)]
    y = file.node(operator, *inputs, **attributes)
    (expected,) = ReferenceEvaluator(file.model(y)).run(None, {"x": np.zeros(1, "f4")})
    found = fold(file, y)
    assert found.dtype == expected.dtype
    assert_array_equal(found, expected)


@given(st.sampled_from(["Add", "Sub", "Mul", "Div"]), st.floats(0.25, 4, width=32))
def test_arithmetic_is_in_float32(onnx_file, operator, number):
    file = onnx_file(1)
    y = file.node(operator, file.constant(VALUES), file.constant([number]))
    (expected,) = ReferenceEvaluator(file.model(y)).run(None, {"x": np.zeros(1, "f4")})
    assert_array_equal(fold(file, y), expected)


def test_constant_nodes_in_all_their_forms(onnx_file):
    file = onnx_file(1)
    array = numpy_helper.from_array(np.int8([1, 2]))
    forms = [{"value": array}, {"value_float": 0.5}, {"value_ints": [3, 4]}]
    names = [file.node("Constant", output=f"c{i}", **f) for i, f in enumerate(forms)]
    folded = fold_constants(file.model(*names).graph)
    assert [folded[n].tolist() for n in names] == [[1, 2], 0.5, [3, 4]]
    assert [folded[n].dtype.str[1:] for n in names] == ["i1", "f4", "i8"]


def test_constants_of_a_shape(onnx_file):
    file = onnx_file(1)
    fill = numpy_helper.from_array(np.int32([7]))
    shapes = [file.constant(s, "i8") for s in ([2, 3], [0], [2**13, 2**12])]
    names = [file.node("ConstantOfShape", s, value=fill) for s in shapes]
    plain = file.node("ConstantOfShape", shapes[0])
    folded = fold_constants(file.model(*names, plain).graph)
    assert folded[names[0]].tolist() == [[7] * 3] * 2
    assert folded[names[0]].dtype == np.int32
    assert folded[names[1]].size == 0
    assert names[2] not in folded
    assert folded[plain].tolist() == [[0] * 3] * 2
    assert folded[plain].dtype == np.float32


def test_axes_of_older_opsets_are_attributes(onnx_file):
    file = onnx_file(1)
    file.opset = 11
    y = file.node("Squeeze", file.constant(VALUES), axes=[0])
    assert fold(file, y).shape == (2, 3)


@pytest.mark.parametrize("operator", ["Add", "Mul"])
def test_integers_and_data_are_left_alone(operator, onnx_file):
    file = onnx_file(1)
    y = file.node(operator, file.constant([1], "i4"), file.constant([2], "i4"))
    z = file.node(operator, "x", file.constant([2.0]))
    assert fold(file, y) is None
    assert fold(file, z) is None


def test_a_product_that_would_fill_the_memory_is_left_alone(onnx_file):
    file = onnx_file(1)
    column, row = np.ones((2**13, 1), "f4"), np.ones((1, 2**12), "f4")
    y = file.node("Mul", file.constant(column), file.constant(row))
    assert fold(file, y) is None


def test_other_domains_are_left_alone(onnx_file):
    file = onnx_file(1)
    y = file.node("Identity", file.constant([1.0]), domain="com.microsoft")
    assert fold_constants(file.model(y, shape=(1,)).graph).keys() == {"constant0"}


def test_shapes_that_do_not_fit_are_refused(onnx_file):
    file = onnx_file(1)
    y = file.node(
        "Reshape", file.constant(VALUES), file.constant([4], "i8"), output="y"
    )
    model = file.model(y, shape=(4,))
    with pytest.raises(
        NetworkError,
        match=r"^node 'the_y' \(Reshape\): its constants do not fit together \(cannot "
        r"reshape array of size 6 into shape \(4,\)\): export it again$",
    ):
        fold_constants(model.graph)


def test_nothing_is_changed(onnx_file):
    file = onnx_file(1)
    model = file.model(file.node("Neg", file.constant([1.0])))
    before = onnx.ModelProto()
    before.CopyFrom(model)
    fold_constants(model.graph)
    assert model == before
