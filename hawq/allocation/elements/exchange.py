"""Exchange single grid steps: the measured rise of the loss against marginal cost.

The last step down to the single weight. Every weight may move by one power of two or be
pruned, a pruned one may return, every bias may move by one or four of its steps, and
every activation channel may lose a bit at either end. The second-order expansion
proposes moves of weights and biases; what falls in loss + price × cost on the integers
that the hardware computes with is taken, so that no rounding is hidden from it.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hawq.allocation.elements.digits import signed_digits
from hawq.allocation.elements.solve import DIGIT_EXTRA, UNIT_EXTRA, channel_bits
from hawq.training.ladder import (
    Formats,
    Shape,
    bias_fractions,
    curvature,
    forward,
    gradient,
)

FINEST = 8
"""Fractional bits of the finest grid of a weight."""

STEPS = tuple(2.0**-f for f in range(6))
"""By which a weight may move."""

BIAS_STEPS = (1.0, -1.0, 4.0, -4.0)
"""By which a bias may move, in its own steps."""

CHUNK = 32
"""Networks that are evaluated as one product."""


@dataclass(frozen=True)
class State:
    """One network on grids.

    Attributes:
        weight: Shape (1, weights).
        bias: Shape (1, biases).
        formats: Of the channels; those of the weights are not read.
    """

    weight: Tensor
    bias: Tensor
    formats: Formats

    def row(self) -> Tensor:
        """Give all of it in one row: weights, biases, fractions, integers."""
        formats = self.formats
        return torch.cat([self.weight, self.bias, formats.fraction, formats.integer], 1)


def state_of(shape: Shape, rows: Tensor) -> State:
    """Read networks from rows of ``State.row``."""
    sizes = [shape.weights, shape.biases, shape.channels, shape.channels]
    w, b, f, i = torch.split(rows, sizes, 1)
    return State(w, b, Formats(w, w, f, i))


@dataclass(frozen=True)
class Search:
    """How moves are looked for.

    Attributes:
        price: Nats a LUT.
        seconds: Limit of time.
        sweeps: Limit of sweeps.
        samples: Drawn anew for each sweep.
        moves: That each sweep measures, of all that the expansion ranks.
        tries: Best moves of a sweep that are tried together.
        gain: Least fall of the objective that counts, in nats.
        seed: Of the draws.
    """

    price: float
    seconds: float = 30.0
    sweeps: int = 400
    samples: int = 12_288
    moves: int = 384
    tries: int = 24
    gain: float = 1e-5
    seed: int = 0


@dataclass(frozen=True)
class _Moves:
    """What two elements of a row become, shape (moves, 2) each; often they are one."""

    elements: Tensor
    values: Tensor

    def apply(self, rows: Tensor, move: int) -> None:
        rows[:, self.elements[move]] = self.values[move]


def digit_price(shape: Shape, formats: Formats) -> Tensor:
    """Give the LUTs of one signed digit of every weight, shape (K, weights)."""
    bits = channel_bits(shape, formats)
    layers = zip(shape.split_channels(bits), shape.layers, strict=True)
    return torch.cat(
        [
            (b.transpose(1, 2) + DIGIT_EXTRA).expand(-1, n, m).flatten(1)
            for b, (n, m) in layers
        ],
        1,
    )


def digits_of(weight: Tensor) -> Tensor:
    """Count the signed digits of weights on grids, same shape."""
    return signed_digits(torch.round(weight * 2.0**FINEST))


def element_cost(shape: Shape, formats: Formats, weight: Tensor) -> Tensor:
    """Give the LUTs of networks by the allocation's model: digits and live channels.

    Args:
        shape: Of the networks.
        formats: Of the channels, of one network or of all.
        weight: On grids, shape (K, weights).

    Returns:
        Shape (K,).
    """
    cost = (digits_of(weight) * digit_price(shape, formats)).sum(1)
    bits = shape.split_channels(channel_bits(shape, formats))[1:]
    for b, w in zip(bits, shape.split_weights(weight)[1:], strict=True):
        cost = cost + UNIT_EXTRA * (b[:, 0] * w.ne(0).any(2)).sum(1)
    return cost


@torch.no_grad()
def exchange(
    shape: Shape,
    state: State,
    x: Tensor,
    goal: Tensor,
    search: Search,
    progress: Callable[[int, State], None] = lambda sweep, state: None,
) -> State:
    """Search until no time or sweep is left.

    Args:
        shape: Of the network.
        state: Where to start.
        x: Training inputs, shape (samples, inputs).
        goal: Target probabilities, shape (samples, classes).
        search: Price and limits.
        progress: Called after every sweep with its number and the network.

    Returns:
        The network, no worse in loss + price × cost on what each sweep drew.
    """
    generator = torch.Generator().manual_seed(search.seed)
    start = time.monotonic()
    for sweep in range(search.sweeps):
        rows = torch.randperm(len(x), generator=generator)[: search.samples]
        rows = rows.to(x.device)
        given = (shape, x[rows], goal[rows], search.price)
        moves = _proposed(state, *given, search.moves)
        row = state.row()
        base = _objective(row, *given)[0]
        alone = row.repeat(len(moves.values), 1)
        for move in range(len(alone)):
            moves.apply(alone[move : move + 1], move)
        falls, order = (base - _objective(alone, *given)).sort(descending=True)
        order = order[: search.tries][falls[: search.tries] > search.gain]
        if len(order):
            together = row.repeat(len(order), 1)
            for place, move in enumerate(order.tolist()):
                moves.apply(together[place:], move)
            value, best = _objective(together, *given).min(0)
            if value < base - search.gain:
                state = state_of(shape, together[best, None])
        progress(sweep, state)
        if time.monotonic() - start > search.seconds:
            break
    return state


def _proposed(
    state: State, shape: Shape, x: Tensor, goal: Tensor, price: float, count: int
) -> _Moves:
    """Rank moves of weights to second order, of biases to first; add the channels'."""
    weight, bias, formats = state.weight, state.bias, state.formats
    _, slope = gradient(shape, weight, bias, formats, x, goal)
    h, _, _ = curvature(shape, weight, bias, formats, x[: len(x) // 3 + 1])
    steps = [weight + sign * step for step in STEPS for sign in (1, -1)]
    values = torch.cat([*steps, torch.zeros_like(weight)])
    delta = values - weight
    digits = digits_of(values) - digits_of(weight)
    of_weight, of_bias = slope[:, : shape.weights], slope[:, shape.weights :]
    rise = of_weight * delta + 0.5 * h * delta.square()
    rise = rise + price * digits * digit_price(shape, formats)
    rise = torch.where(delta == 0, float("inf"), rise)
    unit = torch.exp2(-bias_fractions(shape, formats))
    shifts = unit * torch.tensor(BIAS_STEPS, device=x.device).unsqueeze(1)
    rises = torch.cat([rise.flatten(), (of_bias * shifts).flatten()])
    best = rises.topk(min(count, len(rises)), largest=False).indices
    places = torch.arange(shape.weights + shape.biases, device=x.device)
    elements = torch.cat([
        places[: shape.weights].repeat(len(values)),
        places[shape.weights :].repeat(len(shifts)),
    ])
    changed = torch.cat([values.flatten(), (bias + shifts).flatten()])
    pairs = elements[best, None].repeat(1, 2), changed[best, None].repeat(1, 2)
    narrower = _narrower(shape, state)
    return _Moves(
        torch.cat([pairs[0], narrower.elements]), torch.cat([pairs[1], narrower.values])
    )


def _narrower(shape: Shape, state: State) -> _Moves:
    """Take a bit from every channel; at the lower end the bias keeps the rounding."""
    row = state.row()[0]
    inputs, channels, device = shape.sizes[0], shape.channels, row.device
    fraction = torch.arange(channels, device=device) + shape.weights + shape.biases
    integer = fraction + channels
    bias = fraction.clone()
    bias[inputs:] = torch.arange(channels - inputs, device=device) + shape.weights
    moved = row[bias] - 1
    moved[inputs:] = row[bias[inputs:]] + torch.exp2(-row[fraction[inputs:]] - 1)
    values = torch.cat([
        torch.stack([row[fraction] - 1, moved], 1),
        (row[integer, None] - 1).repeat(1, 2),
    ])
    elements = torch.cat([
        torch.stack([fraction, bias], 1),
        integer[:, None].repeat(1, 2),
    ])
    width = row[fraction] + row[integer]
    width[:inputs] += 1
    is_wide = (width > 1).repeat(2)
    return _Moves(elements[is_wide], values[is_wide])


def _objective(
    rows: Tensor, shape: Shape, x: Tensor, goal: Tensor, price: float
) -> Tensor:
    losses = []
    for part in torch.split(rows, CHUNK):
        state = state_of(shape, part)
        logits, _, _ = forward(shape, state.weight, state.bias, state.formats, x)
        loss = -(goal * torch.log_softmax(logits, -1)).sum(-1).mean(1)
        cost = element_cost(shape, state.formats, state.weight)
        losses.append(loss + price * cost)
    return torch.cat(losses)


def compact(shape: Shape, state: State) -> tuple[Shape, Tensor, Tensor]:
    """Leave out channels that nobody reads.

    Args:
        shape: Of the network.
        state: The network.

    Returns:
        The smaller shape; which elements of ``State.row`` make up its row; and which
        inputs it reads, as indices.
    """
    live = [w[0].ne(0).any(1) for w in shape.split_weights(state.weight)]
    units = [
        *live,
        torch.ones(shape.sizes[-1], dtype=torch.bool, device=live[0].device),
    ]
    weights = [(a.unsqueeze(1) & b).flatten() for a, b in itertools.pairwise(units)]
    kept = torch.cat([*weights, *units[1:], *live, *live])
    small = Shape(tuple(int(unit.sum()) for unit in units))
    return small, kept.nonzero()[:, 0], live[0].nonzero()[:, 0]
