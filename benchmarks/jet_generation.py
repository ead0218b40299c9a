"""How fast jets are made, and how much of that is Pythia.

    python benchmarks/jet_generation.py

First each class in this process, in CPU time: starting both Pythias, the hard process,
Pythia's own showering (``next()`` alone), the way out of it into arrays, and what comes
behind it (detector, clustering, features). The last column is the rate that Pythia
alone, started for nothing and followed by nothing, would allow on all workers.

Then whole items of work on ``--workers`` processes: every jet counts, and start-up too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hawq.compute import executor, map_progress
from hawq.data import pythia
from hawq.data.columns import CLASSES
from hawq.data.features import SELECTION, measure
from hawq.data.generate import EVENTS_PER_ITEM, Item, make_item
from hawq.data.variant import DETECTORS, Variant

PARTS = ("start", "hard", "shower", "arrays", "behind")


def main() -> None:
    """Print CPU milliseconds a jet by class, and jets a second on all workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=2, help="of each class")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    print(f"CPU ms a jet, items of {EVENTS_PER_ITEM} events:")
    print("class " + "".join(f"{part:>8}" for part in (*PARTS, "all")), end="")
    print(f"   Pythia   Pythia alone x {arguments.workers}")
    with TemporaryDirectory() as folder:
        class_time(Path(folder), CLASSES[0])  # loads the compiled code
        rows = [class_time(Path(folder), name) for name in CLASSES]
    for name, row in zip(
        (*CLASSES, "mean"), (*rows, np.mean(rows, axis=0)), strict=True
    ):
        share = row[:3].sum() / row.sum()
        alone = 1000 * arguments.workers / row[2]
        print(
            f"{name:<6}" + "".join(f"{each:8.2f}" for each in (*row, row.sum())), end=""
        )
        print(f"{share:8.0%}   {alone:.0f} jets/s")
    items = [
        Item(name, number, EVENTS_PER_ITEM, 7, Variant.DEFAULT)
        for number in range(arguments.items)
        for name in CLASSES
    ]
    begin = time.perf_counter()
    with executor(arguments.workers) as pool:
        jets = sum(map(len, map_progress(pool, make_item, items)))
    seconds = time.perf_counter() - begin
    print(f"{jets} jets in {seconds:.1f} s on {arguments.workers} processes: ", end="")
    print(f"{jets / seconds:.0f} jets/s")


def class_time(folder: Path, name: str, events: int = 400) -> np.ndarray:
    """Time one class; give CPU ms a jet by part, shape (5,)."""
    path = folder / f"{name}.lhe"
    hard = (*pythia.HARD, *pythia.PROCESSES[name])
    soft = (*pythia.SHOWER, f"Beams:LHEF = {path}")
    generator = np.random.default_rng(0)
    seconds, _ = timed(lambda: pythia.write_hard_events(path, name, events, 1))
    start_hard, _ = timed(lambda: pythia.start(hard, 1))
    start_soft, alone = timed(lambda: pythia.start(soft, 1))
    shower, _ = timed(lambda: [alone.next() for _ in range(events)])
    both, batches = timed(lambda: list(pythia.shower(path, 1)))
    behind, made = timed(
        lambda: [
            len(measure(batch, DETECTORS[Variant.DEFAULT], SELECTION, generator))
            for batch in batches
        ]
    )
    arrays = max(0.0, both - start_soft - shower)
    start = (start_hard + start_soft) * events / EVENTS_PER_ITEM
    parts = np.array([start, seconds - start_hard, shower, arrays, behind])
    return 1000 * parts / sum(made)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Do the work; give the CPU seconds it took and what it gave."""
    begin = time.process_time()
    result = work()
    return time.process_time() - begin, result


if __name__ == "__main__":
    main()
