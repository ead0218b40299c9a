"""Signed digits of a constant: the adders that multiplying by it takes."""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST = 4096
"""Largest magnitude whose digits are told apart; weights are far below."""


def signed_digits(integers: Tensor) -> Tensor:
    """Count the non-zero digits of the canonical signed-digit form.

    The non-zero digits of ``n`` in the non-adjacent form are the bits in which ``n``
    and ``3 n`` differ.

    Args:
        integers: Whole numbers in any number type, any shape; magnitudes above
            ``LARGEST`` count as ``LARGEST``.

    Returns:
        Counts, float32, same shape.

    Source:
        H. Prodinger, "On binary representations of integers with digits -1, 0, 1",
        Integers 0 (2000) A08.
    """
    magnitude = integers.abs().clamp_max(LARGEST).long()
    return _counts(integers.device)[magnitude]


_COUNTS: dict[torch.device, Tensor] = {}


def _counts(device: torch.device) -> Tensor:
    if device not in _COUNTS:
        counts = [(n ^ 3 * n).bit_count() for n in range(LARGEST + 1)]
        _COUNTS[device] = torch.tensor(counts, dtype=torch.float32, device=device)
    return _COUNTS[device]
