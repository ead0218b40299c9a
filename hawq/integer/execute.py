"""The golden executor: run an integer graph on many samples, integer by integer.

``hawq.integer.plan`` chooses number types that bounds prove exact; this module feeds
the plan with cache-sized chunks, one thread a core.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import ThreadpoolController

from hawq.errors import DataError
from hawq.fixed import IntArray
from hawq.integer.graph import Graph
from hawq.integer.plan import CARRIERS, Plan, compile_plan
from hawq.integer.steps import QuantizeStep, Workspace
from hawq.integer.tensor import RealInput

_CHUNK_BYTES = 1 << 21
_MOST_BYTES = 1 << 29
"""Buffers of all threads together; one thread may have more."""

_CHUNK_SAMPLES = (1, 4096)

Inputs = ArrayLike | Mapping[str, ArrayLike]


def run(graph: Graph, x: Inputs, *, threads: int | None = None) -> dict[str, IntArray]:
    """Compute the outputs.

    Args:
        graph: The graph.
        x: Real values, shape (samples, *input shape); with several inputs, by name.
        threads: Default: as many as cores.

    Returns:
        Output name → integers, shape (samples, *output shape): int64, or Python
        integers where int64 is too short.
    """
    return execute(graph, x, graph.outputs, threads=threads)


def trace(
    graph: Graph, x: Inputs, *, threads: int | None = None
) -> dict[str, IntArray]:
    """Compute every named tensor.

    Args:
        graph: The graph.
        x: Real values, shape (samples, *input shape); with several inputs, by name.
        threads: Default: as many as cores.

    Returns:
        Tensor name → integers, shape (samples, *tensor shape): int64, or Python
        integers where int64 is too short.
    """
    return execute(graph, x, tuple(graph.tensors), threads=threads)


def execute(
    graph: Graph,
    x: Inputs,
    keep: Sequence[str],
    *,
    threads: int | None = None,
    carriers: Sequence[str] = CARRIERS,
) -> dict[str, IntArray]:
    """Compute the tensors asked for.

    Args:
        graph: The graph.
        x: Real values, shape (samples, *input shape); with several inputs, by name.
        keep: Names of tensors.
        threads: Default: as many as cores.
        carriers: Number types that may be used, of ``CARRIERS``.

    Returns:
        Tensor name → integers, shape (samples, *tensor shape): int64, or Python
        integers where int64 is too short.
    """
    real, samples = _inputs(graph.inputs, x)
    plan = _plan(graph, tuple(keep), tuple(carriers))
    out = {name: _empty(graph, name, samples) for name in keep}
    size = int(np.clip(_CHUNK_BYTES // max(1, plan.bytes_per_sample), *_CHUNK_SAMPLES))
    starts = range(0, samples, size)
    room = max(1, _MOST_BYTES // max(1, size * plan.bytes_per_sample))
    workers = min(len(starts), threads or len(os.sched_getaffinity(0)), room)
    queue = iter(starts)  # shared: a thread that is held up holds up no other

    def work(_: int) -> None:
        _run_chunks(plan, real, out, queue, size)

    with _blas().limit(limits=1, user_api="blas"):
        if workers <= 1:
            work(0) if workers else None
        else:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(work, range(workers)))
    return out


def _run_chunks(
    plan: Plan,
    real: Mapping[str, NDArray[Any]],
    out: Mapping[str, IntArray],
    starts: Iterator[int],
    size: int,
) -> None:
    work: Workspace | None = None
    for start in starts:
        chunk = {name: x[start : start + size] for name, x in real.items()}
        for name, x in chunk.items():
            _require_finite(name, x, start)
        samples = len(next(iter(chunk.values())))
        if work is None or work.samples != samples:
            work = Workspace(plan.slots, samples)
        with np.errstate(over="ignore", under="ignore"):  # saturates, rounds to zero
            for step in plan.steps:
                if isinstance(step, QuantizeStep):
                    step.run(chunk[step.source], work)
                else:
                    step.run(work)
        for name in plan.keep:
            done = out[name][start : start + size]
            np.copyto(done, work.integers(name), casting="unsafe")


def _inputs(
    wanted: Sequence[RealInput], x: Inputs
) -> tuple[dict[str, NDArray[Any]], int]:
    given = x if isinstance(x, Mapping) else {wanted[0].name: x}
    arrays = {i.name: _input(i, given) for i in wanted}
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise DataError(f"inputs with different numbers of samples: {counts}")
    return arrays, next(iter(counts.values()))


def _input(wanted: RealInput, given: Mapping[str, ArrayLike]) -> NDArray[Any]:
    if wanted.name not in given:
        raise DataError(
            f"no data for input {wanted.name!r}, got data for: "
            + (", ".join(given) or "none")
        )
    array = np.asarray(given[wanted.name])
    if array.shape[1:] != wanted.shape or array.ndim == 0:
        expected = ", ".join(["samples", *map(str, wanted.shape)])
        raise DataError(
            f"input {wanted.name!r} got shape {array.shape}, expected ({expected})"
        )
    if array.dtype in (np.float32, np.float64):
        return array
    if array.dtype.kind in "fiub":
        real = array.astype(np.float64)
        if (real.astype(array.dtype) == array).all() or np.isnan(real).any():
            return real
    raise DataError(
        f"input {wanted.name!r} has type {array.dtype}, expected real numbers that "
        "float64 holds exactly"
    )


def _require_finite(name: str, chunk: NDArray[Any], start: int) -> None:
    finite = np.isfinite(chunk)
    if not finite.all():
        sample, *index = (int(i) for i in np.argwhere(~finite)[0])
        raise DataError(
            f"input {name!r}: NaN or infinity in sample {start + sample} at index "
            f"{tuple(index)}: clean the data first"
        )


def _empty(graph: Graph, name: str, samples: int) -> IntArray:
    tensor = graph.tensors[name]
    fits = tensor.low >= -(2**63) and tensor.high < 2**63
    return np.empty((samples, *tensor.shape), dtype=np.int64 if fits else object)


@functools.lru_cache(maxsize=16)
def _plan(graph: Graph, keep: tuple[str, ...], carriers: tuple[str, ...]) -> Plan:
    return compile_plan(graph, keep, carriers)


@functools.cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()
