"""Compile a firmware project with g++ and run it: the C-simulation."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.errors import ToolError
from hawq.paths import atomic_file, shipped
from hawq.records import StoredLayout

logger = logging.getLogger(__name__)

FLAGS = ("-fPIC", "-fno-gnu-unique", "-w")
"""As hls4ml's own build scripts; its warnings are not ours to print."""

INCLUDES = (
    "ap_types",
    "ac_types",
    "ac_types/include",
    "ac_math/include",
    "ac_simutils/include",
    "nnet_utils",
)
"""Where the back ends put their headers; each has some of these folders."""

_STANDARDS = ("-std=c++23", "-std=c++17")


def compile_project(folder: Path, library: Path, optimisation: str = "-O3") -> Path:
    """Compile the HLS C++ of a project into a shared library.

    Args:
        folder: The hls4ml project.
        library: The ``.so`` to write; it reads the weights in ``folder`` when it runs.
        optimisation: Option of g++; results are the same with each.

    Returns:
        ``library``.

    Raises:
        ToolError: if g++ is missing, or cannot compile the back end's code, or its
            first error if it fails.
    """
    compiler = shutil.which("g++")
    if compiler is None:
        raise ToolError(
            "g++ was not found: C-simulation compiles the firmware with it; install "
            "it, for example with `apt install g++`"
        )
    folder = folder.resolve()
    firmware = folder / "firmware"
    if (folder / "src" / "firmware").is_dir() and not firmware.is_dir():
        raise ToolError(
            "a project for oneAPI is SYCL code, which needs Intel's compiler icpx: "
            "install the oneAPI toolkit, or simulate the target Quartus"
        )
    defines = [f'-DWEIGHTS_DIR="{firmware / "weights"}"']
    if (firmware / "ac_simutils").is_dir():
        defines.append("-DHAWQ_CATAPULT")
    with atomic_file(library) as temporary:
        _run([
            compiler,
            _standard(compiler),
            *FLAGS,
            optimisation,
            *(f"-I{firmware / place}" for place in INCLUDES),
            f"-I{folder}",
            *defines,
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
        self,
        features: NDArray[np.floating],
        layers: Mapping[str, int],
        outputs: Sequence[int],
    ) -> tuple[
        NDArray[np.float64], list[NDArray[np.float64]], dict[str, NDArray[np.float64]]
    ]:
        """Run the firmware.

        Args:
            features: Shape (samples, features).
            layers: Firmware layer name → number of elements of its output.
            outputs: Number of elements of each output of the network.

        Returns:
            The inputs as the firmware sees them, the outputs, and each layer's output:
            real values, shape (samples, elements), in the firmware's own order.

        Raises:
            ToolError: if the firmware does not store one of the layers.
        """
        x = np.ascontiguousarray(features, dtype=np.float64)
        samples, width = x.shape
        seen = np.empty_like(x)
        ports = [np.empty((samples, size)) for size in outputs]
        traces = {name: np.empty((samples, size)) for name, size in layers.items()}
        missing = self._run_batch(
            ctypes.c_void_p(x.ctypes.data),
            ctypes.c_size_t(samples),
            ctypes.c_size_t(width),
            ctypes.c_void_p(seen.ctypes.data),
            *_buffers(ports),
            (ctypes.c_char_p * len(traces))(*(name.encode() for name in traces)),
            *_buffers(list(traces.values())),
        )
        if missing:
            raise ToolError(
                f"the firmware stores no layer {list(layers)[missing - 1]!r}: it was "
                "written without tracing"
            )
        return seen, ports, traces


def _buffers(arrays: Sequence[NDArray[np.float64]]) -> tuple[Any, Any, Any]:
    """Give addresses, elements a sample, and the number of arrays."""
    count = len(arrays)
    return (
        (ctypes.c_void_p * count)(*(a.ctypes.data for a in arrays)),
        (ctypes.c_size_t * count)(*(a.shape[1] for a in arrays)),
        ctypes.c_size_t(count),
    )


def to_firmware(
    values: NDArray[np.floating], layout: StoredLayout | None
) -> NDArray[np.floating]:
    """Put a tensor's elements in the firmware's order.

    Args:
        values: Shape (samples, elements), in the file's order.
        layout: How the firmware stores the tensor; None if as the file does.

    Returns:
        The same shape.
    """
    if layout is None:
        return values
    axes = values.reshape(-1, *layout.shape)
    return axes.transpose(0, *(i + 1 for i in layout.order)).reshape(values.shape)


def from_firmware(
    values: NDArray[np.float64], layout: StoredLayout | None
) -> NDArray[np.float64]:
    """Put a tensor's elements in the file's order.

    Args:
        values: Shape (samples, elements), in the firmware's order.
        layout: How the firmware stores the tensor; None if as the file does.

    Returns:
        The same shape.
    """
    if layout is None:
        return values
    stored = values.reshape(-1, *(layout.shape[i] for i in layout.order))
    back = [layout.order.index(i) + 1 for i in range(len(layout.order))]
    return stored.transpose(0, *back).reshape(values.shape)
