from fractions import Fraction

import numpy as np
import pytest

from hawq.fixed import FixedPoint, Overflow, Rounding
from hawq.integer.executor.moves import MoveStep
from hawq.integer.executor.plan import compile_plan
from hawq.integer.executor.steps import FloatStep, NodeStep, QuantizeStep, ReshapeStep
from hawq.integer.graph import build
from hawq.integer.grid import Grid
from hawq.integer.nodes import (
    Affine,
    Conv,
    Dense,
    LeakyRelu,
    MaxPool,
    Quantize,
    Relu,
    Requantize,
    Reshape,
    Window,
)
from hawq.integer.tensor import RealInput


def fixed(*args, **rest):
    return Grid.of(FixedPoint(*args, **rest))


def one_layer(weight, rounding=Rounding.HALF_EVEN, overflow=Overflow.SATURATE):
    """Two 8-bit inputs, one output: sums reach 256 * weight + 8."""
    return build(
        [RealInput("x", (2,))],
        [
            Quantize(("x",), "q", fixed(True, 8, 3)),
            Dense(("q",), "y", np.array([[weight], [weight]]), Fraction(1, 8)),
            Affine(("y",), "z", np.array(1), np.array([8]), Fraction(1, 256)),
            Relu(("z",), "r"),
            Requantize(("r",), "s", fixed(False, 6, 2, rounding, overflow)),
        ],
        ["s"],
    )


def carrier_of(steps, name):
    """The number type that computes a tensor, whichever type then holds it."""
    for step in steps:
        if isinstance(step, FloatStep) and step.target == name:
            return step.epilogue.carrier
        if isinstance(step, NodeStep) and step.node.output == name:
            return step.carrier
    return None


def kinds(plan):
    return [type(step) for step in plan.steps]


def carriers(plan):
    return {name: slot.carrier for name, slot in plan.slots.items()}


def test_a_layer_becomes_one_float_step():
    plan = compile_plan(one_layer(31), ["s"])
    assert kinds(plan) == [QuantizeStep, FloatStep]
    assert carriers(plan) == {"q": "float32", "s": "float32"}
    assert plan.steps[1].epilogue.after == ((np.rint, ()), (np.clip, (0, 63)))


def test_a_tensor_that_is_kept_splits_the_step():
    plan = compile_plan(one_layer(31), ["z", "s"])
    assert kinds(plan) == [QuantizeStep, FloatStep, FloatStep]
    assert set(plan.slots) == {"q", "z", "s"}


def test_a_tensor_read_twice_splits_the_step():
    graph = one_layer(31)
    nodes = [*graph.nodes, Relu(("z",), "t")]
    plan = compile_plan(build(graph.inputs, nodes, ["s", "t"]), ["s", "t"])
    assert set(plan.slots) == {"q", "z", "s", "t"}


@pytest.mark.parametrize(
    ("weight", "carrier"),
    [
        (2**16 - 1, "float32"),
        (2**16, "float64"),
        (2**45 - 1, "float64"),
        (2**45, "int64"),
        (2**54 - 1, "int64"),
        (2**54, "object"),
    ],
)
def test_the_number_type_holds_every_partial_sum(weight, carrier):
    steps = compile_plan(one_layer(weight), ["z"]).steps
    assert carrier_of(steps, "z") == carrier


@pytest.mark.parametrize("rounding", Rounding)
def test_every_rounding_mode_is_done_in_floats(rounding):
    plan = compile_plan(one_layer(31, rounding), ["s"])
    assert kinds(plan) == [QuantizeStep, FloatStep]


def test_wrapping_uses_integers_unless_bounds_prove_it_idle():
    wrapping = compile_plan(one_layer(31, overflow=Overflow.WRAP), ["s"])
    idle = compile_plan(one_layer(1, overflow=Overflow.WRAP), ["s"])
    assert kinds(wrapping)[-1] is NodeStep
    assert kinds(idle) == [QuantizeStep, FloatStep]
    assert idle.steps[-1].epilogue.after[-1] == (np.clip, (0, np.inf))


def test_superfluous_limits_are_left_out():
    graph = build(
        [RealInput("x", (1,))],
        [
            Quantize(("x",), "q", fixed(False, 4, 4)),
            Requantize(("q",), "s", fixed(False, 3, 4)),
        ],
        ["s"],
    )
    step = compile_plan(graph, ["s"]).steps[-1]
    assert step.epilogue.after == ((np.rint, ()), (np.clip, (-np.inf, 7)))


