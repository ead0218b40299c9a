from __future__ import annotations

import builtins
import math
import multiprocessing
import operator
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor

import numpy as np
import pytest
import torch
from numpy.random import SeedSequence, default_rng
from threadpoolctl import threadpool_info

from hawq.compute import executor, map_progress
from hawq.errors import InputError, ToolError


@pytest.fixture(scope="module")
def scheduler(require: Callable[..., None]) -> Iterator[str]:
    require("distributed")
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    naps = [0.05, 0.0, 0.02, 0.0]
    with executor(workers) as pool:
        list(map_progress(pool, time.sleep, naps))
        assert list(map_progress(pool, math.factorial, range(9))) == [
            math.factorial(n) for n in range(9)
        ]


def test_results_do_not_depend_on_the_number_of_workers() -> None:
    found = []
    for workers in (1, 2, 4):
        with executor(workers) as pool:
            seeds = SeedSequence(7).spawn(6)
            rngs = list(map_progress(pool, default_rng, seeds))
            found.append([rng.standard_normal(1000).tobytes() for rng in rngs])
    assert found[0] == found[1] == found[2]


def test_float_sums_do_not_depend_on_the_number_of_workers() -> None:
    matrices = list(default_rng(1).standard_normal((2, 300, 300)))
    found = []
    for workers in (1, 2):
        with executor(workers) as pool:
            inverses = map_progress(pool, np.linalg.inv, matrices)
            found.append([inverse.tobytes() for inverse in inverses])
    assert found[0] == found[1]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_use_one_thread(workers: int) -> None:
    before = torch.get_num_threads()
    with executor(workers) as pool:
        assert pool.submit(torch.get_num_threads).result() == 1
        pools = pool.submit(threadpool_info).result()
        assert {library["num_threads"] for library in pools} == {1}
    assert torch.get_num_threads() == before


def test_results_on_a_cluster(scheduler: str) -> None:
    with executor(4, scheduler) as pool:
        results = list(map_progress(pool, math.factorial, range(9)))
    assert results == [math.factorial(n) for n in range(9)]


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_reaches_one(workers: int) -> None:
    told: list[tuple[str, float]] = []
    with executor(workers) as pool:
        list(
            map_progress(
                pool,
                math.sqrt,
                [1.0] * 5,
                lambda what, done: told.append((what, done)),
                "roots",
                ahead=2,
            )
        )
    assert told == [("roots", n / 5) for n in (1, 2, 3, 4, 5)]


def test_no_items() -> None:
    with executor(1) as pool:
        assert list(map_progress(pool, math.sqrt, [])) == []


def test_memory_is_bounded_by_what_is_ahead() -> None:
    with executor(1) as pool:
        submitted = []
        results = map_progress(_Counted(pool, submitted), math.sqrt, [1.0] * 9, ahead=3)
        next(results)
        assert len(submitted) == 3


class _Counted(Executor):
    def __init__(self, pool: Executor, submitted: list[object]) -> None:
        self.pool, self.submitted = pool, submitted

    def submit(self, fn, /, *args, **kwargs):
        self.submitted.append(args)
        return self.pool.submit(fn, *args, **kwargs)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_an_item_arrives(workers: int) -> None:
    with (
        pytest.raises(ValueError, match="math domain error"),
        executor(workers) as pool,
    ):
        list(map_progress(pool, math.sqrt, [1.0, -1.0, 2.0]))


def _fail_while_others_work(pool: Executor) -> None:
    pool.submit(time.sleep, 60)
    pool.submit(operator.truediv, 1, 0).result()


def test_an_error_ends_the_worker_processes() -> None:
    start = time.monotonic()
    with pytest.raises(ZeroDivisionError), executor(2) as pool:
        _fail_while_others_work(pool)
    assert multiprocessing.active_children() == []
    assert time.monotonic() - start < 30


def test_ctrl_c_ends_the_worker_processes_quietly() -> None:
    script = (
        "import time; from hawq.compute import *\n"
        "if __name__ == '__main__':\n"
        "    with executor(2) as pool:\n"
        "        print(*map_progress(pool, time.sleep, [1, 1]), flush=True)\n"
        "        list(map_progress(pool, time.sleep, [60, 60]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "None None\n"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, error = process.communicate(timeout=30)
    assert error.splitlines()[-1] == "KeyboardInterrupt"
    assert error.count("Traceback") == 1


def test_no_workers() -> None:
    with pytest.raises(InputError, match=r"^workers: expected 1 or more, got 0$"):
        executor(0)


def test_a_cluster_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, require: Callable[..., None]
) -> None:
    require("distributed")
    monkeypatch.setattr("hawq.compute.CONNECT_SECONDS", 0.2)
    message = (
        r"^no Dask scheduler answers at tcp://127\.0\.0\.1:9 within 0\.2 s \(.*\): "
        r"start one with `dask scheduler`$"
    )
    with pytest.raises(ToolError, match=message), executor(1, "tcp://127.0.0.1:9"):
        pass


def test_an_address_that_is_none(require: Callable[..., None]) -> None:
    require("distributed")
    with (
        pytest.raises(ToolError, match=r"^no Dask scheduler answers at nowhere://x "),
        executor(1, "nowhere://x"),
    ):
        pass


def test_without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *args, **kwargs):
        if name == "distributed":
            raise ModuleNotFoundError(name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    message = re.escape(
        "--cluster tcp://x:1 needs Dask, which is not installed: "
        "pip install 'hawq[cluster]'"
    )
    with pytest.raises(ToolError, match=f"^{message}$"), executor(1, "tcp://x:1"):
        pass
