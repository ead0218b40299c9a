"""Place and route networks that tag jets on a Lattice ECP5: clock and latency.

    python benchmarks/place.py models/jets_elements/*.onnx --seeds 1 2 3

Registers are placed, the RTL is simulated against the integer graph on the test jets of
a flow and on corner inputs, and Yosys and nextpnr do the rest, as in the stage
``synthesis``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from hawq.data.dataset import Dataset
from hawq.integer.execute import run
from hawq.integer.lower import lower_qonnx
from hawq.model.network import load_float, standardise
from hawq.rtl.stage import compare
from hawq.rtl.trace import trace_graph
from hawq.rtl.verilog import Rtl
from hawq.synthesis.fpga import Target, yosys


def main() -> None:
    """Place every network and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="+", type=Path, help="QONNX files")
    parser.add_argument("--build", type=Path, default=Path("build/jets"))
    parser.add_argument("--out", type=Path, default=Path("build/place"))
    parser.add_argument("--part", default="LFE5U-85F-6BG756C")
    parser.add_argument("--levels", type=float, default=1.5, help="between registers")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--limit", type=float, default=3600, help="seconds a tool")
    parser.add_argument("--workers", type=int, default=1, help="seeds at once")
    arguments = parser.parse_args()
    target = Target(
        part=arguments.part,
        seeds=tuple(arguments.seeds),
        limit_s=arguments.limit,
        workers=arguments.workers,
    )
    test = Dataset.read(arguments.build / "01-data" / "test.h5")
    x = standardise(test.x, load_float(arguments.build / "02-model")[1])
    for path in arguments.networks:
        print(place(path, x, test.y, target, arguments), flush=True)


def place(
    path: Path,
    x: np.ndarray,
    y: np.ndarray,
    target: Target,
    arguments: argparse.Namespace,
) -> str:
    """Take one network to a routed chip.

    Args:
        path: QONNX.
        x: Standardised test jets.
        y: Their classes.
        target: Part, seeds and limits.
        arguments: Of the command.

    Returns:
        What came out, in one line.
    """
    graph, folder = lower_qonnx(path), arguments.out / path.stem
    right = run(graph, x)[graph.outputs[0]].argmax(1) == y
    rtl = Rtl(trace_graph(graph), folder, levels=arguments.levels)
    rtl.write()
    rtl.compile()
    found, _ = compare(graph, rtl, {graph.inputs[0].name: x}, 1000, seed=1)
    report = yosys(folder, folder / "netlist", target)
    clocks = [seed.fmax_mhz for seed in report.routed_seeds]
    assert report.routed is not None
    assert report.routed.resources is not None
    usage = report.routed.resources.usage
    integers = sum(row.integers for row in found.tensors)
    ns = rtl.latency_cycles * 1000 / min(clocks)
    return (
        f"{path}: test {right.mean():.4f}, {usage['LUT'].used:,.0f} LUT, "
        f"{usage['FF'].used:,.0f} FF, {', '.join(f'{f:.1f}' for f in clocks)} MHz, "
        f"{rtl.latency_cycles} clocks ({ns:.0f} ns); {integers:,} integers equal"
    )


if __name__ == "__main__":
    main()
