"""Write the best of hawq's own networks, bits for every weight, as QONNX and logic.

    python benchmarks/pareto/elements_train.py
    python benchmarks/pareto/elements.py
    python benchmarks/pareto/synthesise.py --methods elements

Of all archives the network of the lowest loss in validation below each budget becomes a
point: QONNX, combinational Verilog, and the comparison of the two on every jet of
validation and test.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from elements_train import NAMES, SHAPE, Tensors, read
from elements_train import measured as judged
from points import FOLDER, Point, measured

from hawq.export.elements import ElementNetwork, without_dead, write_elements
from hawq.integer.execute import execute
from hawq.integer.lower import lower_qonnx
from hawq.rtl.trace import input_integers, trace_graph
from hawq.rtl.verilog import Rtl

BUDGETS = np.unique(np.geomspace(150, 20_000, 48).round().astype(int)).tolist()
METHOD = "elements"

Arrays = dict[str, np.ndarray[Any, Any]]


def main() -> None:
    """Write the points that all archives give."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    with np.load(arguments.folder / "jets.npz") as file:
        data = dict(file)
    archives = arguments.folder / f"{METHOD}-archives"
    rows = load_all(archives, read(arguments.folder / "jets.npz"))
    for index, budget in choose(rows):
        point, predicted = convert(
            {name: rows[name][index].numpy() for name in NAMES},
            budget,
            data,
            arguments.folder,
        )
        point.save(arguments.folder, predicted)
        print(point, flush=True)


def load_all(archives: Path, data: Tensors) -> Tensors:
    """Read the networks of every archive; their loss, accuracy and cost are anew."""
    found: dict[str, list[torch.Tensor]] = {name: [] for name in NAMES}
    for path in sorted(archives.glob("*.npz")):
        with np.load(path) as file:
            for name in NAMES:
                found[name].append(torch.tensor(file[name]).float())
    return judged({name: torch.cat(parts) for name, parts in found.items()}, data)


def choose(rows: Tensors) -> list[tuple[int, int]]:
    """Choose below each budget the lowest loss in validation; no network twice.

    Returns:
        Index and budget of each.
    """
    chosen: dict[int, int] = {}
    for budget in BUDGETS:
        loss = torch.where(rows["cost"] <= budget, rows["loss"], float("inf"))
        if loss.isfinite().any():
            chosen.setdefault(int(loss.argmin()), budget)
    return list(chosen.items())


def network_of(row: Arrays) -> ElementNetwork:
    """Turn a row of an archive into matrices, what is dead removed."""
    given = {name: torch.tensor(row[name]).double()[None] for name in NAMES}
    layers = {
        "weight": SHAPE.split_weights(given["weight"]),
        "bias": SHAPE.split_biases(given["bias"]),
        "fraction": SHAPE.split_channels(given["fraction"]),
        "integer": SHAPE.split_channels(given["integer"]),
    }
    return without_dead(
        ElementNetwork(
            tuple(t[0].numpy() for t in layers["weight"]),
            tuple(t[0, 0].numpy() for t in layers["bias"]),
            tuple(t[0, 0].long().numpy() for t in layers["fraction"]),
            tuple(t[0, 0].long().numpy() for t in layers["integer"]),
            np.arange(SHAPE.sizes[0]),
            SHAPE.sizes[0],
        )
    )


def convert(
    row: Arrays, budget: int, data: Arrays, folder: Path
) -> tuple[Point, np.ndarray[Any, Any]]:
    """Write a network as QONNX and logic, and compare the two on every jet."""
    place = folder / METHOD / f"{budget:05d}"
    place.mkdir(parents=True, exist_ok=True)
    write_elements(network_of(row), place / "network.onnx")
    graph = lower_qonnx(place / "network.onnx")
    logic = trace_graph(graph)
    rtl = Rtl(logic, place, levels=None)
    rtl.write()
    given = input_integers(graph)
    right, predicted, is_exact = {}, {}, True
    for split in ("validation", "test"):
        x = data[f"x_{split}"]
        golden = execute(graph, {graph.inputs[0].name: x}, [*given, *graph.outputs])
        ports = np.concatenate([golden[name].reshape(len(x), -1) for name in given], 1)
        answers = logic.predict(ports.astype(np.float64), n_threads=1)
        is_exact &= bool((answers == golden[graph.outputs[0]]).all())
        predicted[split] = golden[graph.outputs[0]].argmax(1)
        right[split] = predicted[split] == data[f"y_{split}"]
    test, error = measured(right["test"])
    point = Point(
        method=METHOD,
        name=place.name,
        budget=budget,
        lut=None,
        ebops=None,
        adders=rtl.adders,
        validation=measured(right["validation"])[0],
        test=test,
        test_error=error,
        bit_exact=is_exact,
    )
    return point, predicted["test"]


if __name__ == "__main__":
    main()
