"""A user's folder: ``network.py``, a file of weights and perhaps a ``card.toml``."""

from __future__ import annotations

import pickle
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError
from torch import Tensor, nn

from hawq.errors import DataError, NetworkError
from hawq.model.network import build_network

CARD = "card.toml"
WEIGHTS = "weights.pt"


class Standardisation(BaseModel):
    """What raw samples are moved and divided by, each broadcast to a sample's shape.

    Attributes:
        mean: Subtracted first.
        std: Divided by then.
    """

    model_config = ConfigDict(frozen=True)

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Card(BaseModel):
    """What ``card.toml`` says of a network; keys that are not here are left alone.

    Attributes:
        input_shape: Of one sample, without the batch.
        features: Names of the inputs; as many as there are, if no shape is given.
        arguments: What ``build`` is called with.
        standardisation: Applied to samples before the network sees them.
    """

    model_config = ConfigDict(frozen=True)

    input_shape: tuple[PositiveInt, ...] | None = None
    features: tuple[str, ...] = ()
    arguments: dict[str, Any] = {}
    standardisation: Standardisation | None = None

    def shape(self) -> tuple[int, ...] | None:
        """Give the shape of one sample, if the card tells."""
        if self.input_shape is None and self.features:
            return (len(self.features),)
        return self.input_shape

    def standardise(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Turn raw samples into what the network takes.

        Args:
            x: Shape (samples, ...), raw.

        Returns:
            ``(x - mean) / std`` in float64, rounded to float32 once; the samples
            themselves if the card knows no standardisation.

        Raises:
            DataError: if mean and standard deviation do not fit the samples.
        """
        if self.standardisation is None:
            return x.astype(np.float32)
        mean, std = (np.array(v) for v in vars(self.standardisation).values())
        try:
            scaled = (x.astype(np.float64) - mean) / std
        except ValueError as error:
            raise DataError(
                f"samples of shape {x.shape[1:]} and a standardisation of {mean.size} "
                f"means and {std.size} deviations in {CARD}: expected one for each "
                "element of the last axis"
            ) from error
        rounded: NDArray[np.float32] = scaled.astype(np.float32)
        return rounded


def read_card(folder: Path) -> Card:
    """Read a folder's card.

    Args:
        folder: The network's.

    Returns:
        The card; an empty one if there is none.

    Raises:
        NetworkError: if it is no TOML, or a key has the wrong type.
    """
    path = folder / CARD
    try:
        return Card.model_validate(tomllib.loads(path.read_text()))
    except FileNotFoundError:
        return Card()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise NetworkError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise NetworkError(
            f"{path}: {key} is {first['input']!r}: {first['msg'].lower()}"
        ) from error


def load_network(folder: Path, card: Card) -> nn.Module:
    """Build a folder's network and load its weights.

    ``network.py`` is executed: it is the user's own program. The weights are read as
    plain tensors, nothing in them is executed.

    Args:
        folder: Holds ``network.py``, and ``weights.pt`` or one other ``*.pt``.
        card: Its card.

    Returns:
        The network, in evaluation mode.

    Raises:
        NetworkError: if the network cannot be built, or there are no weights for it.
    """
    network = build_network(folder, card.arguments)
    path = _weights_file(folder)
    state = _read_weights(path)
    try:
        network.load_state_dict(dict(state))
    except RuntimeError as error:
        what = " ".join(str(error).split())
        raise NetworkError(
            f"{path} does not hold the weights of what build() returns: {what}"
        ) from error
    return network.eval()


def _weights_file(folder: Path) -> Path:
    if (folder / WEIGHTS).is_file():
        return folder / WEIGHTS
    found = sorted(folder.glob("*.pt"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise NetworkError(
            f"{folder}: expected {WEIGHTS} or one other file *.pt, got {names}: save "
            f"`torch.save(network.state_dict(), '{WEIGHTS}')`"
        )
    return found[0]


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    expected = f"expected `torch.save(network.state_dict(), '{WEIGHTS}')`"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise NetworkError(
            f"{path} holds objects other than tensors, which would run code: {expected}"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        raise NetworkError(f"{path} is damaged: {expected}") from error
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor)
        for key, value in state.items()
    ):
        raise NetworkError(
            f"{path} holds a {type(state).__name__} that is no state_dict: {expected}"
        )
    for key, value in state.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise NetworkError(f"{path}: {key!r} has NaN or infinity: train again")
    return state
