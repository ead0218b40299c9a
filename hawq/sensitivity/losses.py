"""Losses as means over samples, and what second-order theory needs of them.

``L = (1/N) Σ_n ℓ(f_n, y_n)``, with ℓ in nats:

- ``cross_entropy``: ``ℓ = -log softmax(f)[y]``; f holds logits, y class indices.
- ``squared``: ``ℓ = ‖f - y‖²``, summed over outputs (``torch.nn.MSELoss`` divides by
  their number), so that ``∂²ℓ/∂f² = 2·1``.
- a callable ``(outputs, y) -> Tensor``: a scalar for the batch, as torch's criteria
  return; taken as the batch's mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from hawq.errors import DataError, NetworkError

Loss: TypeAlias = (
    Literal["cross_entropy", "squared"] | Callable[[Tensor, Tensor], Tensor]
)

NAMED = ("cross_entropy", "squared")
_SEPARABLE_SAMPLES = 8
_SEPARABLE_TOLERANCE = 1e-3
"""Relative; float32 sums of a few samples agree far better."""


def check_targets(loss: Loss, outputs: Tensor, y: Tensor) -> None:
    """Refuse outputs and targets that do not belong together.

    Args:
        loss: Which loss.
        outputs: Of the network, samples first.
        y: Targets.

    Raises:
        DataError: if the targets have another shape or type than the loss needs, or a
            label is no class of the outputs.
        NetworkError: if the loss has an unknown name, or cross-entropy gets outputs
            that are not of shape (samples, classes).
    """
    if callable(loss):
        return
    if loss not in NAMED:
        raise NetworkError(
            f"loss {loss!r}: expected one of {', '.join(NAMED)}, or a callable "
            "(outputs, y) -> scalar"
        )
    if loss == "squared":
        if outputs.shape != y.shape or not y.is_floating_point():
            raise DataError(
                f"squared loss: y is {y.dtype} of shape {tuple(y.shape)}, expected "
                f"floats of the outputs' shape {tuple(outputs.shape)}"
            )
        return
    if outputs.ndim != 2:
        raise NetworkError(
            f"cross_entropy: the network's output has the shape {tuple(outputs.shape)},"
            " expected logits of shape (samples, classes); pass a callable loss for "
            "others"
        )
    if y.shape != outputs.shape[:1] or y.dtype is not torch.int64:
        raise DataError(
            f"cross_entropy: y is {y.dtype} of shape {tuple(y.shape)}, expected int64 "
            f"class indices of shape ({len(outputs)},)"
        )
    if len(y) and not (y.min() >= 0 and y.max() < outputs.shape[1]):
        raise DataError(
            f"cross_entropy: labels from {int(y.min())} to {int(y.max())}, expected 0 "
            f"to {outputs.shape[1] - 1}: the network has {outputs.shape[1]} outputs"
        )


def loss_sum(loss: Loss, outputs: Tensor, y: Tensor) -> Tensor:
    """Sum ℓ over the samples of a batch.

    Args:
        loss: Which loss.
        outputs: Of the network, shape (samples, ...).
        y: Targets.

    Returns:
        A scalar: the batch's mean times its samples.
    """
    if loss == "cross_entropy":  # few classes: faster along samples
        return functional.cross_entropy(outputs.T[None], y[None], reduction="sum")
    if loss == "squared":
        return (outputs - y).square().sum()
    return loss(outputs, y) * len(outputs)


def sample_losses(loss: Loss, outputs: Tensor, y: Tensor) -> Tensor:
    """Give ℓ of each sample.

    Args:
        loss: Which loss.
        outputs: Of the network, shape (samples, ...).
        y: Targets.

    Returns:
        Shape (samples,), nats.
    """
    if loss == "cross_entropy":
        return functional.cross_entropy(outputs, y, reduction="none")
    if loss == "squared":
        return (outputs - y).square().flatten(1).sum(1)
    single = [
        loss(outputs[n : n + 1], y[n : n + 1]).reshape(()) for n in range(len(outputs))
    ]
    return torch.stack(single)


def output_gradient(loss: Loss, outputs: Tensor, y: Tensor) -> Tensor:
    """Give ∂ℓ_n/∂f_n.

    Args:
        loss: Which loss.
        outputs: Of the network, shape (samples, ...).
        y: Targets.

    Returns:
        The shape of ``outputs``, detached.
    """
    free = outputs.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss_sum(loss, free, y), [free])
    return gradient


def curvature_columns(loss: str, outputs: Tensor) -> Tensor:
    """Factor ∂²ℓ/∂f² = S Sᵀ into as few columns as its rank.

    Cross-entropy has ``diag(p) - p pᵀ = D (1 - q qᵀ) D`` with ``q = √p`` and
    ``D = diag(q)``. The Householder reflection ``H = 1 - w wᵀ / (1 + q_C)``,
    ``w = q + e_C``, sends q to -e_C, so all but its last column span the complement of
    q: ``S = D H[:, :C-1]``.

    Args:
        loss: ``cross_entropy`` or ``squared``.
        outputs: Shape (samples, ...).

    Returns:
        S, shape (columns, samples, ...): C - 1 columns for cross-entropy of C classes
        (one of zeros for a single class), √2 times each basis vector for the squared
        loss.

    >>> p = torch.tensor([[0.2, 0.3, 0.5]])
    >>> s = curvature_columns("cross_entropy", p.log())[:, 0].T
    >>> torch.allclose(s @ s.T, torch.diag(p[0]) - p[0].outer(p[0]))
    True
    """
    if loss == "cross_entropy" and outputs.shape[1] == 1:
        return torch.zeros_like(outputs)[None]
    if loss == "cross_entropy":
        q = outputs.detach().T.softmax(0).sqrt()  # few classes: faster along samples
        w = torch.cat([q[:-1], q[-1:] + 1])
        columns = (q[:-1] / w[-1])[:, None] * -w  # w_c / (1 + q_C) of those kept
        columns.diagonal(dim1=0, dim2=1).add_(1)
        return columns.mul_(q).transpose(1, 2)
    width = outputs[0].numel()
    basis = torch.eye(width, dtype=outputs.dtype, device=outputs.device)
    shape = (width, 1, *outputs.shape[1:])
    return (math.sqrt(2) * basis).reshape(shape).expand(-1, len(outputs), *shape[2:])


def separates(loss: Loss, outputs: Tensor, y: Tensor) -> bool:
    """Tell whether a callable loss is the mean of the losses of single samples.

    Args:
        loss: Which loss.
        outputs: Of the network, shape (samples, ...).
        y: Targets.

    Returns:
        True for the named losses; for a callable, whether the mean over the first
        samples, taken one by one, is what it gives for them together.
    """
    if not callable(loss):
        return True
    few, few_y = outputs[:_SEPARABLE_SAMPLES].detach(), y[:_SEPARABLE_SAMPLES]
    together = float(loss(few, few_y))
    apart = float(sample_losses(loss, few, few_y).mean())
    return math.isclose(together, apart, rel_tol=_SEPARABLE_TOLERANCE, abs_tol=1e-12)
