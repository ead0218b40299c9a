"""Where work that splits is done: processes on this machine, or a Dask cluster.

Results do not depend on the number of workers: every item of work carries its own seed,
every worker computes with one thread, and results come back in the order of the items.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from hawq.errors import InputError, ToolError
from hawq.stage import Progress, silent

Item = TypeVar("Item")
Result = TypeVar("Result")

CONNECT_SECONDS = 10
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def executor(
    workers: int, cluster: str | None = None
) -> AbstractContextManager[Executor]:
    """Open a standard executor for work that splits.

    Functions and arguments are pickled: the function must be importable by name. An
    error or Ctrl-C inside the ``with`` block cancels what has not started and ends the
    worker processes.

    Args:
        workers: Processes on this machine, at least 1; one worker is a thread of this
            process. Not used with ``cluster``, whose size its owner chose.
        cluster: Address of a Dask scheduler (``tcp://host:8786``), or None.

    Returns:
        A context manager that gives a ``concurrent.futures.Executor``.

    Raises:
        InputError: if ``workers`` is not positive.
    """
    if workers < 1:
        raise InputError(f"workers: expected 1 or more, got {workers}")
    if cluster is not None:
        return _cluster(cluster)
    return _thread() if workers == 1 else _processes(workers)


def map_progress(
    pool: Executor,
    function: Callable[[Item], Result],
    items: Sequence[Item],
    progress: Progress = silent,
    what: str = "",
    ahead: int = 64,
) -> Iterator[Result]:
    """Apply a function to items, giving results in the order of the items.

    Args:
        pool: Where the work is done.
        function: Importable by name.
        items: One call each.
        progress: Told ``what`` and the fraction done after each result.
        what: Passed to ``progress``.
        ahead: Items submitted before the oldest result is taken; bounds the memory.

    Yields:
        The results, as soon as all earlier ones are there.
    """
    pending: deque[Future[Result]] = deque()
    done = 0
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) >= ahead:
            yield pending.popleft().result()
            done += 1
            progress(what, done / len(items))
    while pending:
        yield pending.popleft().result()
        done += 1
        progress(what, done / len(items))


@contextmanager
def _thread() -> Iterator[Executor]:
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 0
    pool = ThreadPoolExecutor(1, initializer=_limit_torch)
    try:
        with threadpool_limits(limits=1):
            yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        if torch:
            torch.set_num_threads(threads)


def _limit_torch() -> None:
    """Give the calling thread one torch thread; OpenMP counts threads per thread."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@contextmanager
def _processes(workers: int) -> Iterator[Executor]:
    # A forked copy of a process with running threads (torch starts some) can deadlock.
    context = multiprocessing.get_context("forkserver")
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
            child.join()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and use one thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = "1"
    _limit_torch()


@contextmanager
def _cluster(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise ToolError(
            f"--cluster {address} needs Dask, which is not installed: "
            "pip install 'hawq[cluster]'"
        ) from error
    try:
        client = Client(address, timeout=CONNECT_SECONDS)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise ToolError(
            f"no Dask scheduler answers at {address} within {CONNECT_SECONDS} s "
            f"({error}): start one with `dask scheduler`"
        ) from error
    pool = client.get_executor()  # type: ignore[no-untyped-call]
    with client, pool:
        yield pool
