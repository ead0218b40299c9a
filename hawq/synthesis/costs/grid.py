"""The grid of layers that cost models are fitted to: drawn, or cut from a network.

A layer is what the RTL makes of one: a product, a bias, and unless it is a network's
last a ReLU and the rounding and saturation to the next layer's input.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from hawq.allocation.cost import QuantizedLayer
from hawq.fixed import IntArray, smallest_width
from hawq.integer.graph import Graph, build
from hawq.integer.grid import Grid
from hawq.integer.nodes import (
    Conv,
    Dense,
    Node,
    Quantize,
    Relu,
    Requantize,
    Window,
)
from hawq.integer.tensor import RealInput

WEIGHT_BITS = ACTIVATION_BITS = (2, 3, 4, 5, 6, 7, 8)
INPUTS = (8, 16, 24, 32, 48, 64)
OUTPUTS = (5, 8, 16, 32, 48, 64)
ZEROS = (0.0, 0.2, 0.4, 0.6, 0.8)
OTHER_INPUTS = (10, 12, 20, 28, 40, 56)
OTHER_OUTPUTS = (6, 10, 12, 20, 24, 40)
OTHER_ZEROS = (0.1, 0.3, 0.5, 0.7)
KERNEL = (3, 3)

MOST_PRODUCT_BITS = 7_000
"""Non-zero weights x bits of both factors, of a drawn layer: up to about 2,500 LUTs."""

_SATURATE_AT = 4.0
"""Standard deviations of an accumulator that the next layer's input spans."""


@dataclass(frozen=True, eq=False)
class GridLayer:
    """A layer to synthesise.

    Attributes:
        name: Of the layer.
        weight: Integers, shape (outputs, inputs); of a convolution (outputs, inputs,
            *kernel).
        weight_bits: Their width.
        bias: Integers on the accumulator's grid, shape (outputs,).
        activation_bits: Width of the inputs.
        signed: Whether inputs can be negative.
        output_bits: Width of the outputs after ReLU, or None for bare accumulators.
        shift: Accumulators are divided by 2 to this before they are rounded.
        image: Sizes of the image that a convolution slides over, without padding.
    """

    name: str
    weight: IntArray
    weight_bits: int
    bias: IntArray
    activation_bits: int
    signed: bool = False
    output_bits: int | None = None
    shift: int = 0
    image: tuple[int, ...] = ()

    @property
    def positions(self) -> int:
        """How often the weights are unrolled."""
        kernel = self.weight.shape[2:]
        return math.prod(n - k + 1 for n, k in zip(self.image, kernel, strict=True))

    @property
    def quantized(self) -> QuantizedLayer:
        """The layer as cost models see it."""
        sign, width = smallest_width(int(self.bias.min()), int(self.bias.max()))
        return QuantizedLayer(
            name=self.name,
            weight=self.weight,
            weight_bits=self.weight_bits,
            activation_bits=self.activation_bits,
            bias=self.bias,
            bias_bits=width + int(not sign),
            macs=self.weight.size * self.positions,
            signed=self.signed,
        )

    @property
    def graph(self) -> Graph:
        """The layer as an integer graph."""
        bits = self.activation_bits - int(self.signed)
        inputs = Grid(-(2**bits) if self.signed else 0, 2**bits - 1, Fraction(1))
        nodes: list[Node] = [
            Quantize(("x",), "integers", inputs),
            self._product,
        ]
        if self.output_bits is not None:
            grid = Grid(0, 2**self.output_bits - 1, Fraction(2**self.shift))
            nodes += [Relu(("sum",), "positive"), Requantize(("positive",), "y", grid)]
        real = RealInput("x", (self.weight.shape[1], *self.image))
        return build([real], nodes, [nodes[-1].output])

    @property
    def _product(self) -> Node:
        if not self.image:
            return Dense(("integers",), "sum", self.weight.T, Fraction(1), self.bias)
        ones, kernel = (1,) * len(self.image), self.weight.shape[2:]
        window = Window(kernel, ones, ones, (0, 0) * len(self.image))
        return Conv(
            ("integers",), "sum", self.weight, Fraction(1), window, bias=self.bias
        )


def next_shift(layer: QuantizedLayer, output_bits: int) -> int:
    """Choose the scale of the next layer's input, as calibration does on average.

    Args:
        layer: The layer.
        output_bits: Width of the next layer's input.

    Returns:
        The smallest shift at which the input spans four standard deviations of the
        accumulators, for inputs spread evenly over their range.
    """
    span = 2.0**layer.activation_bits / math.sqrt(12)
    weights = layer.weight.reshape(len(layer.weight), -1).astype(np.float64)
    deviation = span * math.sqrt(float((weights**2).sum(axis=1).mean()))
    return max(
        0, math.ceil(math.log2(max(_SATURATE_AT * deviation, 1.0))) - output_bits
    )


