"""Compile an integer graph into steps whose number types bounds prove exact.

A chain of sums of products, constants, ReLU and requantization whose inner tensors
nobody asks for becomes one step. That is exact because

- a sum of integers is exact in a float while no partial sum exceeds 2**24 (float32) or
  2**53 (float64), in any order; multiplying all of them by a power of two changes
  nothing;
- what follows has a normal form, which ``hawq.integer.executor.epilogue`` computes
  exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hawq.fixed import IntArray, Overflow, Rounding, power_of_two_exponent
from hawq.integer.executor.combination import Combination, Linear, linear
from hawq.integer.executor.epilogue import (
    EXACT_UP_TO,
    MAX_SHIFT,
    Epilogue,
    exact_epilogue,
    filtered_epilogue,
)
from hawq.integer.executor.kernels import Correlation, Kernel, Product
from hawq.integer.executor.memory import Slot, buffer_sizes, share_buffers
from hawq.integer.executor.moves import Move, MoveStep, is_move
from hawq.integer.executor.normal_form import (
    NormalForm,
    fold,
    may_follow,
    normal_form,
    per_channel,
)
from hawq.integer.executor.steps import (
    CombinationStep,
    FloatStep,
    NodeStep,
    QuantizeStep,
    ReshapeStep,
)
from hawq.integer.graph import Graph
from hawq.integer.nodes import (
    Affine,
    Conv,
    Dense,
    Node,
    Quantize,
    Requantize,
    Reshape,
    Sum,
    Table,
    Threshold,
    Transpose,
)
from hawq.integer.sums import partial_sums
from hawq.integer.tensor import Tensor

CARRIERS = ("float32", "float64", "int64", "object")
"""Number types, the fastest first."""

Step = QuantizeStep | FloatStep | CombinationStep | MoveStep | ReshapeStep | NodeStep

FLOATS = ("float32", "float64")
WHOLE = ("int64", "object")


@dataclass(frozen=True, eq=False)
class Plan:
    """What to do with a chunk of samples.

    Attributes:
        steps: In order.
        slots: Tensor name → its buffer, for every tensor that is computed.
        keep: Names of the tensors to return.
        images: Whether convolutions are those of ``hawq.integer.executor.images``.
    """

    steps: tuple[Step, ...]
    slots: dict[str, Slot]
    keep: tuple[str, ...]
    images: bool = False

    @property
    def bytes_per_sample(self) -> int:
        """Size of all buffers for one sample."""
        own = (s.bytes_per_sample for s in self.slots.values() if s.buffer is None)
        return sum(own) + sum(buffer_sizes(self.slots).values())


def compile_plan(
    graph: Graph,
    keep: Sequence[str],
    carriers: Sequence[str] = CARRIERS,
    *,
    images: bool = False,
) -> Plan:
    """Choose steps and number types.

    Args:
        graph: The graph.
        keep: Names of the tensors that must be materialised.
        carriers: Number types that may be used, the preferred first; ``object`` last.
        images: Whether samples come one by one, and are so large that convolutions
            in float32 are worth loading torch.

    Returns:
        The plan.
    """
    compiler = _Compiler(graph, tuple(keep), tuple(carriers), images)
    done: set[str] = set()
    for node in graph.nodes:
        if node.output not in done:
            chain = compiler.chain(node)
            compiler.add(chain)
            done.update(n.output for n in chain)
    steps = [(step.reads, step.target) for step in compiler.steps]
    slots = share_buffers(compiler.slots, steps, keep)
    return Plan(tuple(compiler.steps), slots, tuple(keep), images)


@dataclass(eq=False)
class _Compiler:
    graph: Graph
    keep: tuple[str, ...]
    carriers: tuple[str, ...]
    images: bool = False
    steps: list[Step] = field(default_factory=list)
    slots: dict[str, Slot] = field(default_factory=dict)
    deferred: dict[str, tuple[Node, Linear]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        nodes = self.graph.nodes
        uses = Counter(name for node in nodes for name in node.inputs)
        readers = {name: node for node in nodes for name in node.inputs}
        self.multiplied = {n.inputs[0] for n in nodes if isinstance(n, Dense)}
        kept = set(self.keep)
        self.follower = {
            name: readers[name]
            for name, count in uses.items()
            if count == 1 and name not in kept
        }

    def chain(self, node: Node) -> list[Node]:
        """Collect nodes that one float step could do together."""
        nodes = [node]
        if is_move(node):
            after = self.follower.get(node.output)
            return [node, after] if isinstance(after, Requantize) else nodes
        while may_follow(nodes, after := self.follower.get(nodes[-1].output)):
            assert after is not None
            nodes.append(after)
        return nodes

    def add(self, chain: list[Node]) -> None:
        """Append the chain's steps: as few as floats can do, else node by node."""
        if isinstance(chain[0], Quantize):
            self._quantize(chain[0])
            return
        while chain:
            done = next(n for n in range(len(chain), -1, -1) if self._float(chain[:n]))
            if not done and not self._defer(chain[0]):
                self._node(chain[0])
            chain = chain[max(1, done) :]

    def _slot(self, name: str, carrier: str, order: tuple[int, ...] | None) -> None:
        shape = self.graph.tensors[name].shape
        ones = name in self.multiplied and carrier.startswith("float") and bool(shape)
        self.slots[name] = Slot(shape, carrier, order, ones)

    def _carrier(self, reach: int, wanted: Sequence[str]) -> str | None:
        for carrier in self.carriers:
            if carrier in wanted and reach <= EXACT_UP_TO.get(carrier, reach):
                return carrier
        return None

    def _floats(self, reach: int) -> list[str]:
        return [c for c in self.carriers if c in FLOATS and reach <= EXACT_UP_TO[c]]

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
        carrier = self._carrier(reach, CARRIERS) or "object"
        self._slot(node.output, carrier, None)
        self.steps.append(QuantizeStep(node, fast and carrier in FLOATS))

    def _defer(self, node: Node) -> bool:
        """Keep sums of multiples that no float holds for the next rounding."""
        y = self.graph.tensors[node.output]
        known = not isinstance(node, Affine | Sum) or y.name in self.keep
        if known or _reach(y) <= EXACT_UP_TO["float64"] or not self._floats(2**53):
            return False
        assert isinstance(node, Affine | Sum)
        xs = [self.graph.tensors[name] for name in node.inputs]
        given = [
            self.deferred[x.name][1] if x.name in self.deferred else Linear.of(x)
            for x in xs
        ]
        terms = linear(node, given)
        if terms is None or not all(self._floats(_reach(x)) for x in terms.sources):
            return False
        self.deferred[y.name] = (node, terms)
        return True

    def _combine(self, chain: list[Node]) -> bool:
        """Append one step for a chain that reads a deferred tensor."""
        source, target = chain[0].inputs[0], chain[-1].output
        form = normal_form(chain, self.graph.tensors, source)
        carrier = next(iter(self._floats(_reach(self.graph.tensors[target]))), None)
        terms = self.deferred[source][1]
        made = Combination.of(terms, form) if form and carrier else None
        if made is None or carrier is None:
            return False
        names = tuple(x.name for x in terms.sources)
        self._slot(target, carrier, self.slots[names[0]].order)
        self.steps.append(CombinationStep(names, target, made))
        return True

    def _node(self, node: Node) -> None:
        for name in node.inputs:
            if name in self.deferred:
                self._node(self.deferred.pop(name)[0])
        xs = tuple(self.graph.tensors[name] for name in node.inputs)
        y = self.graph.tensors[node.output]
        if isinstance(node, Reshape):
            self._slot(y.name, self.slots[xs[0].name].carrier, None)
            self.steps.append(ReshapeStep(xs[0].name, y.name))
            return
        reach = max(_reach(y), partial_sums(node, xs), *map(_reach, xs))
        reach = max([reach, *map(_largest, _constants(node))])
        wanted = WHOLE if isinstance(node, Requantize) else CARRIERS
        carrier = self._carrier(reach, wanted) or "object"
        self._slot(y.name, carrier, self._order(node))
        self.steps.append(NodeStep(node, xs, carrier))

    def _order(self, node: Node) -> tuple[int, ...] | None:
        """Let a tensor lie in memory as what it is made of does."""
        rank = len(self.graph.tensors[node.output].shape)
        if isinstance(node, Dense):
            return None
        if isinstance(node, Conv):
            channels = rank - 1 if node.window.channels_last else 0
            if self.images:
                return (*(i for i in range(rank) if i != channels), channels)
            return (channels, *(i for i in range(rank) if i != channels))
        order = self.slots[node.inputs[0]].order
        if isinstance(node, Transpose):
            old = order or tuple(range(rank))
            return tuple(node.order.index(axis) for axis in old)
        return order if order and len(order) == rank else None

    def _float(self, chain: list[Node]) -> bool:
        """Append one step for all of a chain, if there is one."""
        if not chain:
            return True
        if chain[0].inputs[0] in self.deferred:
            return not is_move(chain[0]) and self._combine(chain)
        if isinstance(chain[0], Move):
            return self._move(chain[0], chain)
        x = self.graph.tensors[chain[0].inputs[0]]
        y = self.graph.tensors[chain[-1].output]
        carrier = next(iter(self._floats(_reach(y))), None)
        found = next(self._ways(chain, x), None) if carrier else None
        if found is None or carrier is None:
            return False
        self._slot(y.name, carrier, self._order(chain[0]))
        self.steps.append(FloatStep(x.name, y.name, *self._fused(*found)))
        return True

    def _fused(
        self, kernel: Kernel | None, epilogue: Epilogue
    ) -> tuple[Kernel | None, Epilogue]:
        if kernel is None or not self.images:
            return kernel, epilogue
        from hawq.integer.executor.images import ImageConvolution

        if isinstance(kernel, ImageConvolution):
            return kernel.fused(epilogue)
        return kernel, epilogue

    def _move(self, node: Move, chain: list[Node]) -> bool:
        """Append one step for what moves integers and may round them."""
        if any(name in self.deferred for name in node.inputs):
            return False
        xs = tuple(self.graph.tensors[name] for name in node.inputs)
        y, target = (self.graph.tensors[n.output] for n in (node, chain[-1]))
        form = normal_form(chain[1:], self.graph.tensors, y.name)
        if form is None or max(form.factor.size, form.offset.size) > 1:
            return False
        reach = max(1, _reach(y), *map(_reach, xs))
        for carrier in self._floats(max(reach, _reach(target))):
            rest = exact_epilogue(form, form.reach(reach), carrier, 0)
            if rest is not None:
                self._slot(target.name, carrier, self._order(node))
                self.steps.append(MoveStep.of(node, xs, target.name, rest))
                return True
        return False

    def _ways(
        self, chain: list[Node], x: Tensor
    ) -> Iterator[tuple[Kernel | None, Epilogue]]:
        """Give ways to do a chain in one step, the fastest first."""
        head, source = None, x
        if isinstance(chain[0], Dense | Conv):
            head, source = chain[0], self.graph.tensors[chain[0].output]
        form = normal_form(chain[1 if head else 0 :], self.graph.tensors, source.name)
        if form is None:
            return
        rank = len(source.shape)
        largest = max(1, _reach(source), _reach(x))
        if head:
            largest = max(largest, partial_sums(head, [x]))
        folded = fold(head, form, source.shape) if head else None
        turned = _channels_first(head, form, source.shape)
        narrow = next(iter(self._floats(largest)), "")
        for carrier in self._floats(0):
            together = self._folded(*folded, x, carrier) if folded else iter(())
            if narrow == carrier:
                yield from together
            if turned and narrow and EXACT_UP_TO[narrow] <= EXACT_UP_TO[carrier]:
                reach = turned.reach(largest)
                rest = exact_epilogue(turned, reach, carrier, rank)
                if rest is not None:
                    yield self._kernel(head, 1.0, narrow), rest
            yield from together
        if turned and narrow and "float64" in self.carriers:
            rest = filtered_epilogue(turned, largest, rank)
            if rest is not None:
                yield self._kernel(head, 1.0, narrow), rest

    def _folded(
        self, head: Dense | Conv, form: NormalForm, x: Tensor, carrier: str
    ) -> Iterator[tuple[Kernel | None, Epilogue]]:
        sums = max(_reach(x), partial_sums(head, [x]))
        exponent = power_of_two_exponent(form.divisor)
        if exponent is None or exponent > MAX_SHIFT:
            return
        scaled = replace(form, divisor=1)  # the kernel divides
        rest = exact_epilogue(scaled, form.after(sums), carrier, 0)
        if rest is not None:
            yield self._kernel(head, 2.0**-exponent, carrier), rest

    def _kernel(
        self, node: Dense | Conv | None, unit: float, carrier: str
    ) -> Kernel | None:
        match node:
            case None:
                return None
            case Dense():
                return Product.of(node, unit, carrier)
            case Conv() if self.images and carrier == "float32":
                # Torch takes seconds to load: only where it saves more.
                from hawq.integer.executor.images import ImageConvolution, suits

                if suits(node):
                    return ImageConvolution.of(node, unit)
        return Correlation.of(node, unit, carrier)


def _channels_first(
    head: Dense | Conv | None, form: NormalForm, shape: tuple[int, ...]
) -> NormalForm | None:
    """Turn a form as the kernel of a convolution does."""
    if not isinstance(head, Conv):
        return form
    axis = len(shape) - 1 if head.window.channels_last else 0
    factor = per_channel(form.factor, shape, axis)
    offset = per_channel(form.offset, shape, axis)
    if factor is None or offset is None:
        return None
    column = (-1, *[1] * (len(shape) - 1))
    return replace(form, factor=factor.reshape(column), offset=offset.reshape(column))


def _constants(node: Node) -> list[IntArray]:
    """Give the numbers that a node compares with, multiplies by or adds."""
    match node:
        case Affine():
            return [node.multiplier, node.constant]
        case Sum():
            return [np.array(node.multipliers, dtype=object)]
        case Threshold():
            return [node.thresholds]
        case Table():
            return [np.array([node.low], dtype=object)]
        case _:
            return []


def _largest(values: IntArray) -> int:
    return max(int(values.max()), -int(values.min())) if values.size else 0


def _reach(tensor: Tensor) -> int:
    return max(-tensor.low, tensor.high)
