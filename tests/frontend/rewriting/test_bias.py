from fractions import Fraction

import numpy as np
import pytest
from onnx import numpy_helper

from hawq.frontend.qdq import qdq_to_qonnx

DATA, WEIGHTS = np.float32(0.0371), np.float32([0.0613, 0.1, 0.77])
ROUNDED = DATA * WEIGHTS
EXACT = [Fraction(DATA.item()) * Fraction(w.item()) for w in WEIGHTS]


def scales(model, name):
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    node = next(n for n in model.graph.node if n.output[0] == name)
    return [Fraction(s) for s in constants[node.input[1]].ravel().tolist()]


def layer(file, operator, bias_scale, through=(), **attributes):
    """A layer of two inputs and three outputs; returns its bias and its output."""
    x = file.pair("x", DATA)
    for between in through:
        x = file.node(between, x)
    w = file.weights(np.ones((2, 3)), WEIGHTS, axis=1)
    b = file.weights([1, -2, 3], bias_scale, "i4", axis=0)
    if operator == "Gemm":
        return b, file.node("Gemm", x, w, b, **attributes)
    return b, file.node("Add", file.node("MatMul", x, w), b)


@pytest.mark.parametrize("operator", ["Gemm", "Add"])
@pytest.mark.parametrize("through", [(), ("Flatten",), ("Relu", "Identity")])
def test_a_rounded_product_of_scales_is_the_product(operator, through, onnx_file):
    """brevitas#515: the bias is a whole number of the accumulator's steps."""
    file = onnx_file(1, 2)
    b, y = layer(file, operator, ROUNDED, through)
    assert scales(qdq_to_qonnx(file.model(y)), b) == EXACT


def test_a_convolution_counts_too(onnx_file):
    file = onnx_file(1, 1, 3, 3)
    w = file.weights(np.ones((3, 1, 2, 2)), WEIGHTS, axis=0)
    b = file.weights([1, 2, 3], ROUNDED, "i4", axis=0)
    y = file.node("Conv", file.pair("x", DATA), w, b)
    assert scales(qdq_to_qonnx(file.model(y)), b) == EXACT


def test_any_other_scale_is_what_the_file_says(onnx_file):
    file = onnx_file(1, 2)
    other = np.nextafter(ROUNDED, np.float32(1))
    b, y = layer(file, "Gemm", other)
    given = [Fraction(s) for s in other.tolist()]
    assert scales(qdq_to_qonnx(file.model(y)), b) == given


def test_a_factor_of_the_product_is_not_looked_through(onnx_file):
    file = onnx_file(1, 2)
    b, y = layer(file, "Gemm", ROUNDED, alpha=2.0)
    given = [Fraction(s) for s in ROUNDED.tolist()]
    assert scales(qdq_to_qonnx(file.model(y)), b) == given


def test_a_constant_with_two_readers_keeps_its_scale(onnx_file):
    file = onnx_file(1, 2)
    b, y = layer(file, "Gemm", ROUNDED)
    z = file.node("Add", y, b)
    given = [Fraction(s) for s in ROUNDED.tolist()]
    assert scales(qdq_to_qonnx(file.model(z)), b) == given


def test_powers_of_two_stay_in_float32(onnx_file):
    file = onnx_file(1, 2)
    w = file.weights(np.ones((2, 3)), 0.25)
    b = file.weights([1, 2, 3], 0.125, "i4")
    y = file.node("Gemm", file.pair("x", 0.5), w, b)
    made = qdq_to_qonnx(file.model(y))
    assert {numpy_helper.to_array(t).dtype for t in made.graph.initializer} == {
        np.dtype("f4")
    }
