"""Run Yosys (the ``pyosys`` package) in a child process, and read what it counts."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from hawq.errors import DataError, ToolError
from hawq.stage import Progress
from hawq.synthesis.process import Line, run_tool

PACKAGE = "pyosys"

_CHILD = """
import sys
from pyosys import libyosys
libyosys.run_pass(f'script {sys.argv[1]}', libyosys.Design())
"""

_PHASE = re.compile(r"^\d+(?:\.\d+)*\. Executing (?P<pass>.+?)\.?$")


def yosys_version() -> str:
    """Say which Yosys runs.

    Returns:
        Its version.

    Raises:
        ToolError: if it is not installed.
    """
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise ToolError(
            "synthesis needs Yosys, which is not installed: pip install "
            "'hawq[synthesis]'"
        ) from error


def yosys_folder() -> Path:
    """Find the package, which has cell models in ``share`` and ABC beside.

    Returns:
        Its folder.

    Raises:
        ToolError: if it is not installed.
    """
    yosys_version()
    found = importlib.util.find_spec(PACKAGE)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def run_yosys(
    passes: Sequence[str],
    folder: Path,
    *,
    name: str,
    seconds: float,
    memory_gib: float | None = None,
    on_line: Line | None = None,
) -> Path:
    """Run passes of Yosys, in a folder.

    The passes are kept as ``<name>.ys`` beside the log: ``yosys -s`` repeats the run.

    Args:
        passes: Commands, one a line of a script.
        folder: Where they run; made if it is not there.
        name: Of script and log.
        seconds: Time limit.
        memory_gib: Memory limit; None is none.
        on_line: Told what Yosys prints; ``phase`` finds the passes in it.

    Returns:
        The log, ``<folder>/<name>.log``.

    Raises:
        ToolError: if Yosys is missing, fails, crashes or exceeds a limit.
    """
    yosys_version()
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    script, log = folder / f"{name}.ys", folder / f"{name}.log"
    script.write_text("".join(f"{line}\n" for line in passes), encoding="utf-8")
    run_tool(
        (sys.executable, "-u", "-c", _CHILD, script.name),
        log,
        cwd=folder,
        seconds=seconds,
        memory_gib=memory_gib,
        on_line=on_line,
        name="Yosys",
    )
    return log


def phase(line: str) -> str | None:
    """Find the pass that a line of Yosys' log announces.

    Args:
        line: Of the log.

    Returns:
        The pass, or None.

    >>> phase("2.31.4. Executing ABC9_OPS pass (helper functions for ABC9).")
    'ABC9_OPS pass (helper functions for ABC9)'
    """
    found = _PHASE.match(line)
    return found["pass"] if found else None


def telling(progress: Progress, share: float, passes: int) -> Line:
    """Pass on the passes that begin; nobody knows how many will.

    Args:
        progress: Told each.
        share: Of the whole that Yosys is.
        passes: That halve what is left.

    Returns:
        What ``run_yosys`` takes as ``on_line``.
    """
    told = 0

    def line(printed: str) -> None:
        nonlocal told
        if what := phase(printed):
            told += 1
            progress(f"Yosys: {what}", share * (1 - 0.5 ** (told / passes)))

    return line


def read_verilog(sources: Sequence[Path]) -> list[str]:
    """Give the passes that read sources.

    Args:
        sources: Verilog.

    Returns:
        The passes.
    """
    return [f'read_verilog "{source.resolve()}"' for source in sources]


def stat(path: Path, options: str = "") -> str:
    """Give the pass that counts cells into a file that ``cells`` reads.

    Args:
        path: JSON to write.
        options: Of the pass, for example ``-liberty``.

    Returns:
        The pass.
    """
    return f'tee -q -o "{path.resolve()}" stat -json {options}'.rstrip()


def cells(path: Path) -> dict[str, int]:
    """Read how many cells of each type a design has, as Yosys counted them.

    Args:
        path: JSON that ``stat`` wrote.

    Returns:
        Type to count; cells in modules below the top included.

    Raises:
        DataError: if it is not what Yosys writes.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    try:
        counts = json.loads(text)["design"]["num_cells_by_type"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not what Yosys' stat -json writes: {error!r}: run synthesis "
            "again"
        ) from error
    return {kind: count for kind, count in counts.items() if kind != "$scopeinfo"}
