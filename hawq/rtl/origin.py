"""Which layer and neuron a cell or register of the RTL belongs to.

alkaid's logic has no names of the network. But it computes the network's integers: an
operation whose values are those of an element of a tensor, up to sign and a power of
two, on many inputs, computes that element. All others, inside sums, belong to the
elements that they lead to. Both are read off the written project, stage by stage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.csim.corners import corner_sets
from hawq.errors import StageError
from hawq.integer.execute import trace
from hawq.integer.graph import Graph
from hawq.integer.nodes import Affine, Conv, Dense, Node, Quantize
from hawq.rtl.trace import input_integers

Element = tuple[str, tuple[int, ...]]
"""Name of a tensor, and an index in it."""

Place = tuple[int, int]
"""Stage and operation of alkaid's logic: what ``v12`` and ``op_12`` in logic3.v are."""

_KINDS = {
    -2: "negation",
    -1: "wire",
    0: "adder",
    1: "adder",
    2: "rectifier",
    3: "wire",
    4: "adder of a constant",
    5: "constant",
    6: "multiplexer",
    7: "multiplier",
    8: "table",
    9: "gate",
    10: "gate",
    11: "adder",
}

_SAMPLES = 128
_CELL = re.compile(r"logic(\d+)[./|\\ ]+(?:op_|v)(\d+)\b")
_REGISTER = re.compile(
    r"(?:\bstage(\d+)_inp|(?:logic(\d+)[./|\\ ]+)?\bmodel_(inp|out)|"
    r"\bINTERNAL_logic(\d+)_(inp|outp))(?:_reg)?(?:\[(\d+)\]|$)"
)


@dataclass(frozen=True)
class Origin:
    """What a piece of hardware computes.

    Attributes:
        kind: Adder, multiplexer, register, ...
        elements: Of the tensors that it computes or leads to, in the graph's order.
        layers: Tensor → the layer that it belongs to.
        is_input: Whether it carries an input of the network.
    """

    kind: str
    elements: tuple[Element, ...]
    layers: Mapping[str, str]
    is_input: bool = False

    @property
    def layer(self) -> str:
        """The first layer that it serves."""
        return self.layers[self.elements[0][0]]

    @property
    def neurons(self) -> tuple[tuple[int, ...], ...]:
        """Indices of the elements of that layer, in order."""
        mine = {i for name, i in self.elements if self.layers[name] == self.layer}
        return tuple(sorted(mine))

    def __str__(self) -> str:
        spelled = [str(i[0] if len(i) == 1 else i) for i in self.neurons]
        listed = ", ".join(spelled[:3])
        if len(spelled) > 3:
            listed += f" and {len(spelled) - 3} more"
        where = "input" if self.is_input else "layer"
        noun = ("element" if self.is_input else "neuron") + "s" * (len(spelled) > 1)
        return f"{where} {self.layer}, {noun} {listed}, {self.kind}"


