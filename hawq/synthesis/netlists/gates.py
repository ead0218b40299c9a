"""Rung 6: Verilator runs the netlist that synthesis made."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hawq.errors import MismatchError, StageError, ToolError
from hawq.fixed import IntArray
from hawq.rtl.verilog import TOP, simulator_environment
from hawq.synthesis.netlists.elaborate import passes, read_gates
from hawq.synthesis.netlists.netlist import Gates
from hawq.synthesis.netlists.ports import Ports, Words
from hawq.synthesis.process import Limits, run_tool
from hawq.synthesis.yosys import run_yosys, yosys_folder

if TYPE_CHECKING:
    from hawq.csim.network import Inputs
    from hawq.integer.graph import Graph
    from hawq.records import Comparison

SEEDS = (1, 2)
"""Of what is undefined or not initialised: outputs must not depend on it."""

GATES = "gates.json"

_UNDEFINED = ("--x-assign", "unique", "--x-initial", "unique")
_QUICK = ("-fno-reorder", "-fno-gate", "--output-split", "3000000")
"""Statements come in order, and small: these passes would take half of the time."""

_MAKE = tuple(f"OPT_{part}=-O0" for part in ("FAST", "SLOW", "GLOBAL"))


LIMITS = Limits(1800)
"""Of each tool, where nothing is said."""


def vendor_models(target: str) -> tuple[Path, ...]:
    """Find the simulation models of an FPGA's cells that come with Yosys.

    Args:
        target: ``xilinx`` or ``ecp5``.

    Returns:
        Verilog files.

    Raises:
        ToolError: if pyosys is not installed, or has none for the target.
    """
    share = yosys_folder() / "share"
    found = share / target / "cells_sim.v"
    if not found.exists():
        known = sorted(path.parent.name for path in share.glob("*/cells_sim.v"))
        raise ToolError(
            f"Yosys has no cell models for {target!r}; it has {', '.join(known)}"
        )
    return (found,)


def write_gates(
    netlist: Path, models: Sequence[Path], folder: Path, limits: Limits = LIMITS
) -> Path:
    """Write a netlist and what its cells do as simple gates.

    Args:
        netlist: Verilog; the top has the ports of the RTL.
        models: What the cells do: Verilog, or a Liberty file.
        folder: For the result and the log.
        limits: Of Yosys.

    Returns:
        What ``read_netlist`` reads: ``gates.json`` in the folder.

    Raises:
        StageError: if there is no netlist.
        ToolError: if Yosys fails.
    """
    for path in (netlist, *models):
        if not path.exists():
            raise StageError(f"{path} is missing: run synthesis")
    written = folder.resolve() / GATES
    found = [model.resolve() for model in models]
    run_yosys(
        passes(netlist.resolve(), found, TOP, written),
        folder,
        name="elaborate",
        seconds=limits.seconds,
        memory_gib=limits.memory_gib,
    )
    return written


def read_netlist(written: Path, netlist: Path, ports: Ports) -> Gates:
    """Read a netlist, and check that it is the network's pipeline.

    Args:
        written: From ``write_gates``.
        netlist: Where it came from, to tell in errors.
        ports: Of the RTL.

    Returns:
        The netlist.

    Raises:
        ToolError: if it cannot be simulated.
    """
    gates = read_gates(written, TOP)
    require_ports(gates, ports, str(netlist))
    return gates


def require_ports(gates: Gates, ports: Ports, what: str) -> None:
    """Check that gates are a pipeline with the ports of the RTL.

    Args:
        gates: The pipeline.
        ports: Of the RTL.
        what: The gates, to tell in the error.

    Raises:
        StageError: if they have other ports or another latency.
    """
    got, expected = (
        (len(gates.inputs), len(gates.outputs), gates.stages()),
        (ports.inputs.bits, ports.outputs.bits, ports.stages),
    )
    if got != expected:
        raise StageError(
            f"{what} has {got[0]} input bits, {got[1]} output bits and {got[2]} "
            f"stages, the RTL {expected[0]}, {expected[1]} and {expected[2]}: "
            "it is of another network; run synthesis again"
        )


def compile_netlist(
    gates: Gates, ports: Ports, folder: Path, limits: Limits = LIMITS
) -> GateSimulation:
    """Compile a netlist with Verilator.

    Args:
        gates: From ``read_netlist``.
        ports: Of the RTL.
        folder: For sources, objects and logs.
        limits: Of Verilator and the compiler.

    Returns:
        The simulation.

    Raises:
        ToolError: if Verilator or the compiler is missing, fails or takes too long.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{TOP}.v").write_text(gates.verilog(TOP))
    environment = simulator_environment()
    library = folder / "gates.so"

    def run(command: Sequence[str], name: str) -> None:
        run_tool(
            command,
            folder / f"{name}.log",
            cwd=folder,
            seconds=limits.seconds,
            memory_gib=limits.memory_gib,
            environment=environment,
        )

    run(_verilator(), "verilator")
    run(_compiler(folder / "obj", library), "compile")
    return GateSimulation(library, ports)


