"""The file that generated jets are kept in: HDF5 in the layout of CERNBox's jet set.

``jets`` is a float32 table (jets, 16 features and 5 one-hot columns ``j_g`` …), whose
columns ``jetFeatureNames`` names. Rows cycle through the classes, so any first part of
the file is balanced. The same jets always give the same bytes.

Features are rounded to fewer mantissa bits so that the file compresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import h5py
import numpy as np
from numpy.typing import NDArray

from hawq.data.columns import CLASSES, FEATURES, ONE_HOT
from hawq.errors import FormatError
from hawq.paths import atomic_file

_FLOAT32_MANTISSA: Final = 23
_CHUNK_ROWS: Final = 1 << 16


def round_mantissa(values: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """Round float32 values to fewer mantissa bits, half to even.

    Args:
        values: Finite values, any shape.
        bits: Explicit mantissa bits to keep, 1 … 23.

    Returns:
        The nearest values with that many bits, same shape; relative error at most
        2^-(bits + 1) for normal numbers.

    Raises:
        FormatError: if float32 has not that many bits.

    >>> round_mantissa(np.float32([1.25, 1.75, 1.26]), 1).tolist()
    [1.0, 2.0, 1.5]
    """
    if not 1 <= bits <= _FLOAT32_MANTISSA:
        raise FormatError(f"mantissa bits: expected 1 … 23 (float32), got {bits}")
    drop = _FLOAT32_MANTISSA - bits
    if drop == 0:
        return values.copy()
    pattern = np.ascontiguousarray(values).view(np.uint32)
    last_kept = (pattern >> np.uint32(drop)) & np.uint32(1)
    below_half = np.uint32((1 << (drop - 1)) - 1)
    mask = np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)
    # A carry out of the mantissa raises the exponent, as it should.
    return ((pattern + below_half + last_kept) & mask).view(np.float32)


def interleave(
    jets: Mapping[str, NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Put the classes' jets in one table whose rows cycle through the classes.

    Args:
        jets: Class → features, all of the same shape (jets, 16).

    Returns:
        Shape (classes · jets, 21): features, then one-hot columns.
    """
    count = len(next(iter(jets.values())))
    table = np.zeros((count, len(jets), len(FEATURES) + len(ONE_HOT)), np.float32)
    for place, (name, features) in enumerate(jets.items()):
        table[:, place, : len(FEATURES)] = features
        table[:, place, len(FEATURES) + CLASSES.index(name)] = 1.0
    return table.reshape(-1, table.shape[-1])


def write(
    path: Path,
    jets: Mapping[str, NDArray[np.float32]],
    *,
    mantissa_bits: int,
    attributes: Mapping[str, str | int],
) -> None:
    """Write jets, atomically.

    Args:
        path: The file.
        jets: Class → features, all of the same shape (jets, 16).
        mantissa_bits: Explicit mantissa bits kept.
        attributes: Of the file: how the jets were made.
    """
    table = round_mantissa(interleave(jets), mantissa_bits)
    names = np.array([*FEATURES, *ONE_HOT], dtype="S")
    with atomic_file(path) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset(
            "jets",
            data=table,
            # One column a chunk: like bytes lie together and compress.
            chunks=(min(len(table), _CHUNK_ROWS), 1),
            shuffle=True,
            compression="gzip",
            compression_opts=9,
            track_times=False,
        )
        file.create_dataset("jetFeatureNames", data=names, track_times=False)
        file.attrs["mantissa_bits"] = mantissa_bits
        for name, value in attributes.items():
            file.attrs[name] = value
