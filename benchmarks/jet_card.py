"""Train the jet tagger, compare its jets with others, and write its card.

    python benchmarks/jet_card.py --real jsc_openml_600.npz --reference generated.npz

``--real`` is a sample of the public jet set, standardised, with labels g q t w z;
``--reference`` jets of the same recipe by an independent implementation, raw units. The
tables go into ``models/jets/README.md``, the figures into ``models/jets/card.toml``.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import nn

from hawq import digest
from hawq.data import stage as data_stage
from hawq.data.columns import CLASSES, FEATURES
from hawq.data.compare import AffineMap, Agreement, compare, match
from hawq.data.dataset import Dataset
from hawq.data.readers import read_dataset
from hawq.data.record import DataRecord
from hawq.model import stage as model_stage
from hawq.model.metrics import measure
from hawq.model.network import load_float, standardise
from hawq.model.record import Metrics, ModelRecord
from hawq.model.train import evaluate
from hawq.paths import atomic_file, shipped
from hawq.stage import StageContext

CARD = shipped("models") / "jets"

# Of the public set's scaler, recovered from the identities between its features and
# from the spacing of its lattices; independent of any generated jet.
PUBLIC_MEAN_STD = {
    "zlogz": (-2.87, 0.590),
    "c1_b0": (0.433, 0.055),
    "c1_b1": (0.0379, 0.0292),
    "c1_b2": (0.00801, 0.00942),
    "c2_b1": (0.0464, 0.0391),
    "c2_b2": (0.00783, 0.01252),
    "d2_b1": (1.329, 0.472),
    "d2_b2": (1.111, 0.746),
    "d2_a1_b1": (1.329, 0.472),
    "d2_a1_b2": (0.1916, 0.0748),
    "m2_b1": (0.0897, 0.0351),
    "m2_b2": (0.0437, 0.0267),
    "n2_b1": (0.2845, 0.0843),
    "n2_b2": (0.1465, 0.0794),
    "mass": (75.1, 55.5),
    "multiplicity": (52.89, 21.695),
}


@dataclass(frozen=True)
class Training:
    """One trained network."""

    network: nn.Module
    record: ModelRecord
    seconds: float


def main() -> None:
    """Do everything and write the card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    real, reference, jets = (
        read_dataset(path, FEATURES, CLASSES)
        for path in (options.real, options.reference, data_stage.embedded_jets())
    )
    units = match(jets, real)
    with tempfile.TemporaryDirectory() as folder:
        data = make_data(Path(folder) / "data", options.seeds[0])
        trainings = {
            batch_norm: [
                make_model(Path(folder), seed, batch_norm) for seed in options.seeds
            ]
            for batch_norm in (False, True)
        }
    text = "\n".join([
        accuracy_section(trainings, real, options.real, units),
        ks_section(
            "Generated jets against real ones",
            "The embedded jets after one affine map a feature (fitted, because the "
            "public file is standardised and its scaler was not published) against "
            f"{len(real)} real jets. With {len(FEATURES) * len(CLASSES)} tests, one p "
            f"below {0.05 / 80:.1e} would be a difference at 5 %.",
            compare(units.apply(jets), real),
        ),
        ks_section(
            "Generated jets against an independent implementation of the recipe",
            f"Raw units, no map; {len(reference)} jets there, {len(jets)} here.",
            compare(jets, reference),
        ),
    ])
    write_between_markers(CARD / "README.md", text)
    write_card(data, [t.record for t in trainings[False]], trainings, real, units)
    print(text)


def make_data(folder: Path, seed: int) -> DataRecord:
    """Run the data stage with its defaults."""
    folder.mkdir()
    context = StageContext(folder=folder, settings=data_stage.Settings(), seed=seed)
    return data_stage.run(context)


