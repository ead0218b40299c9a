"""Put a new graph in place of the old one, names and declarations in order."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import onnx
from onnx import TensorProto, helper

from hawq.frontend.rewriting.graph import Rewriting


def finish(state: Rewriting) -> onnx.ModelProto:
    """Make the new model.

    Args:
        state: All nodes are written.

    Returns:
        The model, valid ONNX but for its custom operators.
    """
    graph = state.model.graph
    outputs = {value.name for value in graph.output}
    renamed = _final_names(state, outputs)
    for old, new in state.aliases.items():
        if old in outputs and renamed.get(new) != old:
            state.emit("Identity", [new], old)
    del graph.node[:]
    graph.node.extend(state.nodes)
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = renamed.get(name, name)
    graph.initializer.extend(state.initializers)
    declared = {value.name for value in graph.value_info}
    for value in (*graph.value_info, *graph.output):
        if value.name in state.integers or value.name in renamed:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
        name = renamed.get(value.name, value.name)
        if name not in declared | outputs:
            value.name = name
    tidy(state.model)
    return state.model


def _final_names(state: Rewriting, outputs: set[str]) -> dict[str, str]:
    """Let values that a DequantizeLinear gave have the name it gave them."""
    given: dict[str, list[str]] = defaultdict(list)
    for old, new in state.aliases.items():
        if new not in outputs:
            given[new].append(old)
    return {
        new: next((name for name in names if name in outputs), names[0])
        for new, names in given.items()
    }


def tidy(model: onnx.ModelProto) -> None:
    """Drop what nothing reads, and declare the domains that are used.

    Args:
        model: Changed in place.
    """
    graph = model.graph
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if not needed.isdisjoint(node.output):
            needed.update(filter(None, node.input))
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    data = {value.name for value in graph.input}
    data -= {tensor.name for tensor in graph.initializer}
    written = {name for node in kept for name in node.output}
    _retain(graph.initializer, needed)
    _retain(graph.input, needed | data)
    borders = {value.name for value in (*graph.input, *graph.output)}
    _retain(graph.value_info, needed.union(written) - borders)
    _retain(graph.quantization_annotation, needed | written, "tensor_name")
    present = {"", "ai.onnx", *(opset.domain for opset in model.opset_import)}
    for domain in sorted({node.domain for node in kept} - present):
        model.opset_import.append(helper.make_opsetid(domain, 1))


def _retain(items: Any, names: set[str], field: str = "name") -> None:
    for i in reversed(range(len(items))):
        if getattr(items[i], field) not in names:
            del items[i]
