import numpy as np
import pytest
from network_file import NetworkFile
from numpy.testing import assert_array_equal
from onnx import TensorProto
from witness import assert_exact, samples, worth

from hawq.errors import NetworkError
from hawq.integer.lower import lower_model


def quantized(*shape, bits=6):
    file = NetworkFile(*shape)
    return file, file.quant("x", 0.25, bits, output="q")


def whole(file, *numbers):
    return file.constant(list(numbers), dtype="i8")


def test_reshape_flatten_and_identity_keep_the_integers():
    file, q = quantized(2, 3)
    a = file.node("Reshape", q, whole(file, 1, -1))
    b = file.node("Reshape", a, whole(file, -1, 3, 2))
    c = file.node("Reshape", b, whole(file, 0, 0, 1, -1))
    d = file.node("Identity", file.node("Flatten", c))
    x = np.arange(12.0).reshape(2, 2, 3) / 4
    graph = assert_exact(file.model(a, b, c, d), x)
    for name, shape in ((a, (2, 6)), (b, (2, 3, 2)), (c, (2, 3, 1, 2)), (d, (2, 6))):
        assert_array_equal(worth(graph, x, name), x.reshape(shape))


def test_a_shape_computed_from_the_data_is_a_constant():
    """Shape, Gather, Unsqueeze and Concat, as torch writes ``x.view(n, -1)``."""
    file, q = quantized(2, 3)
    batch = file.node("Gather", file.node("Shape", q), file.constant(0, dtype="i8"))
    column = file.node("Unsqueeze", batch, whole(file, 0))
    target = file.node("Concat", column, whole(file, -1), axis=0)
    y = file.node("Reshape", q, target)
    assert lower_model(file.model(y)).tensors[y].shape == (6,)
    assert_exact(file.model(y), samples(2, 3))


def test_axes_of_size_1_come_and_go():
    file, q = quantized(3, 1)
    a = file.node("Squeeze", q, whole(file, -1))
    b = file.node("Unsqueeze", a, whole(file, 1, 3))
    c = file.node("Squeeze", b, whole(file, 1, 3))
    graph = assert_exact(file.model(a, b, c), samples(3, 1))
    assert [graph.tensors[n].shape for n in (a, b, c)] == [(3,), (1, 3, 1), (3,)]


@pytest.mark.parametrize("order", [[0, 2, 1, 3], [0, 3, 1, 2], [0, 1, 2, 3]])
def test_axes_are_transposed(order):
    file, q = quantized(2, 3, 4)
    y = file.node("Transpose", q, perm=order)
    x = samples(2, 3, 4, step=0.25)
    assert_array_equal(
        worth(assert_exact(file.model(y), x), x, y), np.transpose(x, order)
    )


def test_transposes_at_a_fork_and_its_residual():
    """qonnx PR149: transposes stuck at forks and residual sums."""
    file, q = quantized(2, 3, 3)
    turned = file.node("Transpose", q, perm=[0, 2, 3, 1])
    w = file.weights([[1.0, -0.5], [0.25, 2.0]], 0.25)
    branch = file.quant(file.node("MatMul", turned, w), 0.3, 6)
    total = file.node("Add", branch, turned)
    y = file.node("Transpose", file.node("Relu", total), perm=[0, 3, 1, 2])
    assert_exact(file.model(y, branch), samples(2, 3, 3))


def test_constants_are_transposed_by_default_in_reverse():
    """qonnx PR149: the default of perm was missing."""
    file, q = quantized(2)
    w = file.node("Transpose", file.weights([[1.0, -3.0]]))
    assert_exact(file.model(file.node("MatMul", q, w)), samples(2))


@pytest.mark.parametrize("quantize_first", [True, False])
def test_constants_are_reshaped_before_or_after_they_are_quantized(quantize_first):
    file, q = quantized(2)
    flat = file.constant([1.0, -0.5, 0.25, 2.0, 0.25, -1.0])
    if quantize_first:
        flat = file.quant(flat, 0.25, 8)
    w = file.node("Reshape", flat, whole(file, 0, 1))
    w = file.node("Squeeze", file.node("Unsqueeze", w, whole(file, 0)), whole(file, 0))
    w = file.node("Reshape", w, whole(file, 2, -1))
    w = file.node("Dropout", file.node("Identity", w))
    if not quantize_first:
        w = file.quant(w, 0.25, 8)
    assert_exact(file.model(file.node("MatMul", q, w)), samples(2))


# --- casts ---------------------------------------------------------------------------


