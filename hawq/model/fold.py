"""Fold batch normalisation into the layer before it, or after it.

In evaluation mode batch norm is the affine map ``z ↦ g·z + h`` of each channel, with
``g = γ / √(σ² + ε)`` and ``h = β − g·μ``. After a linear layer,
``g·(Wx + b) + h = (diag(g) W) x + (g·b + h)``; before one,
``W(g·z + h) + b = (W diag(g)) z + (b + W h)``, which for a convolution holds only
without padding (the padding's zeros are not normalised).
"""

from __future__ import annotations

import copy
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, fx, nn

from hawq.errors import NetworkError

Linear: TypeAlias = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
BatchNorm: TypeAlias = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


class Pair(NamedTuple):
    """A batch norm and the layer that takes it up."""

    norm: str
    layer: str
    is_after: bool


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """Fold every batch norm into a neighbouring linear or convolution layer.

    The arithmetic is float64, rounded once to the dtype of the layer's weights. A layer
    followed by a batch norm must feed a tensor of shape (samples, channels, ...) with
    the channels of the layer.

    Args:
        module: A network; it is not changed.

    Returns:
        A copy in evaluation mode without batch norms: dropped where they stood in an
        ``nn.Sequential``, replaced by ``nn.Identity`` elsewhere. Names stay.

    Raises:
        NetworkError: if a batch norm has no such neighbour.
    """
    folded = copy.deepcopy(module).eval()
    modules = dict(folded.named_modules())
    norms = [name for name, m in modules.items() if isinstance(m, BatchNorm)]
    if not norms:
        return folded
    pairs = _pairs(folded)
    for name in norms:
        if name not in pairs:
            raise NetworkError(
                f"batch norm {name!r} cannot be folded: it stands neither directly "
                "after a Linear or Conv layer nor directly before one without padding, "
                "which nothing else shares; move it there or leave it out"
            )
        _fold(modules[name], modules[pairs[name].layer], pairs[name])
        _remove(folded, name)
    return folded


def _pairs(network: nn.Module) -> dict[str, Pair]:
    # Find each batch norm's partner in the traced graph.
    try:
        graph = fx.Tracer().trace(network)
    except (fx.proxy.TraceError, TypeError, NameError) as error:
        raise NetworkError(
            "the network holds batch norms but its forward cannot be traced "
            f"({error}): write it without data-dependent control flow"
        ) from error
    modules = dict(network.named_modules())
    calls = [node for node in graph.nodes if node.op == "call_module"]
    uses: dict[int, int] = {}
    for node in calls:
        key = id(modules[node.target])
        uses[key] = uses.get(key, 0) + 1

    def alone(node: fx.Node) -> bool:
        return node.op == "call_module" and uses[id(modules[str(node.target)])] == 1

    pairs: dict[str, Pair] = {}
    for node in calls:
        norm = modules[node.target]
        if not isinstance(norm, BatchNorm) or not alone(node):
            continue
        before = node.args[0]
        users = list(node.users)
        if (
            isinstance(before, fx.Node)
            and alone(before)
            and isinstance(modules[str(before.target)], Linear)
            and list(before.users) == [node]
        ):
            pairs[node.target] = Pair(node.target, str(before.target), is_after=True)
        elif (
            len(users) == 1
            and alone(users[0])
            and _takes_affine_input(modules[str(users[0].target)])
        ):
            pairs[node.target] = Pair(node.target, str(users[0].target), is_after=False)
    return pairs


def _takes_affine_input(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Linear):
        return True
    if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return layer.groups == 1 and layer.padding != "same" and not any(layer.padding)
    return False


def _fold(norm: nn.Module, layer: nn.Module, pair: Pair) -> None:
    if not isinstance(norm, BatchNorm) or not isinstance(layer, Linear):
        raise TypeError(f"{type(norm).__name__} after {type(layer).__name__}")
    gain, shift = _affine(norm, pair.norm)
    weight = layer.weight.detach().double()
    outputs = weight.shape[0]
    bias = (
        weight.new_zeros(outputs)
        if layer.bias is None
        else layer.bias.detach().double()
    )
    channels = outputs if pair.is_after else weight.shape[1]
    if len(gain) != channels:
        raise NetworkError(
            f"batch norm {pair.norm!r} has {len(gain)} channels where {pair.layer!r} "
            f"has {channels}: it cannot be folded"
        )
    if pair.is_after:
        bias = gain * bias + shift
        weight = weight * gain.reshape(-1, *[1] * (weight.ndim - 1))
    else:
        bias = bias + weight.reshape(outputs, channels, -1).sum(2) @ shift
        weight = weight * gain.reshape(1, -1, *[1] * (weight.ndim - 2))
    dtype = layer.weight.dtype
    layer.weight = nn.Parameter(weight.to(dtype))
    layer.bias = nn.Parameter(bias.to(dtype))


def _affine(norm: BatchNorm, name: str) -> tuple[Tensor, Tensor]:
    # Gain and shift of each channel, float64.
    if norm.running_mean is None or norm.running_var is None:
        raise NetworkError(
            f"batch norm {name!r} keeps no running statistics, so in evaluation mode "
            "it is not an affine map: set track_running_stats=True"
        )
    gain = torch.rsqrt(norm.running_var.double() + norm.eps)
    shift = -gain * norm.running_mean.double()
    if norm.affine:
        gamma, beta = norm.weight.detach().double(), norm.bias.detach().double()
        gain, shift = gamma * gain, gamma * shift + beta
    return gain, shift


def _remove(network: nn.Module, name: str) -> None:
    parent_name, _, child = name.rpartition(".")
    parent = network.get_submodule(parent_name)
    if isinstance(parent, nn.Sequential):
        delattr(parent, child)
    else:
        setattr(parent, child, nn.Identity())
