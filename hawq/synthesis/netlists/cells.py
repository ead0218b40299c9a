"""What a cell of a library does, as its own simulation model says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from hawq.errors import ToolError
from hawq.synthesis.netlists.netlist import ONE, ZERO, Bit, Net

GATES: dict[str, Callable[..., int]] = {
    "$_BUF_": lambda A: A,
    "$_NOT_": lambda A: ~A,
    "$_AND_": lambda A, B: A & B,
    "$_NAND_": lambda A, B: ~(A & B),
    "$_OR_": lambda A, B: A | B,
    "$_NOR_": lambda A, B: ~(A | B),
    "$_XOR_": lambda A, B: A ^ B,
    "$_XNOR_": lambda A, B: ~(A ^ B),
    "$_ANDNOT_": lambda A, B: A & ~B,
    "$_ORNOT_": lambda A, B: A | ~B,
    "$_MUX_": lambda A, B, S: (S & B) | (~S & A),
    "$_NMUX_": lambda A, B, S: ~((S & B) | (~S & A)),
}
"""Yosys' simple gates, as its manual defines them; the arguments are its ports."""

_REGISTER = "$_DFF_P_"
_TABLE_INPUTS = 6

Parts = list[tuple[Bit, int, tuple[Bit, ...]]]
"""Output, table, inputs."""


class Nets:
    """Numbers nets, and gives undriven bits numbers below zero.

    Attributes:
        undriven: How many there are of the latter.
    """

    def __init__(self, module: dict[str, Any]) -> None:
        """Start behind the nets of a module.

        Args:
            module: As Yosys writes it.
        """
        used = (
            bit
            for cell in module["cells"].values()
            for bits in cell["connections"].values()
            for bit in bits
            if isinstance(bit, int)
        )
        ports = (b for p in module["ports"].values() for b in p["bits"])
        self._last = max((0, *used, *(b for b in ports if isinstance(b, int))))
        self.undriven = 0

    def new(self) -> Net:
        """Number a net.

        Returns:
            The number.
        """
        self._last += 1
        return self._last

    def unknown(self) -> Net:
        """Number a bit that nothing drives.

        Returns:
            The number, below zero.
        """
        self.undriven += 1
        return -self.undriven

    def bit(self, given: Bit) -> Bit:
        """Number a bit if nothing drives it.

        Args:
            given: As Yosys writes it.

        Returns:
            A net or a constant.
        """
        return self.unknown() if given in ("x", "z") else given


class Kind:
    """A type of cell with its parameters: its gates, or their table if it is small.

    Attributes:
        name: Of the type.
    """

    def __init__(self, name: str, module: dict[str, Any] | None) -> None:
        """Read the model of a cell.

        Args:
            name: As Yosys calls it.
            module: As Yosys writes it, in simple gates; None if there is none.

        Raises:
            ToolError: if there is no model, or it is no logic with registers.
        """
        self.name = _plain(name)
        if module is None or not (module["cells"] or _wired(module)):
            raise ToolError(
                f"cell {self.name} has no simulation model: give the Verilog of its "
                "library"
            )
        self._ports = module["ports"]
        self._registers: list[tuple[Net, Bit, Bit]] = []
        self._parts: Parts = []
        for cell in module["cells"].values():
            pins = {name: bits[0] for name, bits in cell["connections"].items()}
            if cell["type"] == _REGISTER:
                self._registers.append((pins["Q"], pins["D"], pins["C"]))
            elif cell["type"] in GATES:
                inputs = tuple(pins[p] for p in ("A", "B", "S") if p in pins)
                self._parts.append((pins["Y"], _gate_table(cell["type"]), inputs))
            else:
                raise ToolError(
                    f"cell {self.name} holds {cell['type']}, expected logic and "
                    "registers of the clock's rising edge: it cannot be simulated here"
                )
        self._merge()

    def _merge(self) -> None:
        """Make tables as large as they may be: one an output, or a few more."""
        inner = {out: (value, inputs) for out, value, inputs in self._parts}
        ends = [
            bit
            for port in self._ports.values()
            if port["direction"] == "output"
            for bit in port["bits"]
        ]
        ends += [d for _, d, _ in self._registers]
        outputs = [bit for bit in dict.fromkeys(ends) if bit in inner]
        merged = _tables(inner, outputs, set(outputs))
        if merged is None:
            uses = Counter(i for _, inputs in inner.values() for i in inputs)
            shared = {bit for bit in inner if uses[bit] > 1 and len(inner[bit][1]) > 1}
            merged = _tables(inner, outputs, {*outputs, *shared})
        self._parts = self._parts if merged is None else merged

    def place(
        self,
        connections: dict[str, list[Bit]],
        nets: Nets,
        clock: Net | None,
    ) -> tuple[Parts, dict[Net, Bit]]:
        """Make an instance.

        Args:
            connections: Port to bits.
            nets: Numbers what is inside.
            clock: The one that registers may have.

        Returns:
            Its tables, and register to what it takes over.

        Raises:
            ToolError: if a register has another clock.
        """
        parts: Parts = []
        registers: dict[Net, Bit] = {}
        local: dict[Bit, Bit] = {ZERO: ZERO, ONE: ONE}
        driven: list[tuple[Bit, Bit]] = []
        for name, port in self._ports.items():
            given = connections.get(name, [])
            for i, bit in enumerate(port["bits"]):
                outer = given[i] if i < len(given) else "x"
                if port["direction"] == "output":
                    driven.append((outer, bit))
                else:
                    local[bit] = nets.bit(outer)
        for outer, bit in driven:
            if bit in local or bit in ("x", "z"):
                parts.append((outer, 0b10, (local.get(bit) or nets.unknown(),)))
            else:
                local[bit] = outer if isinstance(outer, int) else nets.new()

        def find(bit: Bit) -> Bit:
            if bit not in local:
                local[bit] = nets.bit(bit) if isinstance(bit, str) else nets.new()
            return local[bit]

        for out, value, inputs in self._parts:
            parts.append((find(out), value, tuple(find(i) for i in inputs)))
        for q, d, c in self._registers:
            if find(c) != clock:
                raise ToolError(
                    f"a register {self.name} has a clock of its own, expected clk's "
                    "rising edge: it cannot be simulated here"
                )
            net = find(q)
            assert isinstance(net, int)
            registers[net] = find(d)
        return parts, registers


