"""Bits chosen by predicted LUTs against bits chosen by BOPs, both synthesised.

    python benchmarks/lut_budget.py --costs lut bops --input-bits 6 --losses 0.6 0.8 1.3

For each rise of the loss that the integer programme may predict it finds the widths of
fewest LUTs and those of fewest bit operations: at equal predicted loss the two differ
only in what they save. Each is trained, exported, made RTL without registers and
synthesised by Yosys for UltraScale+. Accuracies are those of the validation split that
training selects on, and of the test split.

With that command (20 epochs, one seed, 23 minutes on half a core) the LUTs are 0.923,
0.910 and 0.977 of those chosen by BOPs, at accuracies of -0.11, -0.13 and +0.13 points
on validation, +0.34, -0.14 and -0.18 on test; seeds alone scatter by 0.2 points. With
the input free (``--losses 0.5 0.8``) they are 0.910 and 0.875, but the accuracy is less
by 0.67 and 0.48 points on validation: the laws take 5 bits for the input where BOPs
take 6, and training makes up for coarse weights, not for an input that was rounded off.
At half of the losses tried both choose the same widths. See docs/cost_models.md.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from hawq import compute, flow
from hawq.allocation.allocate import calibrate_network
from hawq.allocation.cost import bops, bops_dense
from hawq.allocation.layers import INPUT
from hawq.allocation.measured import lut
from hawq.allocation.programme import Programme, Term
from hawq.allocation.solver import Solution, smallest
from hawq.allocation.stage import Settings
from hawq.allocation.tables import Tables
from hawq.data.dataset import Dataset
from hawq.export import stage as export
from hawq.integer.lower import lower_qonnx
from hawq.model.fold import fold_batch_norm
from hawq.model.network import load_float, standardise
from hawq.records import SensitivityMap
from hawq.rtl.trace import trace_graph
from hawq.rtl.verilog import TOP, Rtl
from hawq.stage import StageContext
from hawq.synthesis.fpga import synthesise_xilinx, verilog_sources
from hawq.synthesis.parts import find_part
from hawq.training import stage as training

PART = "xcvu9p-flga2104-2L-e"
LIMIT_S = 3600.0
COSTS = {"lut": lut, "bops": bops, "bops_dense": bops_dense}


@dataclass(frozen=True)
class Network:
    """A trained and synthesised network.

    Attributes:
        validation: Accuracy.
        test: Accuracy.
        luts: Synthesised.
        adders: alkaid's cost of its adder graph.
        seconds: That all took.
    """

    validation: float
    test: float
    luts: float
    adders: float
    seconds: float


def main() -> None:
    """Train and synthesise every choice of widths and print a table."""
    arguments = parse()
    tables = calibrate(arguments.build)
    programme = Programme(
        decisions=tables.decisions(),
        costs={
            **{name: tables.prices(model) for name, model in COSTS.items()},
            "loss": tuple(
                Term((d.name,), np.array(d.loss)) for d in tables.decisions()
            ),
        },
        fixed={} if arguments.input_bits is None else {INPUT: arguments.input_bits},
    )
    items = {
        (loss, name): smallest(programme, name, {"loss": loss})
        for loss in arguments.losses
        for name in arguments.costs
    }
    print(
        "loss [nats]: fewest           bits (input, weights, activations)  BOPs     "
        "LUT     LUT      adders  validation  test\n"
        f"{'predicted, measured':>93}",
        flush=True,
    )
    with compute.executor(arguments.workers) as pool, TemporaryDirectory() as scratch:
        found = run_all(pool, arguments, tables, items, Path(scratch))
    for loss in arguments.losses:
        ours = found[widths(items[loss, "lut"])]
        for name in arguments.costs:
            if name == "lut":
                continue
            theirs = found[widths(items[loss, name])]
            print(
                f"loss {loss:g}, against {name}: {ours.luts / theirs.luts:.3f} of the "
                "LUTs, accuracy "
                f"{100 * (ours.validation - theirs.validation):+.2f} on validation, "
                f"{100 * (ours.test - theirs.test):+.2f} on test [percentage points]"
            )


def widths(solution: Solution) -> tuple[int, ...]:
    """Give a solution's widths, by which its network is known."""
    return tuple(solution.bits.values())


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--build", type=Path, default=Path("build/jets"))
    parser.add_argument("--flow", default="jets")
    parser.add_argument("--losses", type=float, nargs="+", default=[0.5, 0.8, 1.3, 2.0])
    parser.add_argument("--costs", nargs="+", default=list(COSTS), choices=COSTS)
    parser.add_argument("--input-bits", type=int, help="the same for every choice")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1)
    return parser.parse_args()


