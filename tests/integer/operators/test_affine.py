from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_file import CHANNELS_LAST, NetworkFile
from numpy.testing import assert_array_equal
from witness import assert_exact, samples, worth

from hawq.errors import InexactError, NetworkError
from hawq.integer.lower import lower_model
from hawq.integer.nodes import Affine, Multiply, Quantize, Sum

X = np.array([[1.0, -2.0], [0.25, 1.5]])
THIRD = float(np.float32(1 / 3))


def quantized(*shape):
    file = NetworkFile(*shape)
    return file, file.quant("x", 0.25, 6, output="q")


@pytest.mark.parametrize("order", [("q", "c"), ("c", "q")])
@pytest.mark.parametrize("constant", [0.5, [0.75], [3.0, -1.25], [[THIRD, 2.0]]])
@pytest.mark.parametrize(
    ("operator", "closed_form"),
    [("Add", np.add), ("Sub", np.subtract), ("Mul", np.multiply)],
)
def test_constants_of_every_shape_on_either_side(
    operator, closed_form, constant, order
):
    file, _ = quantized(2)
    file.constant(constant, "c")
    y = file.node(operator, *order)
    graph = assert_exact(file.model(y), X)
    c = np.float32(constant).astype(np.float64)
    pair = (X, c) if order[0] == "q" else (c, X)
    assert_array_equal(worth(graph, X, y), closed_form(*pair))


def test_division_by_a_constant_is_exact():
    file, q = quantized(2)
    y = file.node("Div", q, file.constant([3.0, -0.5]))
    graph = assert_exact(file.model(y), X)
    assert graph.tensors[y].scale == Fraction(1, 12)


def test_negation():
    file, q = quantized(2)
    y = file.node("Neg", q)
    assert_array_equal(worth(assert_exact(file.model(y), X), X, y), -X)


@pytest.mark.parametrize("scale", [2.0**-8, 0.25, 4.0, 0.3])
def test_quantized_constants_of_any_scale_are_added(scale):
    file, q = quantized(2)
    y = file.node("Add", q, file.weights([8.0, -4.0], scale, bits=16))
    assert_exact(file.model(y), X)


def test_a_constant_of_one_number_and_an_axis_before_multithreshold():
    """qonnx#98: a shape error after a 1-D scalar Add."""
    file, q = quantized(3)
    shifted = file.node("Add", q, file.constant([0.5]))
    thresholds = file.constant([[-1.0, 0.0, 1.5]])
    y = file.node(
        "MultiThreshold", shifted, thresholds, domain="qonnx.custom_op.general"
    )
    x = np.array([[-1.75, -0.5, 1.0]])
    assert_array_equal(worth(assert_exact(file.model(y), x), x, y), [[0, 2, 3]])


# --- two tensors ---------------------------------------------------------------------


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize("scale", [0.5, 0.3])
def test_residuals_of_two_scales(operator, scale):
    file, q = quantized(2, 3)
    other = file.quant(file.node("Relu", q), scale, 4, mode="FLOOR")
    y = file.node(operator, q, other)
    graph = assert_exact(file.model(y), samples(2, 3))
    assert isinstance(graph.nodes[-1], Multiply if operator == "Mul" else Sum)


def test_the_shapes_of_two_tensors_broadcast():
    file, q = quantized(2, 3, 3)
    mean = file.node("GlobalAveragePool", q)
    y = file.node("Sub", file.node("Mul", q, mean), mean)
    assert_exact(file.model(y), samples(2, 3, 3))


def test_a_tensor_and_itself():
    file, q = quantized(2)
    y = file.node("Mul", file.node("Add", q, q), q)
    assert_array_equal(worth(assert_exact(file.model(y), X), X, y), 2 * X**2)


def test_zero_times_a_constant_beyond_64_bits():
    """Found by fuzzing: integers no input reaches overflowed beside a zero."""
    file = NetworkFile(2)
    q = file.quant("x", 1.0, 1, signed=0, mode="FLOOR")
    y = file.node("Mul", q, file.constant([1.0, 2.0**80]))
    none = file.node("Sub", y, y)
    z = file.node("Add", none, file.constant([2.0**100, THIRD]))
    assert_exact(file.model(z), np.array([[0.0, 5.0], [1.0, 0.0]]))


