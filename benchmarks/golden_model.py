"""Golden executor against the compiled C-simulation and the QONNX executor.

    hawq csim jets
    python benchmarks/golden_model.py --build build/jets

All three compute the integers of the same trained network on the same standardised jets
in one process, and must agree before anything is timed. Rates are samples per second,
the best of several rounds in which the three take turns.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.change_batchsize import ChangeBatchSize
from qonnx.transformation.infer_shapes import InferShapes

from hawq.csim.firmware import Firmware
from hawq.data.dataset import Dataset
from hawq.integer.execute import run
from hawq.integer.graph import Graph
from hawq.integer.lower import lower_qonnx
from hawq.model.network import load_float, standardise

GOLDEN = "golden executor"

Contestant = tuple[Callable[[NDArray[np.float32]], NDArray[Any]], int, Fraction]
"""Features → outputs, how many samples to give it, and what one output is worth."""


def main() -> None:
    """Time the contestants and print rates and ratios."""
    arguments = parse()
    folder = arguments.build
    graph = lower_qonnx(folder / "06-export" / "network.onnx")
    step = graph.tensors[graph.outputs[0]].scale
    features = jets(folder, arguments.samples)
    contestants = {
        GOLDEN: (golden(graph), arguments.samples, step),
        "golden executor, 1 thread": (golden(graph, 1), arguments.samples, step),
        "C-simulation": (firmware(folder, graph), 2_000, Fraction(1)),
        "QONNX executor, batch 1": (qonnx(folder, 1), 20, Fraction(1)),
        "QONNX executor, batch 1024": (qonnx(folder, 1024), 4_096, Fraction(1)),
    }
    agree(contestants, features)
    seconds = dict.fromkeys(contestants, np.inf)
    for _ in range(arguments.rounds):
        for name, (compute, samples, _) in contestants.items():
            start = time.perf_counter()
            compute(features[:samples])
            each = (time.perf_counter() - start) / samples
            seconds[name] = min(seconds[name], each)
    print(
        f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}, best of"
    )
    print(f"{arguments.rounds} rounds; {features.shape[1]} inputs, equal integers\n")
    print(f"{'':<28}{'samples/s':>14}{'golden is faster by':>22}")
    for name, each in seconds.items():
        print(f"{name:<28}{1 / each:>14,.0f}{each / seconds[GOLDEN]:>21,.1f}×")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/jets"))
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def jets(folder: Path, samples: int) -> NDArray[np.float32]:
    """Standardise the test split and repeat it to the number of samples."""
    _, model = load_float(folder / "02-model")
    x = standardise(Dataset.read(folder / "01-data" / "test.h5").x, model)
    return np.resize(x, (samples, x.shape[1]))


def golden(graph: Graph, threads: int | None = None) -> Callable[..., NDArray[Any]]:
    """Make the golden executor: integers out."""
    return lambda x: run(graph, x, threads=threads)[graph.outputs[0]]


def firmware(folder: Path, graph: Graph) -> Callable[..., NDArray[Any]]:
    """Load the library that the ``csim`` stage compiled."""
    program = Firmware(folder / "08-csim" / "firmware.so")
    size = int(np.prod(graph.tensors[graph.outputs[0]].shape))
    return lambda x: program.run(x, {}, [size])[1][0]


def qonnx(folder: Path, batch: int) -> Callable[..., NDArray[Any]]:
    """Make the QONNX executor for one batch size."""
    model = ModelWrapper(str(folder / "06-export" / "network.onnx"))
    model = model.transform(ChangeBatchSize(batch)).transform(InferShapes())
    name, output = model.graph.input[0].name, model.graph.output[0].name

    def compute(x: NDArray[np.float32]) -> NDArray[Any]:
        parts = [x[i : i + batch] for i in range(0, len(x), batch)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            done = [execute_onnx(model, {name: part})[output] for part in parts]
        return np.concatenate(done)

    return compute


def agree(contestants: dict[str, Contestant], features: NDArray[np.float32]) -> None:
    """Stop unless all give the same outputs on what the slower ones are given."""
    reference, _, step = contestants[GOLDEN]
    for name, (compute, samples, unit) in contestants.items():
        x = features[: min(samples, 20_000)]
        if not np.array_equal(compute(x) * float(unit), reference(x) * float(step)):
            raise SystemExit(f"the {name} differs: run `hawq csim` to see where")


if __name__ == "__main__":
    main()
