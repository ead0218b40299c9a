"""Random networks over operators, scales, widths, roundings and shapes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from hypothesis import strategies as st
from numpy.typing import NDArray
from random_qonnx import arithmetic, moves
from random_qonnx.builder import Builder, Choices, Data

Operator = Callable[[Builder, Data], Data]

ANY: tuple[Operator, ...] = (
    *[arithmetic.relu, arithmetic.affine, arithmetic.combine, moves.concat] * 2,
    arithmetic.batch_norm,
    arithmetic.clip,
    arithmetic.leaky,
    arithmetic.multi_threshold,
    arithmetic.negate,
    arithmetic.same,
    arithmetic.smooth,
    arithmetic.trunc,
    moves.computed_reshape,
    moves.constant_graph,
    moves.flatten,
    moves.gather,
    moves.pad,
    moves.reshape,
    moves.resize,
    moves.slice_,
    moves.split,
    moves.squeeze,
    moves.transpose,
    moves.upsample,
)
WINDOWS: tuple[Operator, ...] = (
    *[arithmetic.conv] * 6,
    *[arithmetic.max_pool, arithmetic.average_pool] * 2,
    arithmetic.constant_first,
    arithmetic.global_pool,
    arithmetic.matmul,
    arithmetic.reduce_mean,
)
BY_RANK: dict[int, tuple[Operator, ...]] = {
    1: (*ANY, *[arithmetic.matmul, arithmetic.gemm] * 4),
    2: (*ANY, *WINDOWS),
    3: (*ANY, *WINDOWS, moves.depth_to_space),
}
BEFORE: tuple[Operator, ...] = (
    arithmetic.affine,
    arithmetic.negate,
    arithmetic.same,
    moves.reshape,
    moves.slice_,
    moves.transpose,
)
"""What may stand between the input and its quantizer."""

MOST_ELEMENTS = 96
"""Of one sample: what is larger is sliced, as naive arithmetic is slow."""


@dataclass(frozen=True)
class Network:
    """A file, and what its input quantizer is like.

    Attributes:
        model: The file.
        step: What one level of the input is worth.
        bits: Of the input's levels.
    """

    model: onnx.ModelProto
    step: float
    bits: int

    def inputs(self, samples: int = 3) -> NDArray[np.float32]:
        """Make inputs on, between and beyond the levels of the input quantizer."""
        generator = np.random.default_rng(self.bits)
        sizes = self.model.graph.input[0].type.tensor_type.shape.dim[1:]
        shape = (samples, *(d.dim_value for d in sizes))
        reach = 2 ** (self.bits + 1)
        real = generator.integers(-reach, reach, shape, endpoint=True) * self.step / 4
        noise = generator.normal(size=shape) * (generator.random(shape) < 0.1)
        return (real + noise).astype(np.float32)


@st.composite
def networks(draw: st.DrawFn, *ranks: int) -> Network:
    """Draw networks on samples of one of these ranks."""
    return random_network(Choices(lambda a, b: draw(st.integers(a, b))), *ranks)


def random_network(choose: Choices, *ranks: int) -> Network:
    """Make a network on samples of one of these ranks, of 1, 2 and 3."""
    rank = choose.pick(ranks)
    shape = (choose.integer(1, 5 if rank == 1 else 3),)
    shape += tuple(choose.integer(2, 5) for _ in range(rank - 1))
    builder = Builder(choose, shape)
    step, bits = builder.scale(1.0), choose.integer(2, 8)
    x = Data("x", shape, step * 2.0**bits)
    if choose.chance(30):
        for _ in range(choose.integer(1, 2)):
            x = choose.pick(BEFORE)(builder, x)
    x = builder.quantize(x, step, bits)
    for _ in range(choose.integer(1, 6)):
        x = choose.pick(BY_RANK.get(len(x.shape), ANY))(builder, x)
        if math.prod(x.shape) > MOST_ELEMENTS:
            x = moves.slice_(builder, moves.flatten(builder, x))
        if x.reach > 2.0**24 or choose.chance(50):
            x = builder.quantize(x)
        builder.made.append(x)
    return Network(builder.file.model(*_outputs(builder, x)), step, bits)


def _outputs(b: Builder, x: Data) -> list[str]:
    """End with a class, with logits left to the host, or with one tensor or two."""
    match b.choose.integer(0, 9):
        case 0 if len(x.shape) == 1:
            return [b.file.node("Softmax", x.name)]
        case 1 if len(x.shape) == 1:
            k = b.file.constant([1], dtype="i8")
            return b.file.split("TopK", 2, x.name, k)
        case 2:
            given = {
                "axis": b.choose.integer(1, len(x.shape)),
                "keepdims": b.choose.integer(0, 1),
                "select_last_index": b.choose.integer(0, 1),
            }
            return [b.file.node("ArgMax", x.name, **given)]
        case 3:
            return list(dict.fromkeys([x.name, b.made[0].name]))
        case _:
            return [x.name]
