from fractions import Fraction

import numpy as np
import pytest

from hawq.fixed import FixedPoint, Overflow, Rounding
from hawq.integer.graph import build
from hawq.integer.grid import Grid
from hawq.integer.nodes import Affine, Dense, Quantize, Relu, Requantize, Reshape
from hawq.integer.plan import compile_plan
from hawq.integer.steps import FloatStep, IntegerStep, QuantizeStep, ReshapeStep
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


def kinds(plan):
    return [type(step) for step in plan.steps]


def carriers(plan):
    return {name: slot.carrier for name, slot in plan.slots.items()}


def test_a_layer_becomes_one_float_step():
    plan = compile_plan(one_layer(31), ["s"])
    assert kinds(plan) == [QuantizeStep, FloatStep]
    assert carriers(plan) == {"q": "float32", "s": "float32"}
    assert plan.steps[1].rounding is np.rint
    assert plan.steps[1].limits == (0, 63)


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
    plan = compile_plan(one_layer(weight), ["z"])
    assert plan.slots["z"].carrier == carrier


def test_rounding_modes_without_a_float_function_use_integers():
    plan = compile_plan(one_layer(31, Rounding.HALF_AWAY), ["s"])
    assert kinds(plan)[-1] is IntegerStep
    assert carriers(plan)["r"] == "float32"


def test_wrapping_uses_integers_unless_bounds_prove_it_idle():
    wrapping = compile_plan(one_layer(31, overflow=Overflow.WRAP), ["s"])
    idle = compile_plan(one_layer(1, overflow=Overflow.WRAP), ["s"])
    assert kinds(wrapping)[-1] is IntegerStep
    assert kinds(idle) == [QuantizeStep, FloatStep]
    assert idle.steps[-1].limits == (0, np.inf)


def test_superfluous_limits_are_left_out():
    graph = build(
        [RealInput("x", (1,))],
        [
            Quantize(("x",), "q", fixed(False, 4, 4)),
            Requantize(("q",), "s", fixed(False, 3, 4)),
        ],
        ["s"],
    )
    assert compile_plan(graph, ["s"]).steps[-1].limits == (-np.inf, 7)


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
