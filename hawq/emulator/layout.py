"""Which nodes share a loop, and where tensors lie between the loops."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hawq.emulator.integers import stored_type
from hawq.integer.graph import Graph
from hawq.integer.nodes import (
    Affine,
    Clip,
    Concat,
    LeakyRelu,
    Node,
    Relu,
    Requantize,
    Reshape,
    Table,
    Threshold,
)

FOLLOWERS = (
    Affine,
    Clip,
    LeakyRelu,
    Relu,
    Requantize,
    Reshape,
    Table,
    Threshold,
)
"""Nodes whose element ``e`` depends on element ``e`` of their only input."""

_ALIGNMENT = 16
_CACHE_BYTES = 1 << 21
_LANES = (32, 16, 8, 4)


@dataclass(frozen=True, eq=False)
class Layout:
    """The order of work.

    Attributes:
        chains: Nodes that are computed in one loop, element by element.
        places: Tensor name → bytes a sample from the start of the memory, for the
            tensors that a later loop reads.
        size: Bytes a sample of the memory.
        lanes: Samples computed at once.
    """

    chains: tuple[tuple[Node, ...], ...]
    places: dict[str, int]
    size: int
    lanes: int


def lay_out(graph: Graph) -> Layout:
    """Chain the nodes and place the tensors.

    Args:
        graph: The graph.

    Returns:
        The layout.
    """
    chains = _chains(graph)
    places, size = _places(graph, chains)
    fitting = (n for n in _LANES if n * size <= _CACHE_BYTES)
    return Layout(tuple(chains), places, size, next(fitting, _LANES[-1]))


def _chains(graph: Graph) -> list[tuple[Node, ...]]:
    uses = Counter(name for node in graph.nodes for name in node.inputs)
    readers = {name: node for node in graph.nodes for name in node.inputs}
    chains: list[tuple[Node, ...]] = []
    done: set[str] = set()
    for node in graph.nodes:
        if node.output in done:
            continue
        chain = [node]
        while not isinstance(chain[0], Concat) and uses[chain[-1].output] == 1:
            after = readers[chain[-1].output]
            if not isinstance(after, FOLLOWERS):
                break
            chain.append(after)
        done.update(n.output for n in chain)
        chains.append(tuple(chain))
    return chains


def _places(graph: Graph, chains: list[tuple[Node, ...]]) -> tuple[dict[str, int], int]:
    """Give each tensor the lowest room that is free while it is needed."""
    until = {name: i for i, chain in enumerate(chains) for name in chain[0].inputs}
    living: list[tuple[int, int, str]] = []
    places: dict[str, int] = {}
    size = 0
    for i, chain in enumerate(chains):
        name = chain[-1].output
        if name in until:
            needed = _bytes(graph, name)
            start = 0
            for begin, end, _ in sorted(living):
                if start + needed <= begin:
                    break
                start = max(start, end)
            living.append((start, start + needed, name))
            places[name] = start
            size = max(size, start + needed)
        living = [room for room in living if until[room[2]] > i]
    return places, max(size, _ALIGNMENT)


def _bytes(graph: Graph, name: str) -> int:
    tensor = graph.tensors[name]
    exact = tensor.lows.size * stored_type(tensor.low, tensor.high).bytes
    return -(-exact // _ALIGNMENT) * _ALIGNMENT
