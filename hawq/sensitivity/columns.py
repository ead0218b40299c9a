"""Sums of squared per-sample gradients: Gauss-Newton diagonals and Fisher.

For columns s_c of sample n at the outputs, ``g_c = Jᵀ s_c`` is the gradient of
``s_c · f`` by a site and ``Σ_c g_c²`` the diagonal of ``Jᵀ S Sᵀ J``. With
``S Sᵀ = ∂²ℓ/∂f²`` that is the Gauss-Newton matrix; with the single column ∂ℓ/∂f, the
empirical Fisher.

A layer ``z = W a + b`` with one position has ``g = δ aᵀ`` (δ the gradient by z), hence
``Σ_c g_c² = (Σ_c δ_c²) (a²)ᵀ``: no gradient by W is ever formed. With several positions
the gradient is their sum, and its square holds the cross terms (the Gram matrix of a).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hawq.records import Site, SiteKind, SiteSensitivity
from hawq.sensitivity.layers import has_one_position, patches, pull, rows
from hawq.sensitivity.losses import check_targets, loss_sum
from hawq.sensitivity.problem import Problem, Progress
from hawq.sensitivity.tape import Call, Tape

_CHUNK_ELEMENTS = 1 << 22
"""Per-sample gradients held at once, in elements (16 MiB of float32)."""


@dataclass
class Curvature:
    """A site's diagonal, summed over samples, and each sample's part of the trace.

    Attributes:
        trace: Of each sample, batch by batch.
        element: Summed over samples, shape of the site; float64 from the second batch.
    """

    trace: list[Tensor] = field(default_factory=list)
    element: Tensor = field(default_factory=lambda: torch.zeros(()))

    def add(self, trace: Tensor, element: Tensor) -> None:
        """Add a batch.

        Args:
            trace: Shape (samples,).
            element: Shape of the site, summed over samples.
        """
        first = not self.trace
        self.trace.append(trace)
        self.element = element if first else element + self.element.double()


def accumulate(
    problem: Problem,
    sites: Sequence[Site],
    columns: Callable[[Tensor, Tensor], Tensor],
    progress: Progress | None = None,
) -> tuple[dict[str, Curvature], float]:
    """Sum the squares of backpropagated columns.

    Args:
        problem: The network and its data.
        sites: Where.
        columns: (outputs, targets) → shape (columns, samples, ...), one or more.
        progress: Told after each batch.

    Returns:
        Site name → diagonal; and the mean loss in nats.
    """
    found = {site.name: Curvature() for site in sites}
    total = 0.0
    for number, (_, y) in enumerate(problem.batches):
        tape = problem.tape(number)
        outputs = tape.outputs.detach()
        check_targets(problem.loss, outputs, y)
        total += float(loss_sum(problem.loss, outputs, y))
        if sites:
            _add_batch(tape, sites, columns(outputs, y), found)
        if progress is not None:
            progress("curvature columns", (number + 1) / len(problem.batches))
    return found, total / problem.samples


def summarise(
    sites: Sequence[Site],
    found: Mapping[str, Curvature],
    probe_errors: Mapping[str, float] | None = None,
) -> tuple[SiteSensitivity, ...]:
    """Turn diagonals into mean curvatures with their errors.

    The error from the finite number of samples is the spread of their traces over √N,
    less what random probes add to it.

    Args:
        sites: Where, in order.
        found: Site name → what was measured; all with the same samples.
        probe_errors: Site name → standard error of the mean trace from random probes;
            0 where absent.

    Returns:
        One record a site.
    """
    traces = torch.stack([torch.cat(found[site.name].trace) for site in sites]).double()
    samples = traces.shape[1]
    means = traces.mean(1)
    away = torch.linalg.vector_norm(traces - means[:, None], dim=1)
    variances = away.square() / (samples - 1)
    diagonals = _diagonals([found[site.name].element for site in sites], samples)
    records = []
    for site, mean, variance, diagonal in zip(
        sites, means.tolist(), variances.tolist(), diagonals, strict=True
    ):
        size = site.elements
        probe = (probe_errors or {}).get(site.name, 0.0)
        sampling = math.sqrt(max(variance / samples - probe**2, 0.0))
        records.append(
            SiteSensitivity(
                site=site,
                score=mean / size,
                probe_error=probe / size,
                sample_error=sampling / size,
                channel=_channel_means(diagonal),
                element=diagonal,
            )
        )
    return tuple(records)


def _diagonals(elements: Sequence[Tensor], samples: int) -> list[NDArray[np.float64]]:
    # All at once: sites are many and small.
    flat = torch.cat([element.flatten() for element in elements])
    means = flat.double().cpu().numpy() / samples
    ends = np.cumsum([element.numel() for element in elements])
    parts = zip(np.split(means, ends[:-1]), elements, strict=True)
    return [part.reshape(element.shape) for part, element in parts]


def _channel_means(diagonal: NDArray[np.float64]) -> NDArray[np.float64]:
    flat = diagonal.reshape(len(diagonal), -1)
    return flat[:, 0] if flat.shape[1] == 1 else flat.mean(1)


def _add_batch(
    tape: Tape, sites: Sequence[Site], columns: Tensor, found: dict[str, Curvature]
) -> None:
    layers = tape.layers()
    owners = {site.layer for site in sites if site.kind is not SiteKind.ACTIVATION}
    shapes = {site.name: site.shape for site in sites}
    ports = tape.ports()
    kept = {site.name for site in sites if site.kind is SiteKind.ACTIVATION}
    kept |= {call.port for name in owners for call in layers[name]}
    wanted = {name: tensor for name, tensor in ports.items() if name in kept}
    each = {
        call.port
        for name in owners
        for call in layers[name]
        if len(layers[name]) > 1 or not has_one_position(call)
    }
    squares, gradients = _backpropagate(tape.outputs, wanted, columns, each)
    for name in wanted:
        if name in found:
            d = squares[name]
            found[name].add(d.flatten(1).sum(1), d.sum(0))
    for name in owners:
        calls = layers[name]
        if calls[0].port in each:
            _several_positions(calls, gradients, shapes, found)
        else:
            _one_position(calls[0], squares[calls[0].port], shapes, found)


def _backpropagate(
    outputs: Tensor, ports: dict[str, Tensor], columns: Tensor, each: set[str]
) -> tuple[dict[str, Tensor], dict[str, list[Tensor]]]:
    # Σ_c δ_c² of each port, and for some ports every δ_c. One column at a time stays in
    # the cache, and is as fast as all at once.
    squares: dict[str, Tensor] = {}
    gradients: dict[str, list[Tensor]] = {name: [] for name in each}
    for column in columns:
        found = torch.autograd.grad(
            outputs, list(ports.values()), column, retain_graph=True, allow_unused=True,
            materialize_grads=True,
        )  # fmt: skip
        for name, gradient in zip(ports, found, strict=True):
            if name in each:
                gradients[name].append(gradient)
            elif name in squares:
                squares[name].addcmul_(gradient, gradient)
            else:
                squares[name] = gradient * gradient
    return squares, gradients


def _one_position(
    call: Call,
    squares: Tensor,
    shapes: dict[str, tuple[int, ...]],
    found: dict[str, Curvature],
) -> None:
    d = squares.flatten(1)
    total = d.sum(1)
    weight, bias = call.weight, call.bias
    if weight in found:
        a = patches(call).flatten(1)
        a2 = a * a
        found[weight].add(a2.sum(1) * total, (d.T @ a2).reshape(shapes[weight]))
    if bias in found:
        found[bias].add(total, d.sum(0))


def _several_positions(
    calls: Sequence[Call],
    gradients: dict[str, list[Tensor]],
    shapes: dict[str, tuple[int, ...]],
    found: dict[str, Curvature],
) -> None:
    layer, weight, bias = calls[0].layer, calls[0].weight, calls[0].bias
    columns = [
        [rows(layer, gradient) for gradient in column]
        for column in zip(*(gradients[call.port] for call in calls), strict=True)
    ]
    if bias in found:
        d = sum_of_squares([
            torch.stack([z.sum(3) for z in column]).sum(0) for column in columns
        ])
        found[bias].add(d.sum(1), d.sum(0))
    if weight in found:
        inputs = [patches(call) for call in calls]
        size = math.prod(shapes[weight])
        traces, element = [], torch.zeros(size, dtype=torch.float64)
        for part in sample_chunks(len(inputs[0]), size):
            squared = sum_of_squares([
                torch.stack([
                    pull(z[part], a[part]) for z, a in zip(column, inputs, strict=True)
                ]).sum(0)
                for column in columns
            ])
            traces.append(squared.sum(1))
            element += squared.sum(0)
        found[weight].add(torch.cat(traces), element.reshape(shapes[weight]))


def sum_of_squares(columns: Sequence[Tensor]) -> Tensor:
    """Add the squares of some tensors.

    Args:
        columns: Of equal shape, samples first.

    Returns:
        Shape (samples, elements).
    """
    total = columns[0] * columns[0]
    for column in columns[1:]:
        total.addcmul_(column, column)
    return total.flatten(1)


def sample_chunks(samples: int, elements: int) -> list[slice]:
    """Split the samples so that a gradient of each fits in memory.

    Args:
        samples: How many.
        elements: Of one sample's gradient.

    Returns:
        Slices that cover them.
    """
    step = max(1, _CHUNK_ELEMENTS // elements)
    return [slice(start, start + step) for start in range(0, samples, step)]
