"""Compare what a simulator of hardware computes with the golden executor's integers."""

from __future__ import annotations

import time
from typing import Protocol

import numpy as np

from hawq.csim.network import Inputs, compare_integers, make_sets, require_equal
from hawq.fixed import IntArray
from hawq.integer.execute import execute
from hawq.integer.graph import Graph
from hawq.integer.nodes import Quantize
from hawq.records import Comparison


class Simulator(Protocol):
    """Hardware that runs on a clock, or is logic without one."""

    def run(self, integers: IntArray) -> IntArray:
        """Feed one sample a clock, without a gap, and collect the outputs.

        Args:
            integers: Of the inputs, shape (samples, inputs).

        Returns:
            Of the outputs, shape (samples, outputs), int64.
        """

    def idle(self, clocks: int) -> None:
        """Let the clock run with inputs at zero.

        Args:
            clocks: How many.
        """


def input_integers(graph: Graph, inputs: Inputs) -> IntArray:
    """Quantize inputs as the network does: what goes into its hardware.

    Args:
        graph: The network.
        inputs: Input name → real values, shape (samples, ...).

    Returns:
        Side by side in the order of the quantizers, shape (samples, elements).
    """
    names = tuple(n.output for n in graph.nodes if isinstance(n, Quantize))
    given = execute(graph, inputs, names)
    samples = len(given[names[0]])
    return np.concatenate([given[n].reshape(samples, -1) for n in names], axis=1)


def compare_simulation(
    graph: Graph,
    rung: str,
    simulator: Simulator,
    data: Inputs | None,
    *,
    corners: int,
    seed: int,
) -> tuple[Comparison, float]:
    """Compare a simulation's outputs with the golden executor's.

    Args:
        graph: The integer graph.
        rung: Name of the simulation.
        simulator: Ready to run.
        data: Input name → real values, or None for corner inputs alone.
        corners: Random vectors in each set of corner inputs.
        seed: Of the corners.

    Returns:
        The comparison, and samples a second. A difference raises a MismatchError.
    """
    sets = make_sets(graph, data, samples=10**9, corners=corners, seed=seed)
    seconds, count = 0.0, 0

    def simulate(inputs: Inputs) -> dict[str, IntArray]:
        nonlocal seconds, count
        flat = input_integers(graph, inputs)
        simulator.idle(3)  # what is left in the pipeline must not matter
        start = time.perf_counter()
        out = simulator.run(flat)
        seconds, count = seconds + time.perf_counter() - start, count + len(flat)
        sizes = [graph.tensors[name].lows.size for name in graph.outputs]
        parts = np.split(out, np.cumsum(sizes)[:-1], axis=1)
        return dict(zip(graph.outputs, parts, strict=True))

    comparison = compare_integers(graph, rung, sets, simulate, 10**9)
    return require_equal(comparison), count / seconds
