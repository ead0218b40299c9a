"""Graph passes on ``Quant`` nodes whose input is a constant: weights and biases."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

from hawq.errors import InexactError
from hawq.fixed import (
    QONNX_ROUNDING,
    FixedPoint,
    Overflow,
    power_of_two_exponent,
    smallest_width,
)


@dataclass(frozen=True)
class QuantizedConstant:
    """A constant as exact integers on one grid.

    Attributes:
        integers: int64, the constant's shape.
        fraction: Each integer is worth ``2**-fraction``.
        signed: From the ``Quant`` node.
        width: Bits of the ``Quant`` node, plus the spread of its channels' scales.
        narrow: From the ``Quant`` node.
    """

    integers: NDArray[np.int64]
    fraction: int
    signed: bool
    width: int
    narrow: bool


def quantize_constant(model: ModelWrapper, node: Any) -> QuantizedConstant:
    """Evaluate a ``Quant`` node of a constant exactly.

    Args:
        model: The graph.
        node: A ``Quant`` node whose four inputs are initialisers.

    Returns:
        Its integers, on the finest step of its channels.

    Raises:
        InexactError: if a scale is not a power of two or the zero point is not 0.
    """
    value, scale, zero, bits = (model.get_initializer(name) for name in node.input)
    if np.any(zero != 0):
        raise InexactError(
            f"{node.name}: zero point {zero.tolist()}, expected 0: export symmetric"
        )
    operator = getCustomOp(node)
    signed, narrow = (bool(operator.get_nodeattr(k)) for k in ("signed", "narrow"))
    rounding = QONNX_ROUNDING[operator.get_nodeattr("rounding_mode").upper()]
    overflow = Overflow.SATURATE_SYMMETRIC if narrow else Overflow.SATURATE
    width = int(bits.item())
    exponents = _exponents(scale, node.name)
    finest = int(exponents.min())
    integers = np.zeros(value.shape, dtype=np.int64)
    spread = np.broadcast_to(exponents, value.shape)
    for exponent in np.unique(exponents):
        form = FixedPoint(signed, width, width + int(exponent), rounding, overflow)
        here = spread == exponent
        integers[here] = form.quantize(value[here]) << int(exponent - finest)
    return QuantizedConstant(
        integers, -finest, signed, width + int(exponents.max()) - finest, narrow
    )


def _exponents(scale: NDArray[Any], where: str) -> NDArray[np.int64]:
    found = [power_of_two_exponent(Fraction(float(s))) for s in scale.flat]
    for value, exponent in zip(scale.flat, found, strict=True):
        if exponent is None:
            raise InexactError(
                f"{where}: scale {value} is not a power of two, which hls4ml's types "
                "cannot carry exactly: train with power-of-two scales"
            )
    return np.array(found, dtype=np.int64).reshape(scale.shape)


class FoldChannelScales(Transformation):  # type: ignore[misc]
    """Put constants with one scale a channel on the finest channel's grid.

    Nothing is lost: integers of coarser channels are shifted left, and the width grows
    by the spread of the exponents. hls4ml carries one type a tensor.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Rewrite the constants.

        Args:
            model: The graph.

        Returns:
            The graph, and False: one application is enough.
        """
        for node in model.get_nodes_by_op_type("Quant"):
            scale = model.get_initializer(node.input[1])
            if model.get_initializer(node.input[0]) is None or scale.size == 1:
                continue
            replace_constant(model, node, quantize_constant(model, node))
        return model, False


class NarrowBiases(Transformation):  # type: ignore[misc]
    """Give each bias the narrowest width that holds its integers.

    A bias is trained as 32-bit integers on the accumulator's grid; the firmware needs
    only the bits in use.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Rewrite the biases.

        Args:
            model: The graph.

        Returns:
            The graph, and False: one application is enough.
        """
        for add in model.get_nodes_by_op_type("Add"):
            for name in add.input:
                node = model.find_producer(name)
                if node is None or node.op_type != "Quant":
                    continue
                if model.get_initializer(node.input[0]) is None:
                    continue
                constant = quantize_constant(model, node)
                low, high = int(constant.integers.min()), int(constant.integers.max())
                signed, width = smallest_width(min(low, -1), high)
                narrowed = QuantizedConstant(
                    constant.integers, constant.fraction, signed, width, False
                )
                replace_constant(model, node, narrowed)
        return model, False


def replace_constant(
    model: ModelWrapper, node: Any, constant: QuantizedConstant
) -> None:
    """Rewrite a ``Quant`` node so that it yields exactly these integers.

    Args:
        model: The graph, changed in place.
        node: The ``Quant`` node.
        constant: What it must yield.
    """
    step = 2.0**-constant.fraction
    values = (constant.integers * step).astype(np.float32)
    parameters = (values, step, 0.0, float(constant.width))
    for index, value in enumerate(parameters):
        # A parameter may be shared with other nodes: each gets its own initialiser.
        name = f"{node.name}_exact{index}"
        model.set_initializer(name, np.asarray(value, dtype=np.float32))
        node.input[index] = name
    operator = getCustomOp(node)
    operator.set_nodeattr("signed", int(constant.signed))
    operator.set_nodeattr("narrow", int(constant.narrow))
