"""Names that hls4ml and C++ accept: nodes that have none, digits, dots, doubles."""

from __future__ import annotations

import re

import onnx

from hawq.hls.passes.network import Network

RESERVED = "input"
"""hls4ml 1.3 takes a tensor of this name for the source of the graph's first layer."""

# What a generated file calls itself, its top function and its arguments.
_TAKEN = {"input", "network", "inputs", "outputs", "result"}


def name_nodes(network: Network) -> None:
    """Give every node a name of its own that is a C++ identifier, and the input too.

    Args:
        network: Changed in place.
    """
    used = set(_TAKEN)
    for node in network.nodes:
        node.name = _identifier(node.name or node.output[0], node.op_type, used)
    fine = (
        re.fullmatch(r"[A-Za-z]\w*", network.input)
        and network.input.lower() not in used
    )
    if not fine:
        old, network.input = network.input, _identifier(network.input, "x", used)
        network.shapes[network.input] = network.shapes[old]
        for node in network.nodes:
            for i, name in enumerate(node.input):
                if name == old:
                    node.input[i] = network.input


def name_reshapes(network: Network) -> None:
    """Call a reshape and what it writes alike: with streams hls4ml mixes them up.

    Args:
        network: Changed in place.
    """
    for node in network.nodes:
        old = node.output[0]
        if node.op_type != "Reshape" or node.name == old:
            continue
        if old in network.outputs:
            node.name = old
            continue
        network.shapes[node.name] = network.shapes[old]
        node.output[0] = node.name
        for reader in network.nodes:
            for i, name in enumerate(reader.input):
                if name == old:
                    reader.input[i] = node.name


def _identifier(name: str, stem: str, used: set[str]) -> str:
    """Make an identifier of its own, and note it as used."""
    base = re.sub(r"_+", "_", re.sub(r"\W", "_", name)).strip("_")
    if not base or not base[0].isalpha():
        base = f"{stem.lower()}_{base}".rstrip("_")
    found, count = base, 0
    while found.lower() in used:  # hls4ml looks settings up in lower case
        count += 1
        found = f"{base}_{count}"
    used.add(found.lower())
    return found


def avoid_reserved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rename a tensor called ``input``.

    hls4ml would make a loop of it; with streams the loop becomes a second copy of the
    input that nobody empties, on which hardware would hang.

    Args:
        model: Left as it is.

    Returns:
        A copy without such a tensor.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    names = {RESERVED, *(i.name for i in graph.input)}
    for node in graph.node:
        names.update((*node.input, *node.output))
    free = next(n for i in range(len(names) + 1) if (n := f"input_{i}") not in names)
    for node in graph.node:
        for side in (node.input, node.output):
            for i, name in enumerate(side):
                if name == RESERVED:
                    side[i] = free
    for value in (*graph.value_info, *graph.output):
        if value.name == RESERVED:
            value.name = free
    return copy
