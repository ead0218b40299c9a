"""Hutchinson probes of their own for every sample, at the ports of the network.

With one probe v for the whole batch, ``vᵀ H v`` has the variance ``2 Σ_{i≠j} H_ij²``.
But ``H = (1/N) Σ_n H_n``, and the trace needs no cross terms between samples: with a
probe v_n for each sample, ``(1/N) Σ_n v_nᵀ H_n v_n`` costs one Hessian-vector product
as well, and its variance falls as 1/N. That needs perturbations by sample, which
weights do not have but the layers' outputs do: for ``z = W a`` with one position
``∂²ℓ/∂W² = (∂²ℓ/∂z²) ⊗ a aᵀ``, so a probe of z gives the trace times ‖a‖², and the
diagonal too. With several positions the probe is ``z = V_n a_n``, V_n of signs.

If the loss has a Gauss-Newton factor, only the remainder
``H - Jᵀ (∂²ℓ/∂f²) J = Σ_k (∂ℓ/∂f_k) ∂²f_k`` is left to probe: the Hessian of ``c · f``
with ``c = ∂ℓ/∂f`` held fixed. The Gauss-Newton trace is an exact control variate.

One port is probed at a time: probes of several at once would save products, but the
blocks that couple the ports would be noise, many times larger. Before the last
activation the remainder is diagonal, and signs have no variance there.

Every probe draws from its own generator, seeded by (seed, port, batch, probe), so
neither the draws nor their number depend on how many are propagated at once.
"""

from __future__ import annotations

import functools
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from hawq.records import Site
from hawq.sensitivity.columns import Curvature
from hawq.sensitivity.layers import has_one_position, patches, pull, rows, unrows
from hawq.sensitivity.losses import loss_sum, output_gradient
from hawq.sensitivity.problem import Problem, Progress, signs
from hawq.sensitivity.tape import Call, second_derivatives

_FREEDOM = 64
"""Degrees of freedom that the first estimate of an error must have."""


@dataclass(frozen=True)
class Stop:
    """When enough has been probed.

    Attributes:
        relative_error: Of each site's mean curvature, one standard error.
        max_probes: At most.
        probe_batch: Probes propagated at once.
    """

    relative_error: float
    max_probes: int
    probe_batch: int

    def schedule(self, first: int) -> Iterator[int]:
        """Give the numbers of probes after which the error is looked at.

        Args:
            first: The fewest that give an error.

        Yields:
            Doubling numbers up to ``max_probes``.
        """
        probes = min(first, self.max_probes)
        while probes < self.max_probes:
            yield probes
            probes *= 2
        yield self.max_probes


@dataclass
class Probed:
    """Sums over the probes of one site.

    Attributes:
        first: Σ_p q, shape (samples,) for each batch; q is a sample's ``vᵀ H v``.
        second: Σ_p q².
        element: Of the diagonal, summed over samples and probes.
    """

    first: dict[int, Tensor] = field(default_factory=dict)
    second: dict[int, Tensor] = field(default_factory=dict)
    element: Tensor | None = None

    def add(self, batch: int, q: Tensor, element: Tensor) -> None:
        """Add one probe of one batch.

        Args:
            batch: Its number.
            q: Shape (samples,).
            element: Of the diagonal, summed over samples.
        """
        wide = q.double()
        for sums, value in ((self.first, wide), (self.second, wide * wide)):
            sums[batch] = sums[batch] + value if batch in sums else value
        self.element = element.double() + (0 if self.element is None else self.element)

    def mean(self, probes: int) -> float:
        """Average over probes and samples.

        Args:
            probes: How many.

        Returns:
            The trace.
        """
        samples = sum(len(part) for part in self.first.values())
        return sum(float(part.sum()) for part in self.first.values()) / probes / samples

    def error(self, probes: int) -> float:
        """Estimate the standard error of the mean from each sample's own spread.

        Args:
            probes: How many, at least 2.

        Returns:
            Of the trace.
        """
        total, samples = 0.0, 0
        for batch, first in self.first.items():
            spread = self.second[batch] - first * first / probes
            total += float(spread.clamp_min(0).sum()) / (probes - 1) / probes
            samples += len(first)
        return math.sqrt(total) / samples


def probe(
    problem: Problem,
    sites: Sequence[Site],
    found: Mapping[str, Curvature],
    is_remainder: bool,
    stop: Stop,
    progress: Progress | None = None,
) -> tuple[dict[str, float], int]:
    """Add what probes find to what is known, until the errors are small enough.

    Args:
        problem: The network; none of the sites' layers may be called twice.
        sites: To probe.
        found: Site name → the Gauss-Newton part; is added to.
        is_remainder: Whether to probe ``H`` less Gauss-Newton, or H.
        stop: When to stop.
        progress: Told after each round.

    Returns:
        Site name → standard error of the mean trace; and the number of probes.
    """
    sums = {site.name: Probed() for site in sites}
    known = {s.name: sum(float(t.sum()) for t in found[s.name].trace) for s in sites}
    ports: dict[str, list[str]] = {}
    for site in sites:
        ports.setdefault(problem.survey.ports[site.name], []).append(site.name)
    # The graph of the only batch is kept; those of several are made again each round.
    graph = functools.lru_cache(maxsize=1)(
        functools.partial(_Graph.of, problem, tuple(ports), is_remainder)
    )
    errors: dict[str, float] = {}
    spent = 0
    open_ports = dict(ports)
    first = max(2, math.ceil(_FREEDOM / problem.samples) + 1)
    for probes in stop.schedule(first):
        for batch in range(len(problem.batches)):
            for port in open_ports:
                for start in range(spent, probes, stop.probe_batch):
                    numbers = range(start, min(start + stop.probe_batch, probes))
                    graph(batch).probe(port, numbers, sums)
        spent = probes
        for port, names in list(open_ports.items()):
            for name in names:
                errors[name] = sums[name].error(probes)
                total = known[name] / problem.samples + sums[name].mean(probes)
                if errors[name] > stop.relative_error * abs(total):
                    break
            else:
                del open_ports[port]
                for name in names:
                    _merge(found[name], sums.pop(name), probes)
        if progress is not None:
            progress("probes", 1 - len(open_ports) / len(ports))
        if not open_ports:
            break
    for name, left in sums.items():
        errors[name] = left.error(spent)
        _merge(found[name], left, spent)
    return errors, spent


