"""Rung 5 on every jet there is: the RTL of a flow against the golden executor.

    python benchmarks/rtl_jets.py --build build/jets --more more.h5

Takes the jets of all three splits, and those of further files (`hawq jets more.h5`),
beside the corner inputs. The stage `rtl` compares the test split alone.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from hawq.data.dataset import Dataset
from hawq.data.readers import read_dataset
from hawq.integer.lower import lower_qonnx
from hawq.model.network import load_float, standardise
from hawq.rtl.stage import compare
from hawq.rtl.trace import trace_graph
from hawq.rtl.verilog import Rtl


def main() -> None:
    """Write, compile and simulate the RTL, and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/jets"))
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="jet files")
    parser.add_argument("--levels", type=float, default=5.0)
    parser.add_argument("--corners", type=int, default=1000)
    arguments = parser.parse_args()
    data, model, export = (
        next(arguments.build.glob(f"[0-9][0-9]-{name}"))
        for name in ("data", "model", "export")
    )
    files = [data / f"{split}.h5" for split in ("train", "validation", "test")]
    sets = [Dataset.read(file) for file in files]
    known = (sets[0].features, sets[0].classes)
    sets += [read_dataset(file, *known) for file in arguments.more]
    jets = np.concatenate([one.x for one in sets])
    graph = lower_qonnx(export / "network.onnx")
    inputs = {graph.inputs[0].name: standardise(jets, load_float(model)[1])}
    with TemporaryDirectory() as folder:
        rtl = Rtl(trace_graph(graph), Path(folder), levels=arguments.levels)
        rtl.write()
        start = time.perf_counter()
        rtl.compile()
        compiled_s = time.perf_counter() - start
        found, speed = compare(graph, rtl, inputs, arguments.corners, seed=1)
    integers = sum(row.integers for row in found.tensors)
    inputs_of = ", ".join(f"{name} {count:,}" for name, count in found.inputs.items())
    print(
        f"{integers:,} output integers equal ({inputs_of}); "
        f"{rtl.latency_cycles} clocks; Verilator {compiled_s:.0f} s, "
        f"{speed:,.0f} samples/s"
    )


if __name__ == "__main__":
    main()
