"""A netlist as truth tables and registers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from hawq.errors import ToolError

Net = int
"""A bit of the netlist; negative where nothing drives it."""

Bit = int | str
"""A net, or a constant."""

ZERO, ONE = "0", "1"

_INFIX = {0b0110: "{}^{}", 0b1001: "~({}^{})", 0b1000: "{}&{}", 0b1110: "{}|{}"}


@dataclass(frozen=True)
class Table:
    """A function of few bits.

    Attributes:
        value: Bit i is the output where the inputs spell i, the first input lowest.
        inputs: Nets.
    """

    value: int
    inputs: tuple[Net, ...]


@dataclass(frozen=True)
class Gates:
    """A netlist with one clock.

    Attributes:
        inputs: Nets of the input port, the lowest bit first.
        outputs: Of the output port, the lowest bit first.
        tables: Net → what computes it; every one after those that it reads.
        registers: Net → what it takes over at the clock's rising edge.
        undriven: How many bits nothing drives: nets -1, -2 ...
    """

    inputs: tuple[Net, ...]
    outputs: tuple[Bit, ...]
    tables: dict[Net, Table]
    registers: dict[Net, Bit]
    undriven: int

    def stages(self) -> int:
        """Count the registers from the input to the output.

        Returns:
            How many; the same on every path.

        Raises:
            ToolError: if paths differ, or registers are fed back.
        """
        depth: dict[Bit, int] = dict.fromkeys(self.inputs, 0)
        for net in self.ordered():
            if net in self.registers:
                source = self.registers[net]
                if source in depth:
                    depth[net] = depth[source] + 1
            elif net in self.tables:
                inputs = self.tables[net].inputs
                found = {depth[i] for i in inputs if i in depth}
                if len(found) > 1:
                    raise ToolError(_unbalanced("a gate sees inputs", found))
                if found:
                    depth[net] = found.pop()
        ends = {depth[bit] for bit in self.outputs if bit in depth}
        if len(ends) > 1:
            raise ToolError(_unbalanced("outputs show inputs", ends))
        return ends.pop() if ends else 0

    def ordered(self) -> Iterator[Net]:
        """Order all nets, registers among them, from the inputs on.

        Yields:
            Nets, every one after those that it depends on.

        Raises:
            ToolError: if registers are fed back.
        """
        arcs: dict[Net, Sequence[Net]] = {n: t.inputs for n, t in self.tables.items()}
        for net, source in self.registers.items():
            arcs[net] = (source,) if isinstance(source, int) else ()
        try:
            yield from TopologicalSorter(arcs).static_order()
        except CycleError as error:
            raise ToolError(
                f"the netlist is no pipeline: {len(error.args[1]) - 1} gates and "
                "registers feed each other in a ring"
            ) from error

    def verilog(self, module: str) -> str:
        """Write the netlist for a simulator: few, short statements.

        Logic in front of registers is computed at the clock's edge, in order, so that
        a simulator need not settle it first; logic behind the last ones is wired.

        Args:
            module: Its name.

        Returns:
            A module with ``clk`` (if there are registers), ``model_inp`` and
            ``model_out``. Registers have no initial value.
        """
        ports = [
            f"input [{len(self.inputs) - 1}:0] model_inp",
            f"output [{len(self.outputs) - 1}:0] model_out",
        ]
        names: dict[Bit, str] = {
            net: f"model_inp[{i}]" for i, net in enumerate(self.inputs)
        }
        names |= {-1 - i: f"undriven[{i}]" for i in range(self.undriven)}
        names |= {net: f"q{net}" for net in self.registers}
        lines = [f"reg [{max(self.undriven, 1) - 1}:0] undriven;"]
        wires = dict(names)
        for net in self._cone(self.outputs):
            text = _expression(self.tables[net], wires)
            wires[net] = f"w{net}"
            lines.append(f"wire w{net} = {text};")
        outputs = (_spell(bit, wires) for bit in reversed(self.outputs))
        lines.append(f"assign model_out = {{{', '.join(outputs)}}};")
        if self.registers:
            ports.insert(0, "input clk")
            lines += self._edge(names)
        return "\n".join([
            f"module {module}({', '.join(ports)});",
            *lines,
            "endmodule\n",
        ])

    def _edge(self, names: dict[Bit, str]) -> list[str]:
        declared = [f"reg q{net};" for net in self.registers]
        body = []
        for net in self._cone(self.registers.values()):
            text = _expression(self.tables[net], names)
            names[net] = f"n{net}"
            declared.append(f"reg n{net};")
            body.append(f"n{net} = {text};")
        for net, source in self.registers.items():
            body.append(f"q{net} <= {_spell(source, names)};")
        return [*declared, "always @(posedge clk) begin", *body, "end"]

    def _cone(self, ends: Iterable[Bit]) -> list[Net]:
        """Give the tables that bits depend on, in order."""
        wanted = {bit for bit in ends if bit in self.tables}
        for net in reversed(self.tables):
            if net in wanted:
                wanted.update(i for i in self.tables[net].inputs if i in self.tables)
        return [net for net in self.tables if net in wanted]


def _unbalanced(what: str, clocks: set[int]) -> str:
    found = " and ".join(map(str, sorted(clocks)))
    return f"the netlist is no pipeline: {what} of {found} clocks ago, expected one"


def _spell(bit: Bit, names: dict[Bit, str]) -> str:
    return f"1'b{bit}" if isinstance(bit, str) else names[bit]


def _expression(table: Table, names: dict[Bit, str]) -> str:
    inputs = [names[i] for i in table.inputs]
    if len(inputs) == 1:
        return f"~{inputs[0]}"
    if len(inputs) == 2 and table.value in _INFIX:
        return _INFIX[table.value].format(*inputs)
    width = 1 << len(inputs)
    return f"1'({width}'h{table.value:x} >> {{{', '.join(reversed(inputs))}}})"
