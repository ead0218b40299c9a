"""The steps of the generated source: one loop over elements for each chain of nodes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hawq.emulator.heads import head
from hawq.emulator.layout import FOLLOWERS
from hawq.emulator.source import Source, Step, Value
from hawq.emulator.tails import follow
from hawq.errors import NetworkError
from hawq.integer.nodes import Concat, Node


def write_step(source: Source, chain: Sequence[Node]) -> Step:
    """Spell a chain of nodes as one function.

    Args:
        source: Takes its constants.
        chain: Of ``layout.lay_out``.

    Returns:
        The function.

    Raises:
        NetworkError: if a node needs more bits than C++ has.
    """
    comment = ", ".join(f"{type(n).__name__} {n.output!r}" for n in chain)
    comment = comment.encode("ascii", "backslashreplace").decode()
    first = chain[0]
    if isinstance(first, Concat):
        return Step(comment, _indented(_concat(source, first)))
    lines: list[str] = []
    setup: list[str] = []
    with _named(first):
        begun = head(source, first)
    rest, value = chain, begun.value
    if not isinstance(first, FOLLOWERS):
        rest = chain[1:]
        lines.append(source.keep(source.graph.tensors[first.output], value))
    setup += begun.setup
    for number, node in enumerate(rest, start=1):
        with _named(node):
            statement, value = follow(source, node, value, f"t{number}")
        lines += [statement, source.keep(source.graph.tensors[node.output], value)]
    last = chain[-1].output
    if last in source.layout.places:
        setup.append(source.pointer("y", last))
        lines.append(f"store(y, e, {value.name});")
    opened = [line for loop in begun.loops for line in loop]
    closed = ["}"] * len(begun.loops)
    return Step(comment, _indented([*setup, *opened, *lines, *closed]))


@contextmanager
def _named(node: Node) -> Iterator[None]:
    """Say which tensor is meant."""
    try:
        yield
    except NetworkError as error:
        raise NetworkError(
            f"tensor {node.output!r}: {error}: use fewer bits upstream, or scales that "
            "are powers of two"
        ) from error


def _concat(source: Source, node: Concat) -> list[str]:
    """Copy each input to where it goes."""
    tensor = source.graph.tensors[node.output]
    inner = math.prod(tensor.shape[node.axis + 1 :])
    total = tensor.shape[node.axis] * inner
    lines, offset = [], 0
    stored = node.output in source.layout.places
    if stored:
        lines.append(source.pointer("y", node.output))
    for number, name in enumerate(node.inputs):
        x = source.graph.tensors[name]
        count = x.shape[node.axis] * inner
        kind = source.stored(name)
        value = Value("t0", kind)
        lines += [
            source.pointer(f"x{number}", name),
            f"for (size_t i = 0; i < {x.lows.size}; i++) {{",
            f"const size_t e = i / {count} * {total} + {offset} + i % {count};",
            f"const auto t0 = load<{kind.name}, N>(x{number}, i);",
            source.keep(tensor, value),
            *(["store(y, e, t0);"] if stored else []),
            "}",
        ]
        offset += count
    return lines


def _indented(lines: Sequence[str]) -> tuple[str, ...]:
    depth, out = 0, []
    for line in lines:
        depth -= line.startswith("}")
        out.append("    " * depth + line)
        depth += line.endswith("{")
    return tuple(out)
