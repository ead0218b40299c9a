import numpy as np
import pytest
from network_file import NetworkFile
from numpy.testing import assert_array_equal
from witness import assert_exact, samples, worth

from hawq.errors import NetworkError
from hawq.integer.lower import lower_model
from hawq.integer.nodes import Affine


def quantized(*shape):
    file = NetworkFile(*shape)
    return file, file.quant("x", 0.25, 6, output="q")


def whole(file, *numbers):
    return file.constant(list(numbers), dtype="i8")


def moved(x, operator, *lists, **attributes):
    file, q = quantized(*x.shape[1:])
    names = [v if isinstance(v, str) else whole(file, *v) for v in lists]
    y = file.node(operator, q, *names, **attributes)
    return worth(assert_exact(file.model(y), x), x, y)


X = samples(3, 5, step=0.25)


@pytest.mark.parametrize(
    ("cut", "index"),
    [
        ([[1], [3], [2]], np.s_[:, :, 1:3]),
        ([[0, 1], [2, 99], [1, 2], [1, 2]], np.s_[:, 0:2, 1::2]),
        ([[-2], [2**62], [-1]], np.s_[:, :, -2:]),
        ([[4], [-99], [2], [-2]], np.s_[:, :, ::-2]),
        ([[-1], [-4], [2], [-1]], np.s_[:, :, -1:-4:-1]),
        ([[0, 1], [1, 2]], np.s_[0:1, 1:2]),
    ],
    ids=str,
)
def test_slices(cut, index):
    assert_array_equal(moved(X[:1], "Slice", *cut), X[:1][index])


def test_slices_with_attributes():
    got = moved(X, "Slice", starts=[1], ends=[4], axes=[2])
    assert_array_equal(got, X[:, :, 1:4])


@pytest.mark.parametrize("axis", [2, -1])
@pytest.mark.parametrize("sizes", [[2, 3], [1, 4]])
def test_parts_of_given_sizes(axis, sizes):
    file, q = quantized(3, 5)
    parts = file.split("Split", 2, q, whole(file, *sizes), axis=axis)
    graph = assert_exact(file.model(*parts), X)
    joined = np.concatenate([worth(graph, X, p) for p in parts], axis=2)
    assert_array_equal(joined, X)


def test_equal_parts():
    file, q = quantized(4)
    a, b = file.split("Split", 2, q, axis=1)
    assert_exact(file.model(file.node("Sub", a, b)), samples(4))


@pytest.mark.parametrize("indices", [[2, 0, 0], [-1], [[0, 1], [2, 2]]])
def test_gathered_elements(indices):
    file, q = quantized(3, 5)
    y = file.node("Gather", q, file.constant(indices, dtype="i8"), axis=1)
    got = worth(assert_exact(file.model(y), X), X, y)
    assert_array_equal(got, np.take(X, indices, axis=1))


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
@pytest.mark.parametrize("quantize_last", [True, False])
def test_padding(mode, quantize_last):
    file = NetworkFile(3, 5)
    x = "x" if quantize_last else file.quant("x", 0.3, 6)
    y = file.node("Pad", x, whole(file, 0, 0, 2, 0, 1, 1), mode=mode)
    y = file.quant(y, 0.3, 6) if quantize_last else y
    graph = assert_exact(file.model(y), X)
    assert graph.tensors[y].shape == (4, 8)


def test_padding_shows_in_the_bounds():
    file = NetworkFile(2)
    q = file.node("Add", file.quant("x", 1.0, 2, signed=0), file.constant(5.0))
    y = file.node("Pad", q, whole(file, 0, 1, 0, 0))
    tensor = assert_exact(file.model(y), samples(2)).tensors[y]
    assert (tensor.lows.tolist(), tensor.highs.tolist()) == ([0, 5, 5], [0, 8, 8])


# --- upsampling ----------------------------------------------------------------------

IMAGE = samples(4, 2, 3, step=0.25)
TWICE = IMAGE.repeat(2, axis=2).repeat(3, axis=3)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"nearest_mode": "round_prefer_ceil"},
        {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        {"coordinate_transformation_mode": "pytorch_half_pixel"},
        {"coordinate_transformation_mode": "half_pixel_symmetric"},
    ],
    ids=str,
)
@pytest.mark.parametrize("by_size", [True, False])
def test_resize_by_whole_factors_repeats(attributes, by_size):
    file, q = quantized(4, 2, 3)
    if by_size:
        names = ["", "", whole(file, 1, 4, 4, 9)]
    else:
        names = ["", file.constant([1.0, 1.0, 2.0, 3.0])]
    y = file.node("Resize", q, *names, mode="nearest", **attributes)
    got = worth(assert_exact(file.model(y), IMAGE), IMAGE, y)
    assert_array_equal(got, TWICE)