@pytest.mark.parametrize("to", [TensorProto.FLOAT, TensorProto.DOUBLE])
def test_casts_between_floats_change_nothing(to):
    file, q = quantized(3)
    assert_exact(file.model(file.node("Cast", q, to=to)), samples(3))


@pytest.mark.parametrize("to", [TensorProto.INT8, TensorProto.INT64])
def test_casts_of_whole_numbers_that_fit_change_nothing(to):
    file = NetworkFile(3)
    y = file.node("Cast", file.quant("x", 1.0, 8), to=to)
    assert_exact(file.model(y), samples(3))


def cast(scale, to):
    file = NetworkFile(3)
    return file.model(file.node("Cast", file.quant("x", scale, 8), output="y", to=to))


@pytest.mark.parametrize(
    ("scale", "to"),
    [
        (0.5, TensorProto.INT32),
        (1.0, TensorProto.UINT8),
        (2.0, TensorProto.INT8),
        (1.0, TensorProto.FLOAT16),
        (1.0, TensorProto.BOOL),
        (1.0, 99),
    ],
)
def test_casts_that_may_change_a_value_are_refused(scale, to):
    message = (
        rf"^node 'the_y' \(Cast\): casts to type {to}, which may not hold every value: "
        r"use a Quant instead$"
    )
    with pytest.raises(NetworkError, match=message):
        lower_model(cast(scale, to))


# --- refusals ------------------------------------------------------------------------

REFUSALS = {
    "batch reshaped away": (
        lambda f: f.node("Reshape", "q", whole(f, 2, -1), output="y"),
        r"^node 'the_y' \(Reshape\): shape \[2, -1\] does not keep the batch as the "
        r"first axis$",
    ),
    "impossible reshape": (
        lambda f: f.node("Reshape", "q", whole(f, 1, 3), output="y"),
        r"^node 'the_y' \(Reshape\): shape \(2, 1\) does not fit the shape \[3\]$",
    ),
    "two open sizes": (
        lambda f: f.node("Reshape", "q", whole(f, -1, -1), output="y"),
        r"^node 'the_y' \(Reshape\): shape \[-1, -1\] leaves two sizes open$",
    ),
    "samples reshaped to batches": (
        lambda f: f.node("Reshape", "q", whole(f, -1, 1), output="y"),
        r"^node 'the_y' \(Reshape\): shape \(2, 1\) does not fit the shape \[1\]$",
    ),
    "flattened batch": (
        lambda f: f.node("Flatten", "q", output="y", axis=0),
        r"^node 'the_y' \(Flatten\): axis 0, expected 1, which keeps the batch$",
    ),
    "moved batch": (
        lambda f: f.node("Transpose", "q", output="y"),
        r"^node 'the_y' \(Transpose\): perm \[2, 1, 0\] moves the batch: keep it the "
        r"first axis$",
    ),
    "impossible transpose": (
        lambda f: f.node("Transpose", "q", output="y", perm=[0, 1]),
        r"^node 'the_y' \(Transpose\): perm \[0, 1\] does not fit 3 axes$",
    ),
    "squeezed batch": (
        lambda f: f.node("Squeeze", "q", whole(f, 0), output="y"),
        r"^node 'the_y' \(Squeeze\): axes \[0\] of samples of shape \(2, 1\) are not "
        r"of size 1$",
    ),
    "squeezed axis that does not exist": (
        lambda f: f.node("Squeeze", "q", whole(f, 9), output="y"),
        r"^node 'the_y' \(Squeeze\): axes \[9\] of samples of shape \(2, 1\) are not "
        r"of size 1$",
    ),
    "axis before the batch": (
        lambda f: f.node("Unsqueeze", "q", whole(f, 0), output="y"),
        r"^node 'the_y' \(Unsqueeze\): axes \[0\] lie before the batch or beyond the "
        r"samples: use others$",
    ),
    "axis beyond the samples": (
        lambda f: f.node("Unsqueeze", "q", whole(f, 9), output="y"),
        r"^node 'the_y' \(Unsqueeze\): axes \[9\] lie before the batch or beyond the "
        r"samples: use others$",
    ),
    "computed shape": (
        lambda f: f.node("Reshape", "q", "q", output="y"),
        r"^node 'the_y' \(Reshape\): input 'q' is not an initializer: fold constants "
        r"first \(qonnx-cleanup\)$",
    ),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_cannot_be_carried_is_refused_by_name(kind):
    write, message = REFUSALS[kind]
    file, _ = quantized(2, 1)
    with pytest.raises(NetworkError, match=message):
        lower_model(file.model(write(file)))
