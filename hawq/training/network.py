"""Turn a float network and its allocated formats into a Brevitas network."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hawq.errors import NetworkError
from hawq.fixed import FixedPoint
from hawq.training.quantizers import (
    AccumulatorBias,
    activation_quantizer,
    format_of,
    qnn,
    weight_quantizer,
)

INPUT = "input"


def quantize_network(
    network: nn.Module,
    formats: Mapping[str, FixedPoint],
    *,
    learned_scales: bool = False,
    channel_integers: Mapping[str, Tensor] | None = None,
) -> nn.Sequential:
    """Build the Brevitas twin of a float network, weights copied.

    Args:
        network: Sequential of Linear and ReLU with batch norm folded.
        formats: Site name (``input``, ``fc1.weight``, ``relu1``) → format.
        learned_scales: Learn the power-of-two scales; else keep the calibrated ones.
        channel_integers: Weight site → integer bits of each output channel, shape
            (channels,), for weight scales per channel.

    Returns:
        Sequential with the same child names after a leading ``input`` quantizer; the
        last layer gives plain logits on the accumulator's grid.

    Raises:
        NetworkError: if the network is no Sequential, a layer is neither Linear nor
            ReLU, or a format is missing.
    """
    if not isinstance(network, nn.Sequential):
        raise NetworkError(
            f"the network is a {type(network).__name__}: quantization-aware training "
            "knows nn.Sequential of Linear and ReLU"
        )
    channels = channel_integers or {}
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers[INPUT] = qnn.QuantIdentity(
        act_quant=activation_quantizer(_format(formats, INPUT), learned_scales),
        return_quant_tensor=True,
    )
    *_, last = [name for name, _ in network.named_children()]
    for name, layer in network.named_children():
        if isinstance(layer, nn.Linear):
            site = f"{name}.weight"
            quantizer = weight_quantizer(
                _format(formats, site), learned_scales, channels.get(site)
            )
            layers[name] = _quantize_linear(layer, quantizer, is_last=name == last)
        elif isinstance(layer, nn.ReLU):
            quantizer = activation_quantizer(_format(formats, name), learned_scales)
            layers[name] = qnn.QuantReLU(act_quant=quantizer, return_quant_tensor=True)
        else:
            raise NetworkError(
                f"layer {name!r} is a {type(layer).__name__}: quantization-aware "
                "training knows Linear and ReLU (batch norm is folded before)"
            )
    return nn.Sequential(layers)


def _format(formats: Mapping[str, FixedPoint], site: str) -> FixedPoint:
    if site not in formats:
        raise NetworkError(
            f"no format for site {site!r}; the allocation has: {', '.join(formats)}"
        )
    return formats[site]


def _quantize_linear(layer: nn.Linear, quantizer: type, is_last: bool) -> nn.Module:
    twin: Any = qnn.QuantLinear(
        layer.in_features,
        layer.out_features,
        bias=layer.bias is not None,
        weight_quant=quantizer,
        bias_quant=AccumulatorBias if layer.bias is not None else None,
        return_quant_tensor=not is_last,
    )
    with torch.no_grad():
        twin.weight.copy_(layer.weight)
        if layer.bias is not None:
            twin.bias.copy_(layer.bias)
    quantized: nn.Module = twin
    return quantized


@torch.no_grad()
def trained_formats(network: nn.Sequential) -> dict[str, FixedPoint]:
    """Read back the formats a trained Brevitas network computes with.

    Args:
        network: From ``quantize_network``, in evaluation mode.

    Returns:
        Site name → format: the input, every weight and every activation.
    """
    formats = {}
    first = next(m for m in network if isinstance(m, qnn.QuantLinear))
    value = torch.zeros(1, first.in_features, dtype=first.weight.dtype)
    layer: Any
    for name, layer in network.named_children():
        value = layer(value)
        if isinstance(layer, qnn.QuantLinear):
            site = f"{name}.weight"
            is_narrow = layer.weight_quant.is_narrow_range
            formats[site] = format_of(layer.quant_weight(), is_narrow, site)
        else:
            formats[name] = format_of(value, layer.act_quant.is_narrow_range, name)
    return formats


def rebuild(
    network: nn.Sequential,
    formats: Mapping[str, FixedPoint],
    state: Mapping[str, Tensor],
    *,
    learned_scales: bool,
    channel_integers: Mapping[str, Tensor] | None = None,
) -> nn.Sequential:
    """Rebuild a trained Brevitas network from its state.

    Args:
        network: The float network it was made from.
        formats: The formats it was made with.
        state: Its ``state_dict``.
        learned_scales: As in training.
        channel_integers: As in training.

    Returns:
        The network, in evaluation mode.
    """
    twin = quantize_network(
        network,
        formats,
        learned_scales=learned_scales,
        channel_integers=channel_integers,
    )
    twin.load_state_dict(dict(state))
    return twin.eval()
