"""Read a user's folder with a PyTorch or Brevitas network as QONNX.

The folder's ``network.py`` is executed: reading a folder is running a program of
whoever wrote it. Its weights are read as plain tensors; nothing in them is executed.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from hawq.errors import DataError, NetworkError
from hawq.frontend.pytorch.brevitas_network import export_network, is_quantized
from hawq.frontend.pytorch.calibration import choose_formats
from hawq.frontend.pytorch.folder import Card, load_network, read_card
from hawq.frontend.pytorch.trace import trace_network
from hawq.frontend.pytorch.write import write_qonnx
from hawq.model.fold import fold_batch_norm

_CHECKED = 16
_FOLDING_ERROR = 1e-9


def read_torch_folder(
    folder: Path, data: NDArray[np.float32] | None = None, bits: int = 8
) -> onnx.ModelProto:
    """Read a network from a folder like those in ``models/``.

    A Brevitas network is exported as it is. A float network is quantized: batch norms
    are folded in float64, and the data choose power-of-two scales of ``bits`` bits.

    Args:
        folder: Holds ``network.py`` with ``build()``, which is executed; ``weights.pt``
            or one other ``*.pt`` with its ``state_dict``; perhaps ``card.toml``.
        data: Shape (samples, ...), what the network takes before the standardisation
            that the card may know; a float network needs them.
        bits: Width of weights and activations of a float network.

    Returns:
        The QONNX model.

    Raises:
        NetworkError: if the folder is not complete, data are missing, or the network
            holds something that is not carried.
    """
    card = read_card(folder)
    network = load_network(folder, card)
    samples = None if data is None else _checked(folder, card, data)
    if is_quantized(network):
        return export_network(network, _shape(folder, card, samples, network))
    if samples is None:
        raise NetworkError(
            f"{folder}: {type(network).__name__} is a float network, and without "
            "samples its scales cannot be calibrated: give --data X.npz with some "
            "hundred of them"
        )
    return quantize_float(network, samples, bits)


def quantize_float(
    network: nn.Module, samples: NDArray[np.float32], bits: int
) -> onnx.ModelProto:
    """Quantize a float network without training.

    Args:
        network: In evaluation mode; it is not changed.
        samples: What it takes, shape (samples, ...).
        bits: Width of weights and activations.

    Returns:
        The QONNX model.
    """
    wide = copy.deepcopy(network).double()
    folded = fold_batch_norm(wide)
    steps = trace_network(folded, samples.shape[1:])
    x = torch.from_numpy(samples).double()
    _require_same(wide, folded, x[:_CHECKED])
    formats = choose_formats(steps, x, bits)
    return write_qonnx(steps, formats, samples.shape[1:])


def read_calibration(path: Path) -> NDArray[np.float32]:
    """Read samples to calibrate with.

    Args:
        path: ``.npy``, or ``.npz`` with one array, or one called ``x`` or ``features``.

    Returns:
        Shape (samples, ...).

    Raises:
        DataError: if there is no such array of numbers.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path}: not a NumPy file of plain numbers: {error}"
        ) from error
    arrays = {"x": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    known = [name for name in ("features", "x") if name in arrays]
    if not known and len(arrays) != 1:
        raise DataError(
            f"{path} has the arrays {', '.join(arrays) or 'none'}: expected one, or "
            "one that is called x"
        )
    array = arrays[known[0]] if known else next(iter(arrays.values()))
    if array.dtype.kind not in "fiub":
        raise DataError(f"{path} holds {array.dtype}: expected numbers")
    return array.astype(np.float32)


def standardised(folder: Path, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn raw samples into what the network of a folder takes.

    Args:
        folder: Its card may know a standardisation.
        x: Shape (samples, ...), raw.

    Returns:
        The same shape.
    """
    return read_card(folder).standardise(x)


def _checked(
    folder: Path, card: Card, data: NDArray[np.float32]
) -> NDArray[np.float32]:
    wanted = card.shape()
    if data.ndim < 2 or not data.size or (wanted and data.shape[1:] != wanted):
        sizes = "..." if wanted is None else ", ".join(map(str, wanted))
        raise DataError(
            f"{folder}: the data have the shape {data.shape}, expected (samples, "
            f"{sizes}), at least one sample"
        )
    if not np.isfinite(data).all():
        raise DataError(f"{folder}: the data have NaN or infinity: clean them first")
    return card.standardise(data)


def _shape(
    folder: Path, card: Card, data: NDArray[np.float32] | None, network: nn.Module
) -> tuple[int, ...]:
    if card.shape() is not None:
        return card.shape() or ()
    if data is not None:
        return data.shape[1:]
    layers = (m for m in network.modules() if hasattr(m, "weight_quant"))
    features = getattr(next(layers, None), "in_features", None)
    if features is None:
        raise NetworkError(
            f"{folder}: nothing tells the shape of a sample: write input_shape = "
            "[channels, height, width] into card.toml"
        )
    return (int(features),)


@torch.no_grad()
def _require_same(network: nn.Module, folded: nn.Module, x: torch.Tensor) -> None:
    """Refuse if folding changed more than the rounding of float64 does."""
    before, after = network(x), folded(x)
    if not torch.allclose(before, after, rtol=_FOLDING_ERROR, atol=_FOLDING_ERROR):
        raise NetworkError(
            "folding the batch norms changed the outputs by up to "
            f"{float((before - after).abs().max()):.3g}: put each directly behind a "
            "layer whose channels, the second axis, it normalises"
        )
