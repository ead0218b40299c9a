from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hawq.integer.executor import kernels
from hawq.integer.executor.epilogue import Epilogue
from hawq.integer.executor.kernels import Correlation, Product
from hawq.integer.nodes import Conv, Dense, Window

PLAIN = Epilogue("float32")


def test_a_product_adds_the_bias_of_its_last_row():
    node = Dense(("x",), "y", np.array([[1, 2], [3, 4]]), Fraction(1), np.array([5, 6]))
    out = np.empty((3, 2, 1), dtype=np.float32)
    x = np.array([[1, 2], [0, 1], [-1, 0]], dtype=np.float32)
    full = np.concatenate([x, np.ones((3, 1), dtype=np.float32)], axis=1)[..., None]
    Product.of(node, 0.5, "float32").run(full, out, PLAIN)
    assert_array_equal(out[..., 0] * 2, x @ [[1, 2], [3, 4]] + [5, 6])


def test_a_product_may_be_wider_than_its_result():
    node = Dense(("x",), "y", np.array([[2**30]]), Fraction(1))
    out = np.empty((1, 2), dtype=np.float32)
    x = np.array([[3.0, 5.0], [1.0, 1.0]])
    Product.of(node, 2.0**-30, "float64").run(x, out, Epilogue("float64"))
    assert_array_equal(out, [[3, 5]])


def slow(x, weights, bias, window, groups):
    """Each output by the definition; channels first."""
    outputs, depth = weights.shape[:2]
    rows, columns = window.output_sizes(x.shape[1:])
    (sy, sx), (dy, dx), pads = window.strides, window.dilations, window.pads
    y = np.zeros((outputs, rows, columns), dtype=int)
    for o, i, j in np.ndindex(y.shape):
        total = bias[o]
        for c, ky, kx in np.ndindex(depth, *window.kernel):
            row, column = i * sy + ky * dy - pads[0], j * sx + kx * dx - pads[1]
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                channel = o // (outputs // groups) * depth + c
                total += weights[o, c, ky, kx] * x[channel, row, column]
        y[o, i, j] = total
    return y


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("elements", [1, 300, 1 << 17])
@pytest.mark.parametrize(
    ("strides", "dilations", "pads"),
    [
        ((1, 1), (1, 1), (0, 0, 0, 0)),
        ((2, 1), (1, 2), (1, 0, 2, 1)),
        ((2, 3), (2, 1), (0, 2, 1, 2)),
    ],
)
def test_a_correlation_is_what_it_is_by_definition(
    strides, dilations, pads, elements, groups, last, monkeypatch
):
    monkeypatch.setattr(kernels, "_BLOCK_ELEMENTS", elements)
    random = np.random.default_rng(0)
    window = Window((3, 2), strides, dilations, pads, last)
    weights = random.integers(-9, 9, (8, 4 // groups, 3, 2))
    bias = random.integers(-99, 99, 8)
    node = Conv(("x",), "y", weights, Fraction(1), window, groups, bias)
    samples = random.integers(-128, 128, (3, 4, 7, 6))
    expected = [slow(x, weights, bias, window, groups) for x in samples]
    x = np.moveaxis(samples, 0, -1).astype(np.float32)
    out = np.empty((*expected[0].shape, 3), dtype=np.float32)
    turn = (lambda a: np.moveaxis(a, 0, -2)) if last else (lambda a: a)
    Correlation.of(node, 1.0, "float32").run(turn(x), turn(out), PLAIN)
    assert_array_equal(np.moveaxis(out, -1, 0), expected)


def test_a_correlation_over_one_axis():
    window = Window((2,), (1,), (1,), (0, 1))
    weights = np.array([[[1, 10]]])
    node = Conv(("x",), "y", weights, Fraction(1), window)
    out = np.empty((1, 3, 1), dtype=np.float32)
    x = np.array([[[1], [2], [3]]], dtype=np.float32)
    Correlation.of(node, 1.0, "float32").run(x, out, PLAIN)
    assert_array_equal(out.ravel(), [21, 32, 3])
