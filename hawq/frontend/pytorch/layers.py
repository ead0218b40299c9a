"""Layers that are carried, and what of each is not."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_SLOPE_BITS = 16


class Add(nn.Module):
    """The sum of two tensors of one shape."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Add."""
        return x + y


class Concat(nn.Module):
    """Tensors one behind the other along an axis, counted with the batch."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, *tensors: Tensor) -> Tensor:
        """Concatenate."""
        return torch.cat(tensors, self.axis)


class Rearrange(nn.Module):
    """The same elements in C order, as samples of another shape."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """Reshape."""
        return x.reshape(-1, *self.shape)


class Permute(nn.Module):
    """Axes in another order; the batch stays first."""

    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        """Permute."""
        return x.permute(self.order)


class GlobalAverage(nn.Module):
    """The mean over all axes behind the channels, which it drops."""

    def __init__(self, axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, x: Tensor) -> Tensor:
        """Average."""
        return x.flatten(2).mean(2)


LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d)
ACTIVATIONS = (nn.ReLU, nn.Hardtanh, nn.LeakyReLU)
MOVES = (nn.MaxPool1d, nn.MaxPool2d, Concat, Rearrange, Permute)
"""Layers whose outputs are among their inputs."""
DROPPED = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)
RESHAPING = (nn.Flatten, nn.Unflatten)


def objection(module: nn.Module) -> str | None:
    """Say why a layer is not carried.

    Args:
        module: The layer.

    Returns:
        What is wrong and what to do; None if it is carried.
    """
    check = _CHECKS.get(type(module))
    if check is None:
        known = [t.__name__ for t in _CHECKS if t.__module__ != __name__]
        return f"is not carried: use {', '.join(known)}, Flatten, BatchNorm or Dropout"
    return check(module)


def _anything(module: Any) -> str | None:
    return None


def _convolution(module: Any) -> str | None:
    if module.padding_mode != "zeros":
        return f"has padding_mode={module.padding_mode!r}: use 'zeros'"
    return None


def _pool(module: Any) -> str | None:
    if module.ceil_mode:
        return "has ceil_mode=True: use ceil_mode=False"
    if getattr(module, "return_indices", False):
        return "has return_indices=True: use its values alone"
    if getattr(module, "divisor_override", None):
        return "has divisor_override: leave it out"
    return None


def _global_pool(module: Any) -> str | None:
    if set(np.ravel(module.output_size)) != {1}:
        return f"has output_size={module.output_size}: use 1, or AvgPool"
    return None


def _leaky(module: nn.LeakyReLU) -> str | None:
    slope = Fraction(module.negative_slope)
    if slope.denominator <= 2**_SLOPE_BITS and 0 <= slope <= 1:
        return None
    near = min(max(1, round(slope * 128)), 128)
    return (
        f"has negative_slope={module.negative_slope}, expected n/2^k from 0 to "
        f"1 with k at most {_SLOPE_BITS}: use {near}/128 = {near / 128}"
    )


def _limits(module: nn.Hardtanh) -> str | None:
    for limit in (module.min_val, module.max_val):
        if float(np.float32(limit)) != limit:
            return f"has the limit {limit}, which is no float32: use one that is"
    return None


def _softmax(module: nn.Softmax) -> str | None:
    if module.dim not in {1, -1}:
        return f"has dim={module.dim}: use dim=-1"
    return None


_CHECKS: dict[type, Callable[[Any], str | None]] = {
    nn.Linear: _anything,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.ReLU: _anything,
    nn.ReLU6: _limits,
    nn.LeakyReLU: _leaky,
    nn.Hardtanh: _limits,
    nn.MaxPool1d: _pool,
    nn.MaxPool2d: _pool,
    nn.AvgPool1d: _pool,
    nn.AvgPool2d: _pool,
    nn.AdaptiveAvgPool1d: _global_pool,
    nn.AdaptiveAvgPool2d: _global_pool,
    nn.Softmax: _softmax,
    Add: _anything,
    Concat: _anything,
    Rearrange: _anything,
    Permute: _anything,
    GlobalAverage: _anything,
}
