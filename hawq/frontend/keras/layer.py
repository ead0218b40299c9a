"""One layer of a Keras model, with settings that are checked when they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from hawq.errors import NetworkError

Array = NDArray[np.float32]

PACKAGE = "qkeras>"
"""Begins names that QKeras registered with Keras 3."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer, as its file describes it.

    Attributes:
        name: Unique in the model.
        kind: Name of its class.
        config: Settings.
        module: Where its class lives.
        weights: In the order in which Keras keeps them.
        quantizers: Role of a quantizer of HGQ2 → what it learned, likewise.
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    module: str = ""
    weights: tuple[Array, ...] = field(default=())
    quantizers: Mapping[str, tuple[Array, ...]] = field(default_factory=dict)

    def refuse(self, why: str) -> NetworkError:
        """Make the error that refuses this layer.

        Args:
            why: What is wrong and what to do.

        Returns:
            The error, to be raised.
        """
        return NetworkError(f"layer {self.name!r} ({self.kind}): {why}")

    def _wrong(self, key: str, expected: str) -> NetworkError:
        return self.refuse(
            f"{key} is {self.config.get(key)!r}, expected {expected}: the file is "
            "damaged, save it again"
        )

    def whole(self, key: str, default: int) -> int:
        """Give a whole number.

        Args:
            key: Of the setting.
            default: If it is absent.

        Returns:
            The number.

        Raises:
            NetworkError: if it is something else.
        """
        value = self.config.get(key, default)
        if not is_whole(value):
            raise self._wrong(key, "a whole number")
        return value

    def number(self, *keys: str, default: float) -> float:
        """Give a number, whose setting was renamed at times.

        Args:
            keys: Names of the setting; the first that is there counts.
            default: If none is.

        Returns:
            The number.

        Raises:
            NetworkError: if it is something else.
        """
        key = next((k for k in keys if self.config.get(k) is not None), None)
        value = default if key is None else plain(self.config[key])
        if not is_number(value):
            raise self._wrong(str(key), "a number that float32 holds")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """Give a yes or no.

        Args:
            key: Of the setting.
            default: If it is absent.

        Returns:
            Whether it is set.

        Raises:
            NetworkError: if it is something else.
        """
        value = self.config.get(key, default)
        if not isinstance(value, bool | int) or value not in (0, 1):
            raise self._wrong(key, "true or false")
        return bool(value)

    def sizes(self, key: str, rank: int, default: int | None = 1) -> tuple[int, ...]:
        """Give a size above 0 for each spatial axis.

        Args:
            key: Of the setting.
            rank: How many axes there are.
            default: Size if it is absent or null; None if it must be there.

        Returns:
            The sizes.

        Raises:
            NetworkError: if it is something else.
        """
        value = self.config.get(key)
        value = default if value is None else value
        sizes: Any = [value] * rank if isinstance(value, int) else value
        if not whole_numbers(sizes) or len(sizes) != rank or min(sizes) < 1:
            raise self._wrong(key, f"{rank} whole numbers above 0")
        return tuple(sizes)

    def weight(self, position: int, *shape: int) -> Array:
        """Give a weight.

        Args:
            position: Which.
            shape: That it must have.

        Returns:
            The weight.

        Raises:
            NetworkError: if it is absent, of another shape, or not finite.
        """
        if position >= len(self.weights):
            raise self.refuse(
                f"the file holds {len(self.weights)} weights of it, expected at least "
                f"{position + 1}: save the whole model, with its weights"
            )
        weight = self.weights[position]
        if weight.shape != shape:
            raise self.refuse(
                f"weight {position} has shape {weight.shape}, expected {shape}: the "
                "file is damaged, save it again"
            )
        if not np.isfinite(weight).all():
            raise self.refuse(f"weight {position} has NaN or infinity: train again")
        return weight


def is_whole(value: Any) -> TypeGuard[int]:
    """Tell whether a value is a whole number of a size that occurs.

    Args:
        value: From a configuration.

    Returns:
        Whether it is.
    """
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31


def is_number(value: Any) -> bool:
    """Tell whether a value is a number that float32 holds.

    Args:
        value: From a configuration.

    Returns:
        Whether it is.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= float(np.finfo(np.float32).max)


def section(value: Any, key: str) -> Mapping[str, Any]:
    """Give the settings under a key, or none if there are none.

    Args:
        value: From a configuration.
        key: Of the settings.

    Returns:
        The settings.
    """
    inner = value.get(key) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def plain(value: Any) -> Any:
    """Take the value out of a NumPy array or scalar as Keras writes it.

    Args:
        value: From a configuration.

    Returns:
        The value itself if it is no such thing.
    """
    if isinstance(value, dict) and value.get("class_name") in ("__numpy__", "ndarray"):
        return section(value, "config").get("value")
    if isinstance(value, dict) and value.get("type") == "ndarray":
        return value.get("value")
    return value


def whole_numbers(value: Any) -> TypeGuard[list[int]]:
    """Tell whether a value is a list of whole numbers.

    Args:
        value: From a configuration.

    Returns:
        Whether it is.
    """
    return isinstance(value, list | tuple) and all(is_whole(v) for v in value)
