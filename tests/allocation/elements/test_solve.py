"""The oracle is HiGHS' integer programme over the very same options."""

import numpy as np
import pytest
import torch
from scipy.optimize import LinearConstraint, milp

from hawq.allocation.elements.digits import signed_digits
from hawq.allocation.elements.solve import (
    DIGIT_EXTRA,
    WEIGHT_FRACTIONS,
    WeightTable,
    allocate,
    channel_bits,
    channel_tables,
    weight_table,
)
from hawq.training.ladder import (
    Formats,
    Shape,
    curvature,
    forward,
    snapped_biases,
    snapped_weights,
)

SHAPE = Shape((4, 3, 2))


def small_network(seed=0):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(1, SHAPE.weights, generator=generator)
    bias = 0.1 * torch.randn(1, SHAPE.biases, generator=generator)
    formats = Formats(
        torch.full((1, SHAPE.weights), 6.0),
        torch.ones(1, SHAPE.weights),
        torch.full((1, SHAPE.channels), 3.0),
        torch.full((1, SHAPE.channels), 2.0),
    )
    x = torch.randn(256, 4, generator=generator)
    return weight, bias, formats, x


def tables_of(weight, bias, formats, x):
    snapped = snapped_weights(weight, formats), snapped_biases(SHAPE, bias, formats)
    h, of_channels, sums = curvature(SHAPE, *snapped, formats, x)
    return weight_table(weight, h), channel_tables(x, sums, of_channels)


def test_weight_table_holds_the_second_order_rise_of_every_rounding():
    weight = torch.tensor([[0.7]])
    table = weight_table(weight, torch.tensor([[4.0]]))
    grid = [0.0, *(round(0.7 * 2.0**f) / 2.0**f for f in WEIGHT_FRACTIONS)]
    expected = [0.5 * 4.0 * (0.7 - q) ** 2 for q in grid]
    np.testing.assert_allclose(table.error[0, 0], expected, rtol=1e-5)
    digits = [
        0,
        *(
            int(signed_digits(torch.tensor(round(0.7 * 2.0**f))))
            for f in WEIGHT_FRACTIONS
        ),
    ]
    np.testing.assert_array_equal(table.digits[0, 0], digits)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_allocation_is_optimal_for_the_cost_that_it_spends(share):
    given = small_network()
    weights, channels = tables_of(*given)
    bits = channel_bits(SHAPE, given[2])
    fixed = [_single_option(table) for table in channels]
    full = allocate(SHAPE, weights, fixed, bits, torch.tensor([1e9]))[0].cost
    made, price = allocate(SHAPE, weights, fixed, bits, share * full)
    assert made.cost.item() <= share * full.item()
    chosen = _chosen(weights, made.formats)
    per_digit = torch.cat(
        [
            (b.transpose(1, 2) + DIGIT_EXTRA).expand(-1, n, m).flatten(1)
            for b, (n, m) in zip(
                SHAPE.split_channels(channel_bits(SHAPE, made.formats)),
                SHAPE.layers,
                strict=True,
            )
        ],
        1,
    )
    costs = (weights.digits * per_digit.unsqueeze(-1))[0].double().numpy()
    errors = weights.error[0].double().numpy()
    rows = np.arange(SHAPE.weights)
    spent = costs[rows, chosen].sum()
    best = _integer_programme(errors, costs, spent)
    assert errors[rows, chosen].sum() <= best + 1e-6 + 1e-3 * best
    assert price.item() > 0


def _single_option(table):
    table.fraction_error = torch.zeros_like(table.fraction_error[..., :1])
    table.integer_error = torch.zeros_like(table.integer_error[..., :1])
    table.fractions, table.integers = torch.tensor([3.0]), torch.tensor([2.0])
    return table


def _chosen(weights: WeightTable, formats: Formats):
    option = formats.weight - WEIGHT_FRACTIONS[0] + 1
    return (option * formats.alive)[0].long().numpy()


def _integer_programme(errors, costs, budget):
    elements, options = errors.shape
    one_each = np.kron(np.eye(elements), np.ones(options))
    found = milp(
        errors.ravel(),
        constraints=[
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(costs.reshape(1, -1), ub=budget + 1e-6),
        ],
        integrality=np.ones(errors.size),
        bounds=(0, 1),
        options={"mip_rel_gap": 0},
    )
    return found.fun


def test_a_lower_budget_never_costs_more_and_raises_the_price():
    given = small_network(1)
    weights, channels = tables_of(*given)
    bits = channel_bits(SHAPE, given[2])
    costs, prices = [], []
    for budget in (200.0, 120.0, 60.0, 20.0):
        made, price = allocate(SHAPE, weights, channels, bits, torch.tensor([budget]))
        assert made.cost.item() <= budget
        costs.append(made.cost.item())
        prices.append(price.item())
    assert costs == sorted(costs, reverse=True)
    assert prices == sorted(prices)


def test_the_logits_do_not_change_where_formats_are_fine():
    weight, bias, formats, x = small_network(2)
    fine = Formats(
        torch.full_like(formats.weight, 20.0),
        formats.alive,
        torch.full_like(formats.fraction, 14.0),
        torch.full_like(formats.integer, 5.0),
    )
    logits, _, _ = forward(
        SHAPE, snapped_weights(weight, fine), snapped_biases(SHAPE, bias, fine), fine, x
    )
    w1, w2 = SHAPE.split_weights(weight)
    b1, b2 = SHAPE.split_biases(bias)
    expected = torch.relu(x @ w1[0] + b1[0]) @ w2[0] + b2[0]
    np.testing.assert_allclose(logits[0], expected, atol=0.05)
