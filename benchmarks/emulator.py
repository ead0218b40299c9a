"""C++ emulator against the compiled C-simulation, on the same jets.

    hawq csim jets
    python benchmarks/emulator.py --build build/jets

The emulator is written and compiled anew, which is timed. Both compute the integers of
the same trained network on the same standardised jets in one process, and must agree
before anything is timed. Rates are samples per second, the best of several rounds in
which the contestants take turns; the C-simulation has one thread, as hls4ml runs it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.csim.firmware import Firmware
from hawq.data.dataset import Dataset
from hawq.emulator.library import Emulator, compile_emulator
from hawq.emulator.write import write_emulator
from hawq.integer.graph import Graph
from hawq.integer.lower import lower_qonnx
from hawq.model.network import load_float, standardise

CSIM = "C-simulation"
CSIM_SAMPLES = 2_000


def main() -> None:
    """Time the contestants and print rates and ratios."""
    arguments = parse()
    folder = arguments.build
    graph = lower_qonnx(folder / "06-export" / "network.onnx")
    library = arguments.firmware or folder / "08-csim" / "firmware.so"
    features = jets(folder, arguments.samples)
    with tempfile.TemporaryDirectory() as place:
        contestants = {CSIM: csimulation(library, graph)}
        for title, arch in (("", None), (", -march=native", "-march=native")):
            emulator, seconds = compiled(graph, Path(place) / (arch or "any"), arch)
            print(f"emulator{title}: compiled in {seconds:.1f} s")
            for threads in (1, len(os.sched_getaffinity(0))):
                name = f"emulator{title}, {threads} threads"
                contestants[name] = predicting(emulator, graph, threads)
        agree(contestants, features)
        race(contestants, features, arguments.rounds)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/jets"))
    parser.add_argument("--firmware", type=Path, help="default: that of --build")
    parser.add_argument("--samples", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args()


def jets(folder: Path, samples: int) -> NDArray[np.float32]:
    """Standardise the test split and repeat it to the number of samples."""
    _, model = load_float(folder / "02-model")
    x = standardise(Dataset.read(folder / "01-data" / "test.h5").x, model)
    return np.resize(x, (samples, x.shape[1]))


def compiled(graph: Graph, folder: Path, arch: str | None) -> tuple[Emulator, float]:
    """Write and compile the emulator, and time the compiler."""
    write_emulator(graph, folder, name="jets", version="1")
    start = time.perf_counter()
    library = compile_emulator(folder, arch=arch)
    return Emulator(library), time.perf_counter() - start


def predicting(
    emulator: Emulator, graph: Graph, threads: int
) -> Callable[[NDArray[np.float32]], NDArray[Any]]:
    """Make the emulator with a number of threads: integers out."""
    output = graph.outputs[0]
    return lambda x: emulator.predict(x, threads=threads)[output]


def csimulation(
    library: Path, graph: Graph
) -> Callable[[NDArray[np.float32]], NDArray[Any]]:
    """Load the library that the ``csim`` stage compiled: integers out."""
    program = Firmware(library)
    output = graph.tensors[graph.outputs[0]]
    size, step = output.lows.size, float(output.scale)
    return lambda x: (program.run(x, {}, [size])[1][0] / step).astype(np.int64)


def agree(
    contestants: dict[str, Callable[[NDArray[np.float32]], NDArray[Any]]],
    features: NDArray[np.float32],
) -> None:
    """Stop unless all give the same integers."""
    x = features[:CSIM_SAMPLES]
    expected = contestants[CSIM](x)
    for name, compute in contestants.items():
        if not np.array_equal(compute(x), expected):
            raise SystemExit(f"{name} differs: run `hawq csim` to see where")


def race(
    contestants: dict[str, Callable[[NDArray[np.float32]], NDArray[Any]]],
    features: NDArray[np.float32],
    rounds: int,
) -> None:
    """Time the contestants in turns and print a table."""
    seconds = dict.fromkeys(contestants, np.inf)
    for _ in range(rounds):
        for name, compute in contestants.items():
            x = features[:CSIM_SAMPLES] if name == CSIM else features
            start = time.perf_counter()
            compute(x)
            each = (time.perf_counter() - start) / len(x)
            seconds[name] = min(seconds[name], each)
    print(
        f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}, best of "
        f"{rounds} rounds; {features.shape[1]} inputs, equal integers\n"
    )
    print(f"{'':<36}{'samples/s':>14}{'× C-simulation':>18}")
    for name, each in seconds.items():
        print(f"{name:<36}{1 / each:>14,.0f}{seconds[CSIM] / each:>18,.0f}")


if __name__ == "__main__":
    main()
