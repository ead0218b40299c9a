import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hawq.allocation.programme import Decision, Programme, Term
from hawq.allocation.solver import smallest, solve
from hawq.errors import InfeasibleError, InputError, ToolError

RESNET18 = Path(__file__).parents[3] / "shared/data/ilp_resnet18.json"

JETS = ((64, 16), (32, 64), (32, 32), (5, 32))
WIDTHS = (4, 5, 6, 7, 8)
FEASIBLE = {250_000: 6, 300_000: 75, 350_000: 238, 400_000: 411, 450_000: 553}


def feasible(programme, budgets):
    """Every assignment that meets the budgets, by enumeration: (loss, bits)."""
    allowed = programme.allowed()
    for widths in itertools.product(*(allowed[name] for name in programme.names)):
        bits = dict(zip(programme.names, widths, strict=True))
        if all(len({bits[name] for name in group}) == 1 for group in programme.groups):
            spent = {name: programme.cost(name, bits) for name in budgets}
            slack = 1 + 1e-12  # the solver's, for sums in another order
            if all(spent[name] <= limit * slack for name, limit in budgets.items()):
                yield programme.loss(bits), bits


def published_bops(outputs, inputs, width, activation):
    return (
        outputs * inputs * (width * activation + width + activation + math.log2(inputs))
    )


def jet_tagger(sensitivity):
    """The published table: a layer is priced at its own width, activations at + 3."""
    decisions, terms = [], []
    for i, (m, n) in enumerate(JETS):
        losses = tuple(sensitivity[i] * 4.0**-width for width in WIDTHS)
        decisions.append(Decision(f"fc{i + 1}", WIDTHS, losses))
        prices = [published_bops(m, n, w, 16 if i == 0 else w + 3) for w in WIDTHS]
        terms.append(Term((f"fc{i + 1}",), np.array(prices)))
    return Programme(tuple(decisions), {"bops": tuple(terms)})


@pytest.fixture(scope="module")
def resnet18():
    if not RESNET18.is_file():
        pytest.skip(f"{RESNET18} is not there: the published ILP inputs")
    return json.loads(RESNET18.read_text())["resnet18"]


@pytest.mark.parametrize("constraint", ["size", "bops", "latency"])
def test_published_resnet18_assignments(resnet18, constraint):
    d = resnet18
    layers = range(len(d["trace_per_parameter"]))
    prices = {
        "size": [(4 / 8 * p, p) for p in d["parameters_million"]],
        "bops": [(m * 16 / 1024, m * 64 / 1024) for m in d["mac_bops_million"]],
        "latency": list(zip(d["latency_int4_ms"], d["latency_int8_ms"], strict=True)),
    }
    programme = Programme(
        tuple(
            Decision(
                str(i),
                (4, 8),
                (
                    d["trace_per_parameter"][i] * d["delta_w4_squared"][i],
                    d["trace_per_parameter"][i] * d["delta_w8_squared"][i],
                ),
            )
            for i in layers
        ),
        {
            name: tuple(Term((str(i),), np.array(table[i])) for i in layers)
            for name, table in prices.items()
        },
        groups=tuple((str(i), str(j)) for i, j in d["equal_layers"]),
    )
    optimum = d["optimum"][constraint]

    found = solve(programme, {constraint: optimum["limit"]})

    assert "".join(str(b) for b in found.bits.values()) == optimum["assignment"]
    all_4 = programme.loss({str(i): 4 for i in layers})
    # Sums of 19 float64 terms in another order.
    assert found.loss - all_4 == pytest.approx(optimum["objective"], rel=1e-12)
    assert found.costs[constraint] == pytest.approx(optimum["used"], rel=1e-12)
    assert (found.status, found.gap) == ("optimal", 0.0)


@pytest.mark.parametrize(("budget", "count"), FEASIBLE.items())
def test_enumeration_counts_the_published_feasible_set(budget, count):
    assert len(list(feasible(jet_tagger((1, 1, 1, 1)), {"bops": budget}))) == count


@pytest.mark.parametrize("budget", [234_368, *FEASIBLE])
@pytest.mark.parametrize("seed", range(4))
def test_equals_enumeration_of_625_configurations(budget, seed):
    sensitivity = 10 ** np.random.default_rng(seed).uniform(-3, 3, 4)
    programme = jet_tagger(sensitivity)

    found = solve(programme, {"bops": budget})

    best, _ = min(feasible(programme, {"bops": budget}), key=lambda item: item[0])
    assert found.loss == best
    assert found.costs["bops"] <= budget
    assert found.status == "optimal"


