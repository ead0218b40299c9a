"""Read a QONNX quantizer: which integers, worth what, rounded how.

Source: the QONNX operator specifications of ``Quant`` (``IntQuant``), version 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.errors import FormatError, InexactError, NetworkError
from hawq.fixed import MAX_WIDTH, QONNX_ROUNDING, IntArray, Rounding, as_integers
from hawq.integer.grid import Grid, common_scale

MAX_RATIO = 2**512
"""Largest ratio of two scales that are brought to one grid."""


@dataclass(frozen=True, eq=False)
class IntegerConstant:
    """A constant on a grid.

    Attributes:
        integers: Any shape.
        scale: What one integer is worth.
    """

    integers: IntArray
    scale: Fraction

    def exact(self) -> NDArray[Any]:
        """Give the values.

        Returns:
            Fractions, in the shape of ``integers``.
        """
        return np.asarray(self.integers.astype(object) * self.scale, dtype=object)


@dataclass(frozen=True, eq=False)
class Quantizer:
    """The parameters of a ``Quant`` node.

    Attributes:
        tensor: Name of its output, for messages.
        scales: Fractions above 0; the shape broadcasts to the input's.
        zero_points: Integers; the shape broadcasts to the input's.
        width: Bits.
        is_signed: Whether negative integers exist.
        is_narrow: Whether the outermost integer is left out (the lowest if signed, else
            the highest).
        rounding: Where values between two integers go.
    """

    tensor: str
    scales: NDArray[Any]
    zero_points: IntArray
    width: int
    is_signed: bool
    is_narrow: bool
    rounding: Rounding

    @property
    def is_bipolar(self) -> bool:
        """Whether the only integers are -1 and +1, as one signed bit means in QONNX."""
        return self.is_signed and self.width == 1

    def grid(self, scale: Fraction, zero_point: int = 0) -> Grid:
        """Give the grid at one scale.

        Args:
            scale: What one integer is worth.
            zero_point: The file's integer for the value 0.

        Returns:
            The grid, whose integer for the value 0 is 0.
        """
        bits = self.width - int(self.is_signed)
        low = -(1 << bits) + int(self.is_narrow) if self.is_signed else 0
        high = (1 << bits) - 1 - int(self.is_narrow and not self.is_signed)
        return Grid(
            low - zero_point,
            high - zero_point,
            scale,
            self.rounding,
            zero_point=zero_point,
        )

    def uniform(self) -> tuple[Fraction, int] | None:
        """Give scale and zero point if all channels share them.

        Returns:
            Both, or None.
        """
        scales, points = set(self.scales.flat), set(self.zero_points.flat)
        if len(scales) == len(points) == 1:
            return scales.pop(), int(points.pop())
        return None

    def constant(self, values: NDArray[Any] | IntegerConstant) -> IntegerConstant:
        """Quantize a constant exactly, then put its channels on one grid.

        Args:
            values: Floats, or integers already on a grid.

        Returns:
            Integers on the finest grid that the channels that are not all zero need.

        Raises:
            NetworkError: if the scale's shape does not fit, or a value is not finite.
        """
        source = values.integers if isinstance(values, IntegerConstant) else values
        try:
            scales, points = (
                np.broadcast_to(a, source.shape)
                for a in (self.scales, self.zero_points)
            )
        except ValueError:
            raise NetworkError(
                f"tensor {self.tensor!r}: a scale of shape {self.scales.shape} does "
                f"not fit a constant of shape {source.shape}"
            ) from None
        if source.dtype.kind == "f" and not np.isfinite(source).all():
            raise NetworkError(
                f"tensor {self.tensor!r}: its constant has NaN or infinity"
            )
        uniform = self.uniform()
        if uniform is not None:
            integers = self._quantize(values, source, self.grid(*uniform))
            return IntegerConstant(as_integers(integers), uniform[0])
        integers = np.zeros(source.shape, dtype=object)
        for scale, point in _pairs(self.scales, self.zero_points):
            here = (scales == scale) & (points == point)
            integers[here] = self._quantize(
                values, source[here], self.grid(scale, point)
            )
        used = set(scales[integers != 0].flat) or set(self.scales.flat)
        finest = one_grid(self.tensor, *used)
        factors = np.where(integers == 0, 0, scales / finest)
        return IntegerConstant(as_integers(integers * _whole(factors)), finest)

    def _quantize(
        self, values: NDArray[Any] | IntegerConstant, chosen: NDArray[Any], grid: Grid
    ) -> IntArray:
        if self.is_bipolar:
            return np.where(chosen >= 0, 1, -1)
        if isinstance(values, IntegerConstant):
            flat = grid.requantize(chosen.reshape(-1), values.scale)
            return flat.reshape(chosen.shape)
        return grid.quantize(chosen.astype(np.float64))


def _pairs(scales: NDArray[Any], points: IntArray) -> set[tuple[Fraction, int]]:
    return {(s, int(p)) for s, p in np.broadcast(scales, points)}


_whole = np.frompyfunc(int, 1, 1)


def one_grid(name: str, *scales: Fraction) -> Fraction:
    """Find the coarsest grid on which all the grids lie, if it is any use.

    Args:
        name: The tensor, for messages.
        scales: Positive rationals.

    Returns:
        Their greatest common divisor.

    Raises:
        InexactError: if it is finer than the coarsest by more than ``MAX_RATIO``.
    """
    common = common_scale(*scales)
    if max(scales) / common > MAX_RATIO:
        raise InexactError(
            f"tensor {name!r}: its scales, from {float(min(scales)):g} to "
            f"{float(max(scales)):g}, have no common grid of fewer than "
            f"{MAX_RATIO.bit_length() - 1} bits: use power-of-two scales"
        )
    return common


def read_quantizer(
    tensor: str,
    scale: NDArray[Any],
    zero_point: NDArray[Any],
    width: NDArray[Any],
    *,
    is_signed: bool = True,
    is_narrow: bool = False,
    rounding_mode: str = "ROUND",
) -> Quantizer:
    """Check and convert the parameters of a ``Quant`` node.

    Args:
        tensor: Name of its output, for messages.
        scale: Positive.
        zero_point: Whole numbers.
        width: One whole number, 1 to 64.
        is_signed: The attribute ``signed``.
        is_narrow: The attribute ``narrow``.
        rounding_mode: The attribute of that name, in any case.

    Returns:
        The quantizer.

    Raises:
        FormatError: if the width, the scale or the rounding mode does not exist.
        InexactError: if the zero point is not whole.
    """
    widths = np.unique(np.asarray(width, dtype=np.float64))
    if widths.size != 1 or widths[0] != np.rint(widths[0]):
        raise FormatError(
            f"tensor {tensor!r}: bit width {widths.tolist()}, expected one whole number"
        )
    bits = int(widths[0])
    if not 1 <= bits <= MAX_WIDTH:
        raise FormatError(
            f"tensor {tensor!r}: bit width {bits}, expected 1 to {MAX_WIDTH}"
        )
    mode = rounding_mode.upper()
    if mode not in QONNX_ROUNDING:
        raise FormatError(
            f"tensor {tensor!r}: rounding mode {mode!r}, expected one of "
            + ", ".join(QONNX_ROUNDING)
        )
    if is_narrow and bits == 1 and not is_signed:
        raise FormatError(
            f"tensor {tensor!r}: a narrow range of 1 unsigned bit holds nothing but 0: "
            "use 2 bits"
        )
    points = np.asarray(zero_point, dtype=np.float64)
    uneven = ~(np.isfinite(points) & (points == np.rint(points)))
    if uneven.any():
        raise InexactError(
            f"tensor {tensor!r}: zero point {_first(points, uneven)}, expected a whole "
            "number: export with integer zero points"
        )
    if bits == 1 and is_signed and points.any():
        raise FormatError(
            f"tensor {tensor!r}: zero point {_first(points, points)} of one signed "
            "bit, expected 0: -1 and +1 lie around it"
        )
    return Quantizer(
        tensor,
        read_scale(tensor, np.asarray(scale, dtype=np.float64)),
        points.astype(np.int64),
        bits,
        is_signed,
        is_narrow,
        QONNX_ROUNDING[mode],
    )


def read_scale(tensor: str, scale: NDArray[np.float64]) -> NDArray[Any]:
    """Check and convert a scale.

    Args:
        tensor: What it scales, for messages.
        scale: Any shape.

    Returns:
        Fractions, same shape.

    Raises:
        FormatError: if one is not a finite number above 0.
    """
    wrong = ~(np.isfinite(scale) & (scale > 0))
    if wrong.any():
        raise FormatError(
            f"tensor {tensor!r}: scale {_first(scale, wrong)}, expected a finite "
            "number above 0"
        )
    return exact(scale)


def exact(values: NDArray[Any]) -> NDArray[Any]:
    """Give finite numbers as the rationals they are.

    Args:
        values: Floats or integers, any shape.

    Returns:
        Fractions, same shape.
    """
    out = np.empty(values.size, dtype=object)
    out[:] = [Fraction(v) for v in values.ravel().tolist()]
    return out.reshape(values.shape)


def _first(values: NDArray[Any], where: NDArray[Any]) -> Any:
    return np.asarray(values)[np.asarray(where, dtype=bool)].ravel()[0].item()
