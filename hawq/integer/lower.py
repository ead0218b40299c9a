"""Lower a QONNX file to the integer graph.

What cannot be carried exactly is refused with the node's name and the way out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from hawq.errors import NetworkError
from hawq.frontend.safety import label, load_onnx, sound_model
from hawq.integer.graph import Graph, build
from hawq.integer.operation import (
    Lowering,
    Operation,
    RealView,
    look_up,
    read_tensor,
)
from hawq.integer.operators.table import OPERATORS, QUANTIZERS, REMEDIES, STANDARD
from hawq.integer.tensor import RealInput, Tensor

HOST = ("Softmax", "LogSoftmax")
"""Operators that are left to the host where they end the network."""

MAX_ELEMENTS = 2**24
"""Elements of one sample of an input; a file cannot claim any amount of memory."""


def lower_qonnx(path: str | Path) -> Graph:
    """Read a QONNX file and lower it.

    Args:
        path: The file. Data, weights and biases pass through ``Quant`` nodes.

    Returns:
        The integer graph; its tensors keep the names they have in the file.

    Raises:
        NetworkError: if the file cannot be read, or holds a node that cannot be
            carried.
    """
    return _lower(load_onnx(Path(path)))


def lower_model(model: onnx.ModelProto) -> Graph:
    """Lower a QONNX model in memory; see ``lower_qonnx``.

    Args:
        model: The model.

    Returns:
        The integer graph.
    """
    return _lower(sound_model(model))


def _lower(model: onnx.ModelProto) -> Graph:
    constants = {
        t.name: read_tensor(t, f"constant {t.name!r}") for t in model.graph.initializer
    }
    given = [value for value in model.graph.input if value.name not in constants]
    inputs = [_real_input(value) for value in given]
    views = {i.name: RealView(i, i.shape) for i in inputs}
    state = Lowering(_batch(given), _opset(model), {**constants, **views})
    nodes = list(model.graph.node)
    outputs = [value.name for value in model.graph.output]
    host = _host_tail(nodes, outputs)
    for node in nodes:
        if node.output[0] not in host:
            _lower_node(state, node)
    outputs = [host.get(name, name) for name in outputs]
    if not outputs or not inputs:
        raise NetworkError(
            f"the file has {len(inputs)} inputs and {len(outputs)} outputs, expected "
            "at least one of each: export it again"
        )
    for name in outputs:
        if not isinstance(state.values.get(name), Tensor):
            raise NetworkError(
                f"output {name!r} is not computed from quantized data: put a Quant on "
                "the network's input (brevitas.nn.QuantIdentity)"
            )
    return build(inputs, state.nodes, outputs)


def _host_tail(nodes: Sequence[onnx.NodeProto], outputs: list[str]) -> dict[str, str]:
    """Find a ``Softmax`` that ends the network: the host applies it to the logits."""
    read = Counter(name for node in nodes for name in node.input)
    return {
        node.output[0]: node.input[0]
        for node in nodes
        if node.op_type in HOST
        and node.output[0] in outputs
        and not read[node.output[0]]
    }


def host_tail(model: onnx.ModelProto) -> tuple[str, ...]:
    """Name the outputs whose last operator is left to the host.

    Args:
        model: A QONNX model.

    Returns:
        Names of outputs that a ``Softmax`` makes.
    """
    outputs = [value.name for value in model.graph.output]
    return tuple(_host_tail(model.graph.node, outputs))


def _opset(model: onnx.ModelProto) -> int:
    for imported in model.opset_import:
        if imported.domain in ("", "ai.onnx"):
            return int(imported.version)
    return 13


def _lower_node(state: Lowering, node: onnx.NodeProto) -> None:
    key = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
    op = look_up(node, state.values)
    rule = OPERATORS.get(key)
    constant = all(isinstance(v, np.ndarray) for v in op.values if v is not None)
    if constant and op.values and node.op_type not in QUANTIZERS and not node.domain:
        _fold(state, node, op)
    elif rule is not None:
        rule(state, op)
    else:
        raise NetworkError(_refusal(node))


def _refusal(node: onnx.NodeProto) -> str:
    remedy = REMEDIES.get(node.op_type, "replace it by operators of this list")
    where = f" of domain {node.domain!r}" if node.domain else ""
    carried = ", ".join(sorted({*STANDARD, *QUANTIZERS}))
    return (
        f"{label(node)}: this operator{where} is not carried (carried: {carried}): "
        f"{remedy}"
    )


def _fold(state: Lowering, node: onnx.NodeProto, op: Operation) -> None:
    """Evaluate an operator of constants as the ONNX reference does, in its types."""
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import RuntimeContextError, RuntimeImplementationError

    given = {n: v for n, v in zip(op.names, op.values, strict=True) if n}
    opsets = [onnx.helper.make_opsetid("", state.opset)]
    inputs = [
        onnx.helper.make_tensor_value_info(
            n, onnx.helper.np_dtype_to_tensor_dtype(v.dtype), v.shape
        )
        for n, v in given.items()
        if isinstance(v, np.ndarray)
    ]
    outputs = [onnx.ValueInfoProto(name=n) for n in op.outputs if n]
    graph = onnx.helper.make_graph([node], "constant", inputs, outputs)
    model = onnx.helper.make_model(graph, opset_imports=opsets)
    try:
        results = ReferenceEvaluator(model).run(None, given)
    except (
        RuntimeImplementationError,
        RuntimeContextError,
        NotImplementedError,
        ValueError,
        IndexError,
        TypeError,
    ) as error:
        raise op.refuse(f"its constants cannot be evaluated ({error})") from error
    for name, value in zip((o.name for o in outputs), results, strict=True):
        state.values[name] = np.asarray(value)


def _real_input(value: onnx.ValueInfoProto) -> RealInput:
    sizes = value.type.tensor_type.shape.dim
    if len(sizes) < 2 or any(d.dim_value < 1 for d in sizes[1:]):
        given = [d.dim_value or d.dim_param or "?" for d in sizes]
        raise NetworkError(
            f"input {value.name!r} has shape {given}, expected a batch axis and then "
            "known sizes: export with a fixed input shape"
        )
    shape = tuple(d.dim_value for d in sizes[1:])
    if math.prod(shape) > MAX_ELEMENTS:
        raise NetworkError(
            f"input {value.name!r} has {math.prod(shape)} elements a sample, expected "
            f"at most {MAX_ELEMENTS}: the file is damaged, or the network too large"
        )
    return RealInput(value.name, shape)


def _batch(given: list[onnx.ValueInfoProto]) -> int:
    return given[0].type.tensor_type.shape.dim[0].dim_value or 1 if given else 1
