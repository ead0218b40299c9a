"""Choose a format for every element: curvature × error² against cost, under a budget.

For a fixed price the choice separates: every weight takes the option of least
``½ h Δ² + price × cost``, and so does every activation channel given the weights. The
price is found by bisection, for many networks at once.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from hawq.allocation.elements.digits import signed_digits
from hawq.training.ladder import Formats, Shape

WEIGHT_FRACTIONS = (-2, -1, 0, 1, 2, 3, 4, 5, 6)
INPUT_FRACTIONS = (-1, 0, 1, 2, 3, 4, 5)
INPUT_INTEGERS = (-1, 0, 1, 2, 3)
HIDDEN_FRACTIONS = (-2, -1, 0, 1, 2, 3, 4, 5)
HIDDEN_INTEGERS = (-1, 0, 1, 2, 3, 4)
DIGIT_EXTRA = 1.0
"""LUTs that one signed digit costs beyond the bits of what it multiplies."""

UNIT_EXTRA = 1.0
"""LUTs that each bit of a live hidden channel costs: ReLU, saturation."""


@dataclass
class WeightTable:
    """Options of every weight: pruned first, then one for each grid.

    Attributes:
        error: Expected rise of the loss in nats, shape (K, weights, options).
        digits: Signed digits, same shape.
    """

    error: Tensor
    digits: Tensor


@dataclass
class ChannelTable:
    """Options of the channels of one layer.

    Attributes:
        fraction_error: Shape (K, channels, fractions).
        integer_error: Of saturation, shape (K, channels, integers).
        fractions: Shape (fractions,).
        integers: Shape (integers,).
        sign: 1 if signed, else 0.
    """

    fraction_error: Tensor
    integer_error: Tensor
    fractions: Tensor
    integers: Tensor
    sign: int

    @property
    def errors(self) -> tuple[Tensor, Tensor]:
        """Those of rounding and of saturation."""
        return self.fraction_error, self.integer_error


def weight_table(weight: Tensor, curvature: Tensor) -> WeightTable:
    """Price every option of every weight.

    Args:
        weight: Shadow weights, shape (K, weights).
        curvature: Same shape.

    Returns:
        The table.
    """
    options = _options(WEIGHT_FRACTIONS, weight.device)
    scale = torch.exp2(options)
    integers = torch.round(weight.unsqueeze(-1) * scale)
    delta = weight.unsqueeze(-1) - integers / scale
    delta = torch.cat([weight.unsqueeze(-1), delta], -1)
    digits = torch.nn.functional.pad(signed_digits(integers), (1, 0))
    return WeightTable(0.5 * curvature.unsqueeze(-1) * delta.square(), digits)


def channel_tables(
    x: Tensor, sums: list[Tensor], curvatures: list[Tensor]
) -> list[ChannelTable]:
    """Price the options of every activation channel by the errors they really make.

    Args:
        x: Inputs, shape (samples, inputs).
        sums: Before each hidden quantizer, shape (K, samples, units).
        curvatures: Of what each layer reads, per sample.

    Returns:
        A table for each layer.
    """
    tables = []
    for layer, h in enumerate(curvatures):
        is_input = layer == 0
        value = x.unsqueeze(0) if is_input else torch.relu(sums[layer - 1])
        fractions = INPUT_FRACTIONS if is_input else HIDDEN_FRACTIONS
        integers = INPUT_INTEGERS if is_input else HIDDEN_INTEGERS
        rounding, saturation = [], []
        for f in fractions:
            error = value - torch.round(value * 2.0**f) * 2.0**-f
            rounding.append(0.5 * (h * error.square()).mean(1))
        for i in integers:
            error = torch.relu(value.abs() - 2.0**i)
            saturation.append(0.5 * (h * error.square()).mean(1))
        tables.append(
            ChannelTable(
                torch.stack(rounding, -1),
                torch.stack(saturation, -1),
                _options(fractions, x.device),
                _options(integers, x.device),
                int(is_input),
            )
        )
    return tables


@dataclass
class Choice:
    """What one price buys.

    Attributes:
        formats: Of every element.
        cost: In LUTs by the model, shape (K,).
    """

    formats: Formats
    cost: Tensor


def choose(
    shape: Shape,
    weights: WeightTable,
    channels: list[ChannelTable],
    bits: Tensor,
    price: Tensor,
) -> Choice:
    """Take the best options at a price.

    Args:
        shape: Of the networks.
        weights: Options of the weights.
        channels: Options of the channels.
        bits: Widths of the channels that the weights are priced with, (K, channels).
        price: Nats a LUT, shape (K,).

    Returns:
        The choice.
    """
    per_digit = torch.cat(
        [
            (b.transpose(1, 2) + DIGIT_EXTRA).expand(-1, n, m).flatten(1)
            for b, (n, m) in zip(shape.split_channels(bits), shape.layers, strict=True)
        ],
        1,
    )
    unit_cost = (per_digit * price.unsqueeze(1)).unsqueeze(-1)
    option = (weights.error + unit_cost * weights.digits).argmin(-1, keepdim=True)
    digits = weights.digits.gather(-1, option).squeeze(-1)
    option = option.squeeze(-1)
    alive = (digits > 0).to(digits.dtype)
    grid = (option - 1).clamp_min(0).to(digits.dtype) + WEIGHT_FRACTIONS[0]
    fractions, integers, cost = [], [], torch.zeros_like(price)
    for layer, table in enumerate(channels):
        fan_out = shape.split_weights(digits)[layer].sum(2)
        live = (fan_out > 0).to(digits.dtype)
        extra = 0.0 if table.sign else UNIT_EXTRA
        a_bit = price.unsqueeze(1) * (fan_out + extra * live) + 1e-9
        f = _best(table.fraction_error, table.fractions, a_bit)
        i = _best(table.integer_error, table.integers, a_bit)
        f = torch.maximum(f, 1 - i - table.sign)
        width = f + i + table.sign
        cost = cost + (fan_out * (width + DIGIT_EXTRA)).sum(1)
        cost = cost + (live * width).sum(1) * extra
        fractions.append(f)
        integers.append(i)
    made = Formats(grid, alive, torch.cat(fractions, 1), torch.cat(integers, 1))
    return Choice(made, cost)


@functools.cache
def _options(values: tuple[int, ...], device: torch.device) -> Tensor:
    # Made once: a CUDA graph cannot copy from the host.
    return torch.tensor(values, dtype=torch.float32, device=device)


def _best(error: Tensor, options: Tensor, a_bit: Tensor) -> Tensor:
    return options[(error + a_bit.unsqueeze(-1) * options).argmin(-1)]


def channel_bits(shape: Shape, formats: Formats) -> Tensor:
    """Give the width of every channel, shape (K, channels)."""
    bits = formats.fraction + formats.integer
    bits[:, : shape.sizes[0]] += 1
    return bits


def allocate(
    shape: Shape,
    weights: WeightTable,
    channels: list[ChannelTable],
    bits: Tensor,
    budget: Tensor,
    rounds: int = 24,
) -> tuple[Choice, Tensor]:
    """Find the lowest price whose choice meets the budget.

    Args:
        shape: Of the networks.
        weights: Options of the weights.
        channels: Options of the channels.
        bits: Widths that the weights are priced with, shape (K, channels).
        budget: In LUTs, shape (K,).
        rounds: Halvings of the bracket, which spans 2**-40 to 1.

    Returns:
        The choice, and the price of each network.
    """
    low = torch.full_like(budget, -40.0)
    high = torch.zeros_like(budget)
    for _ in range(rounds):
        middle = (low + high) / 2
        fits = choose(shape, weights, channels, bits, torch.exp2(middle)).cost <= budget
        high = torch.where(fits, middle, high)
        low = torch.where(fits, low, middle)
    price = torch.exp2(high)
    return choose(shape, weights, channels, bits, price), price


PACE = 0.5
"""Power of cost over budget that moves a price which follows a budget."""


def follow(
    shape: Shape,
    weights: WeightTable,
    channels: list[ChannelTable],
    bits: Tensor,
    budget: Tensor,
    price: Tensor,
) -> tuple[Choice, Tensor]:
    """Choose at a price, and say which price comes nearer to the budget.

    Called again and again while a budget moves slowly, this meets it on average for a
    small part of what ``allocate`` takes, and without its jumps.

    Args:
        shape: Of the networks.
        weights: Options of the weights.
        channels: Options of the channels.
        bits: Widths that the weights are priced with, shape (K, channels).
        budget: In LUTs, shape (K,).
        price: Nats a LUT, shape (K,).

    Returns:
        The choice at this price, and the price for the next time.
    """
    choice = choose(shape, weights, channels, bits, price)
    nearer = price * (choice.cost.clamp_min(1) / budget) ** PACE
    return choice, nearer.clamp(2.0**-40, 1.0)
