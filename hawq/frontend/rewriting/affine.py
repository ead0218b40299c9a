"""The quantization of ONNX's integer tensors, and the QONNX ranges that say the same.

An integer q stands for the value (q - zero point) · scale. ``QuantizeLinear`` rounds
x / scale half to even and adds the zero point afterwards; QONNX's ``Quant`` adds it
before. The two agree on every tie only if the zero point is even.

Source: the ONNX operator specifications of ``QuantizeLinear`` (versions 10 to 25), and
QONNX's of ``Quant``, version 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

RANGES: dict[int, tuple[int, int]] = {
    TensorProto.INT4: (-(2**3), 2**3 - 1),
    TensorProto.UINT4: (0, 2**4 - 1),
    TensorProto.INT8: (-(2**7), 2**7 - 1),
    TensorProto.UINT8: (0, 2**8 - 1),
    TensorProto.INT16: (-(2**15), 2**15 - 1),
    TensorProto.UINT16: (0, 2**16 - 1),
    TensorProto.INT32: (-(2**31), 2**31 - 1),
}
"""Lowest and highest integer of each type that a quantized tensor may have."""


@dataclass(frozen=True)
class Range:
    """A range of integers that a ``Quant`` has.

    Attributes:
        bits: The bit width.
        is_signed: The attribute ``signed``.
        is_narrow: The attribute ``narrow``: the outermost integer is left out.
    """

    bits: int
    is_signed: bool
    is_narrow: bool = False


def find_range(low: int, high: int) -> Range | None:
    """Find the ``Quant`` that has exactly these integers.

    Args:
        low: The lowest.
        high: The highest.

    Returns:
        The range, or None. One signed bit is never used: QONNX takes it for -1 and +1.

    >>> find_range(-7, 7)
    Range(bits=4, is_signed=True, is_narrow=True)
    >>> find_range(-1, 0) is None
    True
    """
    is_signed = low < 0
    for is_narrow in (False, True):
        bits = (high + 1 + int(is_narrow and not is_signed)).bit_length() - 1
        bits += int(is_signed)
        found = Range(bits, is_signed, is_narrow)
        if bits >= 1 + int(is_signed or is_narrow) and _limits(found) == (low, high):
            return found
    return None


def _limits(span: Range) -> tuple[int, int]:
    half = 1 << (span.bits - int(span.is_signed))
    if span.is_signed:
        return -half + int(span.is_narrow), half - 1
    return 0, half - 1 - int(span.is_narrow)


def covering(low: int, high: int, at_least: int = 2) -> Range:
    """Give the narrowest signed ``Quant`` that has all these integers.

    Args:
        low: The lowest.
        high: The highest.
        at_least: Bits.

    Returns:
        Its range.

    >>> covering(-131, 124)
    Range(bits=9, is_signed=True, is_narrow=False)
    """
    bits = 1 + max(-1 - low, high, 0).bit_length()
    return Range(max(bits, at_least), is_signed=True)


@dataclass(frozen=True, eq=False)
class Affine:
    """How the integers of a tensor stand for values.

    Attributes:
        scale: Above 0; float32 of shape () or, one a channel, (channels,). The scale of
            a bias may be float64, to hold a product of two scales exactly.
        zero_point: int64, of the same shape.
        low: The lowest integer.
        high: The highest integer.
        axis: Of the channels; None if there is one scale.
        is_shifted_first: Whether the zero point is added before rounding, as some
            operators of onnxruntime do and ONNX does not.
    """

    scale: NDArray[Any]
    zero_point: NDArray[np.int64]
    low: int
    high: int
    axis: int | None = None
    is_shifted_first: bool = False

    def same_values(self, other: Affine) -> bool:
        """Tell whether both give every integer the same value.

        Args:
            other: Its range may differ.

        Returns:
            Whether scales, zero points and axes are equal.
        """
        return (
            self.axis == other.axis
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )

    def stages(self) -> list[tuple[Range, NDArray[np.int64]]]:
        """Say which quantizers, one behind the other, round and saturate like this.

        Returns:
            One range and its zero point if they are exact: without zero point, or with
            an even one. With an odd one a wider range rounds first and the second only
            saturates. Empty if no ``Quant`` has the range.

        >>> import numpy as np
        >>> ones = np.float32(1)
        >>> Affine(ones, np.array(-128), -128, 127).stages()
        [(Range(bits=8, is_signed=False, is_narrow=False), array(0))]
        """
        points = np.unique(self.zero_point).tolist()
        none = np.array(0)
        if len(points) == 1:
            centred = find_range(self.low - points[0], self.high - points[0])
            if centred is not None:
                return [(centred, none)]
        own = find_range(self.low, self.high)
        if own is None:
            return []
        if self.is_shifted_first or not any(point % 2 for point in points):
            return [(own, self.zero_point)]
        wide = covering(self.low - points[-1], self.high - points[0])
        return [(wide, none), (own, self.zero_point)]