def compare_netlist(
    graph: Graph,
    gates: Gates,
    ports: Ports,
    folder: Path,
    data: Inputs | None,
    *,
    upper: str,
    corners: int,
    seed: int,
    limits: Limits = LIMITS,
) -> tuple[Comparison, float]:
    """Simulate a netlist and compare its outputs with the golden executor's.

    Args:
        graph: The network.
        gates: From ``read_netlist``.
        ports: Of the RTL.
        folder: For sources, objects and logs.
        data: Input name → real values, or None for corner inputs alone.
        upper: What the comparison calls the netlist.
        corners: Random vectors in each set of corner inputs.
        seed: Of the corners.
        limits: Of each tool.

    Returns:
        The comparison, and samples a second. A difference raises a MismatchError.
    """
    from hawq.csim.simulation import compare_simulation

    simulation = compile_netlist(gates, ports, folder, limits)
    return compare_simulation(
        graph, upper, simulation, data, corners=corners, seed=seed
    )


def _verilator() -> list[str]:
    command = ["verilator", "--cc", "--build", "-j", "0", "--no-timing", "-Wno-lint"]
    command += [*_UNDEFINED, *_QUICK, "-CFLAGS", "-fPIC"]
    for flag in ("CFG_CXXFLAGS_PCH_I=-include", *_MAKE):
        command += ["-MAKEFLAGS", flag]
    command += ["--top-module", TOP, "--prefix", "Vnetwork", "-Mdir", "obj"]
    return [*command, f"{TOP}.v"]


def _compiler(objects: Path, library: Path) -> list[str]:
    makefile = (objects / "Vnetwork.mk").read_text()
    (root,) = re.findall(r"^VERILATOR_ROOT = (.*)$", makefile, re.MULTILINE)
    places = [objects, Path(root, "include"), Path(root, "include", "vltstd")]
    command = ["g++", "-std=c++17", "-O1", "-fPIC", "-shared", "-pthread"]
    command += ["-o", str(library), *(f"-I{place}" for place in places)]
    archives = (str(objects / f"lib{name}.a") for name in ("Vnetwork", "verilated"))
    return [*command, str(Path(__file__).with_name("gates.cpp")), *archives]


class GateSimulation:
    """A netlist that runs, once for each seed of what is undefined in it."""

    def __init__(self, library: Path, ports: Ports) -> None:
        """Load a compiled netlist.

        Args:
            library: From ``compile_netlist``.
            ports: Of the RTL.
        """
        self.ports = ports
        self._library = _load(library)
        self._handles = [self._library.gates_open(seed) for seed in SEEDS]

    def __del__(self) -> None:
        """Free what the simulation holds."""
        for handle in getattr(self, "_handles", []):
            self._library.gates_close(handle)

    def run(self, integers: IntArray) -> IntArray:
        """Feed one sample a clock, without a gap, and collect the outputs.

        Args:
            integers: Of the inputs, shape (samples, inputs).

        Returns:
            Of the outputs, shape (samples, outputs), int64.

        Raises:
            MismatchError: if an output depends on what is undefined or not initialised.
        """
        words = self.ports.inputs.pack(integers)
        first, *others = (self._run(handle, words) for handle in self._handles)
        for other in others:
            if (first != other).any():
                raise MismatchError(self._undefined(first, other))
        return self.ports.outputs.unpack(first)

    def idle(self, clocks: int) -> None:
        """Let the clock run with inputs at zero.

        Args:
            clocks: How many.
        """
        zeros = np.zeros((clocks, self.ports.inputs.words), dtype=np.uint32)
        for handle in self._handles:
            self._run(handle, zeros)

    def _run(self, handle: int, words: Words) -> Words:
        given = np.ascontiguousarray(words, dtype=np.uint32)
        made = np.empty((len(given), self.ports.outputs.words), dtype=np.uint32)
        sizes = (len(given), given.shape[1], made.shape[1], self.ports.stages)
        self._library.gates_run(handle, given.ctypes.data, made.ctypes.data, *sizes)
        return made

    def _undefined(self, first: Words, other: Words) -> str:
        sample = int((first != other).any(axis=1).argmax())
        rows = first[sample : sample + 1], other[sample : sample + 1]
        bits = (rows[0] ^ rows[1]).view(np.uint8)
        bit = int(np.unpackbits(bits, bitorder="little").argmax())
        values = [self.ports.outputs.unpack(row)[0] for row in rows]
        output = int((values[0] != values[1]).argmax())
        return (
            f"the netlist's {self.ports.outputs.name}[{output}] is undefined (X): in "
            f"sample {sample} it is {values[0][output]} or {values[1][output]}, "
            "depending on what registers and undriven nets hold at the start (bit "
            f"{bit} of the port)"
        )


def _load(path: Path) -> Any:
    library = ctypes.CDLL(str(path))
    library.gates_open.argtypes = [ctypes.c_int]
    library.gates_open.restype = ctypes.c_void_p
    library.gates_close.argtypes = [ctypes.c_void_p]
    library.gates_close.restype = None
    library.gates_run.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_size_t] * 4
    library.gates_run.restype = None
    return library
