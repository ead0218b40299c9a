"""Classify real jets with the float network and the firmware of a finished flow.

    python benchmarks/real_jets.py jsc_openml_600.npz --flow build/jets

The file holds ``x``, standardised as the public set is, and ``y``, labels 0 to 4 of
g q t w z. The public scaler is not published; it stands in for ours, as both give each
feature mean 0 and deviation 1 on nearly the same sample.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from hawq.csim.rungs import firmware_rung
from hawq.integer.lower import lower_qonnx
from hawq.model.network import load_float
from hawq.model.train import evaluate
from hawq.records import FirmwareProject


def main() -> None:
    """Print both accuracies, with binomial errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jets", type=Path)
    parser.add_argument("--flow", type=Path, default=Path("build/jets"))
    arguments = parser.parse_args()
    with np.load(arguments.jets) as file:
        x, y = file["x"].astype(np.float32), file["y"]
    (folders,) = [{p.name[3:]: p for p in arguments.flow.glob("[0-9]*-*")}]

    network, _ = load_float(folders["model"])
    show("float network", evaluate(network, torch.from_numpy(x)).numpy(), y)

    graph = lower_qonnx(folders["export"] / "network.onnx")
    record = (folders["hls"] / "record.json").read_text()
    firmware = firmware_rung(
        FirmwareProject.model_validate_json(record),
        folders["csim"] / "firmware.so",
        graph,
    )
    show(firmware.name, firmware.run(x)[graph.outputs[0]], y)


def show(name: str, logits: np.ndarray, y: np.ndarray) -> None:
    """Print one line."""
    right = np.count_nonzero(logits.argmax(1) == y)
    p = right / len(y)
    error = np.sqrt(p * (1 - p) / len(y))
    print(f"{name:<28} {right} of {len(y)}: {100 * p:.1f} ± {100 * error:.1f} %")


if __name__ == "__main__":
    main()
