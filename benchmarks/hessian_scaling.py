"""What sensitivities cost against the number of parameters, and of probes.

    python benchmarks/hessian_scaling.py --output build/benchmarks/hessian_scaling.png

Networks 16-w-w-w-5 of random weights on 256 random samples, one thread by default. Each
cost is one run after one that is not counted. PyHessian's line is the measured time of
one probe of the total trace, beside ours for the traces and diagonals of every site.
Writes the figure, and its numbers beside it as JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from pyhessian import hessian
from torch import Tensor, nn

from hawq.sensitivity.fisher import fisher
from hawq.sensitivity.hessian import hessian_trace
from hawq.sensitivity.sites import Batches

WIDTHS = (32, 64, 128, 256, 512, 1024, 2232)
PROBES = (2, 4, 8, 16, 32, 64)
EXACT, SMOOTH = "ReLU, exact", "GELU, 2 probes a sample"
FISHER, PEER = "Fisher", "PyHessian, one probe"


def main() -> None:
    """Measure, print and draw."""
    arguments = parse()
    mpl.use("agg")
    warnings.filterwarnings("ignore", category=UserWarning, module="torch.autograd")
    torch.set_num_threads(arguments.threads)
    sizes = by_parameters(arguments.samples)
    probes = by_probes(arguments.samples)
    path: Path = arguments.output
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(sizes, probes).savefig(path, dpi=150)
    path.with_suffix(".json").write_text(
        json.dumps({"threads": arguments.threads, "sizes": sizes, "probes": probes})
    )
    memory_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"largest memory {memory_mib:.0f} MiB; wrote {path}")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("build/benchmarks/hessian_scaling.png"),
        help="the figure, a .png; .json is written beside it",
    )
    arguments = parser.parse_args()
    if arguments.output.suffix != ".png":
        parser.error(f"--output {arguments.output}: expected a name that ends in .png")
    return arguments


def by_parameters(samples: int) -> list[dict[str, float]]:
    """Time every source on wider and wider networks.

    Args:
        samples: In the batch.

    Returns:
        One row a width: ``parameters``, and seconds by name.
    """
    rows = []
    batches = batch(samples)
    print(
        f"{'parameters':>12}"
        + "".join(f"{n:>26}" for n in (EXACT, SMOOTH, FISHER, PEER))
    )
    for width in WIDTHS:
        relu, gelu = network(width, nn.ReLU), network(width, nn.GELU)
        peer = hessian(gelu, nn.CrossEntropyLoss(), data=batches[0], cuda=False)
        seconds = {
            EXACT: timed(partial(hessian_trace, relu, batches)),
            SMOOTH: timed(partial(hessian_trace, gelu, batches, max_probes=2)),
            FISHER: timed(partial(fisher, gelu, batches)),
            PEER: timed(partial(peer.trace, maxIter=1)),
        }
        parameters = sum(p.numel() for p in relu.parameters())
        print(f"{parameters:>12,}" + "".join(f"{s:>24.4f} s" for s in seconds.values()))
        rows.append({"parameters": parameters} | seconds)
    return rows


def by_probes(samples: int) -> list[dict[str, float]]:
    """Time the stochastic route with more and more probes.

    Args:
        samples: In the batch.

    Returns:
        One row a number of probes: ``probes``, seconds, and the largest relative
        standard error of a site from probes.
    """
    model, batches = network(64, nn.GELU), batch(samples)
    rows = []
    print(f"\n{'probes':>12}{'time':>12}{'largest relative error':>26}")
    for probes in PROBES:

        def run(probes: int = probes) -> object:
            return hessian_trace(model, batches, relative_error=1e-9, max_probes=probes)

        found = hessian_trace(model, batches, relative_error=1e-9, max_probes=probes)
        error = max(entry.probe_error / abs(entry.score) for entry in found.sites)
        seconds = timed(run)
        print(f"{probes:>12}{seconds:>10.4f} s{error:>26.4f}")
        rows.append({"probes": probes, "seconds": seconds, "error": error})
    return rows


def network(width: int, activation: type[nn.Module]) -> nn.Sequential:
    """Build a network 16-w-w-w-5 of random weights."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(16, width), activation(), nn.Linear(width, width), activation(),
        nn.Linear(width, width), activation(), nn.Linear(width, 5),
    )  # fmt: skip


def batch(samples: int) -> Batches:
    """Draw a batch."""
    generator = torch.Generator().manual_seed(0)
    x: Tensor = torch.randn(samples, 16, generator=generator)
    return [(x, torch.randint(0, 5, (samples,), generator=generator))]


def timed(run: Callable[[], object]) -> float:
    """Run once to warm up, then once against the clock.

    Args:
        run: What to time.

    Returns:
        Seconds.
    """
    run()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def draw(sizes: list[dict[str, float]], probes: list[dict[str, float]]) -> Figure:
    """Draw time against parameters, and time and error against probes."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    parameters = [row["parameters"] for row in sizes]
    for name, marker in ((EXACT, "o"), (SMOOTH, "s"), (FISHER, "^"), (PEER, "x")):
        left.plot(parameters, [row[name] for row in sizes], marker=marker, label=name)
    left.set(xscale="log", yscale="log", xlabel="parameters", ylabel="time [s]")
    left.set_title("every site: trace, diagonal, errors (PyHessian: total trace)")
    left.legend()
    counts = [row["probes"] for row in probes]
    right.plot(counts, [row["seconds"] for row in probes], "o-", label="time [s]")
    right.plot(
        counts, [row["error"] for row in probes], "s--",
        label="largest relative standard error of a site",
    )  # fmt: skip
    right.set(xscale="log", yscale="log", xlabel="probes a sample")
    right.set_xticks(counts, [f"{count:.0f}" for count in counts])
    right.minorticks_off()
    right.set_title("GELU 16-64-64-64-5")
    right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return figure


if __name__ == "__main__":
    main()
