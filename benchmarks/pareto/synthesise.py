"""Count the LUTs of every point that has Verilog and no count yet.

    python benchmarks/pareto/synthesise.py --methods hgq2 uniform

One recipe for all methods, that of the synthesis stage: Yosys for UltraScale+, flat,
without I/O buffers. Inverters are not LUTs: later steps absorb them. Points whose
Verilog is newer than their count are counted again.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

from points import FOLDER, Point, read, read_all

from hawq.rtl.verilog import TOP
from hawq.synthesis.fpga import synthesise_xilinx, verilog_sources
from hawq.synthesis.parts import find_part

PART = "xcvu9p-flga2104-2L-e"


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
        if not is_due(read(point.path(arguments.folder)), arguments.folder):
            continue  # another run was faster
        start = time.monotonic()
        found = synthesise(point.path(arguments.folder, ""), arguments.seconds)
        seconds = time.monotonic() - start
        luts = sum(count for kind, count in found.items() if kind.startswith("LUT"))
        dataclasses.replace(point, lut=luts, synthesis_s=round(seconds, 1)).save(
            arguments.folder
        )
        print(
            f"{point.method} {point.name}: {luts} LUT, {seconds:.0f} s "
            f"({', '.join(f'{k} {n}' for k, n in sorted(found.items()))})",
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
    netlist = synthesise_xilinx(
        verilog_sources(folder),
        TOP,
        folder / "netlist",
        part=find_part(PART),
        seconds=seconds,
    )
    return netlist.resources.primitives


if __name__ == "__main__":
    main()
