from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hawq.fixed import FixedPoint
from hawq.integer import execute as execution
from hawq.integer.evaluate import evaluate
from hawq.integer.execute import CARRIERS, execute
from hawq.integer.executor import images
from hawq.integer.executor.epilogue import Epilogue, bend
from hawq.integer.executor.images import ImageConvolution, exact
from hawq.integer.executor.kernels import Correlation
from hawq.integer.executor.moves import MoveStep
from hawq.integer.executor.plan import compile_plan
from hawq.integer.graph import build
from hawq.integer.grid import Grid
from hawq.integer.nodes import Concat, Conv, MaxPool, Quantize, Requantize, Window
from hawq.integer.tensor import RealInput

PLAIN = Epilogue("float32")


@st.composite
def convolutions(draw):
    """A node, and integers for it whose sums reach up to 2**24 but not beyond."""
    groups = draw(st.sampled_from([1, 1, 2, 4, 8]))
    depth, outputs = draw(st.integers(1, 17)), draw(st.integers(1, 17))
    size = st.integers(1, 3)
    window = Window(
        (draw(size), draw(size)),
        (draw(size), draw(size)),
        (draw(size), draw(size)),
        tuple(draw(st.integers(0, 3)) for _ in range(4)),
        draw(st.booleans()),
    )
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (groups * outputs, depth, *window.kernel)
    spatial = [7 + draw(st.integers(0, 9)) for _ in range(2)]
    terms = depth * window.kernel[0] * window.kernel[1]
    weight = draw(st.sampled_from([1, 3, 127]))
    most = (2**24 - 1) // (terms * weight + 1)  # the bias is as large as an input
    if draw(st.booleans()):
        samples = draw(st.integers(1, 2))
        x = random.integers(-most, most + 1, (samples, *spatial, groups * depth))
        weights = random.integers(-weight, weight + 1, shape)
    else:  # every sum at its bound
        x = np.full((1, *spatial, groups * depth), most)
        weights = np.full(shape, draw(st.sampled_from([-weight, weight])))
    bias = random.integers(-most, most + 1, len(weights))
    node = Conv(("x",), "y", weights, Fraction(1), window, groups, bias)
    x = np.moveaxis(x, 0, -1)
    return node, x if window.channels_last else np.moveaxis(x, 2, 0)


@settings(deadline=None, max_examples=300)
@given(convolutions(), st.sampled_from([1, 200, 1 << 16]))
def test_images_convolve_as_python_integers_do(drawn, elements):
    node, x = drawn
    expected = evaluate(node, (), [x.astype(object)])
    given_x = x.astype(np.float32)
    out = np.empty(expected.shape, dtype=np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "_BLOCK_ELEMENTS", elements)
        ImageConvolution.of(node, 0.5).run(given_x, out, PLAIN)
    assert_array_equal((out * 2).astype(np.int64), expected.astype(np.int64))
    assert_array_equal(given_x, x)


CLIP = (np.clip, (-40.0, 90.0))
FUSED = {
    "bend": Epilogue("float32", ((bend, (0.25,)),), ((np.rint, ()), CLIP)),
    "clip": Epilogue("float32", (), ((np.rint, ()), CLIP)),
    "clip alone": Epilogue("float32", (), (CLIP,)),
}
NOT_FUSED = {
    "steep bend": Epilogue("float32", ((bend, (2.0,)),)),
    "one limit": Epilogue("float32", (), ((np.clip, (0.0, np.inf)),)),
    "an offset first": Epilogue("float32", ((np.add, (1.0,)),), (CLIP,)),
    "a lift": Epilogue("float32", (), ((np.rint, ()), (np.subtract, (1.0,)), CLIP)),
    "a lift alone": Epilogue("float32", (), ((np.subtract, (1.0,)), CLIP)),
    "float64": Epilogue("float64", (), (CLIP,)),
}


@pytest.mark.parametrize("name", [*FUSED, *NOT_FUSED])
@pytest.mark.parametrize("channels_last", [True, False])
def test_what_follows_is_the_same_in_one_pass(name, channels_last):
    random = np.random.default_rng(0)
    window = Window((3, 3), (1, 1), (1, 1), (1, 1, 1, 1), channels_last)
    weights = random.integers(-7, 8, (8, 4, 3, 3))
    bias = random.integers(-50, 50, 8)
    node = Conv(("x",), "y", weights, Fraction(1), window, bias=bias)
    shape = (12, 10, 4, 2) if channels_last else (4, 12, 10, 2)
    x = random.integers(-8, 8, shape).astype(np.float32)
    plain, epilogue = ImageConvolution.of(node, 0.25), (FUSED | NOT_FUSED)[name]
    made, rest = plain.fused(epilogue)
    assert (rest is not epilogue) == (name in FUSED)
    out, expected = (
        np.empty(evaluate(node, (), [x]).shape, dtype=epilogue.carrier) for _ in "ab"
    )
    plain.run(x, expected, epilogue)
    made.run(x, out, rest)
    assert_array_equal(out, expected)