def simple(cell: dict[str, Any]) -> dict[str, Any] | None:
    """Give the model of one of Yosys' simple gates: the gate itself.

    Args:
        cell: As Yosys writes it.

    Returns:
        A module around it; None if it is none of them.
    """
    if cell["type"] not in GATES and cell["type"] != _REGISTER:
        return None
    pins = {pin: [i] for i, pin in enumerate(cell["connections"], 2)}
    return {
        "ports": {
            pin: {"direction": "output" if pin in "YQ" else "input", "bits": bits}
            for pin, bits in pins.items()
        },
        "cells": {"": {"type": cell["type"], "connections": pins}},
    }


def _plain(name: str) -> str:
    r"""Give the type of ``$paramod\LUT2\INIT=4'0110`` or ``$paramod$hash\LUT2``."""
    return name.split("\\")[1] if name.startswith("$paramod") else name


def _wired(module: dict[str, Any]) -> bool:
    bits = [
        bit
        for port in module["ports"].values()
        if port["direction"] == "input"
        for bit in port["bits"]
    ]
    return any(
        bit in bits or bit in (ZERO, ONE)
        for port in module["ports"].values()
        if port["direction"] == "output"
        for bit in port["bits"]
    )


@cache
def _patterns(count: int) -> tuple[int, ...]:
    """Give, for each input, its value in every row of a truth table, as an integer."""
    rows = range(1 << count)
    return tuple(sum((row >> i & 1) << row for row in rows) for i in range(count))


@cache
def _gate_table(gate: str) -> int:
    count = GATES[gate].__code__.co_argcount
    return GATES[gate](*_patterns(count)) & (1 << (1 << count)) - 1


Inner = dict[Bit, tuple[int, tuple[Bit, ...]]]


def _tables(inner: Inner, outputs: Sequence[Bit], roots: set[Bit]) -> Parts | None:
    """Give one table a root that outputs need; None if one would be too large."""
    made: Parts = []
    todo, done = list(outputs), set(outputs)
    while todo:
        out = todo.pop()
        leaves: dict[Bit, None] = {}
        for below in inner[out][1]:
            _leaves(below, inner, roots, leaves)
        inputs = tuple(b for b in leaves if b not in (ZERO, ONE))
        if len(inputs) > _TABLE_INPUTS:
            return None
        known = {ZERO: 0, ONE: -1} | dict(
            zip(inputs, _patterns(len(inputs)), strict=True)
        )
        mask = (1 << (1 << len(inputs))) - 1
        rows = [_evaluate(i, inner, known) for i in inner[out][1]]
        made.append((out, apply(inner[out][0], rows) & mask, inputs))
        todo += [b for b in inputs if b in inner and b not in done]
        done.update(inputs)
    return made


def _leaves(bit: Bit, inner: Inner, roots: set[Bit], leaves: dict[Bit, None]) -> None:
    if bit in roots or bit not in inner:
        leaves[bit] = None
        return
    for below in inner[bit][1]:
        _leaves(below, inner, roots, leaves)


def _evaluate(bit: Bit, inner: Inner, known: dict[Bit, int]) -> int:
    """Evaluate a bit in every row at once."""
    if bit not in known:
        value, inputs = inner[bit]
        known[bit] = apply(value, [_evaluate(i, inner, known) for i in inputs])
    return known[bit]


def apply(value: int, inputs: Sequence[int]) -> int:
    """Apply a truth table to many rows at once.

    Args:
        value: Of the table.
        inputs: One integer an input, a bit a row; -1 is all ones.

    Returns:
        The output, a bit a row; negative where rows beyond those given are ones.

    >>> bin(apply(0b0110, [0b0011, 0b0101]))
    '0b110'
    """
    if not inputs:
        return -(value & 1)
    half = 1 << (len(inputs) - 1)
    last = inputs[-1]
    low, high = value & (1 << half) - 1, value >> half
    if low == high:
        return apply(low, inputs[:-1])
    return (last & apply(high, inputs[:-1])) | (~last & apply(low, inputs[:-1]))
