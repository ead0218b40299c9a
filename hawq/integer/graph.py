"""The integer graph: nodes in topological order and the tensors between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from hawq.errors import NetworkError
from hawq.integer.bounds import output_tensor
from hawq.integer.nodes import Node, RealInput, Tensor


@dataclass(frozen=True, eq=False)
class Graph:
    """A network on integers. Make one with ``build``, which checks it.

    Attributes:
        inputs: The real inputs, in the file's order.
        nodes: In topological order.
        outputs: Names of the output tensors, in the file's order.
        tensors: Every integer tensor by name, in the order of ``nodes``.
    """

    inputs: tuple[RealInput, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, Tensor]


def build(
    inputs: Sequence[RealInput], nodes: Iterable[Node], outputs: Sequence[str]
) -> Graph:
    """Order and check nodes, and derive shape, scale and bounds of every tensor.

    Args:
        inputs: The real inputs.
        nodes: In any order.
        outputs: Names of the output tensors.

    Returns:
        The graph.

    Raises:
        NetworkError: if a name is written twice or never, nodes form a cycle, or shapes
            do not fit.
    """
    given = list(nodes)
    names = [i.name for i in inputs] + [node.output for node in given]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise NetworkError(f"tensors written more than once: {', '.join(twice)}")
    values: dict[str, RealInput | Tensor] = {i.name: i for i in inputs}
    ordered = _sorted(given, set(values))
    for node in ordered:
        values[node.output] = output_tensor(node, values)
    tensors = {name: t for name, t in values.items() if isinstance(t, Tensor)}
    for name in outputs:
        if name not in tensors:
            raise NetworkError(f"output {name!r} is not an integer tensor of the graph")
    return Graph(
        tuple(inputs), tuple(ordered), tuple(outputs), MappingProxyType(tensors)
    )


def _sorted(nodes: list[Node], known: set[str]) -> list[Node]:
    missing = {n for node in nodes for n in node.inputs} - known
    missing -= {node.output for node in nodes}
    if missing:
        raise NetworkError(
            f"tensors read but never written: {', '.join(sorted(missing))}"
        )
    ordered: list[Node] = []
    waiting = nodes
    while waiting:
        ready = [node for node in waiting if known.issuperset(node.inputs)]
        if not ready:
            cycle = ", ".join(sorted(node.output for node in waiting))
            raise NetworkError(f"nodes form a cycle through: {cycle}")
        ordered += ready
        known = known | {node.output for node in ready}
        waiting = [node for node in waiting if not known.issuperset([node.output])]
    return ordered
