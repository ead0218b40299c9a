"""Why a vendor tool failed: the line of the log that matters, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from hawq.synthesis.process import first_error

_REMEDIES = (
    (
        r"[Pp]art '?(?P<part>[\w-]+)'? is not (installed|supported)|"
        r"[Ss]pecified part could not be found|No parts matched",
        "the part is not installed: add its family with the tool's installer (Add "
        "Design Tools or Devices), or choose a part that set_part knows",
    ),
    (
        r"[Vv]alid license was not found|[Ll]icen[cs]e",
        "no licence for this tool or device: set XILINXD_LICENSE_FILE, or choose a "
        "part of the free edition",
    ),
    (
        r"[Oo]ut of memory|Killed|std::bad_alloc",
        "the machine ran out of memory: raise the reuse factor, or run on a larger "
        "host",
    ),
    (
        r"Pre-synthesis failed|[Cc]ompilation error|error: ",
        "the C++ does not compile with this version of the tool",
    ),
)
"""What a message means, in the order they are tried."""


def remedy(line: str) -> str:
    """Say what an error means and what to do; empty if it is none of the known ones.

    Args:
        line: The error.

    Returns:
        A phrase that begins with a colon, or nothing.
    """
    for pattern, advice in _REMEDIES:
        if re.search(pattern, line):
            return f": {advice}"
    return ""


def explain(logs: Iterable[Path]) -> str | None:
    """Find the first error in the first log that has one.

    Args:
        logs: In the order of the steps.

    Returns:
        The error with its log and a remedy, or None.
    """
    for log in logs:
        if line := first_error(log.read_text(encoding="utf-8", errors="replace")):
            return f"{log.name}: {line!r}{remedy(line)}"
    return None