@pytest.mark.parametrize("as_attribute", [True, False])
def test_upsample_repeats(as_attribute):
    file, q = quantized(4, 2, 3)
    factors = [1.0, 1.0, 2.0, 3.0]
    if as_attribute:
        y = file.node("Upsample", q, scales=factors)
    else:
        y = file.node("Upsample", q, file.constant(factors))
    assert_array_equal(worth(assert_exact(file.model(y), IMAGE), IMAGE, y), TWICE)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_goes_to_space_and_back(mode):
    file, q = quantized(8, 2, 3)
    y = file.node("DepthToSpace", q, blocksize=2, mode=mode)
    z = file.node("SpaceToDepth", y, blocksize=2)
    x = samples(8, 2, 3, step=0.25)
    graph = assert_exact(file.model(y, z), x)
    assert graph.tensors[y].shape == (2, 4, 6)
    got = worth(graph, x, z)
    if mode == "DCR":
        assert_array_equal(got, x)
    else:
        assert_array_equal(
            got, x.reshape(-1, 2, 4, 2, 3).swapaxes(1, 2).reshape(x.shape)
        )


# --- joins ---------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("scale", [0.25, 0.5, 0.3])
def test_tensors_of_any_scales_are_joined(axis, scale):
    file, q = quantized(3, 5)
    other = file.quant(q, scale, 4)
    y = file.node("Concat", q, other, q, axis=axis)
    graph = assert_exact(file.model(y), X)
    assert any(isinstance(n, Affine) for n in graph.nodes) == (scale != 0.25)


def test_a_transpose_before_a_join():
    """finn#892: a transpose before concat failed in shape inference."""
    file, q = quantized(2, 3, 4)
    a = file.node("Transpose", q, perm=[0, 2, 3, 1])
    b = file.node("Transpose", file.quant(q, 0.3, 4), perm=[0, 2, 3, 1])
    y = file.node("Transpose", file.node("Concat", a, b, axis=3), perm=[0, 3, 1, 2])
    assert_exact(file.model(y), samples(2, 3, 4))


# --- constants -----------------------------------------------------------------------


def test_quantized_constants_are_sliced_along_their_own_axes():
    """A constant has no batch: axis 0 is its first."""
    file, q = quantized(2)
    w = file.weights([[1.0, 2.0], [3.0, -4.0], [5.0, 6.0]])
    part = file.node("Slice", w, whole(file, 1), whole(file, 3), whole(file, 0))
    y = file.node("MatMul", q, part)
    x = samples(2, step=0.25)
    expected = x @ [[3.0, -4.0], [5.0, 6.0]]
    assert_array_equal(worth(assert_exact(file.model(y), x), x, y), expected)


def test_quantized_constants_are_padded_with_zeros():
    file, q = quantized(3)
    w = file.node("Pad", file.weights([[1.0], [2.0]]), whole(file, 1, 0, 0, 0))
    y = file.node("MatMul", q, w)
    x = samples(3, step=0.25)
    assert_array_equal(
        worth(assert_exact(file.model(y), x), x, y), x @ [[0.0], [1.0], [2.0]]
    )


def test_rows_of_a_quantized_constant_are_gathered():
    file, q = quantized(2)
    w = file.node("Gather", file.weights([[1.0], [2.0]]), whole(file, 1, 0))
    assert_exact(file.model(file.node("MatMul", q, w)), samples(2))


# --- refusals ------------------------------------------------------------------------

