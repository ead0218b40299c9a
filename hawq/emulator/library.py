"""Compile an emulator and run it from Python."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.errors import DataError, StageError, ToolError
from hawq.fixed import IntArray
from hawq.integer.samples import Inputs, read_inputs, require_finite
from hawq.tools import TOOLS

_CHUNK = 4096
_ERROR_LENGTH = 1024


def compile_emulator(
    folder: Path, *, arch: str | None = None, ap_types: Path | None = None
) -> Path:
    """Compile what ``write_emulator`` wrote, with its own Makefile.

    Args:
        folder: The written folder.
        arch: Flags that choose the processor, for example ``-march=native``; None for
            the Makefile's.
        ap_types: Folder of ``ap_fixed.h``, for the CMS interface.

    Returns:
        The library, ``NAME.so``.

    Raises:
        StageError: if the folder holds no emulator.
        ToolError: if make or g++ is missing, or the first error if it fails.
    """
    makefile = folder / "Makefile"
    text = makefile.read_text() if makefile.is_file() else ""
    name = re.search(r"^NAME := (\w+)$", text, re.MULTILINE)
    if name is None:
        raise StageError(
            f"{makefile} is not that of an emulator: write one with write_emulator"
        )
    for tool in ("make", os.environ.get("CXX", "g++")):
        if shutil.which(tool) is None:
            remedy = TOOLS["g++"].remedy if tool != "make" else "apt install make"
            raise ToolError(f"{tool} was not found: it compiles the emulator: {remedy}")
    command = ["make", "-s", "-j3", "-C", str(folder)]
    command += [] if arch is None else [f"ARCH={arch}"]
    command += [] if ap_types is None else [f"AP_TYPES={ap_types.resolve()}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "rror" in line]
        reason = lines[0] if lines else done.stderr.strip()[-200:] or "no output"
        raise ToolError(f"compiling the emulator in {folder} failed: {reason}")
    return folder / f"{name[1]}.so"


@dataclass(frozen=True)
class EmulatedTensor:
    """A tensor or an input, as the library tells of it.

    Attributes:
        name: As in the network.
        shape: Of one sample.
        words: 64-bit words of one integer.
        scale: What one integer is worth.
    """

    name: str
    shape: tuple[int, ...]
    words: int = 1
    scale: Fraction = Fraction(1)


class _Described(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("size", ctypes.c_size_t),
        ("rank", ctypes.c_size_t),
        ("shape", ctypes.POINTER(ctypes.c_size_t)),
    )


class _DescribedTensor(ctypes.Structure):
    _fields_ = (
        *_Described._fields_,
        ("words", ctypes.c_size_t),
        ("numerator", ctypes.c_char_p),
        ("denominator", ctypes.c_char_p),
        ("scale", ctypes.c_double),
    )


class Emulator:
    """A compiled emulator.

    Attributes:
        name: Of the library.
        version: Of the network.
        inputs: The real inputs, in order.
        tensors: All named tensors, in order.
        outputs: The names of the outputs, in order.
    """

    def __init__(self, library: Path) -> None:
        try:
            self._library = _opened(library)
            self.name = library.stem
            version = self._library[f"{self.name}_version"]
        except (OSError, AttributeError) as error:
            raise ToolError(
                f"cannot load the emulator {library}: {error}: make it with "
                "compile_emulator, and keep its name"
            ) from error
        version.restype = ctypes.c_char_p
        self.version: str = version().decode()
        self.inputs = [_input(d) for d in self._described("get_input", _Described)]
        described = self._described("get_tensor", _DescribedTensor)
        self.tensors = [_tensor(d) for d in described]
        made = self._described("get_output", _DescribedTensor)
        self.outputs = [_tensor(d).name for d in made]

    def predict(self, x: Inputs, *, threads: int | None = None) -> dict[str, IntArray]:
        """Compute the outputs.

        Args:
            x: Real values, shape (samples, *input shape); with several inputs, by name.
            threads: Default: as many as cores.

        Returns:
            Output name → integers, shape (samples, *output shape): int64, or Python
            integers where int64 is too short.
        """
        named = {tensor.name: tensor for tensor in self.tensors}
        wanted = [named[name] for name in self.outputs]
        return self._run("predict", wanted, x, threads)

    def trace(self, x: Inputs, *, threads: int | None = None) -> dict[str, IntArray]:
        """Compute every named tensor.

        Args:
            x: Real values, shape (samples, *input shape); with several inputs, by name.
            threads: Default: as many as cores.

        Returns:
            Tensor name → integers, shape (samples, *tensor shape): int64, or Python
            integers where int64 is too short.
        """
        return self._run("trace", self.tensors, x, threads)

    def _described(self, function: str, kind: type[ctypes.Structure]) -> list[Any]:
        get = self._library[f"{self.name}_{function}"]
        get.restype, get.argtypes = ctypes.POINTER(kind), [ctypes.c_size_t]
        found: list[Any] = []
        while pointer := get(len(found)):
            found.append(pointer.contents)
        return found

    def _run(
        self,
        function: str,
        wanted: Sequence[EmulatedTensor],
        x: Inputs,
        threads: int | None,
    ) -> dict[str, IntArray]:
        arrays, samples = self._inputs(x)
        double = arrays[0].dtype == np.float64
        call = self._library[f"{self.name}_{function}{'_double' if double else ''}"]
        made = [
            np.empty((samples, int(np.prod(t.shape)), t.words), dtype=np.int64)
            for t in wanted
        ]

        def work(start: int) -> None:
            parts = [[a[start:] for a in group] for group in (arrays, made)]
            error = _call(call, parts, min(_CHUNK, samples - start))
            if error:
                self._require_finite(arrays)
                raise DataError(error)

        starts = range(0, samples, _CHUNK)
        workers = min(len(starts), threads or len(os.sched_getaffinity(0)))
        if workers <= 1:
            for start in starts:
                work(start)
        else:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(work, starts))
        return {
            t.name: _integers(array).reshape(samples, *t.shape)
            for t, array in zip(wanted, made, strict=True)
        }

    def _require_finite(self, arrays: list[NDArray[Any]]) -> None:
        """Name the first value of the whole batch that is not a finite number."""
        for wanted, array in zip(self.inputs, arrays, strict=True):
            require_finite(wanted.name, array)

    def _inputs(self, x: Inputs) -> tuple[list[NDArray[Any]], int]:
        given, samples = read_inputs(self.inputs, x)
        arrays = [given[wanted.name] for wanted in self.inputs]
        same = {array.dtype for array in arrays}
        kind = np.dtype(np.float32) if same == {np.dtype("f4")} else np.dtype("f8")
        return [np.ascontiguousarray(a, dtype=kind) for a in arrays], samples


def _opened(library: Path) -> ctypes.CDLL:
    """Open a library under a name of its own."""
    # A name that is open already is not read again, though its file may be another.
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / library.name
        link.symlink_to(library.resolve())
        return ctypes.CDLL(str(link))


def _call(function: Any, groups: list[list[NDArray[Any]]], samples: int) -> str:
    """Call the library and give its error text, empty if there is none."""
    error = ctypes.create_string_buffer(_ERROR_LENGTH)
    pointers = [
        (ctypes.c_void_p * len(group))(*(a.ctypes.data for a in group))
        for group in groups
    ]
    failed = function(
        pointers[0],
        ctypes.c_size_t(samples),
        pointers[1],
        error,
        ctypes.c_size_t(_ERROR_LENGTH),
    )
    return error.value.decode(errors="replace") if failed else ""


def _integers(words: NDArray[np.int64]) -> IntArray:
    """Join the words of each integer: (samples, size, words) → (samples, size)."""
    if words.shape[-1] == 1:
        return words[..., 0]
    low, high = words[..., 0].view(np.uint64), words[..., 1]
    return np.asarray(high.astype(object) * 2**64 + low.astype(object), dtype=object)


def _input(described: Any) -> EmulatedTensor:
    shape = tuple(described.shape[: described.rank])
    return EmulatedTensor(described.name.decode(), shape)


def _tensor(described: Any) -> EmulatedTensor:
    scale = Fraction(int(described.numerator), int(described.denominator))
    shape = tuple(described.shape[: described.rank])
    return EmulatedTensor(described.name.decode(), shape, described.words, scale)
