"""One network of the Pareto plot, as a file that every method writes alike.

A point is ``<folder>/<method>/<name>.json``. Beside it lie ``<name>.npy``, the classes
it predicts for the jets of the test split, and ``<name>/src``, its combinational
Verilog. Needs NumPy alone, so that it runs in every tool's environment.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path("build/benchmarks/pareto")


@dataclasses.dataclass(frozen=True)
class Point:
    """A network that was trained, turned into logic and, once ``lut`` is set, counted.

    Attributes:
        method: What made it; the name of its folder.
        name: Unique in the method.
        budget: What it was asked to cost, in the method's own unit.
        lut: Look-up tables in the synthesised netlist, inverters apart.
        ebops: Effective bit operations, as HGQ2 counts them.
        adders: alkaid's own estimate of the LUTs.
        validation: Share of the validation jets that are classified right.
        test: Of the test jets.
        test_error: Binomial standard error of ``test``.
        bit_exact: Whether the logic gave the network's own integers on every test jet.
        synthesis_s: How long synthesis took.
    """

    method: str
    name: str
    budget: float | str | None
    lut: int | None
    ebops: float | None
    adders: float | None
    validation: float
    test: float
    test_error: float
    bit_exact: bool | None
    synthesis_s: float | None = None

    def path(self, folder: Path, suffix: str = ".json") -> Path:
        """Give the place of a file of this point."""
        return folder / self.method / f"{self.name}{suffix}"

    def save(self, folder: Path, predicted: NDArray[np.integer] | None = None) -> None:
        """Write the point, and the predicted classes of the test jets if given."""
        path = self.path(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n")
        if predicted is not None:
            np.save(self.path(folder, ".npy"), predicted.astype(np.uint8))


def measured(right: NDArray[np.bool_]) -> tuple[float, float]:
    """Give an accuracy and its binomial standard error."""
    p = float(right.mean())
    return p, float(np.sqrt(p * (1 - p) / len(right)))


def read(path: Path) -> Point:
    """Read a point; keys that this file does not know are left out."""
    given = json.loads(path.read_text())
    fields = {field.name for field in dataclasses.fields(Point)}
    given = {"name": path.stem, "synthesis_s": None} | given
    return Point(**{key: value for key, value in given.items() if key in fields})


def read_all(folder: Path) -> list[Point]:
    """Read every point below a folder."""
    return [read(path) for path in sorted(folder.glob("*/*.json"))]
