"""Steps that move integers or pick some, and round them on the way.

They write straight into their target; ``hawq.integer.evaluate`` says the same in the
plainest way, and is what does it where there is no shorter one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.fixed import IntArray
from hawq.integer.evaluate import evaluate
from hawq.integer.executor.epilogue import Epilogue
from hawq.integer.executor.steps import Workspace, held_in
from hawq.integer.nodes import Concat, MaxPool, Node, Select, Window
from hawq.integer.tensor import Tensor

Move = Concat | MaxPool | Select


@dataclass(frozen=True, eq=False)
class MoveStep:
    """Move or pick integers, in floats.

    Attributes:
        node: What moves.
        tensors: Its inputs.
        target: Name of the output tensor.
        epilogue: What follows.
        lines: Of a ``Select`` that picks along each axis on its own, what it picks.
    """

    node: Move
    tensors: tuple[Tensor, ...]
    target: str
    epilogue: Epilogue
    lines: tuple[IntArray, ...] | None

    @classmethod
    def of(
        cls, node: Move, tensors: tuple[Tensor, ...], target: str, epilogue: Epilogue
    ) -> MoveStep:
        """Find the shortest way.

        Args:
            node: What moves.
            tensors: Its inputs.
            target: Name of the output tensor.
            epilogue: What follows.

        Returns:
            The step.
        """
        found = isinstance(node, Select) and lines(node.indices, tensors[0].shape)
        return cls(node, tensors, target, epilogue, found or None)

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the integer tensors it reads."""
        return self.node.inputs

    def run(self, work: Workspace) -> None:
        """Fill the target.

        Args:
            work: The buffers.
        """
        carrier, out = self.epilogue.carrier, work.view[self.target]
        xs = [held_in(work.view[tensor.name], carrier) for tensor in self.tensors]
        for part, y in self._parts(xs):
            self.epilogue.run(y, out[part])

    def _parts(self, xs: list[NDArray[Any]]) -> Iterator[tuple[Any, NDArray[Any]]]:
        """Give parts of the output, and what goes there."""
        match self.node:
            case Concat(axis=axis):
                start, before = 0, (slice(None),) * axis
                for x in xs:
                    yield (*before, slice(start, start + x.shape[axis])), x
                    start += x.shape[axis]
            case MaxPool(window=window) if not any(window.pads):
                yield ..., largest(xs[0], window)
            case Select() if self.lines:
                yield ..., pick(xs[0], self.lines)
            case node:
                yield ..., evaluate(node, self.tensors, xs)


def lines(indices: IntArray, shape: tuple[int, ...]) -> tuple[IntArray, ...] | None:
    """Write a selection as one along each axis.

    Args:
        indices: Into the flattened input, in the shape of the output; -1 is a fill.
        shape: Of the input.

    Returns:
        For each axis which elements are picked, or None if there is no such way.

    >>> lines(np.array([[4, 4, 5], [1, 1, 2]]), (2, 3))
    (array([1, 0]), array([1, 1, 2]))
    """
    if indices.ndim != len(shape) or not indices.size or indices.min() < 0:
        return None
    found = []
    for axis, at in enumerate(np.unravel_index(indices, shape)):
        line = tuple(slice(None) if i == axis else 0 for i in range(len(shape)))
        across = tuple(i for i in range(len(shape)) if i != axis)
        if (at != np.expand_dims(at[line], across)).any():
            return None
        found.append(at[line].copy())
    return tuple(found)


def pick(x: NDArray[Any], picked: tuple[IntArray, ...]) -> NDArray[Any]:
    """Pick along each axis, the closest elements in memory first.

    Args:
        x: Shape (*sample shape, samples).
        picked: For each axis of a sample, which elements.

    Returns:
        Shape (*output shape, samples), lying in memory as ``x`` does.
    """
    order = sorted(range(x.ndim), key=lambda axis: -x.strides[axis])
    y = x.transpose(order)
    for place in reversed(range(x.ndim)):
        axis = order[place]
        if axis < len(picked) and not _is_all(picked[axis], x.shape[axis]):
            y = np.take(y, picked[axis], axis=place)
    return y.transpose(np.argsort(order))


def _is_all(picked: IntArray, size: int) -> bool:
    return len(picked) == size and bool((picked == np.arange(size)).all())


def largest(x: NDArray[Any], window: Window) -> NDArray[Any]:
    """Take the largest of each window, one axis after the other.

    Args:
        x: Shape (channels, *spatial, samples), or (*spatial, channels, samples).
        window: Without pads.

    Returns:
        The same shape, with the windows as spatial axes.
    """
    first = 0 if window.channels_last else 1
    sizes = window.output_sizes(x.shape[first : first + len(window.kernel)])
    for i, size in enumerate(sizes):
        axis, step, apart = first + i, window.strides[i], window.dilations[i]
        before = (slice(None),) * axis
        parts = [
            x[(*before, slice(k * apart, k * apart + (size - 1) * step + 1, step))]
            for k in range(window.kernel[i])
        ]
        x = parts[0] if len(parts) == 1 else np.maximum(parts[0], parts[1])
        for part in parts[2:]:
            np.maximum(x, part, out=x)
    return x


def is_move(node: Node) -> bool:
    """Tell whether a node only moves integers or picks some.

    Args:
        node: The node.

    Returns:
        Whether a ``MoveStep`` can do it.
    """
    return isinstance(node, Concat | MaxPool | Select)
