"""Run a network once and keep what its layers took and gave.

A *port* is a place where a perturbation can be added: the network's input, the output
of a layer with weights, the output of an activation. Its tensor stays in the autograd
graph, so derivatives with respect to it are derivatives with respect to whatever is
added there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from hawq.errors import NetworkError

INPUT = "input"
OUTPUT = "output"
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU,
    nn.SiLU, nn.Mish, nn.Tanh, nn.Hardtanh, nn.Sigmoid, nn.Hardsigmoid, nn.Hardswish,
    nn.Softplus, nn.Softsign, nn.LogSigmoid,
)  # fmt: skip
_BATCH_NORMS = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True)
class Call:
    """One call of a module that owns sites.

    Attributes:
        module: Its qualified name; empty if it is the whole network.
        port: Name of its output: the module's, with ``#2`` for a second call, or
            ``output`` of the whole network.
        layer: The module.
        taken: The input of a layer with weights, detached; None for activations.
        given: The output, in the graph.
    """

    module: str
    port: str
    layer: nn.Module
    taken: Tensor | None
    given: Tensor

    @property
    def weight(self) -> str:
        """Name of its weight, as the network's parameter."""
        return f"{self.module}.weight".lstrip(".")

    @property
    def bias(self) -> str:
        """Name of its bias."""
        return f"{self.module}.bias".lstrip(".")


@dataclass
class Tape:
    """One forward pass.

    Attributes:
        fed: The network's input; a port if it is of floats.
        calls: In the order of execution.
        outputs: Of the network.
    """

    fed: Tensor
    calls: list[Call] = field(default_factory=list)
    outputs: Tensor = field(default_factory=lambda: torch.empty(0))

    def ports(self) -> dict[str, Tensor]:
        """Name the tensors where a perturbation can be added.

        Returns:
            Port → tensor, in the order of execution.
        """
        ports = {INPUT: self.fed} if self.fed.is_floating_point() else {}
        return ports | {call.port: call.given for call in self.calls}

    def layers(self) -> dict[str, list[Call]]:
        """Group the calls of layers with weights.

        Returns:
            Module name → its calls.
        """
        grouped: dict[str, list[Call]] = {}
        for call in self.calls:
            if call.taken is not None:
                grouped.setdefault(call.module, []).append(call)
        return grouped


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode with gradients, and put it back afterwards.

    Args:
        model: Its running statistics are not touched.

    Yields:
        Nothing.

    Raises:
        NetworkError: if a batch norm keeps no running statistics: it has no evaluation
            mode, and its samples depend on each other.
    """
    for name, module in model.named_modules():
        if isinstance(module, _BATCH_NORMS) and module.running_mean is None:
            raise NetworkError(
                f"batch norm {name!r} keeps no running statistics, so the loss has no "
                "evaluation mode: build it with track_running_stats=True"
            )
    training = [module for module in model.modules() if module.training]
    frozen = [p for p in model.parameters() if not p.requires_grad]
    try:
        if training:
            model.eval()
        for parameter in frozen:
            parameter.requires_grad_(parameter.is_floating_point())
        # Fused attention kernels have no second derivative.
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        for module in training:
            module.training = True
        for parameter in frozen:
            parameter.requires_grad_(False)


def owns_sites(module: nn.Module) -> bool:
    """Tell whether a module's weights or outputs are sites.

    Args:
        module: Any module.

    Returns:
        Whether it is an activation, or a Linear, Conv1d or Conv2d whose forward is
        torch's own and whose weight is a plain parameter.
    """
    if isinstance(module, ACTIVATIONS):
        return True
    return any(
        isinstance(module, kind)
        and type(module).forward is kind.forward
        and module._parameters.get("weight") is not None
        for kind in LAYERS
    )


def record(model: nn.Module, x: Tensor) -> Tape:
    """Run a network on a batch.

    Args:
        model: In evaluation mode (``evaluating``).
        x: The batch, samples first.

    Returns:
        The tape.

    Raises:
        NetworkError: if the output is not one tensor with a row for each sample.
    """
    tape, is_intact = _run(model, x, copy=False)
    if not is_intact:  # an operation in place wrote over a port: keep copies instead
        tape, _ = _run(model, x, copy=True)
    outputs: Any = tape.outputs
    if not isinstance(outputs, Tensor) or outputs.shape[:1] != x.shape[:1]:
        got = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs)
        raise NetworkError(
            f"the network's output is {got}: expected one tensor with a row for each "
            f"of the {len(x)} samples"
        )
    return tape


def second_derivatives(gradient: Tensor, by: Tensor, vectors: Tensor) -> Tensor:
    """Multiply the derivative of a gradient with vectors.

    Args:
        gradient: Made with ``create_graph=True``; its graph is kept.
        by: What it is the gradient by, or any other tensor of the graph.
        vectors: Shape (vectors, ...) of the gradient's.

    Returns:
        Shape (vectors, ...) of ``by``; zeros where there is no dependence.
    """
    found: Tensor | None = None
    is_batched = len(vectors) > 1
    if gradient.requires_grad:
        (found,) = torch.autograd.grad(
            gradient,
            by,
            vectors if is_batched else vectors[0],
            retain_graph=True,
            is_grads_batched=is_batched,
            allow_unused=True,
        )
    if found is None:
        return torch.zeros((len(vectors), *by.shape), dtype=by.dtype, device=by.device)
    return found if is_batched else found[None]


def _run(model: nn.Module, x: Tensor, copy: bool) -> tuple[Tape, bool]:
    leaf = x.detach()
    if x.is_floating_point():
        leaf = leaf.requires_grad_().clone()  # no leaf: a network may write on it
    tape = Tape(fed=leaf)
    versions: list[tuple[Tensor, int]] = [(leaf, leaf._version)]
    counts: dict[str, int] = {}

    def keep(name: str, layer: nn.Module, taken: Tensor, given: Tensor) -> Tensor:
        counts[name] = counts.get(name, 0) + 1
        port = name or OUTPUT
        if counts[name] > 1:
            port = f"{port}#{counts[name]}"
        versions.append((given, given._version))
        kept = None
        if isinstance(layer, LAYERS):
            versions.append((taken, taken._version))
            kept = (taken.clone() if copy else taken).detach()
        tape.calls.append(Call(name, port, layer, kept, given))
        return given.clone() if copy else given

    handles = [
        module.register_forward_hook(_hook(keep, name), with_kwargs=True)
        for name, module in model.named_modules()
        if owns_sites(module)
    ]
    try:
        tape.outputs = model(leaf.clone() if copy else leaf)
    finally:
        for handle in handles:
            handle.remove()
    return tape, all(tensor._version == version for tensor, version in versions)


def _hook(keep: Callable[[str, nn.Module, Tensor, Tensor], Tensor], name: str) -> Any:
    def hook(
        layer: nn.Module, taken: tuple[Any, ...], named: dict[str, Any], given: Tensor
    ) -> Tensor:
        return keep(name, layer, [*taken, *named.values()][0], given)

    return hook