def draw_layers(count: int, seed: int, *, other_sizes: bool = False) -> list[GridLayer]:
    """Draw layers with weights like trained ones.

    Values are Gaussian or Laplacian, the smallest set to zero, and then quantized at
    the power-of-two scale of least error, zeros that rounding makes on top. Every
    layer has its own seed, so that the first layers do not depend on the count.

    Args:
        count: Layers.
        seed: Of the draws.
        other_sizes: Draw sizes and fractions of zeros that lie between those that a
            draw without it can give.

    Returns:
        The layers.
    """
    children = np.random.SeedSequence(seed).spawn(count)
    return [
        _draw(f"{'other' if other_sizes else 'grid'}{i}", child, other_sizes)
        for i, child in enumerate(children)
    ]


def draw_convolutions(count: int, seed: int) -> list[GridLayer]:
    """Draw small convolutions with such weights, unrolled at every position.

    Args:
        count: Layers.
        seed: Of the draws.

    Returns:
        The layers, of 3 x 3 kernels on images of 4 x 4 to 6 x 6.
    """
    children = np.random.SeedSequence(seed).spawn(count)
    return [_draw_convolution(f"conv{i}", child) for i, child in enumerate(children)]


def _draw(name: str, seed: np.random.SeedSequence, other_sizes: bool) -> GridLayer:
    random = np.random.default_rng(seed)
    sizes = (
        (OTHER_INPUTS, OTHER_OUTPUTS, OTHER_ZEROS)
        if other_sizes
        else (INPUTS, OUTPUTS, ZEROS)
    )
    while True:
        inputs, outputs = int(random.choice(sizes[0])), int(random.choice(sizes[1]))
        zeros = float(random.choice(sizes[2]))
        weight_bits = int(random.choice(WEIGHT_BITS))
        activation_bits = int(random.choice(ACTIVATION_BITS))
        product = inputs * outputs * (1 - zeros) * weight_bits * activation_bits
        if product <= MOST_PRODUCT_BITS:
            break
    widths = (weight_bits, activation_bits)
    return _fill(name, random, (outputs, inputs), zeros, widths)


def _draw_convolution(name: str, seed: np.random.SeedSequence) -> GridLayer:
    random = np.random.default_rng(seed)
    while True:
        shape = (*(int(n) for n in random.integers(2, 7, 2)), *KERNEL)
        image = (int(random.integers(4, 7)),) * 2
        zeros = float(random.choice(OTHER_ZEROS))
        widths = (int(random.choice(WEIGHT_BITS)), int(random.choice(ACTIVATION_BITS)))
        positions = math.prod(n - k + 1 for n, k in zip(image, KERNEL, strict=True))
        product = math.prod((*shape, *widths)) * (1 - zeros) * positions
        if product <= MOST_PRODUCT_BITS:
            break
    return replace(_fill(name, random, shape, zeros, widths), image=image)


def _fill(
    name: str,
    random: np.random.Generator,
    shape: tuple[int, ...],
    zeros: float,
    widths: tuple[int, int],
) -> GridLayer:
    weight_bits, activation_bits = widths
    laplacian = bool(random.integers(2))
    values = random.laplace(size=shape) if laplacian else random.normal(size=shape)
    values[np.abs(values) < np.quantile(np.abs(values), zeros)] = 0.0
    weight = nearest_integers(values, weight_bits)
    rows = weight.reshape(len(weight), -1)
    deviation = math.sqrt(float((rows**2).sum(axis=1).mean()))
    bias = random.normal(size=len(weight)) * deviation * 2.0 ** (activation_bits - 3)
    bare = QuantizedLayer(name, weight, weight_bits, activation_bits, None, 0, 0)
    output_bits = int(random.choice(ACTIVATION_BITS))
    return GridLayer(
        name=name,
        weight=weight,
        weight_bits=weight_bits,
        bias=np.rint(bias).astype(np.int64),
        activation_bits=activation_bits,
        signed=bool(random.random() < 0.25),
        output_bits=output_bits,
        shift=next_shift(bare, output_bits),
    )


def nearest_integers(values: NDArray[np.float64], bits: int) -> IntArray:
    """Quantize values at the power-of-two scale of least squared error.

    Args:
        values: Any shape.
        bits: Width of the integers; the most negative one is left out.

    Returns:
        The integers, int64.
    """
    top = 2 ** (bits - 1) - 1
    highest = math.ceil(math.log2(float(np.abs(values).max()) / top))
    found: list[tuple[float, IntArray]] = []
    for exponent in range(highest - 4, highest + 1):
        scale = 2.0**exponent
        integers = np.clip(np.rint(values / scale), -top, top).astype(np.int64)
        error = float(((integers * scale - values) ** 2).sum())
        found.append((error, integers))
    return min(found, key=lambda pair: pair[0])[1]