class Origins:
    """Names for the cells and registers of one written project.

    Attributes:
        logic: Stage → alkaid's logic, as it was written.
    """

    def __init__(self, graph: Graph, folder: Path, seed: int = 0) -> None:
        """Find where everything comes from.

        Args:
            graph: What the RTL was made from.
            folder: Of the RTL project, as ``Rtl.write`` left it.
            seed: Of the inputs that tell operations apart.

        Raises:
            StageError: if there is no project.
        """
        from alkaid.stateful import FSM

        path = folder / "model" / "fsm.json.gz"
        if not path.is_file():
            raise StageError(f"{path} does not exist: run the stage rtl first")
        fsm = FSM.load(path)
        self.logic = {
            int(name.removeprefix("logic")): logic for name, logic in fsm.logic.items()
        }
        self._graph, self._layers = graph, name_layers(graph)
        self._inputs = set(input_integers(graph))
        self._order = {name: i for i, name in enumerate(graph.tensors)}
        self._found = self._owners(*self._simulate(seed))
        first, last = min(self.logic), max(self.logic)
        self._bits = {
            ("inp", stage): _bit_owners(logic.inp_qint)
            for stage, logic in self.logic.items()
        } | {
            ("outp", stage): _bit_owners(logic.out_qint)
            for stage, logic in self.logic.items()
        }
        self._first, self._last = first, last

    def of(self, stage: int, operation: int) -> Origin | None:
        """Tell where an operation belongs.

        Args:
            stage: Number of ``logic``.
            operation: Its number in that file.

        Returns:
            Its origin; None if there is no such operation, or it leads to nothing.
        """
        elements = self._found.get((stage, operation))
        if not elements:
            return None
        kind = _KINDS.get(self.logic[stage].ops[operation].opcode, "cell")
        return self._origin(kind, elements)

    def describe(self, net_name: str) -> str | None:
        """Say in the words of the network what a net, cell or register is.

        Args:
            net_name: As a synthesis tool writes it, flattened with dots or slashes.

        Returns:
            Such as ``layer fc2, neuron 7, adder``; None if it names nothing that
            the RTL was written with.
        """
        cell = _CELL.search(net_name)
        if cell is not None:
            origin = self.of(int(cell[1]), int(cell[2]))
            return None if origin is None else str(origin)
        register = _REGISTER.search(net_name)
        if register is None:
            return None
        stage, logic, way, inner, side, bit = register.groups()
        if inner is not None:
            port, kind = (side, int(inner)), "wire"
        elif way == "out":
            port, kind = ("outp", int(logic or self._last)), "register"
        else:
            port, kind = ("inp", int(stage or logic or self._first)), "register"
        lane = self._bits.get(port, {}).get(int(bit or 0))
        if lane is None:
            return None
        elements = self._found.get((port[1], self._operation(*port, lane)), ())
        return str(self._origin(kind, elements)) if elements else None

    def path(self, net_names: Sequence[str]) -> str | None:
        """Say in the words of the network where a path runs.

        Args:
            net_names: In order; names that tell nothing are passed over.

        Returns:
            Its first and its last piece; None if nothing on it can be named.
        """
        found = [text for name in net_names if (text := self.describe(name))]
        if not found:
            return None
        return found[0] if found[0] == found[-1] else f"{found[0]} → {found[-1]}"

    def _operation(self, side: str, stage: int, lane: int) -> int:
        logic = self.logic[stage]
        if side == "outp":
            return int(logic.out_idxs[lane])
        inputs = [i for i, op in enumerate(logic.ops) if op.opcode == -1]
        return next((i for i in inputs if logic.ops[i].data[0] == lane), -1)

    def _origin(self, kind: str, elements: tuple[Element, ...]) -> Origin:
        return Origin(kind, elements, self._layers, elements[0][0] in self._inputs)

    def _simulate(self, seed: int) -> tuple[dict[bytes, Element], dict[int, Any]]:
        """Run golden executor and logic on the same inputs."""
        sets = corner_sets(self._graph, seed, _SAMPLES).values()
        traces = [trace(self._graph, inputs) for inputs in sets]
        known: dict[bytes, Element] = {}
        for name, tensor in self._graph.tensors.items():
            values = np.concatenate([t[name] for t in traces]).astype(np.float64)
            for index in np.ndindex(tensor.shape):
                known.setdefault(_signature(values[:, *index]), (name, index))
        known.pop(b"", None)
        names = input_integers(self._graph)
        given = [np.concatenate([t[name] for t in traces]) for name in names]
        x = np.concatenate([g.reshape(len(g), -1) for g in given], axis=1)
        x = x.astype(np.float64)
        values_of = {}
        for stage in sorted(self.logic):
            logic = self.logic[stage]
            count = len(logic.ops)
            every = logic._replace(
                shape=(logic.shape[0], count),
                out_idxs=list(range(count)),
                out_shifts=[0] * count,
                out_negs=[False] * count,
            )
            values_of[stage] = np.asarray(every.predict(x))
            x = np.asarray(logic.predict(x))
        return known, values_of

    def _owners(
        self, known: dict[bytes, Element], values: dict[int, NDArray[Any]]
    ) -> dict[Place, tuple[Element, ...]]:
        """Walk back from the outputs: what is not known gets what it leads to."""
        found: dict[Place, tuple[Element, ...]] = {}
        after: list[set[Element]] = []
        for stage in sorted(self.logic, reverse=True):
            logic = self.logic[stage]
            owners: list[set[Element]] = [set() for _ in logic.ops]
            for lane, i in enumerate(logic.out_idxs):
                if i >= 0 and after:
                    owners[i] |= after[lane]
            before: list[set[Element]] = [set() for _ in range(logic.shape[0])]
            for i in range(len(logic.ops) - 1, -1, -1):
                op = logic.ops[i]
                mine = known.get(_signature(values[stage][:, i]))
                if mine is not None:
                    owners[i] = {mine}
                for j in op.input_ids:
                    owners[j] |= owners[i]
                if op.opcode == -1:
                    before[op.data[0]] = owners[i]
                found[stage, i] = self._sorted(owners[i])
            after = before
        return found

    def _sorted(self, elements: set[Element]) -> tuple[Element, ...]:
        return tuple(sorted(elements, key=lambda e: (self._order[e[0]], e[1])))


def _signature(values: NDArray[np.float64]) -> bytes:
    """Spell a sequence of numbers, whatever its sign and power of two; b"" if constant.

    Args:
        values: Shape (samples,).

    Returns:
        Equal for sequences that differ by a factor of plus or minus a power of two.
    """
    if (values == values[0]).all():
        return b""
    first = values[np.flatnonzero(values)[0]]
    mantissa, _ = np.frexp(first)
    unit = np.sign(first) * mantissa / first  # a power of two, or minus one
    spelled: bytes = (values * unit + 0.0).tobytes()  # no negative zeros
    return spelled


def name_layers(graph: Graph) -> dict[str, str]:
    """Name the layer of each tensor: that of the last matrix product before it.

    Args:
        graph: The integer graph.

    Returns:
        Tensor → layer, which has the name of the product with its bias.
    """
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    layers: dict[str, str] = {}
    for node in graph.nodes:
        if isinstance(node, Dense | Conv):
            after = readers.get(node.output, [])
            biased = len(after) == 1 and isinstance(after[0], Affine)
            layers[node.output] = after[0].output if biased else node.output
        elif isinstance(node, Quantize):
            layers[node.output] = node.output
        else:
            layers[node.output] = layers[node.inputs[0]]
    return layers


def _bit_owners(intervals: list[Any]) -> dict[int, int]:
    """Give bit of a port → number of the element it belongs to."""
    owners: dict[int, int] = {}
    for lane, interval in enumerate(intervals):
        for _ in range(sum(interval.kif)):
            owners[len(owners)] = lane
    return owners
