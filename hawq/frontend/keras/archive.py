"""Read the parts of a Keras file: a configuration and arrays; nothing is executed."""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hawq.errors import NetworkError
from hawq.frontend.keras.layer import PACKAGE, Array, section

MAX_CONFIG_BYTES = 2**26
MAX_WEIGHTS = 2**27
"""Numbers in all weights; a file cannot claim any amount of memory."""

_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
_QUANTIZERS = {
    "q": "quantizer/vars",
    **{role: f"{role}/quantizer/vars" for role in ("iq", "kq", "bq", "oq")},
}
"""Role of a quantizer of HGQ2 → where a layer keeps what it learned."""


@dataclass(frozen=True, eq=False)
class Archive:
    """What a Keras file holds.

    Attributes:
        config: Class name and settings of the model.
        weights: Layer name → its weights.
        quantizers: Layer name → role of a quantizer of HGQ2 → what it learned.
    """

    config: Mapping[str, Any]
    weights: Mapping[str, tuple[Array, ...]]
    quantizers: Mapping[str, Mapping[str, tuple[Array, ...]]] = field(
        default_factory=dict
    )


def read_archive(path: Path) -> Archive:
    """Read a file that Keras 2, Keras 3 or tf-keras saved.

    Args:
        path: Of a ``.h5`` or ``.keras`` file.

    Returns:
        Its parts.

    Raises:
        NetworkError: if it is damaged, or no whole model.
    """
    try:
        if zipfile.is_zipfile(path):
            return _read_zip(path)
        with h5py.File(path, "r") as file:
            return _read_h5(file)
    except NetworkError as error:
        raise NetworkError(f"{path}: {error}") from error
    except (
        OSError,
        KeyError,
        ValueError,
        RuntimeError,
        NotImplementedError,
        RecursionError,
        zipfile.BadZipFile,
    ) as error:
        raise NetworkError(
            f"{path}: not a Keras file, or a damaged one ({error}): save the model "
            "again (model.save)"
        ) from error


def _read_zip(path: Path) -> Archive:
    with zipfile.ZipFile(path) as archive:
        config = _parse(_member(archive, "config.json", MAX_CONFIG_BYTES))
        data = _member(archive, "model.weights.h5", 4 * MAX_WEIGHTS + MAX_CONFIG_BYTES)
    with h5py.File(io.BytesIO(data), "r") as file:
        return Archive(config, *_numbered_weights(file, config))


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    size = archive.getinfo(name).file_size
    if size > most:
        raise NetworkError(
            f"{name} has {size} bytes, expected at most {most}: the file is damaged"
        )
    return archive.read(name)


def _parse(text: str | bytes) -> Mapping[str, Any]:
    config = json.loads(text)
    inner = config.get("config") if isinstance(config, dict) else None
    if isinstance(inner, list):  # as Keras 2.2 wrote a Sequential
        config["config"] = inner = {"layers": inner}
    if not isinstance(inner, dict) or not isinstance(inner.get("layers"), list):
        kind = config.get("class_name") if isinstance(config, dict) else None
        raise NetworkError(
            f"a model of class {kind!r} has no list of layers: build it as Sequential "
            "or Functional, then save it"
        )
    return dict(config)


def _read_h5(file: h5py.File) -> Archive:
    text = file.attrs.get("model_config")
    if not isinstance(text, str | bytes) or len(text) > MAX_CONFIG_BYTES:
        raise NetworkError(
            "it holds no model configuration, only weights: save the whole model "
            "(model.save, not save_weights)"
        )
    group = _open(file, "model_weights")
    budget = _Budget()
    weights = {}
    for name in group:
        layer = _open(group, name)
        names = [
            n.decode() if isinstance(n, bytes) else str(n)
            for n in layer.attrs.get("weight_names", ())
        ]
        weights[str(name)] = budget.read_all({n: _open(layer, n) for n in names})
    return Archive(_parse(text), weights)


def _numbered_weights(
    file: h5py.File, config: Mapping[str, Any]
) -> tuple[dict[str, tuple[Array, ...]], dict[str, dict[str, tuple[Array, ...]]]]:
    """Find weights that are kept under a running number of each class of layers."""
    container = next((c for c in _CONTAINERS if c in file), None)
    weights: dict[str, tuple[Array, ...]] = {}
    quantizers: dict[str, dict[str, tuple[Array, ...]]] = {}
    if container is None:
        return weights, quantizers
    group, budget = _open(file, container), _Budget()
    seen: Counter[str] = Counter()
    for layer in config["config"]["layers"]:
        name = str(section(layer, "config").get("name"))
        if not isinstance(layer, dict) or ".ops." in str(layer.get("module")):
            continue  # a bare operation, which keeps no weights
        stem = _snake(str(layer.get("class_name")).removeprefix(PACKAGE))
        key = f"{stem}_{seen[stem]}" if seen[stem] else stem
        seen[stem] += 1
        if key not in group or "vars" not in (found := _open(group, key)):
            continue
        variables = _open(found, "vars")
        written = variables.attrs.get("name", name)
        if written != name:
            raise NetworkError(
                f"the weights of layer {name!r} are marked {written!r}: the file is "
                "damaged, save it again"
            )
        weights[name] = budget.read_all(_members(variables, name))
        if "batchnorm" in found:  # which QKeras folds into a convolution
            inner = _open(found, "batchnorm/vars")
            weights[name] += budget.read_all(_members(inner, f"{name}/batchnorm"))
        quantizers[name] = {
            role: budget.read_all(_members(_open(found, path), f"{name}/{role}"))
            for role, path in _QUANTIZERS.items()
            if path in found
        }
    return weights, quantizers


def _snake(kind: str) -> str:
    """Turn ``QConv2D`` into ``q_conv2d``."""
    word = re.sub(r"\W", "", kind)
    return re.sub(r"(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", word).lower()


def _open(parent: h5py.Group, path: str) -> Any:
    """Open a member that lies in this very file."""
    for part in path.strip("/").split("/"):
        if not isinstance(parent, h5py.Group) or part not in parent:
            raise NetworkError(f"{path!r} is missing: save the whole model again")
        if not isinstance(parent.get(part, getlink=True), h5py.HardLink):
            raise NetworkError(f"{path!r} is a link, which is not followed: save again")
        parent = parent[part]
    return parent


def _members(variables: h5py.Group, name: str) -> dict[str, Any]:
    return {f"{name}/{i}": _open(variables, str(i)) for i in range(len(variables))}


class _Budget:
    """Read arrays until ``MAX_WEIGHTS`` numbers."""

    def __init__(self) -> None:
        self.left = MAX_WEIGHTS

    def read_all(self, data: Mapping[str, Any]) -> tuple[Array, ...]:
        """Read all but counters of training, which are whole numbers."""
        return tuple(
            self.read(d, name)
            for name, d in data.items()
            if not (
                isinstance(d, h5py.Dataset) and d.dtype.kind in "iu" and not d.shape
            )
        )

    def read(self, data: Any, name: str) -> Array:
        if not isinstance(data, h5py.Dataset) or data.external or data.is_virtual:
            raise NetworkError(
                f"weight {name!r} is not stored in this file: save the model again"
            )
        if data.dtype not in (np.float32, np.uint8):
            raise NetworkError(
                f"weight {name!r} is {data.dtype}, expected float32: save the model in "
                "float32"
            )
        self.left -= math.prod(data.shape)
        if self.left < 0:
            raise NetworkError(
                f"its weights hold more than {MAX_WEIGHTS} numbers: the file is "
                "damaged, or the network too large"
            )
        return np.asarray(data[()], dtype=np.float32)