def test_a_torch_without_fused_operations(monkeypatch):
    monkeypatch.setattr(images, "_FUSES", False)
    window = Window((1, 1), (1, 1), (1, 1), (0, 0, 0, 0))
    node = Conv(("x",), "y", np.ones((1, 1, 1, 1), dtype=np.int64), Fraction(1), window)
    plain = ImageConvolution.of(node, 1.0)
    assert plain.fused(FUSED["clip"]) == (plain, FUSED["clip"])


@pytest.mark.parametrize("groups", [1, 64])
def test_large_images_convolve_without_transforms(groups):
    """Winograd's and Fourier's transforms would round: sums are next to 2**24."""
    random = np.random.default_rng(0)
    window = Window((3, 3), (1, 1), (1, 1), (1, 1, 1, 1), True)
    most = 2**24 // (9 * 64 // groups * 7) - 1
    weights = random.choice([-7, 7], (64, 64 // groups, 3, 3))
    node = Conv(("x",), "y", weights, Fraction(1), window, groups)
    x = random.integers(-most, most + 1, (64, 64, 64, 1))
    x[:5, :5] = most
    expected = evaluate(node, (), [x.astype(np.float64)])
    out = np.empty(expected.shape, dtype=np.float32)
    ImageConvolution.of(node, 1.0).run(x.astype(np.float32), out, PLAIN)
    assert_array_equal(out, expected)


def test_torch_is_asked_for_true_float32_and_gets_its_settings_back():
    convolutions = torch.backends.mkldnn.conv
    before, threads = convolutions.fp32_precision, torch.get_num_threads()
    convolutions.fp32_precision = "bf16"
    try:
        with exact(1):
            assert convolutions.fp32_precision == "ieee"
            assert torch.get_num_threads() == 1
        assert convolutions.fp32_precision == "bf16"
        assert torch.get_num_threads() == threads
    finally:
        convolutions.fp32_precision = before


def network(weight, last):
    """Two branches of 3x3 convolutions, joined and pooled."""
    random = np.random.default_rng(3)
    window = Window((3, 3), (1, 1), (1, 1), (1, 1, 1, 1), last)
    shape = (12, 10, 4) if last else (4, 12, 10)
    grid = Grid.of(FixedPoint(True, 8, 3))
    nodes = [Quantize(("x",), "q", grid)]
    for name in "ab":
        weights = random.integers(-weight, weight + 1, (8, 4, 3, 3))
        weights[0] = weight
        nodes += [
            Conv(("q",), f"{name}0", weights, Fraction(1, 64), window),
            Requantize((f"{name}0",), name, grid),
        ]
    nodes += [
        Concat(("a", "b"), "c", 2 if last else 0),
        Requantize(("c",), "d", Grid.of(FixedPoint(True, 5, 3))),
        MaxPool(("d",), "e", Window((2, 2), (2, 2), (1, 1), (0,) * 4, last)),
    ]
    return build([RealInput("x", shape)], nodes, ["e"])


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    ("weight", "kernel"), [(3640, ImageConvolution), (3641, Correlation)]
)
def test_images_are_for_sums_up_to_two_to_the_24(weight, kernel, last):
    """36 products of an integer up to 128 and the weight: 16 773 120 or 16 777 728."""
    graph = network(weight, last)
    plan = compile_plan(graph, ["e"], images=True)
    assert type(plan.steps[1].kernel) is kernel
    assert [type(step) for step in plan.steps[3:]] == [MoveStep, MoveStep]


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("weight", [3, 3640, 3641])
def test_large_samples_are_images_with_the_same_integers(
    weight, threads, last, monkeypatch
):
    monkeypatch.setattr(execution, "_CHUNK_BYTES", 1)
    execution._plan.cache_clear()
    graph = network(weight, last)
    x = np.random.default_rng(4).normal(size=(3, *graph.inputs[0].shape)) * 4
    keep = tuple(graph.tensors)
    assert execution._plan(graph, keep, CARRIERS).images
    expected = execute(graph, x, keep, carriers=("object",))
    for names in (keep, ("e",)):
        got = execute(graph, x, names, threads=threads)
        for name in names:
            assert_array_equal(got[name], expected[name], err_msg=name)
    execution._plan.cache_clear()