@pytest.mark.parametrize(
    ("form", "is_fast"),
    [
        (fixed(True, 8, 3), True),
        (fixed(True, 53, 3), True),
        (fixed(True, 8, 3, Rounding.FLOOR), False),
        (fixed(True, 8, 3, overflow=Overflow.WRAP), False),
        (fixed(True, 60, 3), False),
        (fixed(True, 8, -64), False),
    ],
)
def test_inputs_are_quantized_by_one_product_where_that_is_exact(form, is_fast):
    graph = build([RealInput("x", (1,))], [Quantize(("x",), "q", form)], ["q"])
    assert compile_plan(graph, ["q"]).steps[0].fast == is_fast


def test_reshaping_keeps_the_number_type():
    graph = build(
        [RealInput("x", (4,))],
        [
            Quantize(("x",), "q", fixed(True, 8, 3)),
            Reshape(("q",), "s", (2, 2)),
        ],
        ["s"],
    )
    plan = compile_plan(graph, ["s"])
    assert kinds(plan) == [QuantizeStep, ReshapeStep]
    assert carriers(plan)["s"] == "float32"
    assert plan.bytes_per_sample == 32


def window(kernel, channels_last=False):
    return Window((kernel, kernel), (1, 1), (1, 1), (0, 0, 0, 0), channels_last)


def convolution(*tail, last=False, scale=Fraction(1, 8)):
    shape = (4, 4, 2) if last else (2, 4, 4)
    weights = np.arange(-12, 12).reshape(3, 2, 2, 2)
    conv = Conv(("q",), "y", weights, scale, window(2, last))
    return build(
        [RealInput("x", shape)],
        [Quantize(("x",), "q", fixed(True, 8, 3)), conv, *tail],
        [tail[-1].output if tail else "y"],
    )


@pytest.mark.parametrize("last", [False, True])
def test_a_convolution_and_what_follows_become_one_step(last):
    shape = (3,) if last else (3, 1, 1)
    graph = convolution(
        Affine(
            ("y",),
            "z",
            np.arange(1, 4).reshape(shape),
            np.arange(3).reshape(shape),
            Fraction(1, 256),
        ),
        LeakyRelu(("z",), "r", Fraction(1, 8)),
        Requantize(("r",), "s", fixed(True, 6, 3)),
        last=last,
    )
    plan = compile_plan(graph, ["s"])
    assert kinds(plan) == [QuantizeStep, FloatStep]
    assert plan.steps[1].epilogue.filter is None
    assert carriers(plan)["s"] == "float32"
    assert plan.slots["s"].order == ((2, 0, 1) if last else (0, 1, 2))


def test_scales_that_are_no_power_of_two_are_filtered():
    grid = Grid(-8, 7, Fraction(0.1))
    graph = convolution(Requantize(("y",), "s", grid), scale=Fraction(0.3))
    plan = compile_plan(graph, ["s"])
    assert kinds(plan) == [QuantizeStep, FloatStep]
    assert plan.steps[1].epilogue.filter is not None
    assert plan.steps[1].kernel.matrices.dtype == np.float32


def test_small_ratios_are_divided_exactly():
    grid = Grid(-8, 7, Fraction(3, 256))
    graph = convolution(Requantize(("y",), "s", grid))
    step = compile_plan(graph, ["s"]).steps[1]
    assert step.epilogue.filter is None
    assert step.epilogue.before == ((np.divide, (3.0,)),)


def test_a_constant_a_pixel_is_a_step_of_its_own():
    constant = np.arange(27).reshape(3, 3, 3)
    graph = convolution(Affine(("y",), "z", np.array(3), constant, Fraction(1, 256)))
    assert kinds(compile_plan(graph, ["z"])) == [QuantizeStep, FloatStep, FloatStep]


def test_pooling_is_done_in_floats():
    graph = convolution(MaxPool(("y",), "p", window(2)))
    plan = compile_plan(graph, ["p"])
    assert kinds(plan) == [QuantizeStep, FloatStep, MoveStep]
    assert carriers(plan)["p"] == "float32"
