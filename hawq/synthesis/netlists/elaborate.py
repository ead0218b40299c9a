"""From a netlist on disk and its library's simulation models to truth tables.

What a cell does is what the library's own Verilog model says: Yosys derives each kind
of cell (type and parameters) once and splits it into simple gates; here the instances
become truth tables, constants folded. So a netlist of any library with Verilog models
can be simulated, and Verilator gets a sixth of what those models would give it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from hawq.errors import ToolError
from hawq.synthesis.netlists.cells import Inner, Kind, Nets, Parts, simple
from hawq.synthesis.netlists.netlist import ONE, ZERO, Bit, Gates, Net, Table


def passes(netlist: Path, models: Sequence[Path], top: str, out: Path) -> list[str]:
    """Give the Yosys passes that write what ``read_gates`` reads.

    Args:
        netlist: Verilog.
        models: Verilog of the cells, or a Liberty file (``.lib``), whose functions
            say what they do.
        top: Name of the netlist's module.
        out: JSON to write.

    Returns:
        The passes.
    """
    cells = f"* {top} %d"
    return [
        *map(_read, models),
        f'read_verilog "{netlist}"',
        f"hierarchy -top {top}",
        f"proc {cells}",
        f"flatten -noscopeinfo {cells}",
        f"techmap {cells} t:$shiftx t:$shift t:$shr t:$shl %u %u %u %i",
        f"dffunmap {cells}",
        f"simplemap {cells}",
        f"opt_expr -full {cells}",
        f"opt_clean {cells}",
        f'write_json "{out}"',
    ]


def _read(model: Path) -> str:
    if model.suffix == ".lib":
        return f'read_liberty -ignore_miss_func -ignore_miss_dir "{model}"'
    return f'read_verilog -ignore_redef "{model}"'


def rtl_passes(sources: Sequence[Path], top: str, out: Path) -> list[str]:
    """Give the Yosys passes that write RTL for ``read_gates``, in simple gates.

    Args:
        sources: Verilog.
        top: Name of the module.
        out: JSON to write.

    Returns:
        The passes.
    """
    ripple = Path(__file__).with_name("ripple.v")
    return [
        *(f'read_verilog "{source.resolve()}"' for source in sources),
        f"hierarchy -top {top}",
        "proc",
        "flatten -noscopeinfo",
        "opt_expr",
        "opt_clean",
        "alumacc",
        f'techmap -map "{ripple}" -map +/techmap.v',
        "dffunmap",
        "simplemap",
        "opt_expr",
        "opt_clean",
        f'write_json "{out}"',
    ]


@dataclass(frozen=True)
class Instances:
    """A netlist whose cells have become tables and registers, one by one.

    Attributes:
        module: The netlist as Yosys writes it.
        clock: Its clock; None without one.
        nets: Its numbers.
        parts: Output, table, inputs.
        registers: Net → what it takes over.
    """

    module: dict[str, Any]
    clock: Bit | None
    nets: Nets
    parts: Parts
    registers: dict[Net, Bit]

    def port(self, name: str) -> list[Bit]:
        """Give the bits of a port, the lowest first."""
        bits: list[Bit] = self.module["ports"][name]["bits"]
        return bits


def read_instances(path: Path, top: str) -> Instances:
    """Read a netlist and its cells from what Yosys wrote.

    Args:
        path: JSON of the passes.
        top: Name of the netlist's module.

    Returns:
        The netlist.

    Raises:
        ToolError: if a cell has no model, or one that is neither logic nor a register
            of the one clock.
    """
    modules = json.loads(path.read_text(encoding="utf-8"))["modules"]
    module = modules[top]
    (clock,) = module["ports"].get("clk", {"bits": [None]})["bits"]
    nets = Nets(module)
    kinds: dict[str, Kind] = {}
    parts: Parts = []
    registers: dict[Net, Bit] = {}
    for cell in module["cells"].values():
        name = cell["type"]
        if name not in kinds:
            kinds[name] = Kind(name, modules.get(name) or simple(cell))
        more, found = kinds[name].place(cell["connections"], nets, clock)
        parts += more
        registers |= found
    return Instances(module, clock, nets, parts, registers)


def read_gates(path: Path, top: str) -> Gates:
    """Read a netlist, with constants folded and gates in order.

    Args:
        path: JSON of the passes.
        top: Name of the netlist's module.

    Returns:
        The netlist.

    Raises:
        ToolError: if a cell has no model, or one that is neither logic nor a register
            of the one clock, or if gates form a ring.
    """
    read = read_instances(path, top)
    ports = {name: read.port(name) for name in read.module["ports"]}
    return _fold(ports, read.nets, read.parts, read.registers)


@cache
def _restrict(value: int, count: int, place: int, one: bool) -> int:
    """Fix an input of a table."""
    out = 0
    for row in range(1 << (count - 1)):
        low = row & (1 << place) - 1
        full = (row >> place << (place + 1)) | int(one) << place | low
        out |= (value >> full & 1) << row
    return out


def _simplify(value: int, inputs: Sequence[Bit]) -> tuple[int, list[Bit]]:
    """Drop constants and inputs that do not matter."""
    kept = list(inputs)
    for place in reversed(range(len(kept))):
        zero = _restrict(value, len(kept), place, False)
        one = _restrict(value, len(kept), place, True)
        if kept[place] in (ZERO, ONE) or zero == one:
            value = one if kept[place] == ONE else zero
            del kept[place]
    return value, kept


def _fold(
    ports: dict[str, list[Bit]], nets: Nets, parts: Parts, registers: dict[Net, Bit]
) -> Gates:
    raw = {out: (value, inputs) for out, value, inputs in parts}
    tables: dict[Net, Table] = {}
    alias: dict[Bit, Bit] = {}
    driven = {*raw, *registers, *ports["model_inp"]}

    def find(bit: Bit) -> Bit:
        if bit not in alias and isinstance(bit, int) and bit > 0 and bit not in driven:
            alias[bit] = nets.unknown()
        return alias.get(bit, bit)

    for out in _ordered(raw, registers):
        value, kept = _simplify(raw[out][0], [find(i) for i in raw[out][1]])
        if not kept:
            alias[out] = ONE if value else ZERO
        elif len(kept) == 1 and value == 0b10:
            alias[out] = kept[0]
        elif isinstance(out, int):
            tables[out] = Table(value, tuple(i for i in kept if isinstance(i, int)))
    outputs = tuple(find(nets.bit(bit)) for bit in ports["model_out"])
    held = {q: find(d) for q, d in registers.items()}
    read = (i for table in tables.values() for i in table.inputs)
    unknown = dict.fromkeys(
        bit for bit in (*read, *held.values(), *outputs) if isinstance(bit, int)
    )
    number = {old: -1 - i for i, old in enumerate(b for b in unknown if b < 0)}
    return Gates(
        inputs=tuple(b for b in ports["model_inp"] if isinstance(b, int)),
        outputs=tuple(_numbered(bit, number) for bit in outputs),
        tables={
            net: Table(t.value, tuple(number.get(i, i) for i in t.inputs))
            for net, t in tables.items()
        },
        registers={q: _numbered(d, number) for q, d in held.items()},
        undriven=len(number),
    )


def _numbered(bit: Bit, number: dict[Net, Net]) -> Bit:
    return number.get(bit, bit) if isinstance(bit, int) else bit


def _ordered(raw: Inner, registers: dict[Net, Bit]) -> Iterator[Bit]:
    arcs = {
        out: [i for i in inputs if i in raw and i not in registers]
        for out, (_, inputs) in raw.items()
    }
    try:
        yield from TopologicalSorter(arcs).static_order()
    except CycleError as error:
        raise ToolError(
            f"{len(error.args[1]) - 1} gates of the netlist feed each other in a ring, "
            "without a register: it has no value to simulate"
        ) from error
