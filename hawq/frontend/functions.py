"""Put the bodies of a model's local functions in place of their calls."""

from __future__ import annotations

import graphlib

import onnx
from onnx import inliner

from hawq.errors import NetworkError

MAX_NODES = 2**15
"""Nodes of a network, its functions inlined: calls of calls double at each level."""


def inline_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Inline all local functions.

    Args:
        model: Left as it is.

    Returns:
        The model itself if it has no functions, else one without.

    Raises:
        NetworkError: if functions call themselves, or grow beyond ``MAX_NODES``.
    """
    if not model.functions:
        return model
    functions = {(f.domain, f.name): f for f in model.functions}
    calls = {
        key: [k for n in f.node if (k := (n.domain, n.op_type)) in functions]
        for key, f in functions.items()
    }
    try:
        order = list(graphlib.TopologicalSorter(calls).static_order())
    except graphlib.CycleError as error:
        raise NetworkError(
            f"function {error.args[1][0][1]!r} calls itself: export it again"
        ) from error
    sizes: dict[tuple[str, str], int] = {}
    for key in order:
        plain = len(functions[key].node) - len(calls[key])
        sizes[key] = plain + sum(sizes[k] for k in calls[key])
    total = sum(sizes.get((n.domain, n.op_type), 1) for n in model.graph.node)
    if total > MAX_NODES:
        raise NetworkError(
            f"{total} nodes with its functions unfolded, expected at most {MAX_NODES}: "
            "export a smaller network"
        )
    return inliner.inline_local_functions(model)
