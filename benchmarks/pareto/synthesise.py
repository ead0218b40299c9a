"""Count the LUTs of every point that has Verilog and no count yet.

    python benchmarks/pareto/synthesise.py --methods hgq2 uniform

One recipe for all methods: Yosys for UltraScale+, combinational, flat, without I/O
buffers. Inverters are not LUTs: later steps absorb them. Points whose Verilog is newer
than their count are counted again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

from points import FOLDER, Point, read_all

RECIPE = (
    "scratchpad -set abc9.verify false",
    "synth_xilinx -family xcup -flatten -noiopad -top network",
    "tee -q -o {stat} stat -json",
)
CHILD = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.argv[1:]:
    libyosys.run_pass(command, design)
"""


def main() -> None:
    """Synthesise, the smallest first, and write the counts into the points."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--methods", nargs="*", default=[])
    parser.add_argument(
        "--seconds", type=float, default=3600, help="limit of one point"
    )
    arguments = parser.parse_args()
    waiting = [
        point
        for point in read_all(arguments.folder)
        if (not arguments.methods or point.method in arguments.methods)
        and point.path(arguments.folder, "/src").is_dir()
        and is_due(point, arguments.folder)
    ]
    for point in sorted(waiting, key=lambda point: point.adders or 0):
        start = time.monotonic()
        cells = synthesise(point.path(arguments.folder, ""), arguments.seconds)
        seconds = time.monotonic() - start
        luts = sum(count for kind, count in cells.items() if kind.startswith("LUT"))
        dataclasses.replace(point, lut=luts, synthesis_s=round(seconds, 1)).save(
            arguments.folder
        )
        print(
            f"{point.method} {point.name}: {luts} LUT, {seconds:.0f} s "
            f"({', '.join(f'{k} {n}' for k, n in sorted(cells.items()))})",
            flush=True,
        )


def is_due(point: Point, folder: Path) -> bool:
    """Tell whether the Verilog of a point still has to be counted."""
    source = point.path(folder, "/src/network.v")
    return (
        point.lut is None or source.stat().st_mtime > point.path(folder).stat().st_mtime
    )


def synthesise(folder: Path, seconds: float) -> dict[str, int]:
    """Synthesise the Verilog of one point.

    Args:
        folder: Of the point; sources are in ``src``.
        seconds: Limit of time.

    Returns:
        Cell of the library → count.
    """
    sources = sorted(
        str(path)
        for path in (folder / "src").rglob("*.v")
        if not path.stem.endswith("_wrapper")
    )
    stat = folder / "cells.json"
    commands = [f"read_verilog {' '.join(sources)}", *RECIPE]
    with (folder / "yosys.log").open("w") as log:
        subprocess.run(
            [sys.executable, "-c", CHILD, *(c.format(stat=stat) for c in commands)],
            stdout=log,
            stderr=subprocess.STDOUT,
            check=True,
            timeout=seconds,
        )
    design = json.loads(stat.read_text())["design"]
    return dict(design["num_cells_by_type"])


if __name__ == "__main__":
    main()
