"""The steps of an execution plan: integers carried in the fastest exact number type.

Arrays have the batch last: shape (*sample shape, samples). A tensor that a matrix will
multiply has one row of ones below it, so that the matrix's last column adds the bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.fixed import IntArray, Rounding
from hawq.integer.evaluate import evaluate
from hawq.integer.nodes import Node, Quantize
from hawq.integer.tensor import Tensor

EXACT_UP_TO = {"float32": 2**24, "float64": 2**53, "int64": 2**62}
"""Carrier → magnitude up to which sums, products and shifts of integers are exact.

``object`` (Python integers) has no limit.
"""

FLOAT_ROUNDING: dict[Rounding, np.ufunc] = {
    Rounding.HALF_EVEN: np.rint,
    Rounding.FLOOR: np.floor,
    Rounding.CEIL: np.ceil,
    Rounding.TOWARD_ZERO: np.trunc,
}
"""Rounding modes that are one NumPy function; ``hawq.fixed`` does the others."""


@dataclass(frozen=True)
class Slot:
    """Where a tensor of the plan lives.

    Attributes:
        shape: Of one sample.
        carrier: A key of ``EXACT_UP_TO``, or ``object``.
    """

    shape: tuple[int, ...]
    carrier: str


class Workspace:
    """Buffers for one thread and one number of samples, used again for every chunk.

    Attributes:
        samples: How many samples the buffers hold.
        full: Tensor name → array with the row of ones, for floats.
        view: Tensor name → array without it.
    """

    def __init__(self, slots: Mapping[str, Slot], samples: int) -> None:
        self.samples = samples
        self.full: dict[str, NDArray[Any]] = {}
        self.view: dict[str, NDArray[Any]] = {}
        for name, slot in slots.items():
            self.full[name], self.view[name] = self._allocate(slot)

    def _allocate(self, slot: Slot) -> tuple[NDArray[Any], NDArray[Any]]:
        if slot.carrier.startswith("float") and slot.shape:
            rows = (*slot.shape[:-1], slot.shape[-1] + 1)
            full = np.ones((*rows, self.samples), dtype=slot.carrier)
            return full, full[..., :-1, :]
        plain = np.zeros((*slot.shape, self.samples), dtype=slot.carrier)
        return plain, plain

    def integers(self, name: str) -> IntArray:
        """Give a tensor with the samples first.

        Args:
            name: The tensor.

        Returns:
            Shape (samples, *shape), in a type that may be cast to int64; Python
            integers if the carrier is ``object``.
        """
        return np.moveaxis(self.view[name], -1, 0)


@dataclass(frozen=True, eq=False)
class QuantizeStep:
    """Round real values to integers.

    Attributes:
        node: The quantizer.
        fast: Whether one multiplication, ``rint`` and a clip are exact.
    """

    node: Quantize
    fast: bool

    @property
    def source(self) -> str:
        """Name of the real input."""
        return self.node.inputs[0]

    def run(self, real: NDArray[Any], work: Workspace) -> None:
        """Fill the target from a chunk.

        Args:
            real: Finite float32 or float64, shape (samples, *input shape).
            work: The buffers.
        """
        out, grid = work.view[self.node.output], self.node.grid
        if not self.fast:
            wide64 = real.astype(np.float64)
            integers = grid.quantize(wide64, self.node.gain, self.node.offset)
            np.copyto(out, np.moveaxis(integers, 0, -1), casting="unsafe")
            return
        wide = real.dtype.itemsize > out.dtype.itemsize
        scaled = np.empty(out.shape, dtype=real.dtype) if wide else out
        factor = scaled.dtype.type(float(1 / grid.scale))
        np.multiply(np.moveaxis(real, 0, -1), factor, out=scaled, dtype=scaled.dtype)
        np.rint(scaled, out=scaled)
        np.clip(scaled, grid.low, grid.high, out=scaled)
        if wide:
            np.copyto(out, scaled, casting="same_kind")


@dataclass(frozen=True, eq=False)
class FloatStep:
    """Affine map, rounding and limits, in floats that bounds prove exact.

    Attributes:
        source: Name of the input tensor.
        target: Name of the output tensor.
        matrix: Shape (out, in + 1), the bias last, or None.
        factor: A power of two, if there is no matrix.
        offset: Added after ``factor``, shape (*shape, 1), or None.
        rounding: A NumPy function, or None where nothing is dropped.
        limits: Low and high, infinite where bounds prove a side superfluous; or None.
    """

    source: str
    target: str
    matrix: NDArray[Any] | None = None
    factor: float = 1.0
    offset: NDArray[Any] | None = None
    rounding: np.ufunc | None = None
    limits: tuple[float, float] | None = None

    def run(self, work: Workspace) -> None:
        """Fill the target.

        Args:
            work: The buffers.
        """
        out = work.view[self.target]
        if self.matrix is not None:
            x = work.full[self.source]
            if x.dtype != out.dtype:
                x = _with_ones(work.view[self.source], out.dtype)
            np.matmul(self.matrix, x, out=out)
        else:
            x = work.view[self.source]
            np.multiply(x, out.dtype.type(self.factor), out=out, casting="unsafe")
            if self.offset is not None:
                np.add(out, self.offset, out=out)
        if self.rounding is not None:
            self.rounding(out, out=out)
        if self.limits is not None:
            np.clip(out, *self.limits, out=out)


@dataclass(frozen=True, eq=False)
class ReshapeStep:
    """Copy a tensor into another shape.

    Attributes:
        source: Name of the input tensor.
        target: Name of the output tensor.
    """

    source: str
    target: str

    def run(self, work: Workspace) -> None:
        """Fill the target.

        Args:
            work: The buffers.
        """
        out = work.view[self.target]
        np.copyto(out, work.view[self.source].reshape(out.shape))


@dataclass(frozen=True, eq=False)
class IntegerStep:
    """Any node, in a number type in which every one of its sums is exact.

    Attributes:
        node: The node.
        tensors: Its inputs.
        carrier: The number type.
    """

    node: Node
    tensors: tuple[Tensor, ...]
    carrier: str

    def run(self, work: Workspace) -> None:
        """Fill the node's output.

        Args:
            work: The buffers.
        """
        xs = [_as(work.view[tensor.name], self.carrier) for tensor in self.tensors]
        y = evaluate(self.node, self.tensors, xs)
        np.copyto(work.view[self.node.output], y, casting="unsafe")


def _as(x: NDArray[Any], carrier: str) -> IntArray:
    if x.dtype == carrier:
        return x
    # Floats become Python integers by way of int64: they carry at most 2**53.
    whole = x.astype(np.int64) if x.dtype.kind == "f" else x
    return whole.astype(carrier)


def _with_ones(x: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    ones = np.ones((*x.shape[:-2], 1, x.shape[-1]), dtype=dtype)
    return np.concatenate([x.astype(dtype), ones], axis=-2)


Step = QuantizeStep | FloatStep | ReshapeStep | IntegerStep
