"""Pythia's two stages: what the event file holds, what the shower gives back."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from hawq.data.columns import CLASSES
from hawq.data.pythia import PROCESSES, load_pythia, shower, write_hard_events
from hawq.errors import ToolError

pytest.importorskip("pythia8mc", reason="pip install 'hawq[jets]'")

OUTGOING = {
    "g": ({21}, 0.0),
    "q": ({1, 2, 3, 4, 5}, None),
    "t": ({6}, 173.0),
    "w": ({24}, 80.419),
    "z": ({23}, 91.188),
}


def _outgoing(path: Path) -> np.ndarray:
    """Give id, px, py, pz, E, m of the outgoing lines, shape (particles, 6)."""
    lines = [line.split() for line in path.read_text().splitlines()]
    rows = [line for line in lines if len(line) == 13 and line[1] == "1"]
    return np.array([[row[0], *row[6:11]] for row in rows], np.float64)


def test_every_class_has_a_process() -> None:
    assert tuple(PROCESSES) == CLASSES


@pytest.mark.parametrize("jet_class", CLASSES)
def test_hard_events_are_on_shell_in_the_narrow_window(
    jet_class: str, tmp_path: Path
) -> None:
    path = tmp_path / "hard.lhe"
    write_hard_events(path, jet_class, 5, seed=1)
    rows = _outgoing(path)
    ids, mass = OUTGOING[jet_class]
    assert len(rows) == 10
    assert set(np.abs(rows[:, 0]).astype(int)) <= ids
    pt = np.hypot(rows[:, 1], rows[:, 2])
    assert ((pt >= 995) & (pt <= 1005)).all()
    if mass is not None:
        assert_allclose(rows[:, 5], mass, atol=1e-6)


def test_one_seed_gives_one_file(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        write_hard_events(tmp_path / name, "w", 3, seed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_the_shower_conserves_momentum_and_knows_its_partons(tmp_path: Path) -> None:
    path = tmp_path / "hard.lhe"
    write_hard_events(path, "z", 4, seed=1)
    (events,) = shower(path, seed=2)
    assert len(events.offsets) == 5
    assert_array_equal(events.partons.shape, (4, 2, 4))
    # The file's partons, in order; the shower has not yet recoiled on them.
    hard = _outgoing(path)[:, 1:5].reshape(4, 2, 4)
    assert_allclose(events.partons, hard, rtol=1e-6, atol=1e-3)
    for start, stop in zip(events.offsets, events.offsets[1:], strict=False):
        stable = events.momenta[start:stop][events.is_stable[start:stop]]
        # Pythia itself accepts 1e-6 of the energy.
        assert_allclose(stable.sum(axis=0), (0, 0, 0, 13_000), atol=0.1)


def test_bosons_decay_to_quarks_only(tmp_path: Path) -> None:
    path = tmp_path / "hard.lhe"
    write_hard_events(path, "w", 20, seed=1)
    (events,) = shower(path, seed=2)
    stable = np.abs(events.pdg_id[events.is_stable])
    momenta = events.momenta[events.is_stable]
    pt = np.hypot(momenta[:, 0], momenta[:, 1])
    # A W → ℓν would give a neutrino of hundreds of GeV in most events.
    assert (pt[np.isin(stable, (12, 14, 16))] > 300).sum() == 0


def test_missing_pythia_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    message = (
        r"^making jets needs Pythia 8 \(pythia8mc\), which is not installed: "
        r"pip install 'hawq\[jets\]'$"
    )
    with pytest.raises(ToolError, match=message):
        load_pythia()
