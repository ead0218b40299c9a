"""Exchange single grid steps: the measured rise of the loss against marginal cost.

The last step down to the single weight. Formats of activations stay; every weight may
move by one step of its own grid or of the next finer one, or be pruned, and every bias
by one or four steps. A move is taken if loss + price × cost falls on the integers that
the hardware computes with, so that no rounding is hidden from it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hawq.allocation.elements.digits import signed_digits
from hawq.allocation.elements.solve import DIGIT_EXTRA, channel_bits
from hawq.training.ladder import Formats, Shape, forward

FINEST = 8
"""Fractional bits of the finest grid of a weight."""

CHUNK = 128
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


@dataclass(frozen=True)
class Search:
    """How moves are looked for.

    Attributes:
        price: Nats a LUT.
        seconds: Limit of time.
        sweeps: Limit of sweeps.
        samples: Drawn anew for each sweep.
        weights: That each sweep tries, drawn among those that are not pruned.
        tries: Best moves of a sweep that are tried together.
        gain: Least fall of the objective that counts, in nats.
        seed: Of the draws.
    """

    price: float
    seconds: float = 30.0
    sweeps: int = 400
    samples: int = 12_288
    weights: int = 160
    tries: int = 24
    gain: float = 1e-5
    seed: int = 0


def digit_cost(shape: Shape, state: State, weight: Tensor) -> Tensor:
    """Give the LUTs of all signed digits, shape (K,), of weights (K, weights)."""
    bits = channel_bits(shape, state.formats)
    per_digit = torch.cat(
        [
            (b.transpose(1, 2) + DIGIT_EXTRA).expand(-1, n, m).flatten(1)
            for b, (n, m) in zip(shape.split_channels(bits), shape.layers, strict=True)
        ],
        1,
    )
    digits = signed_digits(torch.round(weight * 2.0**FINEST))
    return (digits * per_digit).sum(1)


@torch.no_grad()
def exchange(
    shape: Shape, state: State, x: Tensor, goal: Tensor, search: Search
) -> State:
    """Search until no move helps or a limit is met.

    Args:
        shape: Of the network.
        state: Where to start.
        x: Training inputs, shape (samples, inputs).
        goal: Target probabilities, shape (samples, classes).
        search: Price and limits.

    Returns:
        The network, no worse in loss + price × cost on what each sweep drew.
    """
    generator = torch.Generator().manual_seed(search.seed)
    start = time.monotonic()
    for _ in range(search.sweeps):
        rows = torch.randperm(len(x), generator=generator)[: search.samples]
        rows = rows.to(x.device)
        weights, biases = _moves(shape, state, search.weights, generator)
        given = (x[rows], goal[rows], search.price)
        base = _objective(shape, state, state.weight, state.bias, *given)[0]
        falls = base - _objective(shape, state, weights, biases, *given)
        for move in falls.argsort(descending=True)[: search.tries].tolist():
            if falls[move] < search.gain:
                break
            new = _taken(
                state, weights[move], biases[move], falls_from=(weights, biases)
            )
            value = _objective(shape, new, new.weight, new.bias, *given)[0]
            if value < base - search.gain:
                state, base = new, value
        if time.monotonic() - start > search.seconds:
            break
    return state


def _taken(
    state: State, weight: Tensor, bias: Tensor, falls_from: tuple[Tensor, Tensor]
) -> State:
    # The last bias moves leave every weight alone, the first weight moves every bias.
    old_weight, old_bias = falls_from[0][-1], falls_from[1][0]
    return replace(
        state,
        weight=torch.where(weight != old_weight, weight, state.weight),
        bias=torch.where(bias != old_bias, bias, state.bias),
    )


def _moves(
    shape: Shape, state: State, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """List networks that differ from this one in one element."""
    weight, bias, device = state.weight, state.bias, state.weight.device
    alive = weight[0].nonzero()[:, 0]
    chosen = alive[torch.randperm(len(alive), generator=generator)[:count].to(device)]
    finer = torch.randint(0, 2, (len(chosen),), generator=generator).to(device)
    bits = (_fractional_bits(weight[0, chosen]) + finer).clamp_max(FINEST)
    now, step = weight[0, chosen], torch.exp2(-bits)
    new = torch.cat([now + step, now - step, torch.zeros_like(now)])
    moved = weight.repeat(len(new), 1)
    moved[torch.arange(len(new), device=device), chosen.repeat(3)] = new
    hidden = state.formats.fraction[:, shape.sizes[0] :]
    last = torch.full((1, shape.sizes[-1]), 5.0, device=device)
    unit = torch.exp2(-torch.cat([hidden + 2, last], 1))[0]
    shifts = torch.cat([torch.diag(unit * k) for k in (1.0, -1.0, 4.0, -4.0)])
    return (
        torch.cat([moved, weight.expand(len(shifts), -1)]),
        torch.cat([bias.expand(len(new), -1), bias + shifts]),
    )


def _fractional_bits(values: Tensor) -> Tensor:
    bits = torch.full_like(values, float(FINEST))
    for f in range(FINEST - 1, -3, -1):
        scaled = values * 2.0**f
        bits = torch.where(scaled == scaled.round(), float(f), bits)
    return bits


def _objective(
    shape: Shape,
    state: State,
    weights: Tensor,
    biases: Tensor,
    x: Tensor,
    goal: Tensor,
    price: float,
) -> Tensor:
    losses = []
    for w, b in zip(
        torch.split(weights, CHUNK), torch.split(biases, CHUNK), strict=True
    ):
        formats = Formats(
            w,
            w,
            state.formats.fraction.expand(len(w), -1),
            state.formats.integer.expand(len(w), -1),
        )
        logits, _, _ = forward(shape, w, b, formats, x)
        losses.append(-(goal * torch.log_softmax(logits, -1)).sum(-1).mean(1))
    return torch.cat(losses) + price * digit_cost(shape, state, weights)