REFUSALS = {
    "a slice of the batch": (
        lambda f: f.node("Slice", "q", whole(f, 1), whole(f, 2), output="y"),
        r"^node 'the_y' \(Slice\): makes 0 elements of samples of shape \(1, 2, 3\), "
        r"expected the batch kept and at most 16777216$",
    ),
    "a slice that does not fit together": (
        lambda f: f.node("Slice", "q", whole(f, 1, 1), whole(f, 2), output="y"),
        r"^node 'the_y' \(Slice\): starts, ends, axes and steps do not fit together: "
        r"export again$",
    ),
    "a slice of another axis": (
        lambda f: f.node(
            "Slice", "q", whole(f, 1), whole(f, 2), whole(f, 7), output="y"
        ),
        r"^node 'the_y' \(Slice\): does not fit samples of shape \(1, 2, 3\): .*$",
    ),
    "parts of the batch": (
        lambda f: f.node("Split", "q", output="y"),
        r"^node 'the_y' \(Split\): axis 0 is the batch, or does not exist: use a later "
        r"one$",
    ),
    "parts of another size": (
        lambda f: f.node("Split", "q", whole(f, 4), output="y", axis=3),
        r"^node 'the_y' \(Split\): parts of \[4\] do not make up the 3 of axis 3$",
    ),
    "gathered samples": (
        lambda f: f.node("Gather", "q", whole(f, 0), output="y"),
        r"^node 'the_y' \(Gather\): gathers along the batch: use a later axis$",
    ),
    "gathered beyond": (
        lambda f: f.node("Gather", "q", whole(f, 5), output="y", axis=3),
        r"^node 'the_y' \(Gather\): does not fit samples of shape \(1, 2, 3\): .*$",
    ),
    "padding with a number": (
        lambda f: f.node("Pad", "q", whole(f, *[0] * 8), f.constant(1.0), output="y"),
        r"^node 'the_y' \(Pad\): mode 'constant' with 1.0 is not carried: pad with 0$",
    ),
    "padding by wrapping": (
        lambda f: f.node("Pad", "q", whole(f, *[0] * 8), output="y", mode="wrap"),
        r"^node 'the_y' \(Pad\): mode 'wrap' with 0.0 is not carried: pad with 0$",
    ),
    "cropping": (
        lambda f: f.node("Pad", "q", whole(f, *[-1] * 8), output="y"),
        r"^node 'the_y' \(Pad\): pads \[-1, .*\], expected two numbers of 0 or more an "
        r"axis$",
    ),
    "padding beyond all memory": (
        lambda f: f.node("Pad", "q", whole(f, *[0] * 7, 2**40), output="y"),
        r"^node 'the_y' \(Pad\): pads \[0, .*\] make more than 16777216 elements$",
    ),
    "linear upsampling": (
        lambda f: f.node("Resize", "q", "", output="y", mode="linear"),
        r"^node 'the_y' \(Resize\): only nearest-neighbour upsampling is exact: use "
        r"mode='nearest'$",
    ),
    "upsampling without factors": (
        lambda f: f.node("Resize", "q", "", output="y"),
        r"^node 'the_y' \(Resize\): has neither scales nor sizes: export again$",
    ),
    "upsampling by a fraction": (
        lambda f: f.node("Upsample", "q", f.constant([1.0, 1, 1.5, 1]), output="y"),
        r"^node 'the_y' \(Upsample\): factors \[1.0, 1.0, 1.5, 1.0\], expected whole "
        r"numbers, 1 for the batch$",
    ),
    "upsampling beyond all memory": (
        lambda f: f.node("Upsample", "q", f.constant([1.0, 1, 2e9, 2e9]), output="y"),
        r"^node 'the_y' \(Upsample\): factors \[1, 1, 2000000000, 2000000000\] make "
        r"more than 16777216 elements$",
    ),
    "upsampling with shifted coordinates": (
        lambda f: f.node(
            "Resize",
            "q",
            "",
            f.constant([1.0, 1, 2, 2]),
            output="y",
            coordinate_transformation_mode="align_corners",
        ),
        r"^node 'the_y' \(Resize\): coordinates 'align_corners' with "
        r"'round_prefer_floor' are not plain repetition: use asymmetric with floor$",
    ),
    "blocks that do not fit": (
        lambda f: f.node("DepthToSpace", "q", output="y", blocksize=2),
        r"^node 'the_y' \(DepthToSpace\): does not fit samples of shape \(1, 2, 3\): "
        r".*$",
    ),
    "blocks of nothing": (
        lambda f: f.node("SpaceToDepth", "q", output="y", blocksize=0),
        r"^node 'the_y' \(SpaceToDepth\): does not fit samples of shape \(1, 2, 3\): "
        r".*$",
    ),
    "joined batches": (
        lambda f: f.node("Concat", "q", "q", output="y", axis=0),
        r"^node 'the_y' \(Concat\): axis 0 is the batch, or does not exist: use a "
        r"later one$",
    ),
    "data joined with a constant": (
        lambda f: f.node("Concat", "q", f.constant([1.0], "c"), output="y", axis=1),
        r"^node 'the_y' \(Concat\): input 'c' is a constant, expected the network's "
        r"data: put the data first$",
    ),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_cannot_be_carried_is_refused_by_name(kind):
    write, message = REFUSALS[kind]
    file, _ = quantized(1, 2, 3)
    with pytest.raises(NetworkError, match=message):
        lower_model(file.model(write(file)))
