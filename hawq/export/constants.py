"""Graph passes on ``Quant`` nodes whose input is a constant: weights and biases."""

from __future__ import annotations

from typing import Any

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

from hawq.errors import InexactError
from hawq.fixed import power_of_two_exponent, smallest_width
from hawq.integer.quantizer import IntegerConstant, read_quantizer


def quantize_constant(model: ModelWrapper, node: Any) -> IntegerConstant:
    """Evaluate a ``Quant`` node of a constant exactly.

    Args:
        model: The graph.
        node: A ``Quant`` node whose four inputs are initialisers.

    Returns:
        Its integers, on the finest grid that a channel uses.
    """
    value, scale, zero_point, width = (model.get_initializer(n) for n in node.input)
    operator = getCustomOp(node)
    quantizer = read_quantizer(
        node.output[0],
        scale,
        zero_point,
        width,
        is_signed=bool(operator.get_nodeattr("signed")),
        is_narrow=bool(operator.get_nodeattr("narrow")),
        rounding_mode=operator.get_nodeattr("rounding_mode"),
    )
    return quantizer.constant(value)


class FoldChannelScales(Transformation):  # type: ignore[misc]
    """Put constants with one scale a channel on the finest channel's grid.

    Nothing is lost: integers of coarser channels are shifted left, and the width grows
    to hold them. hls4ml carries one type a tensor.
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
                if model.get_initializer(node.input[0]) is not None:
                    replace_constant(model, node, quantize_constant(model, node))
        return model, False


def replace_constant(model: ModelWrapper, node: Any, constant: IntegerConstant) -> None:
    """Rewrite a ``Quant`` node so that it yields exactly these integers.

    Args:
        model: The graph, changed in place.
        node: The ``Quant`` node; it becomes signed, and as narrow as the integers
            allow, but 2 bits or more: QONNX takes a signed bit for -1 and +1.
        constant: What it must yield, on a grid of a power of two.

    Raises:
        InexactError: if the grid is none.
    """
    exponent = power_of_two_exponent(constant.scale)
    if exponent is None:
        raise InexactError(
            f"tensor {node.output[0]!r}: scale {float(constant.scale)} is not a power "
            "of two: train with power-of-two scales (brevitas.quant.fixed_point)"
        )
    integers = constant.integers
    _, width = smallest_width(min(int(integers.min()), -1), int(integers.max()))
    values = np.ldexp(integers.astype(np.float64), exponent)
    parameters = (values, 2.0**exponent, 0.0, max(2, width))
    for index, value in enumerate(parameters):
        # A parameter may be shared with other nodes: each gets its own initialiser.
        name = f"{node.name}_exact{index}"
        model.set_initializer(name, np.asarray(value, dtype=np.float32))
        node.input[index] = name
    operator = getCustomOp(node)
    operator.set_nodeattr("signed", 1)
    operator.set_nodeattr("narrow", 0)
