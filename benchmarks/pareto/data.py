"""Write the jets flow's split, standardised, for tools that do not know hawq.

    python benchmarks/pareto/data.py --build build/jets

Writes ``build/benchmarks/pareto/jets.npz``: ``x_train``, ``y_train`` and so on, of the
finished data and model stages of the flow.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from hawq.data.dataset import Dataset
from hawq.model.network import load_float, standardise

SPLITS = ("train", "validation", "test")


def main() -> None:
    """Read the two stages and write one file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/jets"))
    parser.add_argument(
        "--out", type=Path, default=Path("build/benchmarks/pareto/jets.npz")
    )
    arguments = parser.parse_args()
    _, record = load_float(arguments.build / "02-model")
    arrays = {}
    for split in SPLITS:
        data = Dataset.read(arguments.build / "01-data" / f"{split}.h5")
        arrays[f"x_{split}"] = standardise(data.x, record)
        arrays[f"y_{split}"] = data.y
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(arguments.out, **arrays)


if __name__ == "__main__":
    main()
