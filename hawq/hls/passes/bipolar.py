"""Signs of data, as a shift, a quantizer of one bit and a shift back.

``BipolarQuant`` gives -s below 0, else +s. hls4ml's own binary layers hold 0 and 1 in
their place; here they stay numbers: ``2s * clip(floor((x + 2s) / 2s), 0, 1) - s``.
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
from hawq.integer.quantizer import exact


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
    source, made = node.input[0], []

    def follow(name: str) -> str:
        output = network.fresh(f"{node.output[0]}_{name}")
        network.shapes[output] = shape
        return output

    if isinstance(sign, Quantize):  # keep the sign of a real input: round it down
        coarse = Grid(-2, 1, step, Rounding.FLOOR)
        made.append(
            _quant(network, source, follow("floor"), f"{node.name}_floor", coarse)
        )
        source = made[-1].output[0]
    for name, output, value in (
        ("up", follow("up"), step),
        ("bit", follow("bit"), Grid(0, 1, step, Rounding.FLOOR)),
        ("down", node.output[0], -step / 2),
    ):
        label = f"{node.name}_{name}" if name != "down" else node.name
        if isinstance(value, Grid):
            made.append(_quant(network, source, output, label, value))
        else:
            made.append(_add(network, source, output, label, value))
        source = output
    return made


def _quant(
    network: Network, source: str, output: str, name: str, grid: Grid
) -> onnx.NodeProto:
    return quant(
        network, helper.make_node("Quant", [source], [output], name=name), grid
    )


def _add(
    network: Network, source: str, output: str, name: str, value: Fraction
) -> onnx.NodeProto:
    label = onnx.NodeProto(name=name)
    values = (exact(np.ones(1)), np.array([value], dtype=object))
    return batch_norm(network, label, (source, output), values, 1)
