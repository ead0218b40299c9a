"""Bits per layer, by hawq itself: uniform, and by the integer programme under a budget.

    python benchmarks/pareto/layer_bits.py --build build/jets

Takes data, float network and sensitivities of a finished flow; each variant is trained
by the flow's own ``training`` stage and becomes combinational Verilog, compared with
the golden executor on every jet of the test split. Then ``synthesise.py``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from points import FOLDER, Point, measured

from hawq import flow
from hawq.allocation import stage as allocation
from hawq.data.dataset import Dataset
from hawq.export import stage as export
from hawq.integer.execute import execute
from hawq.integer.lower import lower_qonnx
from hawq.model.network import load_float, standardise
from hawq.rtl.trace import input_integers, trace_graph
from hawq.rtl.verilog import Rtl
from hawq.stage import StageContext
from hawq.training import stage as training

UNIFORM = ((6, 3, 4), (6, 4, 6), (6, 6, 6), (8, 8, 8))
"""Bits of input, weights and activations."""

BUDGETS = (62_500, 100_000, 180_000, 350_000)
"""In bit operations a jet."""

UNLIMITED = 10_000_000


def main() -> None:
    """Train every variant and write its point, without its LUTs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/jets"))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    variants: list[tuple[str, str, int | str, list[str]]] = [
        (
            "uniform",
            f"w{w}a{a}in{i}",
            f"w{w}a{a}in{i}",
            [
                f"allocation.input_bits=[{i}]",
                f"allocation.weight_bits=[{w}]",
                f"allocation.activation_bits=[{a}]",
                f"allocation.budgets.bops_dense={UNLIMITED}",
            ],
        )
        for i, w, a in UNIFORM
    ]
    variants += [
        ("layers", f"{b:06d}", b, [f"allocation.budgets.bops_dense={b}"])
        for b in BUDGETS
    ]
    for method, name, budget, overrides in variants:
        folder = arguments.folder / method / name
        if not folder.with_suffix(".json").exists():
            train(folder, overrides, arguments.build)
            point, predicted = convert(folder, budget, arguments.build)
            point.save(arguments.folder, predicted)
        print(folder.with_suffix(".json").read_text(), flush=True)


def train(folder: Path, overrides: list[str], build: Path) -> None:
    """Run allocation, training and export into ``folder``."""
    chosen = flow.read(flow.find("jets"), overrides)
    stages = {p.name[3:]: p for p in build.glob("0[123]-*")}
    for name, stage in (
        ("allocation", allocation),
        ("training", training),
        ("export", export),
    ):
        made = folder / name
        made.mkdir(parents=True, exist_ok=True)
        context = StageContext(made, chosen.settings[name], stages, seed=chosen.seed)
        stage.run(context).save(made / "record.json")
        stages[name] = made


def convert(
    folder: Path, budget: int | str, build: Path
) -> tuple[Point, np.ndarray[Any, Any]]:
    """Turn the exported network into logic and compare the two.

    Returns:
        The point, and the predicted classes of the test jets.
    """
    graph = lower_qonnx(folder / "export" / "network.onnx")
    logic = trace_graph(graph)
    rtl = Rtl(logic, folder, levels=None)
    rtl.write()
    _, model = load_float(build / "02-model")
    right, predicted, is_exact = {}, {}, True
    for split in ("validation", "test"):
        data = Dataset.read(build / "01-data" / f"{split}.h5")
        (given,) = input_integers(graph)
        golden = execute(
            graph,
            {graph.inputs[0].name: standardise(data.x, model)},
            [given, *graph.outputs],
        )
        answers = logic.predict(golden[given].astype(np.float64), n_threads=1)
        is_exact &= bool((answers == golden[graph.outputs[0]]).all())
        predicted[split] = golden[graph.outputs[0]].argmax(1)
        right[split] = predicted[split] == data.y
    test, error = measured(right["test"])
    point = Point(
        method=folder.parent.name,
        name=folder.name,
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