def make_model(base: Path, seed: int, batch_norm: bool) -> Training:
    """Run the model stage with its defaults."""
    folder = base / f"model-{seed}-{batch_norm}"
    folder.mkdir()
    start = time.perf_counter()
    context = StageContext(
        folder=folder,
        settings=model_stage.Settings(batch_norm=batch_norm),
        inputs={"data": base / "data"},
        seed=seed,
    )
    record = model_stage.run(context)
    seconds = time.perf_counter() - start
    record.save(folder / "record.json")
    print(
        f"batch_norm={batch_norm} seed={seed}: {seconds:.1f} s, "
        f"{record.test.accuracy:.4f}",
        flush=True,
    )
    return Training(load_float(folder)[0], record, seconds)


def real_metrics(
    training: Training, real: Dataset, units: AffineMap
) -> dict[str, Metrics]:
    """Classify the real jets, put into the network's units in three ways."""
    mean, std = np.array([PUBLIC_MEAN_STD[name] for name in real.features]).T
    inputs = {
        "own scaler": real.x,
        "public scaler": standardise(real.x * std + mean, training.record),
        "fitted map": standardise(units.inverse().apply(real).x, training.record),
    }
    return {
        name: measure(
            evaluate(training.network, torch.from_numpy(x)).numpy(),
            real.y,
            real.classes,
        )
        for name, x in inputs.items()
    }


def accuracy_section(
    trainings: dict[bool, list[Training]], real: Dataset, path: Path, units: AffineMap
) -> str:
    """Give the table of accuracies."""
    lines = [
        "### The float network",
        "",
        "| network | seed | epochs (best) | s | validation | test | own scaler "
        "| public scaler | fitted map |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for batch_norm, group in trainings.items():
        for training in group:
            record = training.record
            on_real = real_metrics(training, real, units).values()
            lines.append(
                f"| {'batch norm' if batch_norm else 'plain'} | {record.seed} "
                f"| {len(record.history)} ({record.best_epoch}) "
                f"| {training.seconds:.0f} | {percent(record.validation)} "
                f"| {percent(record.test)} | "
                + " | ".join(percent(metrics) for metrics in on_real)
                + " |"
            )
    first = trainings[False][0]
    rows = {
        "generated, test split": first.record.test,
        f"real ({len(real)}), own scaler": real_metrics(first, real, units)[
            "own scaler"
        ],
    }
    lines += [
        "",
        "The last three columns are accuracies on the real jets, per cent.",
        *published(path, real),
        "",
        "AUC, one against the rest, and background rejection 1/ε_B at 50 % signal "
        f"efficiency (plain network, seed {first.record.seed}):",
        "",
        "| jets | | " + " | ".join(real.classes) + " |",
        "|---|---|" + "---|" * len(real.classes),
    ]
    for name, metrics in rows.items():
        areas = (
            f"{metrics.auc[c]:.4f} ± {metrics.auc_error[c]:.4f}" for c in real.classes
        )
        rejections = (
            f"{r.value:.1f} ± {r.error:.1f}" if r.value else f"none of {r.background}"
            for r in metrics.rejection.values()
        )
        lines.append(f"| {name} | AUC | " + " | ".join(areas) + " |")
        lines.append("| | 1/ε_B | " + " | ".join(rejections) + " |")
    return "\n".join([*lines, ""])


def published(path: Path, real: Dataset) -> list[str]:
    """Tell how the published network does, if the file holds its outputs."""
    with np.load(path, allow_pickle=False) as archive:
        if "zoo_qkeras_out" not in archive:
            return []
        right = int((archive["zoo_qkeras_out"].argmax(axis=1) == real.y).sum())
    return [
        f"A published network, trained on real jets, classifies {right} of these "
        f"{len(real)} correctly ({100 * right / len(real):.1f} %)."
    ]


def percent(metrics: Metrics) -> str:
    """Write an accuracy with its error."""
    return f"{100 * metrics.accuracy:.2f} ± {100 * metrics.accuracy_error:.2f}"


def ks_section(title: str, text: str, agreement: Agreement) -> str:
    """Give a table of distances and p-values, and their summary."""
    names = agreement.classes
    lines = [
        f"### {title}",
        "",
        text + " Kolmogorov–Smirnov distance (p-value):",
        "",
        "| feature | " + " | ".join(names) + " |",
        "|---|" + "---|" * len(names),
    ]
    for j, feature in enumerate(agreement.features):
        cells = (
            f"{d:.3f} ({p:.2g})"
            for d, p in zip(
                agreement.distance[:, j], agreement.p_value[:, j], strict=True
            )
        )
        lines.append(f"| {feature} | " + " | ".join(cells) + " |")
    p = agreement.p_value
    lines += [
        "",
        f"Largest distance {agreement.distance.max():.3f}, smallest p {p.min():.2g}; "
        f"{int((p < 0.05).sum())} of {p.size} below 0.05, "
        f"{int((p < 0.01).sum())} below 0.01.",
        "",
    ]
    return "\n".join(lines)


def write_between_markers(path: Path, text: str) -> None:
    """Replace what stands between the file's two markers."""
    begin, end = "<!-- results: begin -->", "<!-- results: end -->"
    old = path.read_text()
    pattern = re.compile(f"{begin}.*{end}", re.DOTALL)
    if not pattern.search(old):
        raise SystemExit(f"{path}: the markers {begin} and {end} are missing")
    new = f"{begin}\n{text}\n{end}"
    with atomic_file(path) as temporary:
        temporary.write_text(pattern.sub(lambda _: new, old))


def embedded_attributes(path: Path) -> dict[str, Any]:
    """Give the file's digest, and the command and versions that made it."""
    with h5py.File(path) as file:
        attributes = {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in file.attrs.items()
        }
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": digest.of_file(path),
        **attributes,
    }


