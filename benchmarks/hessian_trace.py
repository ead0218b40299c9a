"""Hessian traces of the jet tagger, beside PyHessian 0.1.

    hawq run jets --to model
    python benchmarks/hessian_trace.py --build build/jets

Both measure the same network on the same batch in one process and take turns; times are
medians. *Warm*: PyHessian's `hessian` object is constructed (its forward and backward
pass are done), and ours is posed (its forward pass is done). *Whole call*: everything.

The second part trains the same network with GELU instead of ReLU, where most sites are
not exact. The spread of our total over seeds and that of PyHessian's probes give the
probes, and so the time, that PyHessian needs for the same standard error; the ratio's
interval (95 %) is that of the two spreads, for normal totals.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from pyhessian import hessian
from scipy.stats import f as f_distribution
from torch import Tensor, nn
from torch.nn import functional

from hawq.data.dataset import Dataset
from hawq.model.fold import fold_batch_norm
from hawq.model.network import load_float, standardise
from hawq.records import SensitivityMap, SiteKind
from hawq.sensitivity.columns import accumulate, summarise
from hawq.sensitivity.hessian import hessian_trace
from hawq.sensitivity.losses import curvature_columns
from hawq.sensitivity.problem import Problem, pose
from hawq.sensitivity.tape import evaluating

PROBES = 100
SEEDS = 100
NEVER = -1e30  # PyHessian stops when the change is below its tolerance

Batch = tuple[Tensor, Tensor]


def main() -> None:
    """Compare on one thread and on two."""
    arguments = parse()
    warnings.filterwarnings("ignore", category=UserWarning, module="torch.autograd")
    relu, x, y = tagger(arguments.build)
    gelu = smooth(relu, x, y)
    batch = x[: arguments.batch], y[: arguments.batch]
    size = sum(parameter.numel() for parameter in relu.parameters())
    print(f"batch {arguments.batch}, {size} parameters, load {os.getloadavg()[0]:.1f}")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        print(f"\n--- threads: {threads}")
        compare_exact(relu, batch, arguments.rounds)
        compare_smooth(gelu, batch, arguments.rounds)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/jets"))
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args()


def tagger(build: Path) -> tuple[nn.Module, Tensor, Tensor]:
    """Load the trained tagger and the training jets, standardised and shuffled."""
    network, record = load_float(build / "02-model")
    train = Dataset.read(build / "01-data" / "train.h5")
    order = np.random.default_rng(0).permutation(len(train))
    x = torch.from_numpy(standardise(train.x[order], record))
    return fold_batch_norm(network), x, torch.from_numpy(train.y[order])


def smooth(relu: nn.Module, x: Tensor, y: Tensor) -> nn.Module:
    """Train the same layers with GELU between them, from the ReLU network's weights."""
    torch.manual_seed(0)
    layers = [
        nn.GELU() if isinstance(layer, nn.ReLU) else layer for layer in relu.children()
    ]
    model = fold_batch_norm(nn.Sequential(*layers))  # a copy
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(5):
        for rows in torch.split(torch.randperm(len(x)), 256):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x[rows]), y[rows])
            torch.autograd.backward(loss)
            optimizer.step()
    return model


