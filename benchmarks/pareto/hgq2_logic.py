"""Choose checkpoints of HGQ2 by validation and turn them into logic by its own tools.

    KERAS_BACKEND=jax python benchmarks/pareto/hgq2_logic.py

For each level of EBOPs the checkpoint of the highest validation accuracy below it is
taken. Its integer bits come from the training sample (``trace_minmax``), alkaid traces
it to combinational logic, and the logic is compared with Keras on every jet of the test
split. Runs in the environment of ``requirements-hgq2.txt``; then ``synthesise.py``.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import hgq.layers  # noqa: F401  (registers the layers with Keras)
import keras
import numpy as np
from alkaid.codegen.rtl import RTLModel
from alkaid.converter import trace_model
from alkaid.trace import trace
from hgq.utils import trace_minmax
from points import FOLDER, Point, measured

LEVELS = (
    *(20_000, 14_000, 10_000, 7_000, 5_200, 4_200, 3_400, 2_600, 2_000, 1_600, 1_300),
    *(1_000, 850, 700, 600, 500, 420, 350),
)
METHOD = "hgq2"
NUMBERS = re.compile(r"epoch=\d+_val_accuracy=([\d.]+)_ebops=(\d+)")


def main() -> None:
    """Write the points, without their LUTs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    with np.load(arguments.folder / "jets.npz") as file:
        data = dict(file)
    for path, level in choose(arguments.folder / "hgq2-checkpoints").items():
        point, predicted = convert(path, level, data, arguments.folder)
        point.save(arguments.folder, predicted)
        print(
            f"{point.name}: EBOPs {point.ebops:.0f}, adders {point.adders:.0f}, "
            f"validation {point.validation:.4f}, test {point.test:.4f}, "
            f"{'equal' if point.bit_exact else 'NOT EQUAL'}",
            flush=True,
        )


def choose(folder: Path) -> dict[Path, int]:
    """Choose a checkpoint for each level, by the figures in the names of the files."""
    found = []
    for path in folder.glob("epoch=*.keras"):
        accuracy, ebops = NUMBERS.fullmatch(path.stem).groups()
        found.append((float(accuracy), int(ebops), path))
    chosen: dict[Path, int] = {}
    for level in LEVELS:
        below = [entry for entry in found if entry[1] <= level]
        if below:
            chosen[max(below)[2]] = level
    return chosen


def convert(
    path: Path, level: int, data: dict[str, np.ndarray], folder: Path
) -> tuple[Point, np.ndarray]:
    """Turn one checkpoint into logic and compare the two."""
    network = keras.models.load_model(path, compile=False)
    ebops = trace_minmax(network, data["x_train"], batch_size=21_000)
    logits = {
        split: network.predict(data[f"x_{split}"], batch_size=9_000, verbose=0)
        for split in ("validation", "test")
    }
    right = {s: y.argmax(1) == data[f"y_{s}"] for s, y in logits.items()}
    inputs, outputs = trace_model(network, (1, 1, -1), {"hard_dc": 5})
    logic = trace(inputs, outputs)
    answers = logic.predict(data["x_test"].astype(np.float64), n_threads=1)
    name = f"{level:05d}"
    rtl = folder / METHOD / name
    RTLModel(
        logic, rtl, prj_name="network", latency_cutoff=-1, ternary_fuse=False
    ).write()
    test, error = measured(right["test"])
    point = Point(
        method=METHOD,
        name=name,
        budget=level,
        lut=None,
        ebops=ebops,
        adders=float(logic.cost),
        validation=measured(right["validation"])[0],
        test=test,
        test_error=error,
        bit_exact=bool((answers == logits["test"]).all()),
    )
    return point, logits["test"].argmax(1)


if __name__ == "__main__":
    main()
