"""Quantizers of data: one kind of node, and none that changes nothing."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from hawq.fixed import Overflow, Rounding
from hawq.hls.passes.network import QONNX, Network
from hawq.integer.graph import Graph
from hawq.integer.grid import Grid
from hawq.integer.nodes import Quantize, Requantize

NAMES = {
    Rounding.HALF_EVEN: "ROUND",
    Rounding.FLOOR: "FLOOR",
    Rounding.TOWARD_ZERO: "DOWN",
    Rounding.HALF_AWAY: "HALF_UP",
    Rounding.HALF_ZERO: "HALF_DOWN",
}
"""Rounding modes that QONNX and ``ap_fixed`` both have."""


def normalise_quantizers(network: Network, graph: Graph) -> None:
    """Write ``IntQuant``, ``Trunc`` and ``Quant`` as ``Quant`` without a zero point.

    Args:
        network: Changed in place.
        graph: The file's; it says what each quantizer's integers are.
    """
    found = {n.output: n for n in graph.nodes if isinstance(n, Quantize | Requantize)}
    for node in list(network.nodes):
        quantizer = found.get(node.output[0])
        if node.op_type in ("Quant", "IntQuant", "Trunc") and quantizer is not None:
            network.replace(node, quant(network, node, quantizer.grid))


def quant(network: Network, node: onnx.NodeProto, grid: Grid) -> onnx.NodeProto:
    """Make a ``Quant`` node.

    Args:
        network: Gets the constants.
        node: Gives name, input and output.
        grid: That of a fixed-point format.

    Returns:
        The node.

    Raises:
        ValueError: if no fixed-point format is the grid.
    """
    form = grid.fixed_point
    if form is None:
        raise ValueError(f"{node.output[0]!r}: {grid} is no fixed-point format")
    numbers = (float(form.step), 0.0, float(form.width))
    parameters = [
        network.constant(f"{node.name}_{name}", np.array(value, dtype=np.float32))
        for name, value in zip(("scale", "zero", "width"), numbers, strict=True)
    ]
    return helper.make_node(
        "Quant",
        [node.input[0], *parameters],
        [node.output[0]],
        name=node.name,
        domain=QONNX,
        signed=int(form.signed),
        narrow=int(form.overflow is Overflow.SATURATE_SYMMETRIC),
        rounding_mode=NAMES[form.rounding],
    )


def spell_roundings(model: onnx.ModelProto) -> None:
    """Write ``ROUND`` for rounding modes of which hls4ml's parser has not heard.

    The types that are imposed afterwards round as the file says.

    Args:
        model: Changed in place.
    """
    for node in model.graph.node:
        for attribute in node.attribute:
            known = attribute.s in (b"ROUND", b"FLOOR")
            if attribute.name == "rounding_mode" and not known:
                attribute.s = b"ROUND"