def stages(build: Path) -> dict[str, Path]:
    """Find the finished stages that every network shares."""
    names = ("data", "model", "sensitivity")
    return {name: next(build.resolve().glob(f"[0-9][0-9]-{name}")) for name in names}


def calibrate(build: Path) -> Tables:
    """Make the tables of the flow's float network, as the allocation stage does."""
    inputs, settings = stages(build), Settings()
    network, model = load_float(inputs["model"])
    train = Dataset.read(inputs["data"] / "train.h5")
    x = standardise(train.x[: settings.calibration_samples], model)
    sensitivities = SensitivityMap.read(inputs["sensitivity"] / "record.json")
    return calibrate_network(fold_batch_norm(network), sensitivities, x, settings)


def run_all(
    pool: Executor,
    arguments: argparse.Namespace,
    tables: Tables,
    items: dict[tuple[float, str], Solution],
    scratch: Path,
) -> dict[tuple[int, ...], Network]:
    """Train and synthesise every choice of widths once, printing each."""
    solutions = {widths(solution): solution for solution in items.values()}
    folders = []
    for bits, solution in solutions.items():
        folder = scratch / "-".join(map(str, bits))
        (folder / "allocation").mkdir(parents=True)
        record = tables.allocation(solution, {}, COSTS.values())
        record.save(folder / "allocation" / "record.json")
        folders.append(folder)
    work = partial(
        train_and_synthesise, arguments.flow, arguments.build, arguments.epochs
    )
    found = {}
    results = compute.map_progress(pool, work, folders)
    for (bits, solution), network in zip(solutions.items(), results, strict=True):
        found[bits] = network
        chosen = [key for key, other in items.items() if widths(other) == bits]
        label = ", ".join(f"{loss:g}: {name}" for loss, name in chosen)
        print(
            f"{label:<30}{'-'.join(map(str, bits)):<33}"
            f"{solution.costs['bops']:>9,.0f} {solution.costs['lut']:>9,.0f} "
            f"{network.luts:>9,.0f} {network.adders:>9,.0f}  "
            f"{100 * network.validation:.2f} %     {100 * network.test:.2f} %"
            f"  ({network.seconds:.0f} s)",
            flush=True,
        )
    return found


def train_and_synthesise(name: str, build: Path, epochs: int, folder: Path) -> Network:
    """Train at the allocation in a folder, and count the LUTs of the result."""
    start = time.perf_counter()
    chosen = flow.read(flow.find(name), [f"training.epochs={epochs}"])
    inputs = stages(build) | {"allocation": folder / "allocation"}
    for stage in (training, export):
        made = folder / stage.__name__.split(".")[1]
        made.mkdir()
        settings = chosen.settings[made.name]
        record = stage.run(StageContext(made, settings, inputs, seed=chosen.seed))
        record.save(made / "record.json")
        inputs[made.name] = made
        if isinstance(record, training.TrainingRecord):
            trained = record
    logic = trace_graph(lower_qonnx(inputs["export"] / "network.onnx"))
    Rtl(logic, folder / "rtl", levels=None).write()
    netlist = synthesise_xilinx(
        verilog_sources(folder / "rtl"),
        TOP,
        folder / "synthesis",
        part=find_part(PART),
        seconds=LIMIT_S,
    )
    return Network(
        validation=trained.validation.accuracy,
        test=trained.test.accuracy,
        luts=netlist.resources.usage["LUT"].used,
        adders=float(logic.cost),
        seconds=time.perf_counter() - start,
    )


if __name__ == "__main__":
    main()
