import numpy as np
import torch

from hawq.allocation.elements.exchange import (
    Search,
    State,
    compact,
    element_cost,
    exchange,
    state_of,
)
from hawq.training.ladder import Formats, Shape, forward

SHAPE = Shape((3, 4, 2))


def start(seed=1):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.round(4 * torch.randn(1, SHAPE.weights, generator=generator)) / 4
    formats = Formats(
        weight,
        weight,
        torch.full((1, SHAPE.channels), 3.0),
        torch.full((1, SHAPE.channels), 2.0),
    )
    x = torch.randn(400, 3, generator=generator)
    goal = torch.nn.functional.one_hot((x[:, 0] > x[:, 1]).long(), 2).float()
    return State(weight, torch.zeros(1, SHAPE.biases), formats), x, goal


def objective(state, x, goal, price):
    logits, _, _ = forward(SHAPE, state.weight, state.bias, state.formats, x)
    loss = torch.nn.functional.cross_entropy(logits[0], goal)
    return (loss + price * element_cost(SHAPE, state.formats, state.weight)[0]).item()


def test_the_objective_falls_and_stays_on_grids():
    state, x, goal = start()
    search = Search(1e-3, sweeps=15, samples=400)
    found = exchange(SHAPE, state, x, goal, search)
    assert objective(found, x, goal, 1e-3) < 0.7 * objective(state, x, goal, 1e-3)
    np.testing.assert_array_equal(found.weight * 256, (found.weight * 256).round())


def test_a_high_price_prunes_everything():
    state, x, goal = start()
    found = exchange(SHAPE, state, x, goal, Search(10.0, sweeps=10, samples=400))
    assert not found.weight.any()


def test_where_no_move_helps_the_network_stays():
    state, x, goal = start()
    search = Search(1e-3, sweeps=3, samples=400, gain=1e9)
    found = exchange(SHAPE, state, x, goal, search)
    np.testing.assert_array_equal(found.weight, state.weight)
    np.testing.assert_array_equal(found.bias, state.bias)


def test_cost_counts_digits_times_bits_and_one_and_bits_of_live_channels():
    state, _, _ = start()
    weight = torch.zeros(1, SHAPE.weights)
    weight[0, 0], weight[0, -1] = 0.75, 2.0  # two digits of a signed input, one hidden
    cost = element_cost(SHAPE, state.formats, weight).item()
    assert cost == 2 * (6 + 1) + 1 * (5 + 1) + 5


def test_a_pruned_weight_returns_when_the_loss_asks_for_it():
    state, x, goal = start()
    weight = state.weight.clone()
    weight[0, : SHAPE.sizes[1]] = 0  # all that reads the first input
    state = State(weight, state.bias, state.formats)
    found = exchange(SHAPE, state, x, goal, Search(0.0, sweeps=10, samples=400))
    assert found.weight[0, : SHAPE.sizes[1]].any()
    assert objective(found, x, goal, 0.0) < objective(state, x, goal, 0.0)


def test_what_nobody_reads_is_left_out_and_the_logits_stay():
    state, x, _ = start()
    weight = state.weight.clone()
    weight[0, -SHAPE.sizes[2] :] = 0  # nobody reads the last hidden unit
    weight[0, : SHAPE.sizes[1]] = 0  # nor the first input
    state = State(weight, state.bias, state.formats)
    shape, kept, inputs = compact(SHAPE, state)
    assert shape.sizes == (2, 3, 2)
    small = state_of(shape, state.row()[:, kept])
    logits, _, _ = forward(SHAPE, weight, state.bias, state.formats, x)
    found, _, _ = forward(shape, small.weight, small.bias, small.formats, x[:, inputs])
    np.testing.assert_array_equal(found, logits)


def test_channels_lose_bits_that_nothing_needs():
    state, x, goal = start()
    formats = state.formats
    wide = Formats(
        formats.weight, formats.alive, formats.fraction + 4, formats.integer + 2
    )
    begin = State(state.weight, state.bias, wide)
    search = Search(1e-3, sweeps=15, samples=400)
    found = exchange(SHAPE, begin, x, goal, search)
    bits = found.formats.fraction + found.formats.integer
    assert bits.sum() < (wide.fraction + wide.integer).sum() - 2 * SHAPE.channels
