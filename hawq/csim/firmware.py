"""Compile a firmware project with g++ and run it: the C-simulation."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hawq.errors import ToolError
from hawq.paths import atomic_file, shipped

logger = logging.getLogger(__name__)

FLAGS = ("-O3", "-fPIC", "-fno-gnu-unique", "-w")
"""As hls4ml's own build script; its warnings are not ours to print."""

_STANDARDS = ("-std=c++23", "-std=c++17")


def compile_project(folder: Path, library: Path) -> Path:
    """Compile the HLS C++ of a project into a shared library.

    Args:
        folder: The hls4ml project.
        library: The ``.so`` to write; it reads the weights in ``folder`` when it runs.

    Returns:
        ``library``.

    Raises:
        ToolError: if g++ is missing, or its first error if it fails.
    """
    compiler = shutil.which("g++")
    if compiler is None:
        raise ToolError(
            "g++ was not found: C-simulation compiles the firmware with it; install "
            "it, for example with `apt install g++`"
        )
    folder = folder.resolve()
    firmware = folder / "firmware"
    with atomic_file(library) as temporary:
        _run([
            compiler,
            _standard(compiler),
            *FLAGS,
            f"-I{firmware / 'ap_types'}",
            f"-I{folder}",
            f'-DWEIGHTS_DIR="{firmware / "weights"}"',
            "-shared",
            str(shipped("firmware") / "hls" / "batch_bridge.cpp"),
            "-o",
            str(temporary),
        ])
    return library


def _standard(compiler: str) -> str:
    """Pick the newest standard the compiler knows: it enables the half types."""
    for standard in _STANDARDS:
        probe = subprocess.run(
            [compiler, standard, "-fsyntax-only", "-x", "c++", "-"],
            input="",
            capture_output=True,
            text=True,
            check=False,
        )
        if probe.returncode == 0:
            return standard
    raise ToolError(
        f"{compiler} knows neither {' nor '.join(_STANDARDS)}: install g++ 8"
    )


def _run(command: list[str]) -> None:
    logger.debug("%s", " ".join(command))
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line]
        reason = lines[0] if lines else done.stderr.strip()[-200:] or "no output"
        raise ToolError(f"g++ failed with exit code {done.returncode}: {reason}")


class Firmware:
    """A compiled project, ready to run over batches."""

    def __init__(self, library: Path) -> None:
        self._run_batch = ctypes.CDLL(str(library.resolve())).hawq_run_batch
        self._run_batch.restype = ctypes.c_int

    def run(
        self, features: NDArray[np.floating], layers: Mapping[str, int], outputs: int
    ) -> tuple[
        NDArray[np.float64], NDArray[np.float64], dict[str, NDArray[np.float64]]
    ]:
        """Run the firmware.

        Args:
            features: Shape (samples, features).
            layers: Firmware layer name → number of elements of its output.
            outputs: Number of outputs of the network.

        Returns:
            The inputs as the firmware sees them, the outputs, and each layer's output:
            real values, shape (samples, elements).

        Raises:
            ToolError: if the firmware does not store one of the layers.
        """
        x = np.ascontiguousarray(features, dtype=np.float64)
        samples, width = x.shape
        seen = np.empty_like(x)
        out = np.empty((samples, outputs))
        traces = {name: np.empty((samples, size)) for name, size in layers.items()}
        count = len(traces)
        names = (ctypes.c_char_p * count)(*(name.encode() for name in traces))
        pointers = (ctypes.c_void_p * count)(*(a.ctypes.data for a in traces.values()))
        sizes = (ctypes.c_size_t * count)(*layers.values())
        missing = self._run_batch(
            ctypes.c_void_p(x.ctypes.data),
            ctypes.c_size_t(samples),
            ctypes.c_size_t(width),
            ctypes.c_void_p(seen.ctypes.data),
            ctypes.c_void_p(out.ctypes.data),
            ctypes.c_size_t(outputs),
            names,
            pointers,
            sizes,
            ctypes.c_size_t(count),
        )
        if missing:
            raise ToolError(
                f"the firmware stores no layer {list(layers)[missing - 1]!r}: it was "
                "written without tracing"
            )
        return seen, out, traces
