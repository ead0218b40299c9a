"""Two netlists side by side as an and-inverter graph: outputs are ones that differ.

Netlists are pipelines of equal latency, so that a register is a wire that is late.
Where registers of both hold the same bit in every simulated clock, both are cut there:
one variable stands for what they hold, and what they take over is compared instead. By
induction from stage to stage, all those bits are equal if none can differ.

Source: A. Biere, The AIGER And-Inverter Graph (AIG) Format Version 20071012.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hawq.synthesis.netlists.cells import apply
from hawq.synthesis.netlists.netlist import ONE, ZERO, Bit, Gates, Net

Literal = int
"""Twice a variable, plus one if it is inverted; 0 and 1 are constants."""

Key = tuple[int, int]
"""Of registers that hold the same bit, or its inverse: clocks since the input came, and
what it was in simulation, the first bit zero."""


@dataclass
class Aig:
    """And gates with inverters; the same gate is made once.

    Attributes:
        inputs: How many variables come from outside, numbered from 1.
        gates: Of the variables behind them: what each ands.
    """

    inputs: int
    gates: list[tuple[Literal, Literal]] = field(default_factory=list)
    _made: dict[tuple[Literal, Literal], Literal] = field(default_factory=dict)

    def both(self, a: Literal, b: Literal) -> Literal:
        """And two literals.

        Args:
            a: One.
            b: The other.

        Returns:
            Literal of the result.
        """
        a, b = max(a, b), min(a, b)
        if b == 0 or a == b ^ 1:
            return 0
        if b == 1 or a == b:
            return a
        if (a, b) not in self._made:
            self.gates.append((a, b))
            self._made[a, b] = 2 * (self.inputs + len(self.gates))
        return self._made[a, b]

    def differ(self, a: Literal, b: Literal) -> Literal:
        """Xor two literals.

        Args:
            a: One.
            b: The other.

        Returns:
            Literal of the result.
        """
        sign = (a ^ b) & 1
        a, b = a & ~1, b & ~1
        return (self.both(self.both(a, b) ^ 1, self.both(a ^ 1, b ^ 1) ^ 1)) ^ sign

    def table(self, value: int, inputs: Sequence[Literal]) -> Literal:
        """Build a function of few bits.

        Args:
            value: As in ``Table``.
            inputs: Literals, the first lowest.

        Returns:
            Literal of the result.
        """
        if not inputs:
            return value & 1
        *rest, last = inputs
        half = 1 << len(rest)
        mask = (1 << half) - 1
        low, high = value & mask, value >> half
        if low == high:
            return self.table(low, rest)
        if low == high ^ mask:
            return self.differ(last, self.table(low, rest))
        one = self.both(last, self.table(high, rest))
        zero = self.both(last ^ 1, self.table(low, rest))
        return self.both(one ^ 1, zero ^ 1) ^ 1

    def write(self, path: Path, outputs: Sequence[Literal]) -> None:
        """Write the graph as binary AIGER.

        Args:
            path: File.
            outputs: Literals.
        """
        last, count = self.inputs + len(self.gates), len(self.gates)
        head = f"aig {last} {self.inputs} 0 {len(outputs)} {count}\n"
        text = head + "".join(f"{literal}\n" for literal in outputs)
        body = bytearray(text.encode())
        for i, (a, b) in enumerate(self.gates, self.inputs + 1):
            for delta in (2 * i - a, a - b):
                while delta > 127:
                    body.append(delta & 127 | 128)
                    delta >>= 7
                body.append(delta)
        path.write_bytes(body)


def read_outputs(path: Path) -> list[Literal]:
    """Read the outputs of a graph without registers.

    Args:
        path: Binary AIGER.

    Returns:
        Their literals: 0 where an output is never one.
    """
    head, *lines = path.read_bytes().split(b"\n")
    count = int(head.split()[4])
    return [int(line) for line in lines[:count]]


def depths(gates: Gates) -> dict[Bit, int]:
    """Count clocks since the input that a bit depends on came in.

    Args:
        gates: A pipeline.

    Returns:
        Bit → clocks; without the bits that depend on no input.
    """
    depth: dict[Bit, int] = dict.fromkeys(gates.inputs, 0)
    for net in gates.ordered():
        if net in gates.registers:
            if gates.registers[net] in depth:
                depth[net] = depth[gates.registers[net]] + 1
        elif net in gates.tables:
            found = [depth[i] for i in gates.tables[net].inputs if i in depth]
            if found:
                depth[net] = max(found)
    return depth


def simulate(gates: Gates, vectors: Sequence[int], undriven: int = 0) -> dict[Bit, int]:
    """Compute every bit for many inputs at once, registers as wires.

    Args:
        gates: A pipeline.
        vectors: Of each input bit, a sample a bit.
        undriven: What bits without a driver are, a sample a bit.

    Returns:
        Bit → its values, a sample a bit; -1 is all ones.
    """
    values: dict[Bit, int] = {ZERO: 0, ONE: -1}
    values |= dict(zip(gates.inputs, vectors, strict=True))
    values |= dict.fromkeys(range(-gates.undriven, 0), undriven)
    for net in gates.ordered():
        if net in gates.registers:
            values[net] = values[gates.registers[net]]
        elif net in gates.tables:
            table = gates.tables[net]
            values[net] = apply(table.value, [values[i] for i in table.inputs])
    return values


def stimuli(bits: int, samples: int, seed: int) -> list[int]:
    """Draw vectors: uniform bits, and ones where zeros or ones are rare.

    Args:
        bits: Of the input port.
        samples: A multiple of four.
        seed: Of the draw.

    Returns:
        One integer a bit, a sample a bit.
    """
    draw, part = random.Random(seed), samples // 4
    out = []
    for _ in range(bits):
        a, b, c = (draw.getrandbits(part) for _ in range(3))
        out.append(draw.getrandbits(2 * part) << 2 * part | (a & b & c) << part | a | b)
    return out


def _keys(
    gates: Gates, values: Mapping[Bit, int], mask: int
) -> Iterator[tuple[Net, Key, int]]:
    """Give each register's key, and whether the register holds its inverse."""
    depth = depths(gates)
    for net in gates.registers:
        if net in depth:
            value = values[net] & mask
            inverse = value & 1
            yield net, (depth[net], value ^ (mask if inverse else 0)), inverse


