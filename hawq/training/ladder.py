"""Several small networks as one: forward pass on grids of their own, and curvature.

All weights of a network lie in one row, so that ``K`` networks train as one batched
product. Every weight has its own grid ``2**-f`` (or is pruned) and every activation
channel its own ``2**-f`` and range ``2**i``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Shape:
    """Sizes of a dense network, and where its elements lie in a row.

    Attributes:
        sizes: Inputs, units of each layer.
    """

    sizes: tuple[int, ...]

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        """Inputs and units of each layer."""
        return tuple(zip(self.sizes, self.sizes[1:], strict=False))

    @property
    def weights(self) -> int:
        """Number of weights."""
        return sum(n * m for n, m in self.layers)

    @property
    def biases(self) -> int:
        """Number of biases."""
        return sum(self.sizes[1:])

    @property
    def channels(self) -> int:
        """Number of activation channels, inputs among them."""
        return sum(self.sizes[:-1])

    def split_weights(self, row: Tensor) -> list[Tensor]:
        """View rows of shape (K, weights) as matrices (K, inputs, units)."""
        parts = torch.split(row, [n * m for n, m in self.layers], dim=1)
        return [
            p.reshape(len(row), n, m)
            for p, (n, m) in zip(parts, self.layers, strict=True)
        ]

    def split_biases(self, row: Tensor) -> list[Tensor]:
        """View rows of shape (K, biases) as (K, 1, units)."""
        return [p.unsqueeze(1) for p in torch.split(row, list(self.sizes[1:]), dim=1)]

    def split_channels(self, row: Tensor) -> list[Tensor]:
        """View rows of shape (K, channels) as (K, 1, channels of a layer)."""
        return [p.unsqueeze(1) for p in torch.split(row, list(self.sizes[:-1]), dim=1)]


@dataclass
class Formats:
    """The format of every element of ``K`` networks, as float tensors.

    Attributes:
        weight: Fractional bits, shape (K, weights).
        alive: 0 where a weight is pruned, else 1; same shape.
        fraction: Fractional bits of activation channels, shape (K, channels).
        integer: Their integer bits without sign, same shape.
    """

    weight: Tensor
    alive: Tensor
    fraction: Tensor
    integer: Tensor


class _Straight(torch.autograd.Function):
    """Take the value of the first, the gradient of the second."""

    @staticmethod
    def forward(ctx: object, value: Tensor, source: Tensor) -> Tensor:
        return value

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[None, Tensor]:
        return None, gradient


def straight(value: Tensor, source: Tensor) -> Tensor:
    """Pass ``value`` forward and its gradient on to ``source``."""
    result: Tensor = _Straight.apply(value, source)  # type: ignore[no-untyped-call]
    return result


BIAS_BITS = 2
"""Fractional bits of a hidden bias beyond those of the activation behind it."""

LOGIT_FRACTION = 6
"""Fractional bits of the biases of the last layer."""


def snapped_weights(weight: Tensor, formats: Formats) -> Tensor:
    """Round every weight to its own grid."""
    with torch.no_grad():
        scale = torch.exp2(formats.weight)
        value = torch.round(weight * scale) / scale * formats.alive
    return straight(value, weight)


def snapped_biases(shape: Shape, bias: Tensor, formats: Formats) -> Tensor:
    """Round biases; hidden ones include the half step that makes truncation rounding.

    Args:
        shape: Of the networks.
        bias: Shape (K, biases).
        formats: Of the elements.

    Returns:
        Same shape as ``bias``.
    """
    with torch.no_grad():
        scale = torch.exp2(bias_fractions(shape, formats))
        value = torch.round((bias + half_steps(shape, formats)) * scale) / scale
    return straight(value, bias)


def bias_fractions(shape: Shape, formats: Formats) -> Tensor:
    """Give the fractional bits of every bias, (K, biases)."""
    hidden = formats.fraction[:, shape.sizes[0] :] + BIAS_BITS
    last = (0, shape.sizes[-1])
    return torch.nn.functional.pad(hidden, last, value=LOGIT_FRACTION)


def half_steps(shape: Shape, formats: Formats) -> Tensor:
    """Give half the step of every hidden channel and 0 for logits, (K, biases)."""
    hidden = formats.fraction[:, shape.sizes[0] :]
    return torch.nn.functional.pad(torch.exp2(-hidden - 1), (0, shape.sizes[-1]))


def snap_input(x: Tensor, fraction: Tensor, integer: Tensor) -> Tensor:
    """Round inputs half to even and saturate, signed.

    Args:
        x: Shape (samples, inputs).
        fraction: Shape (K, 1, inputs).
        integer: Same shape.

    Returns:
        Shape (K, samples, inputs).
    """
    scale, top = torch.exp2(fraction), torch.exp2(integer)
    step = 1 / scale
    return torch.minimum(torch.maximum(torch.round(x * scale) * step, -top), top - step)


def snap_hidden(z: Tensor, fraction: Tensor, integer: Tensor) -> Tensor:
    """ReLU, truncate to the grid and saturate; the gradient is that of a clip.

    Args:
        z: Sums and biases, shape (K, samples, units).
        fraction: Shape (K, 1, units).
        integer: Same shape.

    Returns:
        Same shape as ``z``.
    """
    with torch.no_grad():
        scale, top = torch.exp2(fraction), torch.exp2(integer)
        step = 1 / scale
        limit = top - step
    clipped = torch.minimum(torch.relu(z), limit)
    with torch.no_grad():
        value = torch.floor(clipped * scale) * step
    return straight(value, clipped)


def forward(
    shape: Shape, weight: Tensor, bias: Tensor, formats: Formats, x: Tensor
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Run the networks.

    Args:
        shape: Of the networks.
        weight: Already on grids, shape (K, weights).
        bias: Already on grids, shape (K, biases).
        formats: Of the elements.
        x: Inputs, shape (samples, inputs).

    Returns:
        Logits, shape (K, samples, classes); what each layer reads; and the sums
        before each hidden quantizer.
    """
    fractions = shape.split_channels(formats.fraction)
    integers = shape.split_channels(formats.integer)
    matrices, offsets = shape.split_weights(weight), shape.split_biases(bias)
    reads = [snap_input(x, fractions[0], integers[0])]
    sums: list[Tensor] = []
    for layer in range(1, len(matrices)):
        sums.append(torch.baddbmm(offsets[layer - 1], reads[-1], matrices[layer - 1]))
        reads.append(snap_hidden(sums[-1], fractions[layer], integers[layer]))
    return torch.baddbmm(offsets[-1], reads[-1], matrices[-1]), reads, sums


