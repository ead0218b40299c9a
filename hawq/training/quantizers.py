"""Brevitas quantizers that are fixed-point formats.

A Brevitas scale is ``threshold / 2**(width - signed)``. With a power-of-two threshold
it is the step of a :class:`~hawq.fixed.FixedPoint` of the same width, so a format and a
quantizer say the same thing, and ``format_of`` reads a trained quantizer back.
"""

from __future__ import annotations

import warnings
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from hawq.errors import InexactError
from hawq.fixed import FixedPoint, Overflow, Rounding, power_of_two_exponent

with warnings.catch_warnings():
    # Brevitas warns of an optional CUDA kernel that no network here calls.
    warnings.filterwarnings("ignore", message="fast_hadamard_transform")
    import brevitas.nn as qnn
    from brevitas.inject.enum import RestrictValueType, ScalingImplType
    from brevitas.quant import Int32Bias
    from brevitas.quant.fixed_point import (
        Int8ActPerTensorFixedPoint,
        Int8WeightPerChannelFixedPoint,
        Int8WeightPerTensorFixedPoint,
        Uint8ActPerTensorFixedPoint,
    )

__all__ = [
    "AccumulatorBias",
    "activation_quantizer",
    "exponents",
    "format_of",
    "qnn",
    "weight_quantizer",
]


class AccumulatorBias(Int32Bias):  # type: ignore[misc]
    """Bias as integers on the accumulator's grid: input step × weight step."""


def _scaling(learned: bool, threshold: float | Tensor) -> dict[str, Any]:
    kind = ScalingImplType.PARAMETER if learned else ScalingImplType.CONST
    return {
        "scaling_impl_type": kind,
        "scaling_init": threshold,
        "restrict_scaling_type": RestrictValueType.POWER_OF_TWO,
    }


def activation_quantizer(form: FixedPoint, learned: bool) -> type:
    """Make a Brevitas activation quantizer of a fixed-point format.

    Args:
        form: Width, sign and the (initial) binary point; rounds half to even.
        learned: Learn the power-of-two scale by gradient; else keep it.

    Returns:
        An injector class for ``act_quant``.
    """
    base = Int8ActPerTensorFixedPoint if form.signed else Uint8ActPerTensorFixedPoint
    attributes = _scaling(learned, 2.0 ** (form.integer - int(form.signed)))
    attributes |= {"bit_width": form.width, "narrow_range": _is_narrow(form)}
    return type("ActivationQuantizer", (base,), attributes)


def weight_quantizer(
    form: FixedPoint, learned: bool, channel_integer: Tensor | None = None
) -> type:
    """Make a Brevitas weight quantizer of a fixed-point format.

    Args:
        form: Width, sign and the (initial) binary point of the tensor.
        learned: Learn the power-of-two scale by gradient; else keep it.
        channel_integer: Integer bits of each output channel, shape (channels,), for
            scales per channel; None for one scale a tensor.

    Returns:
        An injector class for ``weight_quant``.
    """
    if channel_integer is None:
        base = Int8WeightPerTensorFixedPoint
        attributes = _scaling(learned, 2.0 ** (form.integer - 1))
    else:
        base = Int8WeightPerChannelFixedPoint
        threshold = torch.exp2(channel_integer.float() - 1).reshape(-1, 1)
        attributes = _scaling(learned, threshold)
    attributes |= {"bit_width": form.width, "narrow_range": _is_narrow(form)}
    return type("WeightQuantizer", (base,), attributes)


def _is_narrow(form: FixedPoint) -> bool:
    return form.overflow is Overflow.SATURATE_SYMMETRIC


def exponents(scale: Tensor, where: str) -> list[int]:
    """Read power-of-two scales as exponents.

    Args:
        scale: Positive scales, any shape.
        where: What they scale, for the error.

    Returns:
        ``e`` of each ``2**e``, flattened.

    Raises:
        InexactError: if a scale is not a power of two.
    """
    found = []
    for value in scale.detach().double().flatten().tolist():
        exponent = power_of_two_exponent(Fraction(value))
        if exponent is None:
            raise InexactError(
                f"the scale {value!r} of {where} is not a power of two: train with "
                "power-of-two scales"
            )
        found.append(exponent)
    return found


def format_of(tensor: Any, is_narrow: bool, where: str) -> FixedPoint:
    """Read the fixed-point format of a quantized tensor.

    Args:
        tensor: A Brevitas QuantTensor.
        is_narrow: Whether its quantizer leaves out the most negative integer.
        where: What it is, for the error.

    Returns:
        The format; with scales per channel, the finest step and the width that holds
        every channel on it.
    """
    steps = exponents(tensor.scale, where)
    width = int(tensor.bit_width) + max(steps) - min(steps)
    return FixedPoint(
        signed=bool(tensor.signed),
        width=width,
        integer=width + min(steps),
        rounding=Rounding.HALF_EVEN,
        overflow=Overflow.SATURATE_SYMMETRIC if is_narrow else Overflow.SATURATE,
    )
