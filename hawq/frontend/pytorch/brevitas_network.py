"""Export a Brevitas network of any shape as QONNX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import torch
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.general import RemoveUnusedTensors
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.cleanup import cleanup_model
from torch import nn

from hawq import __version__
from hawq.errors import NetworkError
from hawq.export.naming import NameAfterModules
from hawq.export.qonnx import quiet

_NO_SCALE = ("scale required", "not correctly configured")
"""What Brevitas says if a bias lacks the scale of its layer's input."""


def is_quantized(network: nn.Module) -> bool:
    """Tell whether a network holds layers of Brevitas.

    Args:
        network: Any.

    Returns:
        Whether it does.
    """
    return any(type(m).__module__.startswith("brevitas.") for m in network.modules())


def export_network(network: nn.Module, shape: Sequence[int]) -> onnx.ModelProto:
    """Write a Brevitas network as QONNX.

    Scales may be any. Every activation ``Quant`` of the network is in the file.

    Args:
        network: In evaluation mode; its ``forward`` takes one tensor.
        shape: Of one sample.

    Returns:
        The model: batch 1, the shape of every tensor known, tensors named after the
        layers.

    Raises:
        NetworkError: if the network does not run, or has a quantizer that the file
            would not say rightly.
    """
    _refuse_one_bit(network)
    sample = torch.zeros(1, *shape)
    _try(network, sample)
    with TemporaryDirectory() as folder, quiet():
        from brevitas.export import export_qonnx

        raw = str(Path(folder) / "raw.onnx")
        export_qonnx(network, sample, raw)
        model = cleanup_model(ModelWrapper(raw))
    for step in (NameAfterModules(), RemoveUnusedTensors(), InferShapes()):
        model = model.transform(step)
    model.model.producer_name = "hawq"
    model.model.producer_version = __version__
    proto: onnx.ModelProto = model.model
    return proto


def _refuse_one_bit(network: nn.Module) -> None:
    """Brevitas writes every quantizer of 1 bit as -1 and +1, also that of 0 and 1."""
    from brevitas.inject.enum import QuantType

    proxy: Any
    for name, proxy in network.named_modules():
        injector = getattr(proxy, "quant_injector", None)
        if injector is None or "bit_width" not in injector:
            continue
        if injector.bit_width == 1 and injector.quant_type != QuantType.BINARY:
            layer = name.rpartition(".")[0] or name
            raise NetworkError(
                f"layer {layer!r} quantizes to 1 bit that is no sign: the export would "
                "make it -1 and +1; give it 2 bits, or quant_type BINARY"
            )


def _try(network: nn.Module, sample: torch.Tensor) -> None:
    entered: list[str] = [""]
    hooks = [
        module.register_forward_pre_hook(lambda *_, name=name: entered.append(name))
        for name, module in network.named_modules()
        if type(module).__module__.partition(".")[2].startswith("nn.")
    ]
    try:
        with torch.no_grad(), quiet():
            network(sample)
    except (RuntimeError, ValueError, IndexError, AssertionError) as error:
        what = str(error).partition("\n")[0]
        raise NetworkError(
            f"layer {entered[-1]!r}: the network does not run on a sample of shape "
            f"{tuple(sample.shape[1:])}: {what}{_remedy(what)}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()


def _remedy(what: str) -> str:
    if not any(words in what for words in _NO_SCALE):
        return ""
    return (
        "; its bias stands on the grid of its input, so the layer before must have "
        "return_quant_tensor=True"
    )
