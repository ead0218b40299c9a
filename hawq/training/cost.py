"""What a trained quantized network costs: its layers, as cost models price them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from hawq.allocation.cost import QuantizedLayer, bops
from hawq.fixed import smallest_width
from hawq.training.network import INPUT
from hawq.training.quantizers import qnn


@torch.no_grad()
def quantized_layers(
    network: nn.Sequential, bits: Mapping[str, int]
) -> Iterator[QuantizedLayer]:
    """List the layers of a trained network.

    Args:
        network: From ``quantize_network``, in evaluation mode.
        bits: Site → allocated width.

    Yields:
        One entry a Linear layer, its integers as trained.
    """
    entering = INPUT
    layer: Any
    for name, layer in network.named_children():
        if not isinstance(layer, qnn.QuantLinear):
            entering = name
            continue
        weight = layer.quant_weight()
        integers = torch.round(weight.value / weight.scale).numpy().astype(np.int64)
        bias = None
        if layer.bias is not None:
            step = _input_scale(network, entering) * weight.scale.flatten()
            bias = torch.round(layer.bias / step).numpy().astype(np.int64)
        yield QuantizedLayer(
            name=name,
            weight=integers,
            weight_bits=bits[f"{name}.weight"],
            activation_bits=bits[entering],
            bias=bias,
            bias_bits=0
            if bias is None
            else smallest_width(int(bias.min()), int(bias.max()))[1],
            macs=integers.size,
            signed=_is_signed(network, entering),
        )


def _input_scale(network: nn.Sequential, name: str) -> torch.Tensor:
    layer: Any = network.get_submodule(name)
    return torch.as_tensor(layer.act_quant.scale())


def _is_signed(network: nn.Sequential, name: str) -> bool:
    layer: Any = network.get_submodule(name)
    return bool(layer.act_quant.is_signed)


def nonzero_fractions(network: nn.Sequential) -> dict[str, float]:
    """Give the fraction of each layer's weights that are not zero.

    Args:
        network: From ``quantize_network``, in evaluation mode.

    Returns:
        Layer → fraction.
    """
    fractions = {}
    layer: Any
    for name, layer in network.named_children():
        if isinstance(layer, qnn.QuantLinear):
            nonzero = torch.count_nonzero(layer.quant_weight().value)
            fractions[name] = float(nonzero / layer.weight.numel())
    return fractions


def bit_operations(network: nn.Sequential, bits: Mapping[str, int]) -> float:
    """Count the bit operations of a sample with the trained sparsity.

    Args:
        network: From ``quantize_network``, in evaluation mode.
        bits: Site → allocated width.

    Returns:
        The published formula, ``hawq.allocation.cost.bops``.
    """
    return bops.total(quantized_layers(network, bits))
