"""The table and the plot of a few points that are made up."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[3] / "benchmarks" / "pareto"
JETS = 2000


def write_point(folder: Path, method: str, lut: int, right: int) -> None:
    """Write a network that classifies the first ``right`` jets right."""
    test = right / JETS
    path = folder / method / f"{lut:05d}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        json.dumps({
            "method": method,
            "budget": lut,
            "lut": lut,
            "ebops": None,
            "adders": None,
            "validation": test,
            "test": test,
            "test_error": np.sqrt(test * (1 - test) / JETS),
            "bit_exact": True,
        })
    )
    np.save(path.with_suffix(".npy"), np.where(np.arange(JETS) < right, 1, 0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.savez(tmp_path / "jets.npz", y_test=np.ones(JETS, dtype=np.int64))
    for lut, right in ((100, 1200), (1000, 1400)):
        write_point(tmp_path, "elements", lut, right)
        write_point(tmp_path, "hgq2", 3 * lut, right)
    return tmp_path


def test_table_prints_the_ratio_and_draws(folder: Path) -> None:
    command = [sys.executable, str(SCRIPTS / "table.py"), "--folder", str(folder)]

    done = subprocess.run(
        [*command, "--levels", "0.65", "0.9"],
        capture_output=True,
        text=True,
        check=True,
    )

    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert "  0.650   3.00 ± 0.00" in lines
    assert "  0.900   not reached by both" in lines
    assert (folder / "pareto.png").stat().st_size > 10_000
    assert (folder / "pareto.pdf").read_bytes().startswith(b"%PDF")
