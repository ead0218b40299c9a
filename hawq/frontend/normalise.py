"""Bring any quantized ONNX network to QONNX."""

from __future__ import annotations

import onnx

from hawq.frontend.qdq import HANDLERS, qdq_to_qonnx
from hawq.frontend.qlinear import QLINEAR, qlinear_to_qonnx
from hawq.frontend.rewriting.finish import tidy
from hawq.frontend.rewriting.moves import MOVES
from hawq.frontend.safety import name_nodes, sort_nodes

_INTEGERS = QLINEAR.keys() - {"Add"}
_QDQ = HANDLERS.keys() - {*MOVES, "Clip", "Cast"}


def normalise(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite a network as QONNX, if it is not.

    Args:
        model: QONNX, QDQ, or operators on integers; left as it is.

    Returns:
        The network in which all quantization stands in ``Quant`` nodes and their kin,
        without constants that nothing reads. Tensors that are still there keep their
        names.

    Raises:
        NetworkError: if something cannot be carried; see the message.
    """
    operators = {node.op_type for node in model.graph.node}
    if operators & _INTEGERS:
        return qlinear_to_qonnx(model)
    if operators & _QDQ:
        return qdq_to_qonnx(model)
    same = onnx.ModelProto()
    same.CopyFrom(model)
    sort_nodes(same.graph)
    name_nodes(same.graph)
    tidy(same)
    return same
