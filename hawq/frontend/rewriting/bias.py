"""The exact scale of a bias.

A bias of integers is added to sums of products, so its scale is the product of the
scales of data and weights. A file holds that product rounded to float32; the integers
are those of the accumulator only at the product itself.

Source: the ONNX operator specification of ``QLinearConv``, version 10: the scale of the
bias is x_scale · w_scale.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from hawq.frontend.rewriting.graph import Rewriting
from hawq.frontend.rewriting.parameters import attribute, input_name

_THROUGH = ("Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Transpose", "Relu")
_PRODUCTS = ("Conv", "ConvTranspose", "Gemm")


def accumulator_scale(
    state: Rewriting, node: onnx.NodeProto, scale: NDArray[Any]
) -> NDArray[Any]:
    """Undo the rounding of a bias scale.

    Args:
        state: The graph.
        node: The ``DequantizeLinear`` of a constant.
        scale: As in the file.

    Returns:
        The product of the scales of data and weights, in float64, if the constant is
        their bias and ``scale`` is that product rounded to float32; else ``scale``.
    """
    readers = state.readers.get(node.output[0], [])
    if len(readers) != 1 or node.op_type != "DequantizeLinear":
        return scale
    factors = _factors(state, readers[0], node.output[0])
    if factors is None:
        return scale
    data, weights = (_scale(state, name) for name in factors)
    if data is None or weights is None or data.size != 1:
        return scale
    exact = data.astype(np.float64).ravel() * weights.astype(np.float64).ravel()
    if exact.size not in (1, scale.size):
        return scale
    exact = np.broadcast_to(exact, scale.size).reshape(scale.shape)
    rounded = exact.astype(np.float32)
    is_rounded = np.array_equal(rounded, scale) and not np.array_equal(exact, rounded)
    return exact if is_rounded else scale


def _factors(
    state: Rewriting, reader: onnx.NodeProto, bias: str
) -> tuple[str, str] | None:
    """Name the data and weights whose product a bias is added to."""
    if reader.op_type in _PRODUCTS and list(reader.input).index(bias) == 2:
        plain = all(attribute(reader, n, 1.0) == 1.0 for n in ("alpha", "beta"))
        return (input_name(reader, 0), input_name(reader, 1)) if plain else None
    if reader.op_type == "Add":
        for name in reader.input:
            writer = state.writers.get(name)
            if name != bias and writer is not None and writer.op_type == "MatMul":
                return input_name(writer, 0), input_name(writer, 1)
    return None


def _scale(state: Rewriting, name: str) -> NDArray[Any] | None:
    """Find the scale of a dequantized tensor, through operators that keep it."""
    while (writer := state.writers.get(name)) is not None:
        if writer.op_type == "DequantizeLinear":
            return state.constants.get(input_name(writer, 1))
        if writer.op_type not in _THROUGH:
            return None
        name = input_name(writer, 0)
    return None
