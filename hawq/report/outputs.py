"""What firmware and float network say about the same jets."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.csim.record import LadderRecord
from hawq.data.record import DataRecord
from hawq.errors import DataError, StageError
from hawq.fixed import MAX_WIDTH, FixedPoint, IntArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Outputs:
    """The logits of firmware and float network on the same samples.

    Attributes:
        integers: The firmware's, int64, shape (samples, classes), exact.
        fraction: Each integer is worth ``2**-fraction``.
        float_logits: The float network's, shape (samples, classes).
        labels: int64, shape (samples,): indices into ``classes``.
        classes: Names, in order.
    """

    integers: NDArray[np.int64]
    fraction: int
    float_logits: Floats
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        expected = (len(self.labels), len(self.classes))
        for name in ("integers", "float_logits"):
            if (shape := getattr(self, name).shape) != expected:
                raise DataError(
                    f"{name} has the shape {shape}: expected {expected}, a column for "
                    f"each of {', '.join(self.classes)}"
                )

    @property
    def firmware_logits(self) -> Floats:
        """The firmware's logits as real numbers: integers × ``2**-fraction``, exact."""
        return np.ldexp(self.integers.astype(np.float64), -self.fraction)

    @property
    def float_integers(self) -> IntArray:
        """The float network's logits, rounded to the grid of the firmware's output."""
        grid = FixedPoint(True, MAX_WIDTH, MAX_WIDTH - self.fraction)
        return grid.quantize(self.float_logits)

    @property
    def is_flipped(self) -> NDArray[np.bool_]:
        """Where firmware and float network choose different classes."""
        flipped: NDArray[np.bool_] = self.integers.argmax(axis=1) != (
            self.float_logits.argmax(axis=1)
        )
        return flipped

    @property
    def differences(self) -> Floats:
        """Firmware's logits less the float network's, shape (samples, classes)."""
        return self.firmware_logits - self.float_logits


def read_outputs(folders: Mapping[str, Path]) -> Outputs:
    """Read what the csim stage proved equal and wrote.

    Args:
        folders: Stage → its finished folder; ``data`` and ``csim`` are read.

    Returns:
        The outputs on the test samples.

    Raises:
        StageError: if the flow did not run ``csim``, or its files are damaged.
    """
    if "csim" not in folders:
        raise StageError("the flow has not run csim: firmware outputs are its result")
    path = folders["csim"] / "outputs.npz"
    record = (folders["csim"] / "record.json").read_bytes()
    ladder = LadderRecord.model_validate_json(record)
    data = DataRecord.model_validate_json(
        (folders["data"] / "record.json").read_bytes()
    )
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            integers, float_logits = arrays["integers"], arrays["float_logits"]
            labels = arrays["y"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise StageError(
            f"{path} is damaged ({error}): run the csim stage again"
        ) from error
    return Outputs(
        integers.astype(np.int64),
        ladder.output_fraction,
        float_logits.astype(np.float64),
        labels.astype(np.int64),
        data.classes,
    )


def probabilities(logits: NDArray[Any]) -> Floats:
    """Turn logits into class probabilities, on the host.

    Firmware ends at its logits; this softmax in double precision is no part of it.

    Args:
        logits: Shape (samples, classes).

    Returns:
        The same shape; rows sum to 1.

    >>> probabilities(np.log([[1.0, 3.0]])).round(12)
    array([[0.25, 0.75]])
    """
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    normalised: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return normalised
