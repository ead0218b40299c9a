"""Compile an integer graph into steps whose number types bounds prove exact.

A chain of dense layer, constant, ReLU and requantization whose inner tensors nobody
asks for becomes one matrix product, one rounding and one clip. That is exact because

- a sum of integers is exact in a float while no partial sum exceeds 2**24 (float32) or
  2**53 (float64), in any order; multiplying all of them by a power of two changes
  nothing;
- rounding is monotone and leaves integers alone, so limits before it become limits
  after it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hawq.fixed import Overflow, Rounding, power_of_two_exponent
from hawq.integer.graph import Graph
from hawq.integer.nodes import (
    Affine,
    Dense,
    Node,
    Quantize,
    Relu,
    Requantize,
    Reshape,
)
from hawq.integer.normal_form import MAX_SHIFT, normal_form
from hawq.integer.steps import (
    EXACT_UP_TO,
    IntegerStep,
    QuantizeStep,
    ReshapeStep,
    Slot,
    Step,
)
from hawq.integer.sums import partial_sums
from hawq.integer.tensor import Tensor

CARRIERS = ("float32", "float64", "int64", "object")
"""Number types, the fastest first."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What to do with a chunk of samples.

    Attributes:
        steps: In order.
        slots: Tensor name → its buffer, for every tensor that is computed.
        keep: Names of the tensors to return.
    """

    steps: tuple[Step, ...]
    slots: dict[str, Slot]
    keep: tuple[str, ...]

    @property
    def bytes_per_sample(self) -> int:
        """Size of all buffers for one sample."""
        return sum(
            math.prod(s.shape) * np.dtype(s.carrier).itemsize
            for s in self.slots.values()
        )


def compile_plan(
    graph: Graph, keep: Sequence[str], carriers: Sequence[str] = CARRIERS
) -> Plan:
    """Choose steps and number types.

    Args:
        graph: The graph.
        keep: Names of the tensors that must be materialised.
        carriers: Number types that may be used, the preferred first; ``object`` last.

    Returns:
        The plan.
    """
    compiler = _Compiler(graph, tuple(keep), tuple(carriers))
    done: set[str] = set()
    for node in graph.nodes:
        if node.output not in done:
            chain = compiler.chain(node)
            compiler.add(chain)
            done.update(n.output for n in chain)
    return Plan(tuple(compiler.steps), compiler.slots, tuple(keep))


@dataclass(eq=False)
class _Compiler:
    graph: Graph
    keep: tuple[str, ...]
    carriers: tuple[str, ...]
    steps: list[Step] = field(default_factory=list)
    slots: dict[str, Slot] = field(default_factory=dict)

    def __post_init__(self) -> None:
        nodes = self.graph.nodes
        uses = Counter(name for node in nodes for name in node.inputs)
        readers = {name: node for node in nodes for name in node.inputs}
        kept = set(self.keep)
        self.follower = {
            name: readers[name]
            for name, count in uses.items()
            if count == 1 and name not in kept
        }

    def chain(self, node: Node) -> list[Node]:
        """Collect nodes that one float step could do together."""
        nodes = [node]
        affine = isinstance(node, Dense | Affine)
        while isinstance(nodes[-1], Dense | Affine | Relu):
            after = self.follower.get(nodes[-1].output)
            if isinstance(after, Affine) and affine:
                nodes.append(after)
                continue
            if not isinstance(after, Relu | Requantize):
                break
            affine = False
            nodes.append(after)
        return nodes

    def add(self, chain: list[Node]) -> None:
        """Append the chain's steps: fused if a float is exact, else node by node."""
        first = chain[0]
        if isinstance(first, Quantize):
            self._quantize(first)
        elif not self._float(chain):
            for node in chain:
                if not self._float([node]):
                    self._integer(node)

    def _slot(self, name: str, carrier: str) -> None:
        self.slots[name] = Slot(self.graph.tensors[name].shape, carrier)

    def _carrier(self, reach: int, floats: bool) -> str | None:
        for carrier in self.carriers:
            suits = carrier.startswith("float") == floats
            if suits and reach <= EXACT_UP_TO.get(carrier, reach):
                return carrier
        return None

    def _quantize(self, node: Quantize) -> None:
        grid = node.grid
        exponent = power_of_two_exponent(grid.scale)
        fast = (
            grid.rounding is Rounding.HALF_EVEN
            and grid.overflow is not Overflow.WRAP
            and grid.zero_point % 2 == 0
            and node.gain is None
            and node.offset is None
            and exponent is not None
            and abs(exponent) <= MAX_SHIFT
        )
        reach = max(-grid.low, grid.high)
        carrier = self._carrier(reach, floats=True)
        chosen = carrier or self._carrier(reach, floats=False) or "object"
        self._slot(node.output, chosen)
        self.steps.append(QuantizeStep(node, fast and carrier is not None))

    def _integer(self, node: Node) -> None:
        xs = tuple(self.graph.tensors[name] for name in node.inputs)
        y = self.graph.tensors[node.output]
        if isinstance(node, Reshape):
            self._slot(y.name, self.slots[xs[0].name].carrier)
            self.steps.append(ReshapeStep(xs[0].name, y.name))
            return
        reach = max(_reach(y), partial_sums(node, xs), *map(_reach, xs))
        carrier = self._carrier(reach, floats=False) or "object"
        self._slot(y.name, carrier)
        self.steps.append(IntegerStep(node, xs, carrier))

    def _float(self, chain: list[Node]) -> bool:
        x = self.graph.tensors[chain[0].inputs[0]]
        y = self.graph.tensors[chain[-1].output]
        form = normal_form(chain, self.graph.tensors)
        if form is None:
            return False
        reach = max(_reach(x), _reach(y), form.reach(x))
        carrier = self._carrier(reach, floats=True)
        if carrier is None:
            return False
        self._slot(y.name, carrier)
        self.steps.append(form.step(x.name, y.name, carrier))
        return True


def _reach(tensor: Tensor) -> int:
    return max(-tensor.low, tensor.high)
