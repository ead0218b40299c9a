from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from hawq.errors import ToolError
from hawq.synthesis.process import first_error, run_tool


def shell(
    script: str, folder: Path, seconds: float = 30, memory_gib: float | None = None
) -> list[str]:
    lines: list[str] = []
    run_tool(
        ("sh", "-c", script),
        folder / "logs" / "tool.log",
        cwd=folder,
        seconds=seconds,
        memory_gib=memory_gib,
        on_line=lines.append,
    )
    return lines


def test_lines_are_streamed_and_the_log_is_new(tmp_path: Path) -> None:
    shell("echo earlier", tmp_path)
    assert shell("pwd; echo wrong >&2", tmp_path) == [str(tmp_path), "wrong"]
    kept = (tmp_path / "logs" / "tool.log").read_text()
    assert kept == f"{tmp_path}\nwrong\n"


def test_seconds_and_the_environment(tmp_path: Path) -> None:
    lines: list[str] = []
    took = run_tool(
        ("/bin/sh", "-c", "sleep 0.2; echo $HAWQ_X$HOME"),
        tmp_path / "log",
        cwd=tmp_path,
        seconds=30,
        environment={"HAWQ_X": "only"},
        on_line=lines.append,
    )
    assert lines == ["only"]
    assert 0.2 <= took < 30


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo a; echo ERROR: no module; echo ERROR: b; exit 1", r"ERROR: no module"),
        ("echo a; exit 3", r"exit status 3, last it said 'a'"),
        ("exit 3", r"exit status 3, it printed nothing"),
        (
            "kill -9 $$",
            r"ended by SIGKILL, as the system does when memory runs out, it printed "
            r"nothing",
        ),
        ("echo a; kill -11 $$", r"ended by SIGSEGV, last it said 'a'"),
    ],
)
def test_a_failure_is_one_error(script: str, reason: str, tmp_path: Path) -> None:
    message = rf"^sh failed: {reason}; its log is .*/logs/tool\.log$"
    with pytest.raises(ToolError, match=message):
        shell(script, tmp_path)


def test_the_time_limit_ends_the_children_too(tmp_path: Path) -> None:
    began = time.monotonic()
    message = (
        r"^sh was ended after 0\.5 s, the time limit: raise it or make the design "
        r"smaller; what it printed is in .*/logs/tool\.log$"
    )
    with pytest.raises(ToolError, match=message):
        shell("sleep 60 & echo $! > child; wait", tmp_path, seconds=0.5)
    assert time.monotonic() - began < 30
    _gone(int((tmp_path / "child").read_text()))


def test_the_memory_limit_counts_children(tmp_path: Path) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("memory is watched where there is /proc")
    hold = f"{sys.executable} -c 'x = bytearray(300 << 20); input()'"
    message = (
        r"^sh was ended after taking \S+ of 0\.2 GiB, the memory limit: raise it or "
        r"make the design smaller; what it printed is in .*/logs/tool\.log$"
    )
    with pytest.raises(ToolError, match=message):
        shell(f"sleep 60 | {hold}", tmp_path, memory_gib=0.2)


def test_what_a_tool_leaves_running_is_ended(tmp_path: Path) -> None:
    shell("sleep 60 >/dev/null 2>&1 & echo $! > child", tmp_path)
    _gone(int((tmp_path / "child").read_text()))


def _gone(process: int) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        state = Path(f"/proc/{process}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    os.kill(process, 9)
    pytest.fail(f"process {process} still runs")


@pytest.mark.parametrize(
    "line",
    [
        "ERROR: Module `\\a' is not part of the design.",
        "%Error: network.v:3:1: syntax error",
        "network.cpp:3:9: error: expected ';'",
        "make: *** [all] Error 2",
        "RuntimeError: unreachable",
        "Error: cells.lib line 3, syntax error",
        "Killed",
    ],
)
def test_the_line_that_matters(line: str) -> None:
    assert first_error(f"Info: no ERROR: here\n{line}\nERROR: later\n") == line


def test_logs_without_an_error() -> None:
    assert first_error("Warning: x\n0 errors\n") is None