# --- batch norm ----------------------------------------------------------------------


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("mean", [[0.0, 0.0, 0.0], [0.5, -1.0, THIRD]])
def test_batch_norm_is_a_float64_factor_and_exact_otherwise(channels_last, mean):
    shape = (2, 2, 3) if channels_last else (3, 2, 2)
    file, q = quantized(*shape)
    parameters = ([1.0, -0.5, THIRD], [0.25, 0.0, 3.0], mean, [1.0, 0.3, 2.0])
    names = [file.constant(p) for p in parameters]
    domain = {"domain": CHANNELS_LAST} if channels_last else {}
    y = file.node("BatchNormalization", q, *names, **domain)
    assert_exact(file.model(y), samples(*shape))


def test_the_factor_of_batch_norm_is_a_number_of_the_closed_form():
    file, q = quantized(2)
    names = [file.constant(p) for p in ([3.0, 1.0], [0.0, 1.0], [0.5, 0.0], [4.0, 16])]
    y = file.node("BatchNormalization", q, *names, epsilon=0.0)
    expected = (X - [0.5, 0.0]) * [1.5, 0.25] + [0.0, 1.0]
    assert_array_equal(worth(assert_exact(file.model(y), X), X, y), expected)


def test_the_default_epsilon_is_a_float32():
    """Found by fuzzing: 1e-5 was read as a float64."""
    file, q = quantized(1)
    names = [file.constant([v]) for v in (1.0, 0.0, 0.0, 1.0)]
    y = file.node("BatchNormalization", q, *names)
    assert_exact(file.model(y), X[:, :1])


@given(st.floats(-100, 100, width=32), st.floats(0.125, 100, width=32))
def test_the_factor_of_batch_norm_is_correctly_rounded(gamma, variance):
    file, q = quantized(1)
    names = [file.constant([v]) for v in (gamma, 0.0, 0.0, variance)]
    y = file.node("BatchNormalization", q, *names, epsilon=1e-3)
    assert_exact(file.model(y), np.array([[1.0]]))


# --- before the quantizer ------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.25, 0.3])
def test_real_inputs_are_scaled_and_shifted_before_their_quantizer(scale):
    file = NetworkFile(2)
    y = file.node("Div", "x", file.constant([3.0, 0.7]))
    y = file.node("Sub", file.constant(THIRD), file.node("Neg", y))
    y = file.node("Mul", file.node("Add", y, file.constant([[1.0, 2.0]])), "half")
    file.constant(0.5, "half")
    q = file.quant(y, scale, 6, mode="FLOOR")
    graph = assert_exact(file.model(q), samples(2, step=2.0**-10, count=64))
    assert [type(node) for node in graph.nodes] == [Quantize]


def test_one_constant_follows_a_rearrangement():
    file = NetworkFile(2, 3)
    turned = file.node("Transpose", "x", perm=[0, 2, 1])
    q = file.quant(file.node("Mul", turned, file.constant(0.3)), 0.25, 6)
    assert_exact(file.model(q), samples(2, 3))


# --- constants -----------------------------------------------------------------------


def test_quantized_constants_are_combined_exactly():
    file, q = quantized(2)
    a, b = file.weights([1.0, 2.0], 0.3), file.weights([-1.0, 3.0], 0.7)
    total = file.node("Sub", file.node("Mul", a, b), file.node("Add", a, b))
    y = file.node("Add", q, file.node("Div", total, file.constant(3.0)))
    assert_exact(file.model(y), X)


def test_plain_constants_are_combined_in_float32():
    file, q = quantized(2)
    root = file.node("Sqrt", file.constant([2.0, 3.0]))
    y = file.node("Add", q, file.node("Mul", root, file.constant(0.1)))
    graph = assert_exact(file.model(y), X)
    total = np.sqrt(np.float32([2.0, 3.0])) * np.float32(0.1)
    assert_array_equal(worth(graph, X, y), X + total.astype(np.float64))


