import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hawq.allocation.calibrate import SiteValues
from hawq.allocation.cost import bops, memory_bits
from hawq.allocation.layers import Layer
from hawq.allocation.programme import Programme
from hawq.allocation.solver import solve
from hawq.allocation.tables import Tables, curvature, score
from hawq.errors import InputError
from hawq.records import Site, SiteKind, SiteSensitivity

WEIGHT = np.array([[0.5, -0.25, 0.0], [0.75, 0.3, -0.7]])
BIAS = np.array([0.01, -2.0])


def sensitivity(name="fc1.weight", value=2.0, error=0.1, **levels):
    kind = SiteKind.ACTIVATION if name == "input" else SiteKind.WEIGHT
    shape = (3,) if name == "input" else WEIGHT.shape
    site = Site(name=name, kind=kind, layer=name.split(".")[0], shape=shape, macs=6)
    return SiteSensitivity(
        site=site, score=value, probe_error=0.0, sample_error=error, **levels
    )


@pytest.fixture
def tables():
    layer = Layer("fc1", "fc1.weight", "input", WEIGHT, BIAS, 6)
    found = Tables(layers=(layer,), weighting="tensor", samples=4)
    rng = np.random.default_rng(0)
    inputs = SiteValues("input", rng.normal(size=(4, 3)), signed=True, samples=4)
    found.add(sensitivity("input", 1.5), inputs, (4, 6))
    weights = SiteValues("fc1.weight", WEIGHT, signed=True, symmetric=True)
    found.add(sensitivity(), weights, (2, 3, 8))
    return found


def test_the_loss_rise_is_half_score_times_perturbation(tables):
    for name, s in (("input", 1.5), ("fc1.weight", 2.0)):
        for choice in tables.choices[name].values():
            assert choice.loss_rise_nats == 0.5 * s * choice.perturbation


def test_curvature_by_channel_weighs_each_output():
    h = np.array([8.0, 0.5])
    entry = sensitivity(channel=h)
    values = SiteValues(
        "fc1.weight", WEIGHT, signed=True, curvature=curvature(entry, "channel")
    )
    found = Tables(layers=(), weighting="channel", samples=1)

    found.add(entry, values, (3,))

    choice = found.choices["fc1.weight"][3]
    delta = choice.format.dequantize(choice.format.quantize(WEIGHT)) - WEIGHT
    expected = 0.5 * (8.0 * (delta[0] ** 2).sum() + 0.5 * (delta[1] ** 2).sum())
    # Sums of six float64 terms in another order.
    assert choice.loss_rise_nats == pytest.approx(expected, rel=1e-12)
    assert choice.perturbation == pytest.approx((delta**2).sum(), rel=1e-12)


def test_levels_of_curvature():
    element = np.array([[1.0, 2.0, 6.0], [4.0, -1.0, 0.0]])

    assert curvature(sensitivity(element=element), "tensor") is None
    assert_array_equal(
        curvature(sensitivity(element=element), "element"), np.maximum(element, 0)
    )
    assert_array_equal(
        curvature(sensitivity(element=element), "channel"), [[3.0], [1.0]]
    )
    assert_array_equal(
        curvature(sensitivity(channel=np.array([5.0, -2.0])), "channel"), [[5.0], [0.0]]
    )


@pytest.mark.parametrize("level", ["element", "channel"])
def test_refuses_a_level_that_was_not_measured(level):
    with pytest.raises(
        InputError,
        match=rf"^fc1\.weight: the sensitivities have no curvature by {level}: set "
        r"weighting = 'tensor', or measure on the exact route$",
    ):
        curvature(sensitivity(), level)


def test_a_score_within_its_error_counts_as_the_error():
    assert score(sensitivity(value=0.03, error=0.1)) == 0.1
    assert score(sensitivity(value=-0.03, error=0.1)) == 0.1
    assert score(sensitivity(value=0.3, error=0.1)) == 0.3


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_refuses_a_score_that_orders_nothing(value):
    with pytest.raises(
        InputError,
        match=r"^fc1\.weight: a sensitivity of .* ± 0 orders nothing: expected a "
        r"positive number \(measure with more samples or probes\)$",
    ):
        score(sensitivity(value=value, error=0.0))


def test_the_bias_lies_on_the_accumulators_grid(tables):
    one = tables.quantized(tables.layers[0], 3, 6)

    fraction = (
        tables.choices["fc1.weight"][3].format.fraction
        + tables.choices["input"][6].format.fraction
    )
    assert_array_equal(one.bias, np.rint(BIAS * 2.0**fraction))
    low, high = -(2 ** (one.bias_bits - 1)), 2 ** (one.bias_bits - 1) - 1
    assert low <= one.bias.min() < low / 2 or high >= one.bias.max() > high / 2
    assert_array_equal(
        one.weight, tables.choices["fc1.weight"][3].format.quantize(WEIGHT)
    )
    assert (one.weight_bits, one.activation_bits, one.macs) == (3, 6, 6)


def test_a_bias_per_channel_takes_each_channels_grid():
    weight = np.array([[0.5], [8.0]])
    layer = Layer("fc1", "fc1.weight", "input", weight, np.array([1.0, 1.0]), 2)
    found = Tables(layers=(layer,), weighting="tensor", samples=1)
    inputs = SiteValues("input", np.array([[0.75]]), signed=True)
    found.add(sensitivity("input"), inputs, (4,))
    found.add(
        sensitivity(),
        SiteValues("fc1.weight", weight, signed=True, channel_axis=0),
        (4,),
    )

    one = found.quantized(layer, 4, 4)

    # Weights in <4,1> and <4,5>, input in <4,1>: fractions 3 + 3 and -1 + 3.
    assert found.choices["fc1.weight"][4].channel_integer == (1, 5)
    assert_array_equal(one.bias, [64, 4])
    assert one.bias_bits == 8


def test_a_layer_knows_whether_its_input_can_be_negative(tables):
    assert tables.quantized(tables.layers[0], 3, 4).signed


def test_a_layer_without_bias_has_none():
    layer = Layer("fc1", "fc1.weight", "input", WEIGHT, None, 6)
    found = Tables(layers=(layer,), weighting="tensor", samples=1)
    found.add(sensitivity(), SiteValues("fc1.weight", WEIGHT, signed=True), (4,))
    inputs = SiteValues("input", np.ones((1, 3)), signed=False)
    found.add(sensitivity("input"), inputs, (8,))

    one = found.quantized(layer, 4, 8)

    assert one.bias is None
    assert one.bias_bits == 0
    assert not one.signed


def test_prices_depend_on_both_widths(tables):
    (term,) = tables.prices(bops)

    assert term.decisions == ("fc1.weight", "input")
    assert_array_equal(
        term.price,
        [
            [bops.price(tables.quantized(tables.layers[0], w, a)) for a in (4, 6)]
            for w in (2, 3, 8)
        ],
    )


def test_a_solution_becomes_a_record(tables):
    programme = Programme(tables.decisions(), {"bops": tables.prices(bops)})
    budgets = {"bops": 150.0}
    found = solve(programme, budgets)

    record = tables.allocation(found, budgets, [bops, memory_bits])

    assert record.bits() == found.bits
    assert record.loss_rise_nats == found.loss
    assert record.costs["bops"] == found.costs["bops"]
    assert record.costs.keys() == {"bops", "memory_bits"}
    assert [c.format.width for c in record.choices] == list(found.bits.values())
    assert (record.budgets, record.status, record.gap) == (budgets, "optimal", 0.0)
