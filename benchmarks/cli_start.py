"""How long `hawq --help` takes, beside Python itself.

    python benchmarks/cli_start.py

The bound is 0.5 s for the median of the runs.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 15
BOUND_S = 0.5


def start_s(command: list[str]) -> float:
    """Time a command once.

    Args:
        command: Words.

    Returns:
        Wall time in seconds.
    """
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Time both in turn and print medians and their ratio."""
    hawq = [str(Path(sys.executable).with_name("hawq")), "--help"]
    python = [sys.executable, "-c", "pass"]
    pairs = [(start_s(hawq), start_s(python)) for _ in range(RUNS)]
    ours, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"hawq --help     {ours:.3f} s  (median of {RUNS}; bound {BOUND_S} s)")
    print(f"python -c pass  {bare:.3f} s")
    print(f"ratio           {ours / bare:.1f}")
    sys.exit(ours > BOUND_S)


if __name__ == "__main__":
    main()
