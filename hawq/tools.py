"""External programs: which there are, what for, and how to get them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

from hawq.errors import ToolError


@dataclass(frozen=True)
class Tool:
    """An external program.

    Attributes:
        purpose: What hawq does with it.
        remedy: How to get it.
        version_flag: Makes it print its version.
    """

    purpose: str
    remedy: str
    version_flag: str = "--version"


TOOLS = {
    "g++": Tool(
        "compiles the HLS code for C-simulation",
        "apt install g++, dnf install gcc-c++ or conda install gxx",
    ),
    "make": Tool("builds emulators and simulators", "apt install make"),
    "perl": Tool("runs Verilator", "apt install perl", "-v"),
    "vivado": Tool(
        "synthesises for AMD FPGAs",
        "from AMD's download page; source its settings64.sh",
        "-version",
    ),
    "vitis_hls": Tool(
        "synthesises HLS for AMD FPGAs",
        "from AMD's download page; source its settings64.sh",
        "-version",
    ),
}
"""The programs hawq can use."""


@cache
def version(tool: str) -> str | None:
    """Ask an external program for its version.

    Args:
        tool: A key of ``TOOLS``.

    Returns:
        The first line it prints; None if it is not on the PATH.

    Raises:
        ToolError: if it is there but does not run.
    """
    found = shutil.which(tool)
    if found is None:
        return None
    try:
        done = subprocess.run(
            [found, TOOLS[tool].version_flag],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise ToolError(f"{found} does not run: {error}") from error
    return next(iter(done.stdout.splitlines()), "")


def require(tool: str, user: str) -> str:
    """Check that an external program is there.

    Args:
        tool: A key of ``TOOLS``.
        user: Who needs it, to tell in the error.

    Returns:
        The first line of its version.

    Raises:
        ToolError: if it is not on the PATH; the message says how to get it.
    """
    if (found := version(tool)) is None:
        raise ToolError(
            f"{user} needs {tool}, which is not on the PATH: {TOOLS[tool].remedy}"
        )
    return found
