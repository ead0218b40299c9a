"""Print the table of all points, ratios at equal test accuracy, and draw the plot.

    python benchmarks/pareto/table.py --ours elements

Reads what the other scripts of this folder left in ``build/benchmarks/pareto``. Points
are chosen by validation accuracy and quoted on the test split. The literature's points
stand in a panel of their own: they are others', on other jets, counted by other tools.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray
from points import FOLDER, Point, read_all
from ratios import Floats, draw, not_dominated, ratio

LITERATURE = Path(__file__).with_name("literature.csv")
LEVELS = (0.731, 0.728, 0.722, 0.716)
DRAWS = 1000
Fronts = Mapping[str, tuple[Floats, Floats, Floats]]


def main() -> None:
    """Print and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument(
        "--ours", default="elements", help="method the ratios divide by"
    )
    parser.add_argument("--levels", type=float, nargs="+", default=LEVELS)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    points = [p for p in read_all(arguments.folder) if p.lut is not None]
    methods = {
        method: chosen([p for p in points if p.method == method])
        for method in sorted({p.method for p in points})
    }
    for method, front in methods.items():
        everything = [p for p in points if p.method == method]
        print_points(method, everything, {p.name for p in front})
    with np.load(arguments.folder / "jets.npz") as data:
        truth = data["y_test"]
    fronts = redrawn(methods, arguments.folder, truth, arguments.seed)
    if arguments.ours in fronts:
        print_ratios(fronts, arguments.ours, arguments.levels)
    mpl.use("agg")
    drawing = figure(methods)
    for suffix in ("png", "pdf"):
        path = arguments.folder / f"pareto.{suffix}"
        drawing.savefig(path, dpi=150)
        print(f"wrote {path}")


def chosen(points: Sequence[Point]) -> list[Point]:
    """Choose the points of a method by validation, from small to large."""
    luts = [p.lut or 0 for p in points]
    return [points[i] for i in not_dominated(luts, [p.validation for p in points])]


def print_points(method: str, points: Sequence[Point], front: set[str]) -> None:
    """Print a line a point; a star marks those on the front."""
    print(
        f"\n{method}\n  {'name':<12}{'LUT':>8}{'EBOPs':>8}{'adders':>8}"
        f"{'validation':>12}{'test':>8}{'error':>8}  logic"
    )
    for p in sorted(points, key=lambda p: p.lut or 0):
        ebops, adders = (
            "" if value is None else f"{value:.0f}" for value in (p.ebops, p.adders)
        )
        equal = {True: "equal", False: "NOT EQUAL", None: "not compared"}[p.bit_exact]
        print(
            f"{'*' if p.name in front else ' '} {p.name:<12}{p.lut:>8}{ebops:>8}"
            f"{adders:>8}{p.validation:>12.4f}{p.test:>8.4f}{p.test_error:>8.4f}"
            f"  {equal}"
        )


def redrawn(
    methods: Mapping[str, Sequence[Point]],
    folder: Path,
    truth: NDArray[np.int64],
    seed: int,
) -> Fronts:
    """Draw the accuracies of every front's points, all on the same jets."""
    points = [p for front in methods.values() for p in front]
    right = [np.load(p.path(folder, ".npy")) == truth for p in points]
    drawn = draw(right, DRAWS, seed)
    index = {(p.method, p.name): i for i, p in enumerate(points)}
    return {
        method: (
            np.array([p.lut for p in front], dtype=np.float64),
            np.array([p.test for p in front]),
            drawn[:, [index[p.method, p.name] for p in front]],
        )
        for method, front in methods.items()
    }


def print_ratios(fronts: Fronts, ours: str, levels: Sequence[float]) -> None:
    """Print, for each accuracy, how many times our LUTs each method takes."""
    others = [method for method in fronts if method != ours]
    print(f"\nLUT of each method / LUT of {ours}, at equal test accuracy")
    print("  test    " + "".join(f"{method:<32}" for method in others))
    for level in levels:
        row = f"  {level:.3f}   "
        for method in others:
            value, error, share = ratio(level, fronts[ours], fronts[method])
            text = f"{value:.2f} ± {error:.2f}"
            if np.isnan(value):
                text = "not reached by both"
            elif share < 0.95:
                text += f" ({100 * share:.0f} % of draws)"
            row += f"{text:<32}"
        print(row)


def figure(methods: Mapping[str, Sequence[Point]]) -> Figure:
    """Draw ours on the left, the literature's on the right."""
    drawing = Figure(figsize=(11, 4.8), layout="constrained")
    left, right = drawing.subplots(1, 2)
    for method, front in methods.items():
        left.errorbar(
            [p.lut or 0 for p in front],
            [100 * p.test for p in front],
            [100 * p.test_error for p in front],
            marker="o",
            markersize=4,
            linewidth=1,
            capsize=2,
            label=method,
        )
    finish(left, "Measured here: our generated jets, Yosys, UltraScale+")
    with LITERATURE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == method]
        right.plot(
            [int(row["lut"]) for row in mine],
            [100 * float(row["accuracy"]) for row in mine],
            marker="s",
            fillstyle="none",
            linestyle=":",
            label=method,
        )
    finish(right, "Published by others: other jets (OpenML), Vivado")
    return drawing


def finish(axes: Axes, title: str) -> None:
    """Label a panel."""
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("LUT")
    axes.set_ylabel("test accuracy [%]")
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)


if __name__ == "__main__":
    main()
