import itertools

import numpy as np
import pytest

from hawq.allocation.pareto import not_dominated, sweep
from hawq.allocation.programme import Decision, Programme, Term
from hawq.errors import InfeasibleError
from hawq.records import ParetoPoint

WIDTHS = (2, 4, 6, 8)


def programme():
    """Three sites in a chain; every price and loss is its own."""
    rng = np.random.default_rng(11)
    names = ("a", "b", "c")
    return Programme(
        tuple(
            Decision(name, WIDTHS, tuple(s * 4.0 ** -np.array(WIDTHS)))
            for name, s in zip(names, (1.0, 40.0, 300.0), strict=True)
        ),
        {
            "bops": tuple(
                Term(pair, np.outer(WIDTHS, WIDTHS) * rng.uniform(1, 5))
                for pair in itertools.pairwise(names)
            ),
            "memory_bits": tuple(
                Term((name,), np.array(WIDTHS) * rng.uniform(1, 5)) for name in names
            ),
        },
    )


def front(tables, memory_bits=np.inf):
    """Every point that no assignment beats: (bops, loss)."""
    every = []
    for widths in itertools.product(WIDTHS, repeat=3):
        bits = dict(zip(tables.names, widths, strict=True))
        if tables.cost("memory_bits", bits) <= memory_bits:
            every.append((tables.cost("bops", bits), tables.loss(bits)))
    return {
        point
        for point in every
        if not any(o != point and o[0] <= point[0] and o[1] <= point[1] for o in every)
    }


@pytest.mark.parametrize("spacing", ["log", "linear"])
def test_points_lie_on_the_enumerated_front(spacing):
    tables = programme()
    every = front(tables)

    points = sweep(tables, "bops", 9, spacing=spacing)

    assert {(p.used, p.loss_rise_nats) for p in points} <= every
    assert points[0].used == min(every)[0]
    assert points[-1].used == max(every)[0]
    assert 5 <= len(points) <= 9


def test_more_budgets_find_the_whole_front():
    tables = programme()
    every = front(tables)

    points = sweep(tables, "bops", 2, also=[used for used, _ in every])

    assert {(p.used, p.loss_rise_nats) for p in points} == every


def test_spending_rises_and_loss_falls():
    points = sweep(programme(), "bops", 12)

    pairs = list(itertools.pairwise(points))
    assert all(a.used < b.used for a, b in pairs)
    assert all(a.loss_rise_nats > b.loss_rise_nats for a, b in pairs)
    assert all(p.used <= p.budget * (1 + 1e-12) for p in points)


def test_other_budgets_are_kept():
    tables = programme()
    limit = 0.6 * tables.cost("memory_bits", dict.fromkeys(tables.names, 8))

    points = sweep(tables, "bops", 6, budgets={"memory_bits": limit, "bops": 1.0})

    assert {(p.used, p.loss_rise_nats) for p in points} <= front(tables, limit)
    assert all(tables.cost("memory_bits", p.bits) <= limit for p in points)


def test_a_site_without_choice_gives_one_point():
    tables = Programme(
        (Decision("a", (4,), (0.5,)),), {"bops": (Term(("a",), np.array([7.0])),)}
    )

    points = sweep(tables, "bops", 8)

    assert points == (
        ParetoPoint(budget=7.0, used=7.0, loss_rise_nats=0.5, bits={"a": 4}),
    )


def test_a_budget_below_the_smallest_is_left_out():
    points = sweep(programme(), "bops", 2, also=[0.001])

    assert len(points) == 2


def test_says_when_the_other_budgets_cannot_be_met():
    tables = programme()

    with pytest.raises(
        InfeasibleError, match=r"^no widths meet the budgets: memory_bits <= 1, .*$"
    ):
        sweep(tables, "bops", 4, budgets={"memory_bits": 1.0})


def test_tells_its_progress():
    told = []

    sweep(programme(), "bops", 4, progress=lambda what, done: told.append((what, done)))

    assert told == [(f"budget {i + 1} of 4", i / 4) for i in range(4)]


def test_of_equal_points_the_smallest_budget_stays():
    def point(budget, used, loss):
        return ParetoPoint(budget=budget, used=used, loss_rise_nats=loss, bits={})

    points = [
        point(9, 8, 0.5),
        point(7, 4, 0.5),
        point(5, 4, 0.5),
        point(6, 4, 0.7),
        point(3, 2, 0.9),
    ]

    assert not_dominated(points) == (point(3, 2, 0.9), point(5, 4, 0.5))
