"""Export a Brevitas network to a clean, annotated QONNX file."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
from qonnx.transformation.gemm_to_matmul import GemmToMatMul
from qonnx.transformation.general import RemoveUnusedTensors
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.cleanup import cleanup_model
from torch import nn

from hawq import __version__
from hawq.export.constants import FoldChannelScales, NarrowBiases
from hawq.export.naming import NameAfterLayers
from hawq.paths import atomic_file
from hawq.training.quantizers import qnn


def export_qonnx(network: nn.Sequential, path: Path) -> None:
    """Write a trained Brevitas network as QONNX.

    The file holds every activation ``Quant``, shapes and datatypes on every tensor, one
    power-of-two scale a tensor, and the names of the network's layers. Batch size 1.

    Args:
        network: From ``hawq.training.network``, in evaluation mode.
        path: The ``.onnx`` file, written atomically.
    """
    first = next(m for m in network if isinstance(m, qnn.QuantLinear))
    sample = torch.zeros(1, first.in_features)
    with TemporaryDirectory() as folder, quiet():
        from brevitas.export import export_qonnx as brevitas_export

        raw = str(Path(folder) / "raw.onnx")  # may come with a file of weights
        brevitas_export(network, sample, raw)
        model = tidy(ModelWrapper(raw), layer_names(network))
    with atomic_file(path) as temporary:
        model.save(str(temporary))


def layer_names(network: nn.Sequential) -> list[str]:
    """List the names that the graph's chain takes: one a layer.

    Args:
        network: From ``hawq.training.network``.

    Returns:
        Child names in order, the input quantizer first.
    """
    return [name for name, _ in network.named_children()]


def tidy(model: ModelWrapper, layers: Sequence[str]) -> ModelWrapper:
    """Bring a Brevitas export into the form that every rung reads.

    Args:
        model: As exported.
        layers: Names for the chain's layers.

    Returns:
        The tidy graph.
    """
    model = cleanup_model(model)
    model = model.transform(ConvertToChannelsLastAndClean())
    model = model.transform(GemmToMatMul())
    model = cleanup_model(model)
    for step in (
        FoldChannelScales(),
        NarrowBiases(),
        NameAfterLayers(layers),
        RemoveUnusedTensors(),
        InferShapes(),
        InferDataTypes(),
    ):
        model = model.transform(step)
    model.model.producer_name = "hawq"
    model.model.producer_version = __version__
    return model


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the exporter's own progress lines; its errors still raise.

    Yields:
        Nothing.
    """
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)
