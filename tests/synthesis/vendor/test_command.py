from __future__ import annotations

import time
from pathlib import Path

import pytest

from hawq.errors import ToolError
from hawq.synthesis.vendor.command import run_command


def shell(script: str, folder: Path, limit_s: float = 30) -> tuple[int, list[str]]:
    lines: list[str] = []
    command = ("sh", "-c", script)
    status = run_command(command, folder, folder / "log", limit_s, lines.append)
    return status, lines


def test_lines_are_streamed_and_kept(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("earlier\n")
    status, lines = shell("pwd; echo wrong >&2; exit 3", tmp_path)
    assert (status, lines) == (3, [str(tmp_path), "wrong"])
    assert (tmp_path / "log").read_text() == f"earlier\n{tmp_path}\nwrong\n"


def test_the_time_limit_ends_the_children_too(tmp_path: Path) -> None:
    began = time.monotonic()
    message = (
        r"^sh was ended after 0\.5 s, the time limit: raise it or make the design "
        r"smaller; what it printed is in .*/log$"
    )
    with pytest.raises(ToolError, match=message):
        shell("echo begun; sleep 60 & wait", tmp_path, limit_s=0.5)
    assert time.monotonic() - began < 30
    assert (tmp_path / "log").read_text() == "begun\n"


def test_a_program_that_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"^/none/tool does not start: .*No such file"):
        run_command(("/none/tool",), tmp_path, tmp_path / "log", 1, print)


def test_an_error_in_the_listener_ends_the_command(tmp_path: Path) -> None:
    def stop(line: str) -> None:
        raise KeyboardInterrupt(line)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_command(
            ("sh", "-c", "echo a; sleep 60"), tmp_path, tmp_path / "log", 90, stop
        )
    assert time.monotonic() - began < 30
