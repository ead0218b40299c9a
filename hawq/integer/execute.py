"""The golden executor: run an integer graph on many samples, integer by integer.

``hawq.integer.executor.plan`` chooses number types that bounds prove exact; this module
feeds the plan with cache-sized chunks, one thread a core.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from hawq.fixed import IntArray
from hawq.integer.executor.plan import CARRIERS, Plan, compile_plan
from hawq.integer.executor.steps import QuantizeStep, Workspace
from hawq.integer.graph import Graph
from hawq.integer.nodes import Conv
from hawq.integer.samples import Inputs, read_inputs, require_finite

_CHUNK_BYTES = 1 << 21
_MOST_BYTES = 1 << 29
"""Buffers of all threads together; one thread may have more."""

_CHUNK_SAMPLES = (1, 4096)


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
    real, samples = read_inputs(graph.inputs, x)
    plan = _plan(graph, tuple(keep), tuple(carriers))
    out = {name: _empty(graph, name, samples) for name in keep}
    size = int(np.clip(_CHUNK_BYTES // max(1, plan.bytes_per_sample), *_CHUNK_SAMPLES))
    starts = range(0, samples, size)
    room = max(1, _MOST_BYTES // max(1, size * plan.bytes_per_sample))
    workers = min(len(starts), threads or len(os.sched_getaffinity(0)), room)
    queue = iter(starts)  # shared: a thread that is held up holds up no other

    def work(_: int) -> None:
        _run_chunks(plan, real, out, queue, size)

    with _blas().limit(limits=1, user_api="blas"), _images(plan, workers):
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
            require_finite(name, x, start)
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


def _empty(graph: Graph, name: str, samples: int) -> IntArray:
    tensor = graph.tensors[name]
    fits = tensor.low >= -(2**63) and tensor.high < 2**63
    return np.empty((samples, *tensor.shape), dtype=np.int64 if fits else object)


@functools.lru_cache(maxsize=16)
def _plan(graph: Graph, keep: tuple[str, ...], carriers: tuple[str, ...]) -> Plan:
    plan = compile_plan(graph, keep, carriers)
    if 2 * plan.bytes_per_sample <= _CHUNK_BYTES or "float32" not in carriers:
        return plan
    if not any(isinstance(node, Conv) for node in graph.nodes):
        return plan
    return compile_plan(graph, keep, carriers, images=True)


@contextmanager
def _images(plan: Plan, workers: int) -> Iterator[None]:
    if not plan.images:
        yield
        return
    from hawq.integer.executor.images import exact

    with exact(1 if workers > 1 else None):
        yield


@functools.cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()
