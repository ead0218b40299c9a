"""Of a network, what an allocation needs: layers, what feeds them, activations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from hawq.errors import NetworkError
from hawq.records import Site, SiteKind

INPUT = "input"
"""The site of the network's input."""

_NOT_NEGATIVE = (nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Hardsigmoid, nn.Softplus, nn.Softmax)
_BATCH = 1024

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Layer:
    """A layer whose weights multiply the activations of one site.

    Attributes:
        name: The module's.
        weight_site: Name of the weights' site.
        input_site: Name of the activations' site.
        weight: Values, shape (outputs, ...).
        bias: Values, shape (outputs,), or None.
        macs: Multiplications a sample.
    """

    name: str
    weight_site: str
    input_site: str
    weight: Floats
    bias: Floats | None
    macs: int


def find_layers(network: nn.Module, sites: Iterable[Site]) -> tuple[Layer, ...]:
    """Match weight sites with the activation sites that feed them.

    Between the two may stand modules that are no site (pooling, flattening).

    Args:
        network: Without batch norms.
        sites: All of its sites.

    Returns:
        One layer a weight site, in the order of ``sites``.

    Raises:
        NetworkError: if a layer is missing, or is fed by no site or by several; if a
            module with sites is called twice; if the network cannot be traced.
    """
    sites = tuple(sites)
    activations = {s.name for s in sites if s.kind is SiteKind.ACTIVATION}
    owners = {s.layer for s in sites if s.kind is SiteKind.WEIGHT}
    modules = dict(network.named_modules())
    feeds: dict[str, set[str]] = {}
    called: set[nn.Module] = set()
    for node in _graph(network).nodes:
        if node.op != "call_module" or node.target not in owners | activations:
            continue
        if modules[node.target] in called:
            raise NetworkError(
                f"module {node.target!r} is called more than once: give each call a "
                "module of its own, so that each can have its own format"
            )
        called.add(modules[node.target])
        if node.target in owners:
            feeds[node.target] = _feeding(node, activations, owners)
    layers = []
    for site in sites:
        if site.kind is not SiteKind.WEIGHT:
            continue
        if site.layer not in feeds:
            raise NetworkError(
                f"the sensitivities have a site {site.name!r}, but the network calls "
                f"no module {site.layer!r}: measure them on this network"
            )
        layers.append(_layer(site, modules[site.layer], feeds[site.layer]))
    return tuple(layers)


def capture_activations(
    network: nn.Module, sites: Iterable[Site], x: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """Record what the network holds at activation sites.

    Args:
        network: In evaluation mode.
        sites: Of any kind; only activations are recorded.
        x: Standardised samples, shape (samples, ...).

    Returns:
        Site name → values, shape (samples, *site.shape).

    Raises:
        NetworkError: if the network has no such module, or its output has another
            shape.
    """
    wanted = {s.name: s for s in sites if s.kind is SiteKind.ACTIVATION}
    modules = dict(network.named_modules())
    parts: dict[str, list[NDArray[np.float32]]] = {name: [] for name in wanted}

    def keep(name: str, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        parts[name].append(output.detach().cpu().numpy().astype(np.float32))

    handles = []
    for name in wanted:
        if name == INPUT:
            parts[name].append(x)
        elif name in modules:
            handles.append(modules[name].register_forward_hook(partial(keep, name)))
        else:
            raise NetworkError(
                f"the sensitivities have a site {name!r}, but the network has no such "
                "module: measure them on this network"
            )
    try:
        with torch.no_grad():
            for start in range(0, len(x), _BATCH):
                network(torch.tensor(x[start : start + _BATCH]))
    finally:
        for handle in handles:
            handle.remove()
    found = {name: np.concatenate(batches) for name, batches in parts.items()}
    for name, values in found.items():
        if values.shape != (len(x), *wanted[name].shape):
            raise NetworkError(
                f"{name}: {len(x)} samples gave activations of shape {values.shape}, "
                f"expected {(len(x), *wanted[name].shape)} from the sensitivities"
            )
    return found


def is_signed(network: nn.Module, site: Site) -> bool:
    """Tell whether a site holds negative values by construction.

    Args:
        network: Whose modules are named by activation sites.
        site: Any.

    Returns:
        False for the output of a function that is never negative (ReLU, sigmoid, ...).
    """
    if site.kind is not SiteKind.ACTIVATION or site.name == INPUT:
        return True
    return not isinstance(network.get_submodule(site.name), _NOT_NEGATIVE)


def _graph(network: nn.Module) -> fx.Graph:
    try:
        return fx.Tracer().trace(network)
    except (fx.proxy.TraceError, TypeError) as error:
        raise NetworkError(
            f"the network's forward cannot be traced ({error}): write it without "
            "data-dependent control flow"
        ) from error


def _feeding(layer: fx.Node, activations: set[str], owners: set[str]) -> set[str]:
    # Walk back from a layer's input to the sites that feed it.
    found: set[str] = set()
    waiting, seen = list(layer.all_input_nodes), set[fx.Node]()
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.op == "placeholder" and INPUT in activations:
            found.add(INPUT)
        elif node.op == "call_module" and node.target in activations:
            found.add(str(node.target))
        elif node.op == "call_module" and node.target in owners:
            raise NetworkError(
                f"layer {layer.target!r} takes the output of {node.target!r} with no "
                "activation site between: put an activation module there (nn.ReLU, not "
                "a function) and measure its sensitivity"
            )
        else:
            waiting.extend(node.all_input_nodes)
    return found


def _layer(site: Site, module: nn.Module, feeds: set[str]) -> Layer:
    if len(feeds) != 1:
        named = ", ".join(sorted(feeds)) or "none"
        raise NetworkError(
            f"layer {site.layer!r} must be fed by exactly one activation site, found: "
            f"{named}: put an activation module (such as nn.ReLU) before it and "
            "measure its sensitivity"
        )
    (input_site,) = feeds
    weight = module.get_parameter("weight").detach().cpu().double().numpy()
    bias = getattr(module, "bias", None)
    if weight.shape != site.shape:
        raise NetworkError(
            f"{site.name} has the shape {weight.shape}, expected {site.shape} from the "
            "sensitivities: measure them on this network"
        )
    return Layer(
        name=site.layer,
        weight_site=site.name,
        input_site=input_site,
        weight=weight,
        bias=None if bias is None else bias.detach().cpu().double().numpy(),
        macs=site.macs,
    )