@torch.no_grad()
def gradient(
    shape: Shape,
    weight: Tensor,
    bias: Tensor,
    formats: Formats,
    x: Tensor,
    goal: Tensor,
) -> tuple[Tensor, Tensor]:
    """Compute the cross-entropy and its gradient, rounding passed straight through.

    Written out, so that a compiler sees one function without an autograd graph.

    Args:
        shape: Of the networks.
        weight: On grids, shape (K, weights).
        bias: On grids, shape (K, biases).
        formats: Of the elements.
        x: Shape (samples, inputs).
        goal: Probabilities, shape (samples, classes) or (K, samples, classes).

    Returns:
        The loss of each network, shape (K,), and the gradient, shape
        (K, weights + biases).
    """
    logits, reads, sums = forward(shape, weight, bias, formats, x)
    log_p = torch.log_softmax(logits, -1)
    loss = -(goal * log_p).sum(-1).mean(1)
    delta = (log_p.exp() - goal) / len(x)
    matrices = shape.split_weights(weight)
    tops = shape.split_channels(torch.exp2(formats.integer))
    steps = shape.split_channels(torch.exp2(-formats.fraction))
    of_weights: list[Tensor] = []
    of_biases: list[Tensor] = []
    for layer in range(len(matrices) - 1, -1, -1):
        of_weights.append((reads[layer].transpose(1, 2) @ delta).flatten(1))
        of_biases.append(delta.sum(1))
        if layer:
            z, limit = sums[layer - 1], tops[layer] - steps[layer]
            delta = delta @ matrices[layer].transpose(1, 2)
            delta = delta * ((z > 0) & (z < limit))
    return loss, torch.cat(of_weights[::-1] + of_biases[::-1], 1)


@torch.no_grad()
def curvature(
    shape: Shape, weight: Tensor, bias: Tensor, formats: Formats, x: Tensor
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Compute the exact Gauss-Newton diagonal of the cross-entropy.

    The logits are piecewise linear in weights and activations, so this is the diagonal
    of the Hessian almost everywhere: the mean over samples of ``a**2`` times the sum
    over the columns of S of ``delta**2``, where ``S Sᵀ = diag(p) - p pᵀ``.

    Args:
        shape: Of the networks.
        weight: On grids, shape (K, weights).
        bias: On grids, shape (K, biases).
        formats: Of the elements.
        x: Shape (samples, inputs).

    Returns:
        Of the weights, shape (K, weights), in nats per squared unit; of the activations
        of each layer, per sample, shape (K, samples, channels); and the sums before
        each hidden quantizer.
    """
    logits, reads, sums = forward(shape, weight, bias, formats, x)
    p = torch.softmax(logits, dim=-1)
    root = p.sqrt()
    delta = torch.diag_embed(root) - p.unsqueeze(-1) * root.unsqueeze(-2)
    matrices = shape.split_weights(weight)
    tops = shape.split_channels(torch.exp2(formats.integer))
    of_weights: list[Tensor] = []
    of_channels: list[Tensor] = []
    for layer in range(len(matrices) - 1, -1, -1):
        squared = delta.square().sum(-1)
        product = reads[layer].square().transpose(1, 2) @ squared
        of_weights.append(product.flatten(1) / x.shape[0])
        k, samples, units, columns = delta.shape
        flat = delta.transpose(2, 3).reshape(k, samples * columns, units)
        back = (flat @ matrices[layer].transpose(1, 2)).reshape(k, samples, columns, -1)
        of_channels.append(back.square().sum(2))
        if layer:
            z = sums[layer - 1]
            inside = (z > 0) & (z < tops[layer])
            delta = (back * inside.unsqueeze(2)).transpose(2, 3)
    return torch.cat(of_weights[::-1], 1), of_channels[::-1], sums
