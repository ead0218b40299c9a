"""Prices fitted to synthesised layers: ``lut`` and ``latency_ns``; and ``ebops``.

Distributed arithmetic makes a layer of adders: one for each non-zero signed digit of
its integers, less what outputs share, each about as wide as the accumulators. So

    LUT = n · c · digits^α · weights^β · width^γ · outputs^δ · inputs^ε · s
    delay = d₁ · log₂(n · digits) + d₂ · width

for n copies of the layer, a convolution's positions, and s = 1 if inputs are not
negative. Zeros, and what pruning leaves without inputs or outputs, do not count.
α + β < 1: the larger a layer, the more its outputs share. What is fitted stands in
``measured.json`` with where it came from and its errors; ``hawq.synthesis.costs.fit``
makes that file anew.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from hawq.allocation.cost import CostModel, QuantizedLayer
from hawq.errors import InputError
from hawq.fixed import IntArray
from hawq.records import Record

FILE = Path(__file__).with_name("measured.json")


def signed_digits(integers: IntArray) -> IntArray:
    """Count the non-zero digits of the canonical signed-digit form.

    Args:
        integers: Of any shape, magnitudes below 2**61.

    Returns:
        Counts, same shape.

    Source:
        H. Prodinger, "On binary representations of integers with digits -1, 0, 1",
        Integers 0 (2000) A08: they are the bits in which n and 3 n differ.

    >>> signed_digits(np.array([0, 1, -2, 3, 7, 11])).tolist()
    [0, 1, 1, 2, 2, 3]
    """
    magnitude = np.abs(integers)
    digits: IntArray = np.bitwise_count(magnitude ^ (3 * magnitude)).astype(np.int64)
    return digits


@dataclass(frozen=True)
class Sums:
    """What decides the size of a layer's adders.

    Attributes:
        digits: Signed digits of all weights.
        weights: That are not zero.
        width_bits: Of the accumulators that are not constant, on average; the exact
            bounds' logarithm, not a whole number.
        outputs: How many outputs with equally many digits would share them so; an
            output without weights does not count, one with few counts little.
        inputs: The same of the inputs.
        signed: Whether inputs can be negative.
        copies: Of the layer: positions of a convolution that is unrolled.
    """

    digits: int
    weights: int
    width_bits: float
    outputs: float
    inputs: float
    signed: bool
    copies: int

    @classmethod
    def of(cls, layer: QuantizedLayer) -> Sums | None:
        """Measure a layer's integers.

        Args:
            layer: Of any kind.

        Returns:
            None if all weights are zero: there is nothing to add.
        """
        return cls.count(
            layer.weight.reshape(len(layer.weight), -1),
            np.array(2.0**layer.activation_bits - 1),
            layer.bias,
            signed=layer.signed,
            copies=max(1, round(layer.macs / layer.weight.size)),
        )

    @classmethod
    def count(
        cls,
        weight: IntArray,
        spans: NDArray[np.float64],
        bias: IntArray | None,
        *,
        signed: bool,
        copies: int,
    ) -> Sums | None:
        """Measure integers.

        Args:
            weight: Shape (outputs, inputs).
            spans: Largest less smallest integer of the inputs, broadcast to ``weight``.
                Weights of inputs that are constant do not count.
            bias: Shape (outputs,), or None.
            signed: Whether inputs can be negative.
            copies: Of the layer.

        Returns:
            None if there is nothing to add.
        """
        weight = np.where(spans > 0, weight, 0)
        live = np.any(weight, axis=1)
        if not live.any():
            return None
        digits = signed_digits(weight)
        largest = (np.abs(weight) * spans).sum(axis=1)
        if bias is not None:
            largest = largest + np.abs(bias)
        return cls(
            digits=int(digits.sum()),
            weights=int(np.count_nonzero(weight)),
            width_bits=float(np.log2(largest[live] + 1).mean()),
            outputs=_effective(digits.sum(axis=1)),
            inputs=_effective(digits.sum(axis=0)),
            signed=signed,
            copies=copies,
        )


def _effective(counts: IntArray) -> float:
    return float(counts.sum()) ** 2 / float((counts**2).sum())


class LutLaw(Record):
    """LUTs of a layer, as a product of powers.

    Attributes:
        factor: Of the product.
        digits: Exponent of the signed digits.
        weights: Exponent of the weights that are not zero.
        width: Exponent of the accumulators' width.
        outputs: Exponent of the outputs.
        inputs: Exponent of the inputs.
        signed: Factor for inputs that can be negative.
    """

    factor: float = Field(gt=0)
    digits: float = Field(ge=0)
    weights: float = Field(ge=0)
    width: float = Field(ge=0)
    outputs: float = Field(ge=0)
    inputs: float = Field(ge=0)
    signed: float = Field(ge=1)

    def predict(self, sums: Sums) -> float:
        """Predict.

        Args:
            sums: Of the layer.

        Returns:
            LUTs, all copies together.
        """
        return float(
            sums.copies
            * self.factor
            * sums.digits**self.digits
            * sums.weights**self.weights
            * sums.width_bits**self.width
            * sums.outputs**self.outputs
            * sums.inputs**self.inputs
            * (self.signed if sums.signed else 1.0)
        )


class DelayLaw(Record):
    """Delay of a layer through its cells, in ns.

    Attributes:
        doubling_ns: For twice the digits, of all copies.
        bit_ns: For one more bit of the accumulators.
    """

    doubling_ns: float = Field(ge=0)
    bit_ns: float = Field(ge=0)

    def predict(self, sums: Sums) -> float:
        """Predict.

        Args:
            sums: Of the layer.

        Returns:
            ns.
        """
        digits = sums.digits * sums.copies  # the slowest of all outputs counts
        return self.doubling_ns * math.log2(digits) + self.bit_ns * sums.width_bits


class Errors(Record):
    """How far predictions are off, relative to what was measured.

    Attributes:
        layers: How many.
        median: Of the magnitudes.
        percentile_90: Of the magnitudes.
        mean: With sign; positive is too much.
    """

    layers: int
    median: float
    percentile_90: float
    mean: float


class Proportional(Record):
    """Another estimate, times one fitted factor, in place of the law of LUTs.

    Attributes:
        factor: LUTs a unit of the estimate.
        errors: Set of layers → errors.
    """

    factor: float = Field(gt=0)
    errors: dict[str, Errors]


class MeasuredCosts(Record):
    """What was fitted, to what, and how well it does on layers it has not seen.

    Attributes:
        lut: The law of LUTs.
        delay: The law of delays.
        tools: Versions of what made the measurements.
        passes: Of Yosys.
        grid: Digest of the layers that were fitted to.
        lut_errors: Set of layers → errors: ``fitted``, what was fitted to; held out,
            ``drawn`` of other sizes, ``conv``, unrolled convolutions, and cut from a
            ``network``; ``unseen``, all that was held out.
        delay_errors: The same of delays.
        beside: Other estimates of LUTs: ``adders``, alkaid's own cost, for which it
            must trace the layer; ``ebops`` and ``bops``.
    """

    lut: LutLaw
    delay: DelayLaw
    tools: dict[str, str]
    passes: tuple[str, ...]
    grid: str
    lut_errors: dict[str, Errors]
    delay_errors: dict[str, Errors]
    beside: dict[str, Proportional]


@functools.cache
def measured() -> MeasuredCosts:
    """Read what was fitted.

    Returns:
        The content of ``measured.json``.
    """
    return read(FILE)


def read(path: Path) -> MeasuredCosts:
    """Read what ``hawq.synthesis.costs.fit`` wrote.

    Args:
        path: Of its ``measured.json``.

    Returns:
        The laws.

    Raises:
        InputError: if the file holds something else.
    """
    try:
        return MeasuredCosts.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(
            f"{path} is no cost model: {where}: {first['msg']}; expected the "
            "measured.json that `hawq cost-model` writes"
        ) from error


def models(costs: MeasuredCosts) -> dict[str, CostModel]:
    """Make cost models of fitted laws.

    Args:
        costs: The laws.

    Returns:
        ``lut`` and ``latency_ns``.
    """

    def price_lut(layer: QuantizedLayer) -> float:
        sums = Sums.of(layer)
        return 0.0 if sums is None else costs.lut.predict(sums)

    def price_ns(layer: QuantizedLayer) -> float:
        sums = Sums.of(layer)
        return 0.0 if sums is None else costs.delay.predict(sums)

    return {
        "lut": replace(lut, price=price_lut),
        "latency_ns": replace(latency_ns, price=price_ns),
    }


def _shipped(name: str, layer: QuantizedLayer) -> float:
    return models(measured())[name].price(layer)


def _ebops(layer: QuantizedLayer) -> float:
    magnitude = np.abs(layer.weight)
    lowest = magnitude & -magnitude
    highest = np.floor(np.log2(np.maximum(magnitude, 1)))
    bits = np.where(magnitude > 0, highest - np.log2(np.maximum(lowest, 1)) + 1, 0)
    copies = max(1, round(layer.macs / layer.weight.size))
    return float(copies * layer.activation_bits * bits.sum())


lut = CostModel(
    "lut",
    "LUTs of UltraScale+ as Yosys counts them, predicted",
    partial(_shipped, "lut"),
)
"""LUTs of the layer in distributed arithmetic with its bias, ReLU and rounding.

How wide the rounded output is, a layer does not know: the law averages over it. A
network's last layer, which has neither, takes a little less.
"""

latency_ns = CostModel(
    "latency_ns",
    "ns through cells without wires or registers, predicted",
    partial(_shipped, "latency_ns"),
)
"""Delay of the layer's logic; the sum over a network's layers bounds its own from
above, for slow bits of one layer need not be the slow ones of the next."""

ebops = CostModel("ebops", "effective bit operations", _ebops)
"""Activation bits times the bits from each weight's highest to its lowest one.

Source: arXiv:2405.00645, for weights that are constants.
"""
