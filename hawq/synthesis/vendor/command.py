"""Run a long command: stream what it prints, keep its log, end it in time."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from hawq.errors import ToolError

Line = Callable[[str], None]
"""Takes a line that the command printed."""


class Runner(Protocol):
    """Runs a command; tests and other schedulers bring their own."""

    def __call__(
        self,
        command: Sequence[str],
        folder: Path,
        log: Path,
        limit_s: float,
        line: Line,
    ) -> int:
        """Run a command to its end.

        Args:
            command: Program and arguments, not a shell's line.
            folder: Where it runs.
            log: Gets all it prints, appended.
            limit_s: Seconds after which it is ended.
            line: Called for each line it prints.

        Returns:
            Its exit status.
        """
        ...


def run_command(
    command: Sequence[str], folder: Path, log: Path, limit_s: float, line: Line
) -> int:
    """Run a command here, in a process group of its own.

    Args:
        command: Program and arguments.
        folder: Where it runs.
        log: Gets all it prints, appended.
        limit_s: Seconds after which it and its children are ended.
        line: Called for each line it prints.

    Returns:
        Its exit status.

    Raises:
        ToolError: if the program does not start, or the time is over.
    """
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"{command[0]} does not start: {error}") from error
    over = threading.Event()

    def end() -> None:
        over.set()
        _kill(process)

    timer = threading.Timer(limit_s, end)
    timer.start()
    try:
        with process, log.open("a") as kept:
            assert process.stdout is not None
            for printed in process.stdout:
                kept.write(printed)
                line(printed.rstrip())
    except BaseException:
        _kill(process)
        process.wait()
        raise
    finally:
        timer.cancel()
    if over.is_set():
        raise ToolError(
            f"{command[0]} was ended after {limit_s:g} s, the time limit: raise "
            f"limit_s or make the design smaller; what it printed is in {log}"
        )
    return process.returncode


def _kill(process: subprocess.Popen[str]) -> None:
    """End the command and what it started; it may have ended meanwhile."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