def write_card(
    data: DataRecord,
    records: list[ModelRecord],
    trainings: dict[bool, list[Training]],
    real: Dataset,
    units: AffineMap,
) -> None:
    """Write ``card.toml``."""
    first = records[0]
    on_real = [
        real_metrics(training, real, units)["own scaler"].accuracy
        for training in trainings[False]
    ]
    card: dict[str, Any] = {
        "": {
            "task": "Tell gluon, quark, top, W and Z jets apart by 16 features",
            "network": "16-64-32-32-5, ReLU, logits",
            "parameters": first.parameters,
            "loss": "cross-entropy",
            "features": list(first.features),
            "classes": list(first.classes),
        },
        "data": {
            "source": data.source,
            "digest": data.source_digest,
            "split_seed": data.seed,
            "train": data.train.samples,
            "validation": data.validation.samples,
            "test": data.test.samples,
        },
        "data.made": embedded_attributes(data_stage.embedded_jets()),
        "standardisation": {"mean": list(first.mean), "std": list(first.std)},
        "metrics": {
            "seeds": [record.seed for record in records],
            "validation_accuracy": [r.validation.accuracy for r in records],
            "test_accuracy": [r.test.accuracy for r in records],
            "test_accuracy_error": first.test.accuracy_error,
            "test_loss_nats": [r.test.loss_nats for r in records],
            "test_auc": [first.test.auc[name] for name in first.classes],
            "batch_norm_test_accuracy": [
                t.record.test.accuracy for t in trainings[True]
            ],
            "real_jets": len(real),
            "real_accuracy": on_real,
        },
        "made_with": {
            "command": "python benchmarks/jet_card.py --real … --reference …",
            "python": platform.python_version(),
            **{name: version(name) for name in ("hawq", "torch", "numpy", "scipy")},
        },
    }
    lines = ["# Written by benchmarks/jet_card.py."]
    for table, values in card.items():
        lines += ["", f"[{table}]"] if table else []
        lines += [
            f"{key} = {json.dumps(value, ensure_ascii=False)}"
            for key, value in values.items()
        ]
    with atomic_file(CARD / "card.toml") as temporary:
        temporary.write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
