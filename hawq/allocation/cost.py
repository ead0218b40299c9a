"""What a layer costs at given widths: the seam ``hawq.cost``.

A cost model prices one layer whose weights are quantized and whose input has a width.
The price of a network is the sum over its layers. A new model is a ``CostModel`` behind
an entry point of the group ``hawq.cost``; ``hawq.testing.check_cost_model`` holds it to
the contract.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from hawq.fixed import IntArray


@dataclass(frozen=True)
class QuantizedLayer:
    """One layer at the widths whose price is asked.

    Attributes:
        name: Of the layer.
        weight: Integers, shape (outputs, ...): all of one output's weights in a row.
        weight_bits: Their width.
        activation_bits: Width of the activations that enter.
        bias: Integers on the accumulator's grid, shape (outputs,), or None.
        bias_bits: Their width; 0 without bias.
        macs: Multiplications a sample.
        signed: Whether the activations can be negative.
    """

    name: str
    weight: IntArray
    weight_bits: int
    activation_bits: int
    bias: IntArray | None
    bias_bits: int
    macs: int
    signed: bool = False

    @property
    def fan_in(self) -> int:
        """Products summed into one output."""
        return int(self.weight[0].size)

    @property
    def nonzero_fraction(self) -> float:
        """Fraction of the integers, biases included, that are not zero."""
        count, nonzero = self.weight.size, np.count_nonzero(self.weight)
        if self.bias is not None:
            count += self.bias.size
            nonzero += np.count_nonzero(self.bias)
        return nonzero / count


@dataclass(frozen=True)
class CostModel:
    """A named price.

    Attributes:
        name: As budgets spell it.
        unit: In words.
        price: Layer → cost, not negative. It must depend on the layer alone.
    """

    name: str
    unit: str
    price: Callable[[QuantizedLayer], float]

    def total(self, layers: Iterable[QuantizedLayer]) -> float:
        """Price a network.

        Args:
            layers: Its layers.

        Returns:
            The sum of their prices, correctly rounded.
        """
        return math.fsum(self.price(layer) for layer in layers)


def _bit_operations(layer: QuantizedLayer, density: float) -> float:
    w, a = layer.weight_bits, layer.activation_bits
    return layer.macs * (density * w * a + w + a + math.log2(layer.fan_in))


bops = CostModel(
    "bops",
    "bit operations",
    lambda layer: _bit_operations(layer, layer.nonzero_fraction),
)
"""``macs · (p·b_w·b_a + b_w + b_a + log2 n)``: n products enter an output, a fraction p
of the layer's integers is not zero.

Source: arXiv:2304.06745, as its code counts them; only the products are thinned by p.
"""

bops_dense = CostModel(
    "bops_dense", "bit operations", lambda layer: _bit_operations(layer, 1.0)
)
"""``bops`` with p = 1: what published totals assume, and what pruning cannot lower."""

memory_bits = CostModel(
    "memory_bits",
    "bits",
    lambda layer: float(
        layer.weight.size * layer.weight_bits
        + (0 if layer.bias is None else layer.bias.size * layer.bias_bits)
    ),
)
"""Weights and biases, each at its width."""
