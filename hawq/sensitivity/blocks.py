"""A site's block of the Hessian, as an operator on flat vectors.

A perturbation of an activation is the same for all samples here, so that every block is
the mean over samples of ``∂²ℓ/∂δ²``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from hawq.errors import InputError
from hawq.records import Site, SiteKind
from hawq.sensitivity.layers import patches, rows
from hawq.sensitivity.losses import curvature_columns, loss_sum, separates
from hawq.sensitivity.problem import Problem
from hawq.sensitivity.tape import Tape, record, second_derivatives
from hawq.sensitivity.trace.estimate import Floats

_GROUPS = 32
"""Groups of samples whose spread gives the error from the finite sample."""

_CHUNK_ELEMENTS = 1 << 20
"""Numbers held at once while vectors are multiplied: they stay in the cache."""


class Block(Protocol):
    """A symmetric matrix that is a mean over samples."""

    dimension: int

    def product(self, vectors: Floats) -> Floats:
        """Multiply rows, shape (vectors, dimension)."""
        ...

    def sample_error(self, vectors: Floats) -> float:
        """Give the standard error of the mean of ``vᵀ H v`` over the rows v."""
        ...


class GaussNewtonBlock:
    """``Jᵀ (∂²ℓ/∂f²) J`` from stored columns: the Hessian where a site is exact.

    Args:
        problem: The network.
        site: Of which its layer is called once.
    """

    def __init__(self, problem: Problem, site: Site) -> None:
        assert not callable(problem.loss)
        self.dimension = site.elements
        self._samples = problem.samples
        self._parts: list[tuple[Tensor, Tensor | None]] = []
        port = problem.survey.ports[site.name]
        for batch in range(len(problem.batches)):
            tape = problem.tape(batch)
            columns = curvature_columns(problem.loss, tape.outputs)
            z = tape.ports()[port]
            found = torch.stack([
                torch.autograd.grad(
                    tape.outputs, z, column, retain_graph=True, allow_unused=True,
                    materialize_grads=True,
                )[0]
                for column in columns
            ])  # fmt: skip
            self._parts.append(_arranged(tape, site, port, found))

    def product(self, vectors: Floats) -> Floats:
        """Multiply rows.

        Args:
            vectors: Shape (vectors, dimension).

        Returns:
            The same shape.
        """
        total = np.zeros_like(vectors)
        for columns, a in self._parts:
            step = max(1, _CHUNK_ELEMENTS // columns[0].numel())
            for start in range(0, len(vectors), step):
                some = slice(start, start + step)
                v = torch.from_numpy(vectors[some]).to(columns)
                total[some] += _multiplied(columns, a, v).double().cpu().numpy()
        return total / self._samples

    def sample_error(self, vectors: Floats) -> float:
        """Give the standard error of the mean of ``vᵀ H v``.

        Args:
            vectors: Shape (vectors, dimension).

        Returns:
            From the spread of its samples' parts.
        """
        parts = []
        for columns, a in self._parts:
            v = torch.from_numpy(vectors).to(columns)
            squares = _along(columns, a, v).square().sum(2)
            parts.append(squares.double().mean(0))
        each = torch.cat(parts)
        return float(each.std() / math.sqrt(len(each)))


class HessianBlock:
    """The Hessian itself, by differentiating the gradient again.

    Args:
        problem: The network; any loss, any layer.
        site: Whose block.
        probe_batch: Vectors multiplied at once.

    Raises:
        InputError: if the loss of a batch is not the mean over its samples, and there
            is only one batch.
    """

    def __init__(self, problem: Problem, site: Site, probe_batch: int) -> None:
        self.dimension = site.elements
        self._probe_batch = probe_batch
        self._parts: list[_Gradient] = []
        can_split = separates(
            problem.loss, problem.first.outputs, problem.batches[0][1]
        )
        if not can_split and len(problem.batches) < 2:
            raise InputError(
                "the loss of the batch is not the mean of the losses of its samples: "
                "give two batches or more, whose spread tells the standard error"
            )
        size = math.ceil(problem.samples / _GROUPS)
        for x, y in problem.batches:
            step = size if can_split else len(x)
            for start in range(0, len(x), step):
                part = slice(start, start + step)
                self._parts.append(_Gradient.of(problem, site, x[part], y[part]))

    def product(self, vectors: Floats) -> Floats:
        """Multiply rows.

        Args:
            vectors: Shape (vectors, dimension).

        Returns:
            The same shape.
        """
        total = np.zeros_like(vectors)
        for start in range(0, len(vectors), self._probe_batch):
            some = slice(start, start + self._probe_batch)
            for part in self._parts:
                total[some] += part.weight * part.product(vectors[some])
        return total

    def sample_error(self, vectors: Floats) -> float:
        """Give the standard error of the mean of ``vᵀ H v``.

        Args:
            vectors: Shape (vectors, dimension).

        Returns:
            From the spread of groups of samples.
        """
        values = [np.mean(np.sum(vectors * p.product(vectors), 1)) for p in self._parts]
        weights = np.array([part.weight for part in self._parts])
        away = weights * (values - np.sum(weights * values))
        groups = len(away)
        return float(np.sqrt(groups / (groups - 1) * np.sum(away**2)))


@dataclass(frozen=True)
class _Gradient:
    # The gradient of some samples' mean loss by a tensor, to differentiate again.
    gradient: Tensor
    by: Tensor
    is_activation: bool
    weight: float  # its share of all samples

    @classmethod
    def of(cls, problem: Problem, site: Site, x: Tensor, y: Tensor) -> _Gradient:
        tape = record(problem.model, x)
        is_activation = site.kind is SiteKind.ACTIVATION
        if is_activation:
            by = tape.ports()[problem.survey.ports[site.name]]
        else:
            layer = tape.layers()[site.layer][0].layer
            by = layer.get_parameter(site.name.rpartition(".")[2])
        mean = loss_sum(problem.loss, tape.outputs, y) / len(x)
        (gradient,) = torch.autograd.grad(
            mean, [by], create_graph=True, allow_unused=True, materialize_grads=True
        )
        return cls(gradient, by, is_activation, len(x) / problem.samples)

    def product(self, vectors: Floats) -> Floats:
        v = torch.from_numpy(vectors).to(self.by)
        # An activation's perturbation is the same for all samples.
        shape = self.by.shape[1:] if self.is_activation else self.by.shape
        v = v.reshape(len(v), *shape)
        if self.is_activation:
            v = v[:, None].expand(-1, *self.by.shape)
        h = second_derivatives(self.gradient, self.by, v)
        h = h.sum(1) if self.is_activation else h
        return h.reshape(len(vectors), -1).double().cpu().numpy()


def _arranged(
    tape: Tape, site: Site, port: str, columns: Tensor
) -> tuple[Tensor, Tensor | None]:
    # Columns, samples first, and the patches that turn them into gradients by weights.
    if site.kind is SiteKind.ACTIVATION:
        return columns.transpose(0, 1).flatten(2).contiguous(), None
    call = tape.layers()[site.layer][0]
    z = torch.stack([rows(call.layer, column) for column in columns], 1)
    if site.kind is SiteKind.BIAS:
        return z.sum(4).flatten(2), None
    return z, patches(call)


def _multiplied(columns: Tensor, a: Tensor | None, v: Tensor) -> Tensor:
    # Σ_nc g_nc (g_nc · v) of each row v
    along = _along(columns, a, v)
    if a is None:
        return along.flatten(1) @ columns.flatten(0, 1)
    back = torch.einsum("vnc,ncgop->vngop", along, columns)
    return torch.einsum("vngop,ngkp->vgok", back, a).flatten(1)


def _along(columns: Tensor, a: Tensor | None, v: Tensor) -> Tensor:
    # g_nc · v of each row v, shape (vectors, samples, columns)
    if a is None:
        flat = v @ columns.flatten(0, 1).T
        return flat.reshape(len(v), *columns.shape[:2])
    _, _, groups, channels, _ = columns.shape
    w = v.reshape(len(v), groups, channels, a.shape[2])
    z = torch.einsum("vgok,ngkp->vngop", w, a)
    return torch.einsum("ncgop,vngop->vnc", columns, z)
