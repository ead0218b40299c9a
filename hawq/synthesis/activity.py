"""How often each pin of a netlist switches, from the network's own inputs.

Without delays: in each clock every net takes its final value, so that glitches, which
cost power too, are not counted. One bit of a Python integer is one sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hawq.errors import InputError, ToolError
from hawq.synthesis.netlists.cells import Parts, apply
from hawq.synthesis.netlists.elaborate import read_instances
from hawq.synthesis.netlists.netlist import ONE, ZERO, Bit, Net


@dataclass(frozen=True)
class Switching:
    """How a pin switches.

    Attributes:
        toggles: A clock.
        ones: Share of clocks in which it is 1.
    """

    toggles: float
    ones: float


def switching(path: Path, top: str, inputs: NDArray[np.uint8]) -> dict[str, Switching]:
    """Run a netlist on samples, a new one every clock.

    Args:
        path: JSON of the passes of ``hawq.synthesis.netlists.elaborate``.
        top: Name of the netlist's module.
        inputs: Bits of the input port, the lowest first; shape (samples, bits).

    Returns:
        ``cell/pin`` → how it switches, once the pipeline is full.

    Raises:
        InputError: if there are too few samples to fill the pipeline, or the port has
            another width.
        ToolError: if a cell has no model, or gates or registers form a ring.
    """
    read = read_instances(path, top)
    port = read.port("model_inp")
    if inputs.shape[1] != len(port):
        raise InputError(
            f"samples have {inputs.shape[1]} bits, expected {len(port)}, the input "
            "port's"
        )
    columns = np.packbits(inputs.T.astype(np.uint8), axis=1, bitorder="little")
    given = {
        bit: (int.from_bytes(column.tobytes(), "little"), 0)
        for bit, column in zip(port, columns, strict=True)
    }
    values = _values(given, read.parts, read.registers, len(inputs))
    return {
        f"{name}/{pin}": _switching(values.get(bit, (0, 0)), len(inputs))
        for name, cell in read.module["cells"].items()
        for pin, (bit,) in cell["connections"].items()
        if bit != read.clock
    }


Values = dict[Bit, tuple[int, int]]
"""Bit → value, a bit a clock, and the first clock in which it is known."""


def _values(
    given: Mapping[Bit, tuple[int, int]],
    parts: Parts,
    registers: Mapping[Net, Bit],
    samples: int,
) -> Values:
    mask = (1 << samples) - 1
    values: Values = {ZERO: (0, 0), ONE: (mask, 0), **given}
    tables = {out: (value, inputs) for out, value, inputs in parts}
    arcs: dict[Bit, tuple[Bit, ...]] = {o: i for o, (_, i) in tables.items()}
    arcs |= {q: (d,) for q, d in registers.items()}
    try:
        order = tuple(TopologicalSorter(arcs).static_order())
    except CycleError as error:
        raise ToolError(
            f"{len(error.args[1]) - 1} gates and registers of the netlist feed each "
            "other in a ring: it is no pipeline"
        ) from error
    for bit in order:
        if bit in registers and isinstance(bit, int):
            value, start = values.get(registers[bit], (0, 0))
            values[bit] = (value << 1 & mask, start + 1)
        elif bit in tables:
            table, inputs = tables[bit]
            found = [values.get(i, (0, 0)) for i in inputs]
            value = apply(table, [value for value, _ in found]) & mask
            values[bit] = (value, max((start for _, start in found), default=0))
    if (deepest := max(start for _, start in values.values())) > samples - 2:
        raise InputError(
            f"{samples} samples do not fill the pipeline, expected at least "
            f"{deepest + 2}"
        )
    return values


def _switching(value: tuple[int, int], samples: int) -> Switching:
    bits, count = value[0] >> value[1], samples - value[1]
    changed = (bits ^ bits >> 1) & (1 << (count - 1)) - 1
    return Switching(changed.bit_count() / (count - 1), bits.bit_count() / count)
