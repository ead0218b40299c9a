"""Signs of data, as a shift, a ReLU, a quantizer and a shift back.

``BipolarQuant`` gives -s below 0, else +s. hls4ml's own binary layers hold 0 and 1 in
their place; here they stay numbers: ``clip(floor((2x + 4s) / 4s), 0, 1) * 2s - s``.
The factors of 2 keep hls4ml from merging the first map into a sum before it. A ReLU is
the lower limit, since some back ends make two bits of a type of one.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnx
from onnx import helper

from hawq.fixed import Rounding
from hawq.hls.passes.network import Network
from hawq.hls.passes.quantizers import quant
from hawq.hls.passes.sums import batch_norm
from hawq.integer.graph import Graph
from hawq.integer.grid import Grid
from hawq.integer.nodes import Quantize, Requantize


def write_signs(network: Network, graph: Graph) -> None:
    """Replace the ``BipolarQuant`` of data.

    Args:
        network: Changed in place.
        graph: The file's.
    """
    found = {n.output: n for n in graph.nodes if isinstance(n, Quantize | Requantize)}
    for node in list(network.nodes):
        sign = found.get(f"{node.output[0]}.sign")
        if sign is not None:
            network.replace(node, *_sign(network, node, sign))


def _sign(
    network: Network, node: onnx.NodeProto, sign: Quantize | Requantize
) -> list[onnx.NodeProto]:
    step = sign.grid.scale  # 2s
    shape = network.shapes[node.output[0]]
    made: list[onnx.NodeProto] = []

    def follow(name: str, value: Grid | tuple[Fraction, Fraction] | None) -> None:
        """Append a quantizer, an affine map or a ReLU."""
        last = name == "down"
        output = node.output[0] if last else network.fresh(f"{node.output[0]}_{name}")
        network.shapes[output] = shape
        source = made[-1].output[0] if made else node.input[0]
        label = node.name if last else f"{node.name}_{name}"
        bare = helper.make_node("Quant", [source], [output], name=label)
        if isinstance(value, Grid):
            made.append(quant(network, bare, value))
        elif value is None:
            made.append(helper.make_node("Relu", [source], [output], name=label))
        else:
            numbers = [np.array([v], dtype=object) for v in value]
            ends = (source, output)
            made.append(batch_norm(network, bare, ends, (numbers[0], numbers[1]), 1))

    if isinstance(sign, Quantize):  # keep the sign of a real input: round it down
        follow("floor", Grid(-2, 1, step, Rounding.FLOOR))
    follow("up", (Fraction(2), 2 * step))
    follow("part", None)
    follow("bit", Grid(-2, 1, 2 * step, Rounding.FLOOR))
    follow("down", (Fraction(1, 2), -step / 2))
    return made
