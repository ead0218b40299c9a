"""What only the prepared file shows that hls4ml 1.3 cannot carry exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from onnx import numpy_helper

from hawq.frontend.safety import label
from hawq.hls.passes.network import CHANNELS_LAST
from hawq.hls.prepare import Prepared
from hawq.hls.targets import Target, find_target

if TYPE_CHECKING:
    from hawq.hls.stage import Settings


def against_prepared(prepared: Prepared, settings: Settings) -> list[str]:
    """Say why hls4ml cannot carry a prepared file exactly.

    Args:
        prepared: The file.
        settings: Target and interface.

    Returns:
        Reasons, each naming a node and what to do; none if it can.
    """
    target = find_target(settings.target)
    reasons = _against_outputs(prepared, target) + _against_resizing(prepared)
    if settings.io_type == "io_stream":
        whys = ((n, _stream(prepared, n, target)) for n in prepared.model.graph.node)
        reasons += [f"{label(n)}: {why}: set io_parallel" for n, why in whys if why]
    return reasons


def _against_resizing(prepared: Prepared) -> list[str]:
    """Refuse what hls4ml would not take for an image with channels last."""
    graph = prepared.model.graph
    arrays = {t.name: t for t in graph.initializer}
    has_image = any(node.domain == CHANNELS_LAST for node in graph.node)
    return [
        f"{label(node)}: enlarges what no convolution or pool makes an image: put it "
        "behind one, or use the emulator"
        for node in graph.node
        if node.op_type == "Resize"
        and not (has_image and numpy_helper.to_array(arrays[node.input[2]])[-1] == 1)
    ]


def _stream(prepared: Prepared, node: onnx.NodeProto, target: Target) -> str:
    """Say why a stream cannot carry a node, or nothing."""
    if node.op_type == "Transpose":
        return "axes cannot be moved in a stream"
    if node.op_type == "Concat" and _joins_wrongly(prepared, node, target):
        return (
            "hls4ml 1.3 joins streams rightly along the channels of images alone on "
            f"{target.name}"
        )
    if node.op_type == "Reshape" and _repacks(prepared, node):
        return "hls4ml 1.3 reshapes streams rightly before a matrix alone"
    return ""


def _joins_wrongly(prepared: Prepared, node: onnx.NodeProto, target: Target) -> bool:
    rank = len(prepared.graph.tensors[node.output[0]].shape)
    last = next(a.i for a in node.attribute if a.name == "axis") in (rank, -1)
    return not (last and (rank == 3 or (rank == 1 and target.joins_vectors)))


def _repacks(prepared: Prepared, node: onnx.NodeProto) -> bool:
    """Tell whether a stream's elements would be packed anew."""
    tensors = prepared.graph.tensors
    before, after = (tensors[n].shape for n in (node.input[0], node.output[0]))
    readers = [n for n in prepared.model.graph.node if node.output[0] in n.input]
    if len(after) == 1:
        matrix = all(reader.op_type == "MatMul" for reader in readers)
        return not (matrix and readers) and before != after
    return before[-1] != after[-1] or len(before) == 1


def _against_outputs(prepared: Prepared, target: Target) -> list[str]:
    """Refuse output ports that are another port, or the input."""
    makers = {node.output[0]: node for node in prepared.model.graph.node}
    seen: dict[str, str] = {}
    reasons = []
    for output in prepared.graph.outputs:
        source = output
        while makers[source].op_type == "Reshape":
            source = makers[source].input[0]
        if makers[source].input[0] == prepared.input:
            reasons.append(
                f"output {output!r} is the quantized input, of which hls4ml makes no "
                "port: take it from the host"
            )
        elif source in seen:
            reasons.append(
                f"outputs {seen[source]!r} and {output!r} are the same elements, of "
                "which hls4ml makes one port: keep one"
            )
        width = prepared.graph.tensors[output].width
        if width > target.port_bits:
            reasons.append(
                f"output {output!r} has {width} bits, more than the {target.port_bits} "
                f"that pass the ports of {target.name} as floats: quantize it"
            )
        seen[source] = output
    if len(seen) > 1 and target.port_bits < 32:
        reasons.append(f"{target.name} has one output port, not {len(seen)}: keep one")
    return reasons
