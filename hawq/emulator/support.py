"""What the emulator cannot carry."""

from __future__ import annotations

from collections import Counter

from hawq.emulator.integers import INT128, MAX_BITS
from hawq.emulator.layout import lay_out
from hawq.emulator.source import Source, Step
from hawq.emulator.steps import write_step
from hawq.errors import NetworkError
from hawq.integer.graph import Graph


def unsupported(graph: Graph) -> list[str]:
    """Say what stops a network.

    Args:
        graph: The network.

    Returns:
        One sentence for each reason, with the tensor and the way out; empty if the
        emulator computes it.
    """
    reasons = shape_reasons(graph)
    return reasons or spell(graph)[2]


def spell(graph: Graph) -> tuple[Source, list[Step], list[str]]:
    """Spell a network in C++ as far as it goes.

    Args:
        graph: The network, all of whose tensors fit.

    Returns:
        Constants, steps, and what stops it.
    """
    source = Source(graph, lay_out(graph))
    steps, reasons = [], []
    for chain in source.layout.chains:
        try:
            steps.append(write_step(source, chain))
        except NetworkError as error:
            reasons.append(str(error))
    return source, steps, reasons


def shape_reasons(graph: Graph) -> list[str]:
    """Say what stops a network before a line of it is spelt.

    Args:
        graph: The network.

    Returns:
        One sentence for each reason.
    """
    reasons = [
        f"tensor {t.name!r}: integers of {t.width} bits, expected at most "
        f"{MAX_BITS + 1}: use fewer bits upstream, or scales that are powers of two"
        for t in graph.tensors.values()
        if max(-t.low, t.high) > INT128.reach
    ]
    reasons += [
        f"tensor {t.name!r}: no elements, as its shape is {t.shape}: remove it from "
        "the network"
        for t in graph.tensors.values()
        if not t.lows.size
    ]
    reasons += [
        f"output {name!r} stands {count} times among the outputs: name it once"
        for name, count in Counter(graph.outputs).items()
        if count > 1
    ]
    return reasons
