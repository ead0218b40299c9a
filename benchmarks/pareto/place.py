"""Place and route points of the Pareto on a Lattice ECP5: clock and latency.

    python benchmarks/pareto/place.py --points elements/02767 elements/04657

Registers are placed, the RTL is simulated against the integer graph on the test jets
and on corner inputs, and Yosys and nextpnr do the rest, as in the synthesis stage.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from points import FOLDER, read

from hawq.integer.lower import lower_qonnx
from hawq.rtl.stage import compare
from hawq.rtl.trace import trace_graph
from hawq.rtl.verilog import Rtl
from hawq.synthesis.fpga import Target, yosys

PART = "LFE5U-85F-6BG756C"


def main() -> None:
    """Place every point and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--points", nargs="+", required=True, metavar="METHOD/NAME")
    parser.add_argument("--levels", type=float, default=1.5, help="between registers")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    with np.load(arguments.folder / "jets.npz") as file:
        x = file["x_test"]
    for name in arguments.points:
        source = arguments.folder / name
        point = read(source.with_suffix(".json"))
        graph = lower_qonnx(source / "network.onnx")
        rtl = Rtl(trace_graph(graph), source / "ecp5", levels=arguments.levels)
        rtl.write()
        rtl.compile()
        found, _ = compare(graph, rtl, {graph.inputs[0].name: x}, 1000, seed=1)
        target = Target(part=PART, seeds=tuple(arguments.seeds))
        report = yosys(source / "ecp5", source / "ecp5" / "netlist", target)
        clocks = ", ".join(f"{run.fmax_mhz:.1f}" for run in report.routed_seeds)
        slowest = min(run.fmax_mhz for run in report.routed_seeds)
        assert report.routed is not None
        assert report.routed.resources is not None
        usage = report.routed.resources.usage
        integers = sum(row.integers for row in found.tensors)
        print(
            f"{name}: test {point.test:.4f}, {usage['LUT'].used:,} LUT, "
            f"{usage['FF'].used:,} FF, {clocks} MHz, {rtl.latency_cycles} clocks "
            f"({rtl.latency_cycles * 1000 / slowest:.0f} ns); {integers:,} integers "
            "equal",
            flush=True,
        )


if __name__ == "__main__":
    main()
