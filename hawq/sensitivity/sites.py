"""Find the sites of a network and how each can be measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from hawq.errors import DataError, InputError, NetworkError
from hawq.records import Site, SiteKind
from hawq.sensitivity.piecewise import (
    operations,
    parameter_uses,
    piecewise_linear_ports,
)
from hawq.sensitivity.tape import INPUT, Call, Tape, evaluating, record

Batches = Sequence[tuple[Tensor, Tensor]]
"""Inputs and targets, samples first, on the network's device and in its dtype."""


@dataclass(frozen=True)
class Survey:
    """What one forward pass tells about a network.

    Attributes:
        sites: In the order of execution.
        ports: Site name → the port whose perturbation it is or causes.
        exact: Names of sites in which the outputs are piecewise linear.
        repeated: Names of layers that are called more than once, or share parameters.
    """

    sites: tuple[Site, ...]
    ports: dict[str, str]
    exact: frozenset[str]
    repeated: frozenset[str]

    def select(self, wanted: Sequence[Site] | None) -> tuple[Site, ...]:
        """Keep the sites asked for, in the network's order.

        Args:
            wanted: Sites, matched by name; None keeps all.

        Returns:
            Their own description of them.

        Raises:
            InputError: if the network has no such site, or none is asked for.
        """
        if wanted is None:
            return self.sites
        names = {site.name for site in wanted}
        known = ", ".join(site.name for site in self.sites)
        if not names:
            raise InputError(
                f"no site to measure: give None for all, or some of {known}"
            )
        unknown = sorted(names - {site.name for site in self.sites})
        if unknown:
            raise InputError(
                f"the network has no site {unknown[0]!r}: choose from {known}"
            )
        return tuple(site for site in self.sites if site.name in names)


def find_sites(model: nn.Module, x: Tensor) -> tuple[Site, ...]:
    """List the sites of a network.

    Weights and biases of Linear, Conv1d and Conv2d; the input; the outputs of
    activations. A module that is not called has none. An activation module that is
    called twice has the sites ``name`` and ``name#2``.

    Args:
        model: Any network.
        x: An example batch.

    Returns:
        The sites in the order of execution.
    """
    with evaluating(model):
        return survey(model, record(model, x[:2])).sites


def survey(model: nn.Module, tape: Tape) -> Survey:
    """Find sites, and where the network is piecewise linear or repeats itself.

    Args:
        model: The network.
        tape: A forward pass of it.

    Returns:
        What was found.

    Raises:
        NetworkError: if there is no site.
    """
    order = operations(tape)
    repeated = _repeated(tape, parameter_uses(order))
    linear = piecewise_linear_ports(tape, order)
    sites: list[Site] = []
    ports: dict[str, str] = {}
    if tape.fed.is_floating_point():
        shape = tuple(tape.fed.shape[1:])
        sites.append(
            Site(name=INPUT, kind=SiteKind.ACTIVATION, layer=INPUT, shape=shape)
        )
    for call in tape.calls:
        for site in _sites_of(call):
            if site.name not in ports:
                sites.append(site)
                ports[site.name] = call.port
    if not sites:
        raise NetworkError(
            "the network has no site: expected Linear, Conv1d or Conv2d layers, "
            "activation modules or an input of floats"
        )
    ports[INPUT] = INPUT
    exact = frozenset(
        site.name
        for site in sites
        if ports[site.name] in linear
        and (site.kind is SiteKind.ACTIVATION or site.layer not in repeated)
    )
    return Survey(tuple(sites), ports, exact, repeated)


def check_batches(batches: Batches) -> int:
    """Count the samples.

    Args:
        batches: At least one, none empty.

    Returns:
        The number of samples in all batches, at least 2.

    Raises:
        DataError: if there are too few, or inputs and targets differ in number.
    """
    for number, (x, y) in enumerate(batches):
        if len(x) != len(y) or not len(x):
            raise DataError(
                f"batch {number} has {len(x)} inputs and {len(y)} targets: expected "
                "equally many, and at least one"
            )
        # A finite sum has finite terms only; one that overflows proves nothing.
        if x.is_floating_point() and not (x.sum().isfinite() or x.isfinite().all()):
            raise DataError(
                f"batch {number} holds NaN or infinite inputs: clean the data"
            )
    samples = sum(len(x) for x, _ in batches)
    if samples < 2:
        raise DataError(f"{samples} samples: a standard error needs at least 2")
    return samples


def _repeated(tape: Tape, uses: dict[int, int]) -> frozenset[str]:
    found = set()
    for name, calls in tape.layers().items():
        owned = calls[0].layer.parameters(recurse=False)
        if len(calls) > 1 or any(uses.get(id(parameter), 0) > 1 for parameter in owned):
            found.add(name)
    return frozenset(found)


def _sites_of(call: Call) -> list[Site]:
    if call.taken is None:
        return [
            Site(
                name=call.port,
                kind=SiteKind.ACTIVATION,
                layer=call.module,
                shape=tuple(call.given.shape[1:]),
            )
        ]
    weight: Tensor = call.layer.weight  # type: ignore[assignment]
    channels = len(weight)
    positions = call.given[0].numel() // channels
    sites = [
        Site(
            name=call.weight,
            kind=SiteKind.WEIGHT,
            layer=call.module,
            shape=tuple(weight.shape),
            macs=positions * weight.numel(),
        )
    ]
    if call.layer.bias is not None:
        sites.append(
            Site(
                name=call.bias,
                kind=SiteKind.BIAS,
                layer=call.module,
                shape=(channels,),
            )
        )
    return sites