Members = dict[Key, list[tuple[int, Net, int]]]
"""Key → registers: side, net, inverse or not."""


def pair(
    sides: Sequence[Gates], values: Sequence[Mapping[Bit, int]], samples: int
) -> Members:
    """Find registers that hold the same bit in simulation.

    Args:
        sides: The two netlists.
        values: Of each, from ``simulate``.
        samples: How many were simulated.

    Returns:
        Those that both sides have.
    """
    mask, found = (1 << samples) - 1, defaultdict[Key, list[tuple[int, Net, int]]](list)
    for side, (gates, held) in enumerate(zip(sides, values, strict=True)):
        for net, key, inverse in _keys(gates, held, mask):
            found[key].append((side, net, inverse))
    return {k: m for k, m in found.items() if {side for side, *_ in m} == {0, 1}}


@dataclass(frozen=True)
class Miter:
    """What can differ.

    Attributes:
        aig: Of both sides.
        outputs: Literal of each output bit: one where the sides differ.
        registers: Key and literal of each pair of registers, likewise.
        cuts: Keys whose variables follow the input bits, in this order.
    """

    aig: Aig
    outputs: list[Literal]
    registers: list[tuple[Key, Literal]]
    cuts: list[Key]


def join(sides: Sequence[Gates], members: Members) -> Miter:
    """Put two netlists side by side.

    Args:
        sides: The netlists; bits that nothing drives are free in each.
        members: Registers to cut at.

    Returns:
        Both as one graph.
    """
    bits = len(sides[0].inputs)
    cuts = list(members)
    place = {key: 2 * (bits + 1 + i) for i, key in enumerate(cuts)}
    free = bits + len(cuts)
    aig = Aig(free + sum(gates.undriven for gates in sides))
    held: list[dict[Net, Literal]] = [{}, {}]
    for key, registers in members.items():
        for side, net, inverse in registers:
            held[side][net] = place[key] ^ inverse
    literals: list[dict[Bit, Literal]] = []
    for gates, cut in zip(sides, held, strict=True):
        literals.append(_build(aig, gates, cut, free))
        free += gates.undriven
    pairs = []
    for key, ((side, net, inverse), *others) in members.items():
        first = literals[side][sides[side].registers[net]] ^ inverse
        for side, net, inverse in others:
            other = literals[side][sides[side].registers[net]] ^ inverse
            pairs.append((key, aig.differ(first, other)))
    ends = zip(sides[0].outputs, sides[1].outputs, strict=True)
    outputs = [aig.differ(literals[0][a], literals[1][b]) for a, b in ends]
    return Miter(aig, outputs, pairs, cuts)


def _build(
    aig: Aig, gates: Gates, held: Mapping[Net, Literal], free: int
) -> dict[Bit, Literal]:
    literals: dict[Bit, Literal] = {ZERO: 0, ONE: 1}
    literals |= {net: 2 * (i + 1) for i, net in enumerate(gates.inputs)}
    literals |= {-1 - i: 2 * (free + i + 1) for i in range(gates.undriven)}
    literals |= dict(held.items())
    for net in gates.ordered():
        if net in gates.registers:
            literals.setdefault(net, literals[gates.registers[net]])
        elif net in gates.tables:
            table = gates.tables[net]
            literals[net] = aig.table(table.value, [literals[i] for i in table.inputs])
    return literals
