"""Write channels-last operators as standard ones between transposes, for the executor.

qonnx 1.0 runs them in opset 1, whatever the file says, and so refuses attributes that
came later.
"""

from __future__ import annotations

import onnx
from onnx import helper

from hawq.integer.operation import CHANNELS_LAST


def channels_first(model: onnx.ModelProto, ranks: dict[str, int]) -> onnx.ModelProto:
    """Rewrite every channels-last operator.

    Args:
        model: Left as it is.
        ranks: Tensor name → number of axes, the batch included.

    Returns:
        A copy; all tensors of the file keep their names and layouts.
    """
    out = onnx.ModelProto()
    out.CopyFrom(model)
    nodes = list(out.graph.node)
    del out.graph.node[:]
    for node in nodes:
        if node.domain != CHANNELS_LAST:
            out.graph.node.append(node)
            continue
        rank = ranks[node.input[0]]
        to_first = [0, rank - 1, *range(1, rank - 1)]
        to_last = [0, *range(2, rank), 1]
        moved = onnx.NodeProto()
        moved.CopyFrom(node)
        moved.domain = ""
        for i in range(2 if node.op_type == "Conv" else 1):
            moved.input[i] = f"{node.output[0]}_channels_first{i}"
            out.graph.node.append(
                helper.make_node(
                    "Transpose", [node.input[i]], [moved.input[i]], perm=to_first
                )
            )
        moved.output[0] = f"{node.output[0]}_channels_first"
        back = helper.make_node(
            "Transpose", [moved.output[0]], [node.output[0]], perm=to_last
        )
        out.graph.node.extend([moved, back])
    return out
