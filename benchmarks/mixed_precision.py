"""Mixed precision against uniform bits and against the reversed order of sensitivity.

    python benchmarks/mixed_precision.py --budgets 350000 150000 --seeds 1 2 3

Each seed draws its own split and float network. Under each budget of bit operations
three allocations are trained alike: by the integer programme, uniform, and by the
programme with the order of the sensitivities reversed. Accuracies are on the test
split; the error of a difference counts only the jets on which the two networks differ.
"""

from __future__ import annotations

import argparse
import shutil
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from hawq import build, flow
from hawq.data.dataset import Dataset
from hawq.model.network import load_float, standardise
from hawq.model.train import evaluate
from hawq.records import Allocation
from hawq.stage import StageContext
from hawq.training import stage as training
from hawq.training.record import TrainingRecord

ALLOCATIONS = {"mixed": "record", "uniform": "uniform", "reversed": "reversed"}


def main() -> None:
    """Train every combination and print a table."""
    arguments = parse()
    gains = defaultdict(list)
    print(
        "budget  seed  allocation  bits (input, weights, activations)      BOPs trained"
    )
    for seed in arguments.seeds:
        with TemporaryDirectory() as folder:
            for budget in arguments.budgets:
                row = compare(arguments.flow, seed, budget, Path(folder))
                for name, gain in row.items():
                    gains[budget, name].append(gain)
    print("\nbudget   network    against   accuracy difference [percentage points]")
    for (budget, name), values in gains.items():
        mean = np.mean(values)
        many = len(values) > 1
        error = np.std(values, ddof=1) / np.sqrt(len(values)) if many else np.nan
        print(
            f"{budget:<8} {name:<20} {mean:+.3f} ± {error:.3f} over {len(values)} seeds"
        )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flow", default="jets")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--budgets", type=int, nargs="+", default=[350_000])
    return parser.parse_args()


def compare(name: str, seed: int, budget: int, folder: Path) -> dict[str, float]:
    """Run one seed and budget.

    Returns:
        Pair of networks → accuracy difference on the test split, in percentage points.
    """
    overrides = [f"seed={seed}", f"allocation.budgets.bops_dense={budget}"]
    chosen = flow.read(flow.find(name), overrides)
    options = build.Options(stop="allocation")
    stages = build.build_flow(chosen, folder, options, lambda _: None)
    test = Dataset.read(stages["data"] / "test.h5")
    network, model = load_float(stages["model"])
    x = torch.from_numpy(standardise(test.x, model))
    right = {"float": evaluate(network, x).argmax(1).numpy() == test.y}
    print(f"{budget:<7} {seed:<5} float       {100 * right['float'].mean():.2f} %")
    for label, file in ALLOCATIONS.items():
        source = stages["allocation"] / f"{file}.json"
        if not source.exists():
            print(
                f"{budget:<7} {seed:<5} {label:<11} no such allocation fits the budget"
            )
            continue
        inputs, record = retrain(chosen, stages, source, folder / f"{budget}" / label)
        logits = evaluate(training.load_quantized(inputs), x)
        right[label] = logits.argmax(1).numpy() == test.y
        bits = Allocation.model_validate_json(source.read_text()).bits()
        print(
            f"{budget:<7} {seed:<5} {label:<11} {'-'.join(map(str, bits.values())):<24}"
            f"{record.bops:>12,.0f}  {100 * right[label].mean():.2f} % "
            f"({difference(right[label], right['float'])} against float; "
            f"untrained {100 * record.before.accuracy:.2f} % of validation)",
            flush=True,
        )
    pairs = [("mixed", "float"), ("mixed", "uniform"), ("mixed", "reversed")]
    return {
        f"{a:<10} {b}": 100 * float(right[a].mean() - right[b].mean())
        for a, b in pairs
        if b in right
    }


def retrain(
    chosen: flow.Flow, stages: dict[str, Path], source: Path, folder: Path
) -> tuple[dict[str, Path], TrainingRecord]:
    """Train at an allocation other than the flow's own."""
    allocation, trained = folder / "allocation", folder / "training"
    for made in (allocation, trained):
        made.mkdir(parents=True)
    shutil.copy(source, allocation / "record.json")
    inputs = stages | {"allocation": allocation, "training": trained}
    settings = chosen.settings["training"]
    context = StageContext(trained, settings, inputs, seed=chosen.seed)
    record = training.run(context)
    record.save(trained / "record.json")
    return inputs, record


def difference(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> str:
    """Give the difference of two accuracies on the same jets, with its error."""
    gained, lost = np.count_nonzero(a & ~b), np.count_nonzero(b & ~a)
    value = (gained - lost) / len(a)
    error = np.sqrt(gained + lost - (gained - lost) ** 2 / len(a)) / len(a)
    return f"{100 * value:+.2f} ± {100 * error:.2f}"


if __name__ == "__main__":
    main()
