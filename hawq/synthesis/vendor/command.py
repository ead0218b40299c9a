"""How vendor tools are run: here, or as tests and other schedulers do it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from hawq.synthesis.process import Limits, Line, stream


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
        limit_s: Seconds after which it and its children are ended; more is a
            ToolError, as is a program that does not start.
        line: Called for each line it prints.

    Returns:
        Its exit status.
    """
    return stream(command, log, folder, Limits(limit_s), line)
