"""How fast jets are made, and how much of that is Pythia.

    python benchmarks/jet_generation.py --jets 300 --workers 2

First one item of each class is made in this process, with Pythia's share of the time;
then ``--jets`` a class on ``--workers`` processes, start-up and compilation included.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from hawq.data import pythia
from hawq.data.columns import CLASSES
from hawq.data.features import SELECTION, measure
from hawq.data.generate import generate_jets
from hawq.data.variant import DETECTORS, Variant


def main() -> None:
    """Print seconds a jet by class, and jets a second on all workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jets", type=int, default=300, help="of each class")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--events", type=int, default=200, help="in the first part")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        one_process(Path(folder), arguments.events)
        start = time.perf_counter()
        generate_jets(
            Path(folder) / "jets.h5",
            arguments.jets,
            seed=7,
            workers=arguments.workers,
            progress=lambda what, fraction: None,
        )
        seconds = time.perf_counter() - start
    total = arguments.jets * len(CLASSES)
    print(f"{total} jets, {arguments.workers} processes: {total / seconds:.0f} jets/s")


def one_process(folder: Path, events: int) -> None:
    """Time hard process, shower and everything behind Pythia, class by class."""
    generator = np.random.default_rng(0)
    detector = DETECTORS[Variant.DEFAULT]
    totals = np.zeros(4)
    print("class   ms/jet   hard process   shower   detector, clustering, features")
    for name in ("warm-up", *CLASSES):
        path, jet_class = (
            folder / f"{name}.lhe",
            CLASSES[0] if name == "warm-up" else name,
        )
        marks = [time.process_time()]
        pythia.write_hard_events(path, jet_class, events, 1)
        marks.append(time.process_time())
        batches = list(pythia.shower(path, 1))
        marks.append(time.process_time())
        jets = sum(len(measure(b, detector, SELECTION, generator)) for b in batches)
        marks.append(time.process_time())
        if name == "warm-up":
            continue
        parts = np.diff(marks)
        totals += [*parts, jets]
        line(name, parts, jets)
    line("all", totals[:3], int(totals[3]))


def line(name: str, parts: np.ndarray, jets: int) -> None:
    """Print one row."""
    shares = [f"{100 * part / parts.sum():.0f} %" for part in parts]
    print(
        f"{name:<7} {1000 * parts.sum() / jets:<8.2f} {shares[0]:<14} {shares[1]:<8} ",
        end="",
    )
    print(shares[2])


if __name__ == "__main__":
    main()