# --- refusals ------------------------------------------------------------------------


def refused(write, message, error=NetworkError, shape=(2,)):
    file, _ = quantized(*shape)
    with pytest.raises(error, match=message):
        lower_model(file.model(write(file)))


def test_a_constant_that_does_not_fit_is_refused():
    refused(
        lambda f: f.node("Add", "q", f.constant([1.0] * 3), output="y"),
        r"^node 'the_y' \(Add\): a constant of shape \(3,\) does not fit samples of "
        r"shape \(2,\)$",
    )


def test_a_constant_that_depends_on_the_sample_is_refused():
    refused(
        lambda f: f.node("Add", "q", f.constant(np.ones((2, 2))), output="y"),
        r"^node 'the_y' \(Add\): a constant of shape \(2, 2\) does not fit samples of "
        r"shape \(2,\)$",
    )


def test_division_by_zero_is_refused():
    refused(
        lambda f: f.node("Div", "q", f.constant([1.0, 0.0]), output="y"),
        r"^node 'the_y' \(Div\): divides by zero: export again$",
    )


def test_division_by_data_is_refused():
    refused(
        lambda f: f.node("Div", "q", "q", output="y"),
        r"^node 'the_y' \(Div\): input 'q' is computed by the network, expected a "
        r"constant$",
    )


def test_infinite_constants_are_refused():
    refused(
        lambda f: f.node("Mul", "q", f.constant([np.inf], "c"), output="y"),
        r"^node 'the_y' \(Mul\): constant 'c' has NaN or infinity: export again$",
    )


def test_constants_of_no_common_grid_are_refused():
    refused(
        lambda f: f.node("Mul", "q", f.constant([1e-200, 1.0], dtype="f8"), output="y"),
        r"^tensor 'y': its scales, from 2.5e-201 to 0.25, have no common grid of fewer "
        r"than 512 bits: use power-of-two scales$",
        InexactError,
    )


def test_batch_norm_in_training_is_refused():
    def write(file):
        names = [file.constant([1.0, 1.0]) for _ in range(4)]
        return file.node("BatchNormalization", "q", *names, output="y", training_mode=1)

    refused(
        write,
        r"^node 'the_y' \(BatchNormalization\): training_mode=1 depends on the batch: "
        r"export in eval mode$",
    )


def test_a_variance_below_zero_is_refused():
    def write(file):
        names = [file.constant([v, v]) for v in (1.0, 1.0, 1.0, -1.0)]
        return file.node("BatchNormalization", "q", *names, output="y")

    refused(
        write,
        r"^node 'the_y' \(BatchNormalization\): variance \+ epsilon is not above 0: "
        r"export again$",
    )


def test_a_shift_after_padding_of_real_data_is_refused():
    """Else the padding would be shifted too."""
    refused(
        lambda f: f.quant(
            f.node(
                "Add",
                f.node("Pad", "x", f.constant([0, 1, 0, 1], dtype="i8")),
                f.constant(1.0),
                output="y",
            ),
            1.0,
            4,
        ),
        r"^node 'the_y' \(Add\): real data is padded before it is shifted: put the "
        r"Quant first$",
    )


def test_constants_an_element_after_a_rearrangement_are_refused():
    refused(
        lambda f: f.quant(
            f.node(
                "Mul",
                f.node("Flatten", "x"),
                f.constant([1.0, 2.0, 3.0, 4.0]),
                output="y",
            ),
            1.0,
            4,
        ),
        r"^node 'the_y' \(Mul\): real data is rearranged before a constant per "
        r"element: put the Quant first$",
        shape=(2, 2),
    )


def test_an_affine_on_data_is_one_node():
    file, q = quantized(2)
    y = file.node("Add", q, file.constant(0.5))
    assert isinstance(lower_model(file.model(y)).nodes[-1], Affine)
