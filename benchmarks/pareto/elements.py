"""Bits for every weight and channel, by hawq itself: one ramp of falling budgets.

    python benchmarks/pareto/data.py
    python benchmarks/pareto/elements.py --epochs 2000 --seed 1
    python benchmarks/pareto/elements.py --exchange 60
    python benchmarks/pareto/synthesise.py --methods elements

Each seed leaves its archive in ``elements-archives`` and is not trained again.
``--exchange`` searches on, that many seconds each, from the networks chosen of all
archives, and archives what it finds. Of all archives the network of the highest
validation accuracy below each budget becomes a point: QONNX, combinational Verilog, and
the comparison of the two on every jet of validation and test.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from points import FOLDER, Point, measured

from hawq.allocation.elements.exchange import Search, State, digit_cost, exchange
from hawq.export.elements import ElementNetwork, without_dead, write_elements
from hawq.integer.execute import execute
from hawq.integer.lower import lower_qonnx
from hawq.rtl.trace import input_integers, trace_graph
from hawq.rtl.verilog import Rtl
from hawq.training.elements import Archive, Ramp, Trainer, train
from hawq.training.ladder import Formats, Shape, forward
from hawq.training.teacher import teach

SHAPE = Shape((16, 64, 32, 32, 5))
BUDGETS = (
    *(170, 200, 250, 300, 350, 450, 520, 600, 750, 850, 920, 1000, 1300, 1700, 2000),
    *(2400, 3000, 4000, 5000, 8000, 14_000, 20_000),
)
METHOD = "elements"
NAMES = ("weight", "bias", "fraction", "integer")

Arrays = dict[str, np.ndarray[Any, Any]]


def main() -> None:
    """Train one seed unless it is there, then write the points of all seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--epochs", type=int, default=2000)
    parser.add_argument("--rates", type=float, nargs="+", default=[2e-3])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--exchange", type=float, default=0.0)
    arguments = parser.parse_args()
    with np.load(arguments.folder / "jets.npz") as file:
        data = dict(file)
    archives = arguments.folder / f"{METHOD}-archives"
    path = archives / f"{arguments.seed}.npz"
    if not path.exists():
        archive = ramp(data, arguments.epochs, tuple(arguments.rates), arguments.seed)
        archives.mkdir(parents=True, exist_ok=True)
        save(archive, path)
    exchanged = archives / "exchanged.npz"
    if arguments.exchange and not exchanged.exists():
        search_on(choose(load_all(archives)), data, arguments.exchange, exchanged)
    for row, budget in choose(load_all(archives)):
        point, predicted = convert(row, budget, data, arguments.folder)
        point.save(arguments.folder, predicted)
        print(point, flush=True)


def load_all(archives: Path) -> list[Arrays]:
    """Read the networks of every archive."""
    return [row for file in sorted(archives.glob("*.npz")) for row in load(file)]


def choose(rows: list[Arrays]) -> list[tuple[Arrays, int]]:
    """Choose for each budget the best by validation, with the budget; no one twice."""
    chosen: dict[int, int] = {}
    for budget in BUDGETS:
        below = [i for i, row in enumerate(rows) if row["cost"] <= budget]
        if below:
            best = max(below, key=lambda i: float(rows[i]["validation"]))
            chosen.setdefault(best, budget)
    return [(rows[index], budget) for index, budget in chosen.items()]


def search_on(
    starts: list[tuple[Arrays, int]], data: Arrays, seconds: float, path: Path
) -> None:
    """Exchange grid steps of some networks and archive the results."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    t = {name: torch.tensor(array, device=device) for name, array in data.items()}
    one_hot = torch.nn.functional.one_hot(t["y_train"].long(), SHAPE.sizes[-1]).float()
    goal = 0.3 * one_hot + 0.7 * teach(t["x_train"], one_hot)
    found: dict[str, list[Any]] = {name: [] for name in (*NAMES, "validation", "cost")}
    for row, budget in starts:
        w, b, f, i = (
            torch.tensor(row[name], dtype=torch.float32, device=device)[None]
            for name in NAMES
        )
        state = State(w, b, Formats(w, w, f, i))
        price = 0.2 / digit_cost(SHAPE, state, w).item()
        state = exchange(SHAPE, state, t["x_train"], goal, Search(price, seconds))
        logits = forward(
            SHAPE, state.weight, state.bias, state.formats, t["x_validation"]
        )
        right = logits[0][0].argmax(-1) == t["y_validation"]
        new = (state.weight, state.bias, f, i)
        for name, value in zip(NAMES, new, strict=True):
            found[name].append(value[0].cpu().numpy())
        found["validation"].append(right.float().mean().item())
        found["cost"].append(digit_cost(SHAPE, state, state.weight).item())
        print(
            f"{budget}: {found['cost'][-1]:.0f}, {found['validation'][-1]:.4f}",
            flush=True,
        )
    np.savez_compressed(path, **{name: np.array(v) for name, v in found.items()})


def ramp(data: Arrays, epochs: int, rates: tuple[float, ...], seed: int) -> Archive:
    """Train networks while the budget falls, on the GPU if there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    x, xv = (
        torch.tensor(data[f"x_{s}"], device=device) for s in ("train", "validation")
    )
    y, yv = (
        torch.tensor(data[f"y_{s}"], device=device) for s in ("train", "validation")
    )
    one_hot = torch.nn.functional.one_hot(y.long(), SHAPE.sizes[-1]).float()
    soft = (1.0,) * len(rates)
    settings = Ramp(epochs, rates=rates, soft=soft, every=30, memory=0.8, seed=seed)
    trainer = Trainer(SHAPE, settings, x, one_hot, teach(x, one_hot, seed=seed))
    start = time.monotonic()

    def progress(epoch: int, trainer: Trainer, accuracy: torch.Tensor) -> bool:
        if epoch % 25 == 0:
            print(
                f"epoch {epoch} of {epochs}, {time.monotonic() - start:.0f} s: cost "
                f"{trainer.cost.min():.0f}, validation {accuracy.max():.4f}",
                flush=True,
            )
        return False

    return train(trainer, xv, yv, progress)


def save(archive: Archive, path: Path) -> None:
    """Write every network of an archive, a row each."""
    filled = archive.validation > 0
    rows = {name: archive.tensors[name][filled].cpu().numpy() for name in NAMES}
    rows["validation"] = archive.validation[filled].cpu().numpy()
    rows["cost"] = archive.cost[filled].cpu().numpy()
    np.savez_compressed(path, **rows)


def load(path: Path) -> list[Arrays]:
    """Read the networks of an archive."""
    with np.load(path) as file:
        columns = {name: file[name] for name in (*NAMES, "validation", "cost")}
    count = len(columns["cost"])
    return [{name: c[i] for name, c in columns.items()} for i in range(count)]


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
