import math

import numpy as np
import pytest

from hawq.allocation.programme import Decision, Programme, Term
from hawq.errors import InputError

WEIGHT = Decision("fc1.weight", (2, 4, 8), (0.5, 0.25, 0.125))
INPUT = Decision("input", (4, 8), (0.1, 0.01))
PRODUCTS = Term(
    ("fc1.weight", "input"), np.array([[8.0, 16.0], [16.0, 32.0], [32.0, 64.0]])
)
BITS = Term(("fc1.weight",), np.array([2.0, 4.0, 8.0]))


def programme(**constraints):
    costs = {"products": (PRODUCTS,), "both": (PRODUCTS, BITS)}
    return Programme((WEIGHT, INPUT), costs, **constraints)


def test_evaluates_losses_and_costs():
    bits = {"fc1.weight": 4, "input": 8}

    assert programme().loss(bits) == 0.26
    assert programme().cost("products", bits) == 32.0
    assert programme().cost("both", bits) == 36.0


def test_constraints_leave_widths():
    left = programme(minimum={"fc1.weight": 3}, maximum={"input": 7}).allowed()

    assert left == {"fc1.weight": {4, 8}, "input": {4}}


def test_a_group_leaves_the_widths_in_common():
    left = programme(groups=(("fc1.weight", "input"),)).allowed()

    assert left == {"fc1.weight": {4, 8}, "input": {4, 8}}


def test_an_empty_group_constrains_nothing():
    assert programme(groups=((),)).allowed() == programme().allowed()


def test_overlapping_groups_agree_as_one():
    decisions = tuple(
        Decision(name, widths, (0.0,) * len(widths))
        for name, widths in (("a", (2, 3, 4)), ("b", (2, 3)), ("c", (3, 4)))
    )

    left = Programme(decisions, {}, groups=(("a", "b"), ("b", "c"))).allowed()

    assert left == {"a": {3}, "b": {3}, "c": {3}}


def test_refuses_a_group_without_a_common_width():
    with pytest.raises(
        InputError,
        match=r"^the sites of a group must agree but share no width "
        r"\(fc1\.weight: 2; input: 4, 8\)$",
    ):
        programme(groups=(("fc1.weight", "input"),), fixed={"fc1.weight": 2})


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        (
            {"fixed": {"fc1.weight": 3}},
            r"^fc1\.weight has no width left of 2, 4, 8: fixed at 3, at least 0, at "
            r"most inf: offer a width that meets all three$",
        ),
        (
            {"minimum": {"input": 5}, "maximum": {"input": 7}},
            r"^input has no width left of 4, 8: fixed at none, at least 5, at most 7: "
            r"offer a width that meets all three$",
        ),
        (
            {"minimum": {"fc1.bias": 5}},
            r"^no site 'fc1\.bias' to constrain; the sites are: fc1\.weight, input$",
        ),
        (
            {"groups": (("input", "relu9"),)},
            r"^no site 'relu9' to constrain; the sites are: fc1\.weight, input$",
        ),
    ],
)
def test_refuses_constraints_that_cannot_hold(constraints, message):
    with pytest.raises(InputError, match=message):
        programme(**constraints)


def test_refuses_a_table_of_another_shape():
    with pytest.raises(
        InputError,
        match=r"^products of input, fc1\.weight: a table of shape \(3, 2\), expected "
        r"one price a width: \(2, 3\)$",
    ):
        Programme(
            (WEIGHT, INPUT),
            {"products": (Term(("input", "fc1.weight"), PRODUCTS.price),)},
        )


@pytest.mark.parametrize("price", [-1.0, math.inf, math.nan])
def test_refuses_a_price_below_zero_or_none(price):
    with pytest.raises(
        InputError,
        match=r"^bits of input: a price is negative, infinite or NaN: expected 0 or "
        r"more$",
    ):
        Programme((INPUT,), {"bits": (Term(("input",), np.array([1.0, price])),)})


def test_refuses_a_loss_that_is_no_number():
    with pytest.raises(
        InputError,
        match=r"^input: losses \(nan, 1\.0\) for widths 4, 8: expected one finite loss "
        r"a width$",
    ):
        Programme((Decision("input", (4, 8), (math.nan, 1.0)),), {})


@pytest.mark.parametrize(
    ("budgets", "message"),
    [
        ({"luts": 5.0}, r"^no cost 'luts' to limit; the costs are: both, products$"),
        ({"both": math.nan}, r"^the budget of both is NaN: expected a number$"),
    ],
)
def test_refuses_budgets_without_meaning(budgets, message):
    with pytest.raises(InputError, match=message):
        programme().check_budgets(budgets)
