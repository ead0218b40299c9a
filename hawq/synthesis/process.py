"""Run long tools: stream what they print, keep a log, end them at their limits."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hawq.errors import ToolError

Line = Callable[[str], None]
"""Takes a line that a tool printed."""

_POLL_S = 0.2

_ERROR = re.compile(
    r"^(?:%?(?:ERROR|Error|FATAL)\b.*|\S+:\d+:(?:\d+:)? (?:fatal )?[Ee]rror: .*|"
    r"make(?:\[\d+\])?: \*\*\* .*|[\w.]*(?:Error|Exception|Trap)\b: .*|"
    r"(?:Segmentation fault|Killed|.*[Oo]ut of memory|Abnormal program termination|"
    r"terminate called|.*Assertion .*failed|.*std::bad_alloc).*)$",
    re.MULTILINE,
)


def first_error(text: str) -> str | None:
    """Find the first error of a log; later ones mostly follow from it.

    Args:
        text: The log.

    Returns:
        The line, or None.
    """
    found = _ERROR.search(text)
    return found[0].strip() if found else None


def run_tool(
    command: Sequence[str],
    log: Path,
    *,
    cwd: Path,
    seconds: float,
    memory_gib: float | None = None,
    environment: Mapping[str, str] | None = None,
    on_line: Line | None = None,
    name: str | None = None,
) -> float:
    """Run a tool to its end; anything but success is one error.

    Args:
        command: Program and arguments, not a shell's line.
        log: Gets all it prints; what stood there is replaced.
        cwd: Where it runs.
        seconds: After these it and all it started are ended.
        memory_gib: Limit on what it and all it started hold; None is no limit. It is
            watched where there is ``/proc``.
        environment: All its variables; None takes those of this process.
        on_line: Called for each line it prints.
        name: What errors call it; None takes the program's name.

    Returns:
        Seconds that it took.

    Raises:
        ToolError: if it does not start, fails, or exceeds a limit; the message has the
            line of the log that matters, and the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    limits = Limits(seconds, memory_gib)
    called = name or Path(command[0]).name
    start = time.perf_counter()
    status = stream(command, log, cwd, limits, on_line, environment, called)
    if status:
        raise ToolError(f"{called} failed: {_why(log, status)}; its log is {log}")
    return time.perf_counter() - start


def _why(log: Path, status: int) -> str:
    text = log.read_text(encoding="utf-8", errors="replace")
    if line := first_error(text):
        return line.removesuffix(".")
    ended = f"exit status {status}"
    if status < 0:
        ended = f"ended by {signal.Signals(-status).name}"
        if status == -signal.SIGKILL:
            ended += ", as the system does when memory runs out"
    last = next((x for x in reversed(text.splitlines()) if x.strip()), None)
    said = "it printed nothing" if last is None else f"last it said {last.strip()!r}"
    return f"{ended}, {said}"


@dataclass(frozen=True)
class Limits:
    """What a tool may take.

    Attributes:
        seconds: On the clock.
        memory_gib: Resident, with all it started; None is no limit.
    """

    seconds: float
    memory_gib: float | None = None


def stream(
    command: Sequence[str],
    log: Path,
    cwd: Path,
    limits: Limits,
    on_line: Line | None = None,
    environment: Mapping[str, str] | None = None,
    name: str | None = None,
) -> int:
    """Run a command in a process group of its own, within limits.

    Args:
        command: Program and arguments.
        log: Gets all it prints, appended.
        cwd: Where it runs.
        limits: After which it and all it started are ended.
        on_line: Called for each line it prints.
        environment: All its variables; None takes those of this process.
        name: What errors call it; None takes the program.

    Returns:
        Its exit status; negative for a signal.

    Raises:
        ToolError: if the program does not start, or exceeds a limit.
    """
    called = name or command[0]
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"{called} does not start: {error}") from error
    watch = _Watch(process, limits)
    watch.start()
    try:
        with process, log.open("a", buffering=1, encoding="utf-8") as kept:
            assert process.stdout is not None
            for printed in process.stdout:
                kept.write(printed)
                if on_line is not None:
                    on_line(printed.rstrip())
    except BaseException:
        watch.stop()
        process.wait()
        raise
    watch.stop()
    if watch.exceeded:
        raise ToolError(
            f"{called} was ended after {watch.exceeded} limit: raise it or make the "
            f"design smaller; what it printed is in {log}"
        )
    return process.returncode


class _Watch(threading.Thread):
    """Ends a command that exceeds a limit, and whatever it leaves behind."""

    def __init__(self, process: subprocess.Popen[str], limits: Limits) -> None:
        super().__init__(daemon=True)
        self._process, self._limits = process, limits
        self._over = threading.Event()
        self.exceeded = ""

    def run(self) -> None:
        end = time.monotonic() + self._limits.seconds
        while not self._over.wait(min(_POLL_S, max(0, end - time.monotonic()))):
            if time.monotonic() >= end:
                self.exceeded = f"{self._limits.seconds:g} s, the time"
            elif (limit := self._limits.memory_gib) is not None:
                held = _resident_bytes(self._process.pid) / 2**30
                if held > limit:
                    self.exceeded = f"taking {held:.3g} of {limit:g} GiB, the memory"
            if self.exceeded:
                self._kill()
                return

    def stop(self) -> None:
        self._over.set()
        self.join()
        self._kill()

    def _kill(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return  # all of it has ended


def _resident_bytes(group: int) -> int:
    """Add up what the processes of a group hold; 0 without ``/proc``."""
    page, total = os.sysconf("SC_PAGE_SIZE"), 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if int(fields[2]) == group:
            total += int(fields[21]) * page
    return total
