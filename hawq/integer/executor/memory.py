"""Let tensors that are never needed at the same time share a buffer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Slot:
    """Where a tensor of the plan lives.

    Attributes:
        shape: Of one sample.
        carrier: A key of ``EXACT_UP_TO``, or ``object``.
        order: Axes as they lie in memory; None as in ``shape``.
        ones: Whether a row of ones lies below the last axis.
        buffer: Number of the buffer it shares; None if it has its own.
    """

    shape: tuple[int, ...]
    carrier: str
    order: tuple[int, ...] | None = None
    ones: bool = False
    buffer: int | None = None

    @property
    def bytes_per_sample(self) -> int:
        """Size of one sample; of Python integers, only of their addresses."""
        last = self.shape[-1] + 1 if self.ones else 1
        rest = self.shape[:-1] if self.ones else self.shape
        return math.prod(rest) * last * np.dtype(self.carrier).itemsize


def buffer_sizes(slots: Mapping[str, Slot]) -> dict[int, int]:
    """Measure the shared buffers.

    Args:
        slots: Tensor name → slot.

    Returns:
        Number of the buffer → bytes of its largest tensor for one sample.
    """
    sizes: dict[int, int] = {}
    for slot in slots.values():
        if slot.buffer is not None:
            most = max(sizes.get(slot.buffer, 0), slot.bytes_per_sample)
            sizes[slot.buffer] = most
    return sizes


def share_buffers(
    slots: Mapping[str, Slot],
    steps: Sequence[tuple[Sequence[str], str]],
    keep: Sequence[str],
) -> dict[str, Slot]:
    """Give each tensor a buffer that no tensor needed at the same time has.

    Args:
        slots: Tensor name → slot.
        steps: What each reads and writes, in order.
        keep: Names of tensors that are needed to the end.

    Returns:
        The slots, with buffers. Rows of ones are written once, and Python integers are
        no bytes: such tensors share none.
    """
    last = {name: i for i, (reads, _) in enumerate(steps) for name in reads}
    shared = dict(slots)
    sizes: dict[int, int] = {}
    free: list[int] = []
    for i, (reads, target) in enumerate(steps):
        slot = slots[target]
        if not slot.ones and slot.carrier != "object":
            need = slot.bytes_per_sample
            # The smallest that is large enough, else the largest.
            free.sort(key=lambda b: (sizes[b] < need, abs(sizes[b] - need)))
            number = free.pop(0) if free else len(sizes)
            sizes[number] = max(need, sizes.get(number, 0))
            shared[target] = replace(slot, buffer=number)
        for name in {*reads, target}:
            buffer = shared[name].buffer if name in shared else None
            if buffer is not None and last.get(name, i) == i and name not in keep:
                free.append(buffer)
    return shared
