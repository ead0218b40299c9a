"""Networks: built from a folder anywhere on disk, loaded from a finished stage."""

from __future__ import annotations

import hashlib
import inspect
import io
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import nn

from hawq.errors import DataError, NetworkError, StageError
from hawq.model.record import SOURCE, ModelRecord
from hawq.paths import atomic_file

WEIGHTS = "float.pt"


def build_network(path: Path, arguments: Mapping[str, Any]) -> nn.Module:
    """Call ``build(**arguments)`` of a ``network.py``.

    Args:
        path: The file, or its folder. It imports nothing that lies beside it.
        arguments: For ``build``.

    Returns:
        The network, with fresh weights.

    Raises:
        NetworkError: if there is no such file, it cannot be imported, has no ``build``,
            ``build`` does not take these arguments, or returns no ``nn.Module``.
    """
    path = path / SOURCE if path.is_dir() else path
    build = getattr(_import(path), "build", None)
    if not callable(build):
        raise NetworkError(
            f"{path} defines no function `build`: add "
            "`def build(features, classes) -> nn.Module`, which returns the network"
        )
    try:
        inspect.signature(build).bind(**arguments)
    except TypeError as error:
        raise NetworkError(
            f"{path}: build{inspect.signature(build)} cannot be called with "
            f"{dict(arguments)}: {error}"
        ) from error
    network = build(**arguments)
    if not isinstance(network, nn.Module):
        raise NetworkError(
            f"{path}: build returned {type(network).__name__}, expected a torch "
            "nn.Module"
        )
    return network


def parameters_of_build(path: Path) -> frozenset[str]:
    """Name the arguments that the ``build`` of a ``network.py`` takes.

    Args:
        path: The file, or its folder.

    Returns:
        Their names; empty if there is no ``build``.
    """
    path = path / SOURCE if path.is_dir() else path
    build = getattr(_import(path), "build", None)
    return frozenset(inspect.signature(build).parameters) if build else frozenset()


def load_float(folder: Path) -> tuple[nn.Module, ModelRecord]:
    """Load what the model stage wrote.

    Args:
        folder: The finished stage folder.

    Returns:
        The network in evaluation mode, and its record.

    Raises:
        StageError: if a file is missing or damaged.
    """
    record_path, weights_path = folder / "record.json", folder / WEIGHTS
    for path in (record_path, weights_path, folder / SOURCE):
        if not path.is_file():
            raise StageError(f"{path} is missing: run the model stage again")
    try:
        record = ModelRecord.model_validate_json(record_path.read_text())
    except ValidationError as error:
        raise StageError(
            f"{record_path} is damaged: run the model stage again ({error})"
        ) from error
    network = build_network(folder / SOURCE, record.arguments)
    try:
        state = torch.load(weights_path, weights_only=True)
        network.load_state_dict(state)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise StageError(
            f"{weights_path} does not hold the weights of {folder / SOURCE}: run the "
            f"model stage again ({error})"
        ) from error
    return network.eval(), record


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's weights; the same weights give the same bytes.

    Args:
        network: Its ``state_dict`` is written.
        path: The file.
    """
    # Given a path, torch writes its name, which is a random one, into the file.
    content = io.BytesIO()
    torch.save(network.state_dict(), content)
    with atomic_file(path) as temporary:
        temporary.write_bytes(content.getvalue())


def standardise(x: NDArray[Any], record: ModelRecord) -> NDArray[np.float32]:
    """Turn raw features into what the network takes, as ``scale`` does.

    Args:
        x: Shape (samples, features), raw units.
        record: Holds mean and standard deviation.

    Returns:
        The same shape, dimensionless.

    Raises:
        DataError: if the number of columns is not the record's.
    """
    if x.ndim != 2 or x.shape[1] != len(record.features):
        raise DataError(
            f"x has the shape {x.shape}: expected (samples, {len(record.features)}), "
            f"the columns {', '.join(record.features)} in raw units"
        )
    return scale(x, np.asarray(record.mean), np.asarray(record.std))


def scale(
    x: NDArray[Any], mean: NDArray[np.float64], std: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Compute ``(x - mean) / std`` in float64, rounded to float32 once.

    Args:
        x: Shape (samples, features), raw units.
        mean: Shape (features,).
        std: Shape (features,).

    Returns:
        The same shape as ``x``, dimensionless.
    """
    scaled: NDArray[np.float32] = ((x.astype(np.float64) - mean) / std).astype(
        np.float32
    )
    return scaled


def _import(path: Path) -> ModuleType:
    # Under a name made of its content, and without writing bytecode beside it.
    try:
        source = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise NetworkError(
            f"{path} cannot be read ({error}): a network is a folder with a "
            "`network.py` that defines `build(features, classes)`"
        ) from error
    name = f"hawq_network_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        exec(compile(source, path, "exec"), module.__dict__)
    except (SyntaxError, ImportError, NameError, AttributeError) as error:
        del sys.modules[name]
        raise NetworkError(
            f"{path} cannot be imported: {type(error).__name__}: {error} (it must be "
            "one file that imports only installed packages)"
        ) from error
    except BaseException:
        del sys.modules[name]
        raise
    return module
