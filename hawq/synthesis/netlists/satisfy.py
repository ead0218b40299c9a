"""Prove that a netlist computes what the RTL does, for every input.

Both are pipelines of equal latency. They are joined into one graph whose outputs are
ones where the two differ, cut at registers that both have (``miter``). ABC, which comes
with Yosys, sweeps it: gates that are equal in simulation are proved equal by SAT, from
the inputs up, and merged. What is left open is not cut there in the next round. Where
something stays open, inputs that show a difference are looked for without any cut.

Source: A. Mishchenko et al., Improvements to combinational equivalence checking,
ICCAD 2006.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hawq.errors import MismatchError, ToolError
from hawq.rtl.verilog import TOP
from hawq.synthesis.netlists.elaborate import read_gates, rtl_passes
from hawq.synthesis.netlists.gates import LIMITS, require_ports
from hawq.synthesis.netlists.miter import (
    Members,
    join,
    pair,
    read_outputs,
    simulate,
    stimuli,
)
from hawq.synthesis.netlists.netlist import Bit, Gates
from hawq.synthesis.netlists.ports import Port, Ports, Words
from hawq.synthesis.process import Limits, run_tool
from hawq.synthesis.record import Proof
from hawq.synthesis.yosys import run_yosys, yosys_folder

SAMPLES = 4096
"""Vectors that are simulated to find registers that hold the same bit."""

CONFLICTS = (1000, 100_000, 10_000_000)
"""That SAT may meet at a gate before it is left open."""

TOOL = "ABC &fraig"


def prove(
    gates: Gates,
    rtl_sources: Sequence[Path],
    folder: Path,
    *,
    ports: Ports,
    seconds: float,
    limits: Limits = LIMITS,
    seed: int = 0,
) -> Proof:
    """Prove that a netlist and its RTL give equal outputs for every input.

    What is proved is the pipeline in its steady state. Bits that nothing drives may be
    anything, in each side for itself.

    Args:
        gates: The netlist, from ``gates.read_netlist``.
        rtl_sources: Verilog.
        folder: For logs and what lies between.
        ports: Of the RTL.
        seconds: For the proof; what is not decided then is open.
        limits: Of reading the RTL.
        seed: Of the simulation that finds equal registers.

    Returns:
        The proof, or how much of it there is. Netlist and RTL of other ports or another
        latency are a StageError.

    Raises:
        MismatchError: if inputs give different outputs: one of those simulated, or
            one that SAT finds in the time that is left.
    """
    folder = folder.resolve()
    written = folder / "rtl.json"
    run_yosys(
        rtl_passes(rtl_sources, TOP, written),
        folder,
        name="rtl",
        seconds=limits.seconds,
        memory_gib=limits.memory_gib,
    )
    sides = read_gates(written, TOP), gates
    for side, what in zip(sides, ("the RTL as written", "the netlist"), strict=True):
        require_ports(side, ports, what)
    start = time.perf_counter()
    values = [_drive(side, ports, seed) for side in sides]
    _require_equal(sides, values, ports)
    members = pair(sides, values, SAMPLES)
    end = start + seconds
    points, open_ = _sweep(sides, members, folder, end)
    if open_ and (given := _refuted(sides, folder, end)):
        raise MismatchError(_counterexample(sides, given, ports))
    return Proof(
        verdict="unknown" if open_ else "proved",
        points=points,
        open=open_,
        seconds=time.perf_counter() - start,
        tool=TOOL,
    )


def _drive(gates: Gates, ports: Ports, seed: int) -> dict[Bit, int]:
    return simulate(gates, stimuli(ports.inputs.bits, SAMPLES, seed))


def _require_equal(
    sides: Sequence[Gates], values: Sequence[Mapping[Bit, int]], ports: Ports
) -> None:
    mask = (1 << SAMPLES) - 1
    for ends in zip(*(g.outputs for g in sides), strict=True):
        rtl, got = (v[end] & mask for v, end in zip(values, ends, strict=True))
        if wrong := rtl ^ got:
            sample = (wrong & -wrong).bit_length() - 1
            given = [values[0][net] >> sample & 1 for net in sides[0].inputs]
            raise MismatchError(_counterexample(sides, given, ports))


def _counterexample(sides: Sequence[Gates], given: Sequence[int], ports: Ports) -> str:
    """Say which output differs, for which inputs."""
    results = []
    for gates in sides:
        values = simulate(gates, given)
        bits = [values[end] & 1 for end in gates.outputs]
        results.append(ports.outputs.unpack(_words(bits, ports.outputs))[0])
    inputs = ports.inputs.unpack(_words(given, ports.inputs))[0]
    i = int((results[0] != results[1]).argmax())
    return (
        f"the netlist's {ports.outputs.name}[{i}] is {results[1][i]}, the RTL says "
        f"{results[0][i]}, for {ports.inputs.name} {[int(x) for x in inputs]}: "
        "synthesis or its models are wrong"
    )


def _words(bits: Sequence[int], port: Port) -> Words:
    padded = np.zeros((1, 32 * port.words), dtype=np.uint8)
    padded[0, : len(bits)] = bits
    return np.packbits(padded, axis=1, bitorder="little").view("<u4")


def _sweep(
    sides: Sequence[Gates], members: Members, folder: Path, end: float
) -> tuple[int, int]:
    """Prove in rounds; what stays open is not cut in the next, or tried harder.

    Returns:
        Bits proved, and bits open.
    """
    graph, swept = folder / "miter.aig", folder / "swept.aig"
    proved = wrong = 0
    while True:
        miter = join(sides, members)
        literals = [*miter.outputs, *(literal for _, literal in miter.registers)]
        left = [i for i, literal in enumerate(literals) if literal]
        miter.aig.write(graph, literals)
        for conflicts in CONFLICTS:
            source = graph if conflicts == CONFLICTS[0] else swept
            if not _fraig(source, swept, conflicts, end):
                return (proved, wrong) if proved else _count(literals, left)
            ends = read_outputs(swept)
            left = [i for i, literal in enumerate(ends) if literal]
            proved, wrong = _count(literals, left)
            again = {
                miter.registers[i - len(miter.outputs)][0]
                for i in left
                if i >= len(miter.outputs)
            }
            if again or not left:
                break
        if not left or not again:
            return proved, wrong
        members = {key: m for key, m in members.items() if key not in again}


def _refuted(sides: Sequence[Gates], folder: Path, end: float) -> list[int]:
    """Look for inputs with different outputs; nothing is cut, so that any will do.

    Returns:
        Bits of the input, or none where none is found in time.
    """
    graph, swept = folder / "whole.aig", folder / "swept.aig"
    found = folder / "counterexample.txt"
    found.unlink(missing_ok=True)
    whole = join(sides, {})
    whole.aig.write(graph, whole.outputs)
    if not _fraig(graph, swept, CONFLICTS[0], end):
        return []
    script = f"&r {swept.name}; &put; orpos; sat; write_cex {found.name}"
    if not _abc(script, folder / "sat.log", end) or not found.is_file():
        return []
    bits = len(sides[0].inputs)
    given = [int(digit) for digit in found.read_text().strip()[:bits]]
    # Bits that nothing drives may have made the difference: then it does not count.
    ends = [
        [values[end] & 1 for end in gates.outputs]
        for gates in sides
        for values in [simulate(gates, given)]
    ]
    return given if ends[0] != ends[1] else []


def _count(literals: Sequence[int], left: Sequence[int]) -> tuple[int, int]:
    return len(literals) - len(left), len(left)


def _fraig(source: Path, swept: Path, conflicts: int, end: float) -> bool:
    """Sweep a graph; tell whether that came to an end in time."""
    script = f"&r {source.name}; &fraig -y -C {conflicts}; &w {swept.name}"
    return _abc(script, swept.with_name("abc.log"), end)


def _abc(script: str, log: Path, end: float) -> bool:
    """Run ABC; tell whether it came to an end in time."""
    left = end - time.perf_counter()
    if left <= 0:
        return False
    command = (str(yosys_folder() / "yosys-abc"), "-c", script)
    try:
        run_tool(command, log, cwd=log.parent, seconds=left, name="ABC")
    except ToolError:
        if time.perf_counter() < end:
            raise
        return False
    return True