def test_finds_the_published_optimum():
    # Layer 1 matters by far most, the others alike: what [8, 5, 5, 5] says.
    found = solve(jet_tagger((1000, 2, 1, 0.2)), {"bops": 350_000})

    assert list(found.bits.values()) == [8, 5, 5, 5]
    assert found.costs == {"bops": 349_248}


@st.composite
def programmes(draw):
    """A chain of shared prices beside single ones, losses over eight decades."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    names = [f"s{i}" for i in range(draw(st.integers(2, 5)))]
    widths = {
        name: tuple(sorted(draw(st.sets(st.integers(2, 8), min_size=1, max_size=3))))
        for name in names
    }
    decisions = tuple(
        Decision(name, widths[name], tuple(10 ** rng.uniform(-6, 2, len(widths[name]))))
        for name in names
    )
    pairs = tuple(
        Term(
            pair,
            rng.integers(0, 50, [len(widths[name]) for name in pair]).astype(float),
        )
        for pair in itertools.pairwise(names)
    )
    singles = tuple(
        Term((name,), rng.uniform(0, 9, len(widths[name]))) for name in names
    )
    groups = ()
    if draw(st.booleans()) and set(widths["s0"]) & set(widths["s1"]):
        groups = (("s0", "s1"),)
    return Programme(
        decisions, {"pairs": pairs, "singles": (*singles, pairs[0])}, groups=groups
    )


@settings(max_examples=60)
@given(programmes(), st.floats(0.2, 1), st.floats(0.2, 1))
def test_equals_enumeration_under_two_budgets(programme, tight, tighter):
    everything = [bits for _, bits in feasible(programme, {})]
    budgets = {
        name: share * max(programme.cost(name, bits) for bits in everything)
        for name, share in (("pairs", tight), ("singles", tighter))
    }
    expected = min((loss for loss, _ in feasible(programme, budgets)), default=None)

    try:
        found = solve(programme, budgets).loss
    except InfeasibleError:
        found = None

    assert found == expected


@settings(max_examples=30)
@given(programmes())
def test_the_smallest_cost_is_a_feasible_budget(programme):
    least = smallest(programme, "pairs", {})

    bottom = min(programme.cost("pairs", bits) for _, bits in feasible(programme, {}))
    assert least.costs["pairs"] == bottom
    assert solve(programme, {"pairs": bottom}).costs["pairs"] == bottom


def test_a_price_of_three_widths():
    names = ("a", "b", "c")
    price = np.arange(8.0).reshape(2, 2, 2)
    programme = Programme(
        tuple(Decision(name, (2, 4), (1.0, 0.5)) for name in names),
        {"volume": (Term(names, price),)},
    )

    found = solve(programme, {"volume": 5})

    assert found.loss == 2.0
    assert found.costs["volume"] in {3.0, 5.0}


def test_without_budgets_every_site_takes_its_best():
    found = solve(jet_tagger((1, 1, 1, 1)), {})

    assert list(found.bits.values()) == [8, 8, 8, 8]
    assert solve(jet_tagger((1, 1, 1, 1)), {"bops": math.inf}) == found


def test_obeys_groups_fixed_and_smallest_widths():
    base = jet_tagger((100, 1, 1, 100))
    bound = Programme(
        base.decisions,
        base.costs,
        groups=(("fc2", "fc4"),),
        fixed={"fc3": 7},
        minimum={"fc1": 5},
        maximum={"fc1": 6},
    )

    found = solve(bound, {"bops": 350_000})

    best, bits = min(feasible(bound, {"bops": 350_000}), key=lambda item: item[0])
    assert (found.bits, found.loss) == (bits, best)
    assert found.bits["fc2"] == found.bits["fc4"]
    assert found.bits["fc3"] == 7
    assert found.bits["fc1"] in {5, 6}


def test_negative_losses_are_only_relative():
    # The published objective counts the gain over 4 bits.
    base = jet_tagger((3, 1, 4, 1))
    shifted = Programme(
        tuple(
            Decision(d.name, d.bits, tuple(v - 10 for v in d.loss))
            for d in base.decisions
        ),
        base.costs,
    )

    found = solve(shifted, {"bops": 300_000})

    assert found.bits == solve(base, {"bops": 300_000}).bits


def test_a_budget_is_held_below_the_solvers_tolerance():
    # The dearer width overspends by 1e-10 of the limit, far below what HiGHS sees.
    programme = Programme(
        (Decision("a", (2, 3), (1.0, 0.0)), Decision("b", (2,), (0.0,))),
        {"bits": (Term(("a",), np.array([1.0, 1e6 + 1e-4])),)},
    )

    assert solve(programme, {"bits": 1e6}).bits["a"] == 2
    assert solve(programme, {"bits": 1e6 + 1e-4}).bits["a"] == 3


def test_the_same_programme_gives_the_same_solution():
    sensitivity = 10 ** np.random.default_rng(7).uniform(-3, 3, 4)

    solutions = [solve(jet_tagger(sensitivity), {"bops": 350_000}) for _ in range(3)]

    assert solutions[0] == solutions[1] == solutions[2]


def two_costs():
    return Programme(
        (Decision("a", (2, 4), (1.0, 0.5)), Decision("b", (2, 4), (1.0, 0.5))),
        {
            "bops": (Term(("a", "b"), np.array([[900_000.5, 4000], [5000, 1200]])),),
            "memory_bits": (
                Term(("a",), np.array([1, 9])),
                Term(("b",), np.array([1, 9])),
            ),
        },
    )


def test_infeasible_alone_names_the_smallest_feasible_values():
    with pytest.raises(
        InfeasibleError,
        match=r"^no widths meet the budgets: bops <= 1,000, smallest feasible 1,200; "
        r"memory_bits <= 12\.5, smallest feasible 2: raise the limit of bops, or offer "
        r"smaller widths$",
    ):
        solve(two_costs(), {"bops": 1000, "memory_bits": 12.5})


def test_infeasible_together_names_the_value_within_the_others():
    with pytest.raises(
        InfeasibleError,
        match=r"^each budget can be met, but not together: bops <= 2,000, smallest "
        r"feasible 1,200 alone and 4,000 within the others; memory_bits <= 12, "
        r"smallest feasible 2 alone and 18 within the others: raise one limit to its "
        r"value within the others, or offer smaller widths$",
    ):
        solve(two_costs(), {"bops": 2000, "memory_bits": 12})


def test_the_smallest_feasible_value_is_rounded_up():
    fixed = Programme(
        (Decision("a", (2,), (1.0,)),), {"bops": (Term(("a",), np.array([1 / 3])),)}
    )

    with pytest.raises(
        InfeasibleError,
        match=r"^no widths meet the budgets: bops <= 0\.25, smallest feasible "
        r"0\.333333334: raise the limit of bops, or offer smaller widths$",
    ):
        solve(fixed, {"bops": 0.25})
    assert solve(fixed, {"bops": 0.333333334}).bits == {"a": 2}


def test_the_smallest_cost_may_be_infeasible_too():
    with pytest.raises(
        InfeasibleError,
        match=r"^no widths meet the budgets: memory_bits <= 1, smallest feasible 2: "
        r"raise the limit of memory_bits, or offer smaller widths$",
    ):
        smallest(two_costs(), "bops", {"memory_bits": 1})


def test_refuses_an_unknown_cost():
    with pytest.raises(
        InputError,
        match=r"^no cost 'luts' to limit; the costs are: bops, memory_bits$",
    ):
        solve(two_costs(), {"luts": 1})


def deep_network(layers):
    """Weights and activations of many layers: seconds, not milliseconds."""
    rng = np.random.default_rng(0)
    widths = np.arange(2, 11)
    decisions, terms = [], []
    for i in range(layers):
        for name in (f"a{i}", f"w{i}"):
            losses = tuple(10 ** rng.uniform(-5, 0) * 4.0**-widths)
            decisions.append(Decision(name, tuple(widths.tolist()), losses))
        price = 10 ** rng.uniform(5, 8) * np.outer(widths, widths)
        terms.append(Term((f"w{i}", f"a{i}"), price))
    return Programme(tuple(decisions), {"bops": tuple(terms)})


def test_says_when_the_time_was_too_short():
    with pytest.raises(
        ToolError,
        match=r"^HiGHS found no widths within 1e-06 s: raise time_limit_s, or offer "
        r"fewer widths$",
    ):
        solve(deep_network(12), {"bops": 4e9}, time_limit_s=1e-6)


def test_forty_layers_are_solved_to_optimality():
    programme = deep_network(40)
    budget = 0.3 * programme.cost("bops", dict.fromkeys(programme.names, 10))

    found = solve(programme, {"bops": budget})

    assert (found.status, found.gap) == ("optimal", 0.0)
    assert found.costs["bops"] <= budget
