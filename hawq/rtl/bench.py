"""A cocotb bench of the network behind valid and ready, which runs alone.

It checks latency, one sample a clock, stalls on both sides, resets in the middle of
traffic and idle clocks; every result is compared with the golden executor's integers.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from hawq.errors import MismatchError, ToolError
from hawq.fixed import IntArray
from hawq.integer.graph import Graph
from hawq.paths import shipped
from hawq.rtl.interface import TOP, Lane, lanes, pack
from hawq.rtl.trace import input_integers
from hawq.rtl.verilog import Rtl, simulator_environment

_FILES = ("Makefile", "ports.vlt", f"test_{TOP}.py")


def write_bench(
    graph: Graph, rtl: Rtl, golden: Sequence[Mapping[str, IntArray]]
) -> Path:
    """Write the bench and its vectors: ``make`` in the folder runs it.

    Args:
        graph: What the RTL was made from.
        rtl: In Verilog, with ``top`` beside it.
        golden: Tensor name → integers, shape (samples, *shape), with those of the
            inputs and the outputs; set by set.

    Returns:
        The folder: ``tb`` in that of the RTL.
    """
    folder = rtl.folder / "tb"
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        shutil.copyfile(shipped("firmware") / "tb" / name, folder / name)
    inputs, outputs = lanes(graph, rtl)
    described = {
        "top": TOP,
        "stages": rtl.stages,
        "inputs": [asdict(lane) for lane in inputs],
        "outputs": [asdict(lane) for lane in outputs],
    }
    (folder / "interface.json").write_text(json.dumps(described, indent=1) + "\n")
    _write_words(folder / "inputs.hex", golden, input_integers(graph), inputs)
    _write_words(folder / "outputs.hex", golden, graph.outputs, outputs)
    return folder


def _write_words(
    path: Path,
    golden: Sequence[Mapping[str, IntArray]],
    names: Sequence[str],
    port: Sequence[Lane],
) -> None:
    """Write one sample a line, as ``$readmemh`` reads them."""
    digits = -(-sum(lane.width for lane in port) // 4)
    with path.open("w") as file:
        for values in golden:
            flat = [values[name].reshape(len(values[name]), -1) for name in names]
            for word in pack(np.concatenate(flat, axis=1), port):
                file.write(f"{word:0{digits}x}\n")


def require_cocotb() -> None:
    """Stop if the bench cannot run.

    Raises:
        ToolError: if cocotb is not installed.
    """
    if importlib.util.find_spec("cocotb_tools") is None:
        raise ToolError(
            "the bench needs cocotb, which is not installed: "
            "pip install 'hawq[synthesis]', or set bench = false"
        )


def run_bench(folder: Path, *, seed: int, seconds: float = 1800) -> int:
    """Run the bench with Verilator.

    Args:
        folder: From ``write_bench``.
        seed: Of the stalls.
        seconds: Time limit.

    Returns:
        How many tests passed: all.

    Raises:
        MismatchError: if one fails.
        ToolError: if cocotb or Verilator is missing, fails or takes too long.
    """
    require_cocotb()
    variables = simulator_environment() | {"COCOTB_RANDOM_SEED": str(seed)}
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        variables.pop(name, None)  # of a make that runs this
    command = ["make", "--no-print-directory", f"PYTHON={sys.executable}"]
    log = folder / "bench.log"
    with log.open("w") as output:
        try:
            subprocess.run(
                command,
                cwd=folder,
                env=variables,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise ToolError(
                f"the bench took more than {seconds:g} s on {folder}: the network is "
                f"large, or raise the limit; see {log}"
            ) from error
    return _passed(log)


def _passed(log: Path) -> int:
    text = log.read_text(errors="replace")
    counts = re.search(r"TESTS=(\d+) PASS=(\d+) FAIL=(\d+)", text)
    if counts is None:
        lines = [line for line in text.splitlines() if re.search(r"rror\b", line)]
        reason = (lines or text.splitlines()[-1:] or ["it said nothing"])[0].strip()
        raise ToolError(f"the bench did not run: {reason}; see {log}")
    if int(counts[3]):
        failed = re.search(r"(?m)^.*?\.(\w+) failed$", text)
        why = re.search(r"AssertionError: (.*)", text)
        raise MismatchError(
            f"bench test {failed[1] if failed else '?'} failed: "
            f"{why[1].strip() if why else 'see the log'}; see {log}"
        )
    return int(counts[2])