def _merge(curvature: Curvature, probed: Probed, probes: int) -> None:
    for batch, first in probed.first.items():
        curvature.trace[batch] = curvature.trace[batch].double() + first / probes
    assert probed.element is not None
    curvature.element = curvature.element.double() + probed.element / probes


@dataclass(frozen=True)
class _Graph:
    # The gradient of one batch by its ports, ready to be differentiated again.
    batch: int
    seed: int
    ports: dict[str, Tensor]
    calls: dict[str, Call]
    gradients: dict[str, Tensor]

    @classmethod
    def of(
        cls, problem: Problem, wanted: Sequence[str], is_remainder: bool, batch: int
    ) -> _Graph:
        y = problem.batches[batch][1]
        tape = problem.tape(batch)
        ports = {name: z for name, z in tape.ports().items() if name in wanted}
        if is_remainder:
            c = output_gradient(problem.loss, tape.outputs, y)
            scalar = (c * tape.outputs).sum()
        else:
            scalar = loss_sum(problem.loss, tape.outputs, y)
        found = torch.autograd.grad(
            scalar, list(ports.values()), create_graph=True, allow_unused=True,
            materialize_grads=True,
        )  # fmt: skip
        return cls(
            batch=batch,
            seed=problem.seed,
            ports=ports,
            calls={c.port: c for c in tape.calls if c.taken is not None},
            gradients=dict(zip(ports, found, strict=True)),
        )

    def probe(self, port: str, numbers: range, sums: Mapping[str, Probed]) -> None:
        z, call = self.ports[port], self.calls.get(port)
        draws = []
        for number in numbers:
            key = [self.seed, zlib.crc32(port.encode()), self.batch, number]
            draws.append(_draw(port, z, call, np.random.default_rng(key)))
        probes = torch.stack([draw.v for draw in draws])
        products = second_derivatives(self.gradients[port], z, probes)
        for draw, product in zip(draws, products, strict=True):
            for name, q, element in draw.read(product):
                if name in sums:
                    sums[name].add(self.batch, q, element)


@dataclass(frozen=True)
class _Draw:
    # A probe of one port, and how the product is read: (site, q, its diagonal).
    v: Tensor
    read: Callable[[Tensor], list[tuple[str, Tensor, Tensor]]]


def _draw(
    port: str, z: Tensor, call: Call | None, generator: np.random.Generator
) -> _Draw:
    if call is None:
        return _draw_activation(port, signs(generator, z.shape, z))
    if has_one_position(call):
        return _draw_outputs(call, signs(generator, z.shape, z))
    return _draw_weights(call, generator)


def _draw_activation(port: str, v: Tensor) -> _Draw:
    def read(product: Tensor) -> list[tuple[str, Tensor, Tensor]]:
        q = v * product
        return [(port, q.flatten(1).sum(1), q.sum(0))]

    return _Draw(v, read)


def _draw_outputs(call: Call, v: Tensor) -> _Draw:
    shape = call.layer.get_parameter("weight").shape

    def read(product: Tensor) -> list[tuple[str, Tensor, Tensor]]:
        q = (v * product).flatten(1)
        a = patches(call).flatten(1)
        a2, total = a * a, q.sum(1)
        return [
            (call.weight, a2.sum(1) * total, (q.T @ a2).reshape(shape)),
            (call.bias, total, q.sum(0)),
        ]

    return _Draw(v, read)


def _draw_weights(call: Call, generator: np.random.Generator) -> _Draw:
    a = patches(call)
    samples, groups, inputs, _ = a.shape
    shape = call.layer.get_parameter("weight").shape
    channels = shape[0] // groups
    weights = signs(generator, (samples, groups, channels, inputs), a)
    bias = signs(generator, (samples, groups, channels, 1), a)
    v = weights @ a if call.layer.bias is None else weights @ a + bias

    def read(product: Tensor) -> list[tuple[str, Tensor, Tensor]]:
        z = rows(call.layer, product)
        w = (weights * pull(z, a)).flatten(1)
        b = (bias * z.sum(3, keepdim=True)).flatten(1)
        return [
            (call.weight, w.sum(1), w.sum(0).reshape(shape)),
            (call.bias, b.sum(1), b.sum(0)),
        ]

    return _Draw(unrows(call.layer, v, call.given.shape), read)
