import numpy as np
import torch

from hawq.allocation.elements.exchange import Search, State, digit_cost, exchange
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
    return (loss + price * digit_cost(SHAPE, state, state.weight)[0]).item()


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


def test_digit_cost_counts_digits_times_bits_and_one():
    state, _, _ = start()
    weight = torch.zeros(1, SHAPE.weights)
    weight[0, 0], weight[0, -1] = 0.75, 2.0  # two digits of a signed input, one hidden
    assert digit_cost(SHAPE, state, weight).item() == 2 * (6 + 1) + 1 * (5 + 1)
