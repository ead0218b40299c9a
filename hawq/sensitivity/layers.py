"""The linear algebra of Linear and Conv layers, sample by sample.

Every such layer is ``z[n, g, o, p] = Σ_k W[g, o, k] a[n, g, k, p] + b[g, o]``: groups
g, output channels o of a group, positions p, and patches a with the k inputs that an
output sees (``unfold`` for convolutions; one group, and for a plain matrix input one
position, for Linear).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hawq.sensitivity.tape import Call


def patches(call: Call) -> Tensor:
    """Arrange a layer's input so that the layer is a matrix product.

    Args:
        call: Of a layer with weights.

    Returns:
        a, shape (samples, groups, inputs, positions).
    """
    taken, layer = call.taken, call.layer
    assert taken is not None
    if isinstance(layer, nn.Linear):
        flat = taken.reshape(len(taken), -1, layer.in_features)
        return flat.transpose(1, 2)[:, None]
    convolution: Any = layer
    padded = _padded(convolution, taken)
    if isinstance(layer, nn.Conv1d):
        padded = padded[:, :, None]
    columns = functional.unfold(
        padded,
        kernel_size=_two(convolution.kernel_size),
        dilation=_two(convolution.dilation),
        stride=_two(convolution.stride),
    )
    return columns.reshape(len(taken), convolution.groups, -1, columns.shape[-1])


def rows(layer: nn.Module, output: Tensor) -> Tensor:
    """Arrange a tensor of a layer's output shape like z.

    Args:
        layer: With weights.
        output: Shape of the layer's output, samples first.

    Returns:
        Shape (samples, groups, channels of a group, positions).
    """
    if isinstance(layer, nn.Linear):
        flat = output.reshape(len(output), -1, layer.out_features)
        return flat.transpose(1, 2)[:, None]
    groups: int = layer.groups  # type: ignore[assignment]
    return output.reshape(len(output), groups, output.shape[1] // groups, -1)


def unrows(layer: nn.Module, z: Tensor, shape: torch.Size) -> Tensor:
    """Undo ``rows``.

    Args:
        layer: With weights.
        z: Shape (samples, groups, channels of a group, positions).
        shape: Of the layer's output.

    Returns:
        The same numbers in that shape.
    """
    if isinstance(layer, nn.Linear):
        return z[:, 0].transpose(1, 2).reshape(shape)
    return z.reshape(shape)


def pull(z: Tensor, a: Tensor) -> Tensor:
    """Take a derivative by z back to the weights, sample by sample: ``z aᵀ``.

    Args:
        z: Shape (samples, groups, channels of a group, positions).
        a: Patches, shape (samples, groups, inputs, positions).

    Returns:
        Shape (samples, groups, channels of a group, inputs), summed over positions.
    """
    return z @ a.transpose(2, 3)


def has_one_position(call: Call) -> bool:
    """Tell whether each sample's gradient by the weights is one outer product.

    Args:
        call: Of a layer with weights.

    Returns:
        Whether there is one group and one position.
    """
    channels = len(call.layer.weight)  # type: ignore[arg-type]
    groups = getattr(call.layer, "groups", 1)
    return bool(groups == 1 and call.given[0].numel() == channels)


def _padded(layer: Any, taken: Tensor) -> Tensor:
    sides = layer._reversed_padding_repeated_twice
    if layer.padding_mode == "zeros":
        return functional.pad(taken, sides)
    return functional.pad(taken, sides, mode=layer.padding_mode)


def _two(size: tuple[int, ...]) -> tuple[int, ...]:
    return size if len(size) == 2 else (1, *size)
