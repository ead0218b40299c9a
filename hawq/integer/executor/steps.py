"""The steps of an execution plan: integers carried in the fastest exact number type.

Arrays have the batch last: shape (*sample shape, samples). A tensor that a matrix will
multiply may have a row of ones below it, so that the matrix's last column adds the
bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.fixed import IntArray
from hawq.integer.evaluate import evaluate
from hawq.integer.executor.combination import Combination
from hawq.integer.executor.epilogue import Epilogue
from hawq.integer.executor.kernels import Kernel, Product
from hawq.integer.executor.memory import Slot, buffer_sizes
from hawq.integer.nodes import Node, Quantize
from hawq.integer.tensor import Tensor

_BLOCK_ELEMENTS = 1 << 14
"""Elements that are quantized at a time: 128 KiB of float64."""


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
        buffers = {
            number: np.empty(size * samples, dtype=np.uint8)
            for number, size in buffer_sizes(slots).items()
        }
        for name, slot in slots.items():
            buffer = None if slot.buffer is None else buffers[slot.buffer]
            self.full[name], self.view[name] = self._place(slot, buffer)

    def _place(
        self, slot: Slot, buffer: NDArray[np.uint8] | None
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        shape = list(slot.shape)
        if slot.ones:
            shape[-1] += 1
        order = slot.order or tuple(range(len(shape)))
        lying = (*(shape[axis] for axis in order), self.samples)
        if buffer is None:
            full: NDArray[Any] = np.ones(lying, dtype=slot.carrier)
        else:
            used = buffer[: slot.bytes_per_sample * self.samples]
            full = used.view(slot.carrier).reshape(lying)
        full = full.transpose(*np.argsort(order), len(order))
        return full, full[..., :-1, :] if slot.ones else full

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

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the integer tensors it reads: none."""
        return ()

    @property
    def target(self) -> str:
        """Name of the output tensor."""
        return self.node.output

    def run(self, real: NDArray[Any], work: Workspace) -> None:
        """Fill the target from a chunk.

        Args:
            real: Finite float32 or float64, shape (samples, *input shape).
            work: The buffers.
        """
        out, grid = work.view[self.node.output], self.node.grid
        if not self.fast:
            size = max(1, _BLOCK_ELEMENTS * len(real) // max(1, real.size))
            for start in range(0, len(real), size):
                part = real[start : start + size].astype(np.float64)
                integers = grid.quantize(part, self.node.gain, self.node.offset)
                target = out[..., start : start + size]
                np.copyto(target, np.moveaxis(integers, 0, -1), casting="unsafe")
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
    """Sums of products, if any, and what follows, in floats.

    Attributes:
        source: Name of the input tensor.
        target: Name of the output tensor.
        kernel: Makes the sums, or None.
        epilogue: Makes results of the sums, or of the input.
    """

    source: str
    target: str
    kernel: Kernel | None
    epilogue: Epilogue

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the integer tensors it reads."""
        return (self.source,)

    def run(self, work: Workspace) -> None:
        """Fill the target.

        Args:
            work: The buffers.
        """
        x, out = work.view[self.source], work.view[self.target]
        match self.kernel:
            case None:
                self.epilogue.run(x, out)
            case Product(matrix):
                full = work.full[self.source]
                if full is x or full.dtype != matrix.dtype:
                    full = _with_ones(x, matrix.dtype)
                self.kernel.run(full, out, self.epilogue)
            case _:
                self.kernel.run(x, out, self.epilogue)


@dataclass(frozen=True, eq=False)
class CombinationStep:
    """A sum of multiples and what follows, in floats.

    Attributes:
        reads: Names of the integer tensors it reads.
        target: Name of the output tensor.
        combination: What it computes.
    """

    reads: tuple[str, ...]
    target: str
    combination: Combination

    def run(self, work: Workspace) -> None:
        """Fill the target.

        Args:
            work: The buffers.
        """
        xs = [work.view[name] for name in self.reads]
        self.combination.run(xs, work.view[self.target])


@dataclass(frozen=True, eq=False)
class ReshapeStep:
    """Copy a tensor into another shape.

    Attributes:
        source: Name of the input tensor.
        target: Name of the output tensor.
    """

    source: str
    target: str

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the integer tensors it reads."""
        return (self.source,)

    def run(self, work: Workspace) -> None:
        """Fill the target.

        Args:
            work: The buffers.
        """
        out = work.view[self.target]
        np.copyto(out, work.view[self.source].reshape(out.shape))


@dataclass(frozen=True, eq=False)
class NodeStep:
    """Any node, in a number type in which every one of its sums is exact.

    Attributes:
        node: The node.
        tensors: Its inputs.
        carrier: The number type.
    """

    node: Node
    tensors: tuple[Tensor, ...]
    carrier: str

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the integer tensors it reads."""
        return self.node.inputs

    @property
    def target(self) -> str:
        """Name of the output tensor."""
        return self.node.output

    def run(self, work: Workspace) -> None:
        """Fill the node's output.

        Args:
            work: The buffers.
        """
        xs = [held_in(work.view[tensor.name], self.carrier) for tensor in self.tensors]
        y = evaluate(self.node, self.tensors, xs)
        np.copyto(work.view[self.node.output], y, casting="unsafe")


def held_in(x: NDArray[Any], carrier: str) -> NDArray[Any]:
    """Give integers in a number type that holds them.

    Args:
        x: Integers.
        carrier: The number type.

    Returns:
        ``x`` itself if that is its type.
    """
    if x.dtype == carrier or carrier.startswith("float"):
        return x.astype(carrier, copy=False)
    # Floats become Python integers by way of int64: they carry at most 2**53.
    whole = x.astype(np.int64) if x.dtype.kind == "f" else x
    return whole.astype(carrier)


def _with_ones(x: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    ones = np.ones((*x.shape[:-2], 1, x.shape[-1]), dtype=dtype)
    return np.concatenate([x.astype(dtype), ones], axis=-2)
