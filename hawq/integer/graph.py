"""The integer graph: nodes in topological order and the tensors between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from hawq.errors import NetworkError
from hawq.integer.bounds import output_tensor
from hawq.integer.nodes import Node
from hawq.integer.tensor import RealInput, Tensor

Item = TypeVar("Item")


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
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise NetworkError(f"tensors written more than once: {', '.join(twice)}")
    values: dict[str, RealInput | Tensor] = {i.name: i for i in inputs}
    ordered = _sorted(given, values)
    for node in ordered:
        values[node.output] = output_tensor(node, values)
    tensors = {name: t for name, t in values.items() if isinstance(t, Tensor)}
    for name in outputs:
        if name not in tensors:
            raise NetworkError(f"output {name!r} is not an integer tensor of the graph")
    return Graph(
        tuple(inputs), tuple(ordered), tuple(outputs), MappingProxyType(tensors)
    )


def in_order(
    items: Iterable[Item],
    reads: Callable[[Item], Iterable[str]],
    writes: Callable[[Item], Iterable[str]],
    known: Iterable[str],
) -> tuple[list[Item], list[Item]]:
    """Sort items topologically, keeping the given order where it is one.

    Args:
        items: Nodes of any kind.
        reads: Item → names it needs.
        writes: Item → names it makes.
        known: Names that exist beforehand.

    Returns:
        The items in order, and those that never become ready.
    """
    names = set(known)
    ordered: list[Item] = []
    waiting = list(items)
    stuck: list[Item] = []
    while waiting:
        stuck = []
        for item in waiting:
            if names.issuperset(reads(item)):
                ordered.append(item)
                names.update(writes(item))
            else:
                stuck.append(item)
        if len(stuck) == len(waiting):
            break
        waiting = stuck
    return ordered, stuck


def _sorted(nodes: list[Node], known: Iterable[str]) -> list[Node]:
    ordered, stuck = in_order(nodes, lambda n: n.inputs, lambda n: [n.output], known)
    if stuck:
        written = {node.output for node in nodes}.union(known)
        missing = {name for node in stuck for name in node.inputs} - written
        if missing:
            raise NetworkError(
                f"tensors read but never written: {', '.join(sorted(missing))}"
            )
        cycle = ", ".join(sorted(node.output for node in stuck))
        raise NetworkError(f"nodes form a cycle through: {cycle}")
    return ordered
