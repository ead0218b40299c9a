"""What random networks are built with: choices, numbers, quantizers."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from network_file import DOMAIN, MODES, NetworkFile
from numpy.typing import NDArray

Item = TypeVar("Item")


@dataclass(frozen=True)
class Choices:
    """Where decisions come from: a seed, or hypothesis, which shrinks what it finds.

    Attributes:
        integer: (low, high) → an integer between them, both included.
    """

    integer: Callable[[int, int], int]

    @classmethod
    def of(cls, seed: int) -> Choices:
        return cls(random.Random(seed).randint)

    def pick(self, options: Sequence[Item]) -> Item:
        return options[self.integer(0, len(options) - 1)]

    def chance(self, percent: int) -> bool:
        return self.integer(1, 100) > 100 - percent


@dataclass(frozen=True)
class Data:
    """A tensor on the way.

    Attributes:
        name: In the file.
        shape: Of one sample.
        reach: Roughly its largest value.
    """

    name: str
    shape: tuple[int, ...]
    reach: float


@dataclass
class Builder:
    """A file that grows.

    Attributes:
        choose: Makes the decisions.
        shape: Of one sample of the input.
        file: The file.
        numbers: Draws weights.
        made: Tensors that a later operator may read again.
    """

    choose: Choices
    shape: tuple[int, ...]
    file: NetworkFile = field(init=False)
    numbers: np.random.Generator = field(init=False)
    made: list[Data] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.file = NetworkFile(*self.shape)
        self.numbers = np.random.default_rng(self.choose.integer(0, 2**16))

    def scale(self, about: float) -> float:
        """Give a power of two, or a float32 of any bits, near ``about``."""
        two = 2.0 ** (math.frexp(about)[1] - self.choose.integer(0, 3))
        if self.choose.chance(50):
            return two
        return float(np.float32(two * self.numbers.uniform(0.5, 1.0)))

    def scales(self, about: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
        flat = [self.scale(about) for _ in range(math.prod(shape))]
        return np.array(flat).reshape(shape)

    def attributes(self, bits: int) -> dict[str, Any]:
        """Choose the attributes and the zero point of a quantizer."""
        choose = self.choose
        if bits == 1:
            return {"signed": choose.integer(0, 1), "mode": choose.pick(MODES)}
        return {
            "signed": choose.integer(0, 1),
            "narrow": int(choose.chance(25)),
            "mode": choose.pick(MODES),
            "zero_point": float(choose.integer(-3, 3)) if choose.chance(15) else 0.0,
        }

    def real(self, *shape: int) -> NDArray[np.float32]:
        return self.numbers.normal(size=shape).astype(np.float32)

    def weights(self, *shape: int, axis: int) -> str:
        """Write a quantized constant of values up to about 4."""
        values, bits = self.real(*shape), self.choose.pick((1, 2, 3, 4, 4, 6, 8, 16))
        if self.choose.chance(10):
            few = np.rint(values * 2) * self.choose.pick((1.0, 0.5, 3.0))
            return self.file.constant(few)
        about = 4.0 / 2.0**bits
        scale: Any = self.scale(about)
        if self.choose.chance(30):
            scale = self.scales(about, _column(shape, axis))
        return self.file.weights(values, scale, bits, **self.attributes(bits))

    def plain(self, shape: tuple[int, ...], reach: float) -> str:
        """Write a plain constant, dyadic of few bits or a float32 of any bits."""
        values = self.real(*shape) * reach
        if self.choose.chance(50):
            unit = 2.0 ** (math.frexp(reach)[1] - 4)
            values = np.rint(values / unit) * unit
        return self.file.constant(values)

    def broadcast(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Choose a shape that broadcasts to that of a sample."""
        kept = tuple(n if self.choose.chance(50) else 1 for n in shape)
        return self.choose.pick(((), (1,) if shape else (), shape, kept, (1, *kept)))

    def quantize(self, x: Data, step: float = 0.0, bits: int = 0) -> Data:
        """Quantize data; a step given is that of the tensor."""
        bits = bits or self.choose.pick((1, 2, 3, 4, 5, 6, 8, 8, 12))
        about = min(max(x.reach, 2.0**-20), 2.0**40) * 4.0 / 2.0**bits
        scale: Any = step or self.scale(about)
        if not step and x.shape and self.choose.chance(20):
            axis = self.choose.integer(0, len(x.shape) - 1)
            scale = self.scales(about, (1, *_column(x.shape, axis)))
        reach = float(np.max(scale)) * 2.0**bits
        if bits == 1 and self.choose.chance(50):
            inputs = (x.name, self.file.constant(scale))
            name = self.file.node("BipolarQuant", *inputs, domain=DOMAIN)
        else:
            kind = self.choose.pick(("Quant", "Quant", "IntQuant"))
            given = {"operator": kind, **self.attributes(bits)}
            name = self.file.quant(x.name, scale, bits, **given)
        return Data(name, x.shape, reach)


def _column(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return tuple(n if i == axis % len(shape) else 1 for i, n in enumerate(shape))
