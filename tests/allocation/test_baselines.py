import itertools

import numpy as np
import pytest

from hawq.allocation.baselines import reverse, uniform
from hawq.allocation.programme import Decision, Programme, Term
from hawq.allocation.solver import solve
from hawq.errors import InfeasibleError

WEIGHTS = ("fc1.weight", "fc2.weight")
ACTIVATIONS = ("relu1", "input")
SCORES = {"input": 3.0, "fc1.weight": 500.0, "relu1": 20.0, "fc2.weight": 0.5}
WIDTHS = (2, 3, 4, 5, 6, 7, 8)
BUDGET = {"bops": 60.0}


def programme(input_bits=WIDTHS, **constraints):
    widths = {**dict.fromkeys(SCORES, WIDTHS), "input": input_bits}
    decisions = tuple(
        Decision(name, widths[name], tuple(score * 4.0 ** -np.array(widths[name])))
        for name, score in SCORES.items()
    )
    terms = tuple(
        Term(pair, np.outer(widths[pair[0]], widths[pair[1]]).astype(float))
        for pair in zip(WEIGHTS, ("input", "relu1"), strict=True)
    )
    return Programme(decisions, {"bops": terms}, **constraints)


def test_uniform_is_the_best_of_all_pairs():
    tables = programme()
    pairs = [
        {"input": a, "fc1.weight": w, "relu1": a, "fc2.weight": w}
        for w, a in itertools.product(WIDTHS, repeat=2)
    ]
    best = min(
        (tables.loss(bits), bits)
        for bits in pairs
        if tables.cost("bops", bits) <= BUDGET["bops"]
    )

    found = uniform(tables, WEIGHTS, ACTIVATIONS, BUDGET)

    assert (found.loss, found.bits) == best
    assert found.loss > solve(tables, BUDGET).loss


def test_fixed_sites_keep_their_width():
    found = uniform(
        programme(fixed={"fc2.weight": 8, "input": 3}), WEIGHTS, ACTIVATIONS, BUDGET
    )

    assert found.bits["fc2.weight"] == 8
    assert found.bits["input"] == 3


def test_an_input_of_other_widths_takes_its_own():
    found = uniform(programme(input_bits=(16,)), WEIGHTS, ACTIVATIONS, BUDGET)

    assert found.bits["input"] == 16
    assert found.bits["fc1.weight"] == found.bits["fc2.weight"]
    assert found.bits["relu1"] in WIDTHS


def test_smallest_widths_hold_for_all():
    found = uniform(programme(minimum={"fc2.weight": 8}), WEIGHTS, ACTIVATIONS, BUDGET)

    assert found.bits["fc1.weight"] == found.bits["fc2.weight"] == 8


def test_no_uniform_widths_may_meet_a_budget_that_mixed_ones_do():
    tables = programme(minimum={"fc1.weight": 8}, maximum={"input": 2})

    assert solve(tables, {"bops": 20.0}).costs["bops"] == 20.0
    with pytest.raises(
        InfeasibleError,
        match=r"^no widths meet the budgets: bops <= 20, smallest feasible 32: raise "
        r"the limit of bops, or offer smaller widths$",
    ):
        uniform(tables, WEIGHTS, ACTIVATIONS, {"bops": 20.0})


def test_reverse_serves_the_least_sensitive_first():
    tables = programme()

    found = reverse(tables, SCORES, BUDGET)

    # 500 ↔ 0.5 and 20 ↔ 3: the same tables with these sensitivities.
    swapped = {"input": 20.0, "fc1.weight": 0.5, "relu1": 3.0, "fc2.weight": 500.0}
    decisions = tuple(
        Decision(d.name, d.bits, tuple(swapped[d.name] * 4.0 ** -np.array(d.bits)))
        for d in tables.decisions
    )
    assert found.bits == solve(Programme(decisions, tables.costs), BUDGET).bits
    assert found.bits["fc2.weight"] > found.bits["fc1.weight"]


def test_reverse_is_judged_by_the_true_sensitivities():
    tables = programme()

    found = reverse(tables, SCORES, BUDGET)

    assert found.loss == tables.loss(found.bits)
    assert found.loss > solve(tables, BUDGET).loss