def compare_exact(model: nn.Module, batch: Batch, rounds: int) -> None:
    """Print exact traces beside 100 probes, and how long each takes."""
    peer = hessian(model, nn.CrossEntropyLoss(), data=batch, cuda=False)
    probes = np.array(peer.trace(maxIter=PROBES, tol=NEVER))
    found = hessian_trace(model, [batch])
    error = probes.std(ddof=1) / np.sqrt(PROBES)
    print(f"ReLU: total trace {total(found):.4f} ({found.route})")
    print(f"  PyHessian, {PROBES} probes: {probes.mean():.4f} ± {error:.4f}")
    weights = [e.site for e in found.sites if e.site.kind is SiteKind.WEIGHT]
    with evaluating(model):
        some = pose(model, [batch], weights, 0, "cross_entropy")
        every = pose(model, [batch], None, 0, "cross_entropy")
        seconds = take_turns(
            {
                f"PyHessian, {PROBES} warm probes": (
                    lambda: peer.trace(maxIter=PROBES, tol=NEVER),
                    1,
                ),
                "traces of each layer's weights, warm": (lambda: columns(some), 30),
                "all sites, warm": (lambda: columns(every), 30),
                "traces of each layer's weights, whole call": (
                    lambda: hessian_trace(model, [batch], weights),
                    30,
                ),
                "all sites, whole call": (lambda: hessian_trace(model, [batch]), 30),
            },
            rounds,
        )
    reference = next(iter(seconds.values()))
    for name, each in seconds.items():
        print(f"  {name:<44}{1e3 * each:9.2f} ms{reference / each:9.1f}×")


def compare_smooth(model: nn.Module, batch: Batch, rounds: int) -> None:
    """Print what each spends for the same standard error of the total trace."""
    peer = hessian(model, nn.CrossEntropyLoss(), data=batch, cuda=False)
    probes = np.array(peer.trace(maxIter=4 * PROBES, tol=NEVER))
    spread = float(probes.std(ddof=1))
    truth = float(probes.mean())
    print(f"GELU: PyHessian {truth:.4f} ± {spread / np.sqrt(len(probes)):.4f}")
    for count in (2, 8):

        def ours(seed: int = 0, count: int = count) -> SensitivityMap:
            return hessian_trace(
                model, [batch], None, seed, relative_error=1e-9, max_probes=count
            )

        maps = [ours(seed) for seed in range(SEEDS)]
        totals = np.array([total(found) for found in maps])
        error = float(totals.std(ddof=1))
        seconds = take_turns(
            {
                "peer": (lambda: peer.trace(maxIter=PROBES, tol=NEVER), 1),
                "ours": (ours, 3),
            },
            rounds,
        )
        needed = (spread / error) ** 2
        once = seconds["peer"] / PROBES
        ratio = needed * once / seconds["ours"]
        freedom = len(probes) - 1, SEEDS - 1
        low, high = (
            ratio / float(f_distribution.ppf(q, *freedom)) for q in (0.975, 0.025)
        )
        away = (totals.mean() - truth) / np.hypot(
            error / np.sqrt(SEEDS), spread / np.sqrt(len(probes))
        )
        print(
            f"  {count} probes: {totals.mean():.4f} ± {error:.4f} "
            f"({100 * error / totals.mean():.2f} %) in {1e3 * seconds['ours']:.1f} ms;"
            f" PyHessian needs {needed:,.0f} probes of {1e3 * once:.2f} ms: "
            f"{ratio:.0f}× ({low:.0f} to {high:.0f}); "
            f"means differ by {away:+.1f} standard errors"
        )


def total(found: SensitivityMap) -> float:
    """Add the traces of all weights and biases, which is what PyHessian measures."""
    return sum(
        entry.score * entry.site.elements
        for entry in found.sites
        if entry.site.kind is not SiteKind.ACTIVATION
    )


def columns(problem: Problem) -> object:
    """Measure a posed problem exactly."""
    found, _ = accumulate(
        problem,
        problem.sites,
        lambda outputs, _: curvature_columns("cross_entropy", outputs),
    )
    return summarise(problem.sites, found)


def take_turns(
    contestants: dict[str, tuple[Callable[[], object], int]], rounds: int
) -> dict[str, float]:
    """Time contestants in turn; each runs so many times a round.

    Args:
        contestants: Name → what to run, and how often a round.
        rounds: How many, after one that is not counted.

    Returns:
        Median seconds of one run.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, (run, repeats) in contestants.items():
            for _ in range(repeats):
                start = time.perf_counter()
                run()
                if number:
                    times[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in times.items()}


if __name__ == "__main__":
    main()
