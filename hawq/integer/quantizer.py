"""Read a QONNX ``Quant`` node: which integers, worth what, rounded how.

Source: the QONNX operator specification of ``Quant`` (``IntQuant``), version 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.errors import FormatError, InexactError, NetworkError
from hawq.fixed import (
    MAX_WIDTH,
    QONNX_ROUNDING,
    FixedPoint,
    IntArray,
    Overflow,
    Rounding,
    as_integers,
    power_of_two_exponent,
)


@dataclass(frozen=True, eq=False)
class IntegerConstant:
    """A constant on a grid.

    Attributes:
        integers: Any shape.
        scale: What one integer is worth.
    """

    integers: IntArray
    scale: Fraction


@dataclass(frozen=True, eq=False)
class Quantizer:
    """The parameters of a ``Quant`` node.

    Attributes:
        tensor: Name of its output, for messages.
        exponents: The scale is ``2**exponents``; its shape broadcasts to the input's.
        width: Bits.
        is_signed: Whether negative integers exist.
        is_narrow: Whether the outermost integer is left out (the lowest if signed, else
            the highest).
        rounding: Where values between two integers go.
    """

    tensor: str
    exponents: NDArray[np.int64]
    width: int
    is_signed: bool
    is_narrow: bool
    rounding: Rounding

    def format(self, exponent: int) -> FixedPoint:
        """Give the fixed-point format at one exponent.

        Args:
            exponent: One step is ``2**exponent``.

        Returns:
            The format. If narrow and unsigned, its range is too long: see ``top``.
        """
        symmetric = self.is_signed and self.is_narrow
        overflow = Overflow.SATURATE_SYMMETRIC if symmetric else Overflow.SATURATE
        integer = self.width + exponent
        return FixedPoint(self.is_signed, self.width, integer, self.rounding, overflow)

    @property
    def top(self) -> int | None:
        """The largest integer if it is below the format's, else None."""
        cut = self.is_narrow and not self.is_signed
        return (1 << self.width) - 2 if cut else None

    def uniform_exponent(self) -> int | None:
        """Give the exponent if all channels share it.

        Returns:
            The exponent, or None.
        """
        unique = np.unique(self.exponents)
        return int(unique[0]) if unique.size == 1 else None

    def constant(self, values: NDArray[Any] | IntegerConstant) -> IntegerConstant:
        """Quantize a constant exactly, then put its channels on one grid.

        Args:
            values: Floats, or integers already on a grid.

        Returns:
            Integers on the finest grid that a non-zero channel uses.

        Raises:
            NetworkError: if the scale's shape does not fit, or a value is not finite.
        """
        source = values.integers if isinstance(values, IntegerConstant) else values
        try:
            exponents = np.broadcast_to(self.exponents, source.shape)
        except ValueError:
            raise NetworkError(
                f"tensor {self.tensor!r}: a scale of shape {self.exponents.shape} does "
                f"not fit a constant of shape {source.shape}"
            ) from None
        if source.dtype.kind == "f" and not np.isfinite(source).all():
            raise NetworkError(
                f"tensor {self.tensor!r}: its constant has NaN or infinity"
            )
        integers = np.zeros(source.shape, dtype=object)
        for e in np.unique(exponents).tolist():
            here = exponents == e
            integers[here] = self._quantize(values, source[here], e).astype(object)
        used = exponents[integers != 0]
        finest = int(used.min() if used.size else exponents.max(initial=0))
        shifts = np.maximum(exponents - finest, 0).astype(object)
        return IntegerConstant(as_integers(integers << shifts), Fraction(2) ** finest)

    def _quantize(
        self,
        values: NDArray[Any] | IntegerConstant,
        chosen: NDArray[Any],
        exponent: int,
    ) -> IntArray:
        target = self.format(exponent)
        if isinstance(values, IntegerConstant):
            old = power_of_two_exponent(values.scale)
            if old is None:
                raise InexactError(
                    f"tensor {self.tensor!r}: its input has scale {values.scale}, "
                    "expected a power of two: retrain with power-of-two scales"
                )
            integers = target.requantize(chosen, -old)
        else:
            integers = target.quantize(chosen)
        return integers if self.top is None else np.minimum(integers, self.top)


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
        scale: Positive powers of two.
        zero_point: Zeros.
        width: One whole number, 1 to 64.
        is_signed: The attribute ``signed``.
        is_narrow: The attribute ``narrow``.
        rounding_mode: The attribute of that name, in any case.

    Returns:
        The quantizer.

    Raises:
        FormatError: if the width or the rounding mode does not exist.
        NetworkError: if the quantizer is bipolar.
        InexactError: if a scale is not a power of two, or the zero point not 0.
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
    if is_signed and bits == 1:
        raise NetworkError(
            f"tensor {tensor!r}: a signed Quant of 1 bit means -1 and +1, which is not "
            "carried: use 2 bits, or unsigned"
        )
    if np.any(np.asarray(zero_point) != 0):
        raise InexactError(
            f"tensor {tensor!r}: zero point {_first(zero_point, zero_point != 0)}, "
            "expected 0: export with symmetric quantizers (zero point 0)"
        )
    exponents = _exponents(tensor, np.asarray(scale, dtype=np.float64))
    rounding = QONNX_ROUNDING[mode]
    return Quantizer(tensor, exponents, bits, is_signed, is_narrow, rounding)


def _exponents(tensor: str, scale: NDArray[np.float64]) -> NDArray[np.int64]:
    wrong = ~(np.isfinite(scale) & (scale > 0))
    if wrong.any():
        raise FormatError(
            f"tensor {tensor!r}: scale {_first(scale, wrong)}, expected a finite "
            "number above 0"
        )
    mantissa, exponents = np.frexp(scale)
    inexact = mantissa != 0.5
    if inexact.any():
        raise InexactError(
            f"tensor {tensor!r}: scale {_first(scale, inexact)!r} is not a power of "
            "two: train with power-of-two scales (brevitas.quant.fixed_point)"
        )
    return (exponents - 1).astype(np.int64)


def _first(values: NDArray[Any], where: NDArray[Any]) -> Any:
    return np.asarray(values)[np.asarray(where)].ravel()[0].item()
