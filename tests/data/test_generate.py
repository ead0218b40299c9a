"""Orchestration: independent of workers, taken up after a kill, exact counts."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from hawq.data import generate
from hawq.data.columns import CLASSES
from hawq.data.generate import Item, generate_jets, make_item
from hawq.data.generated_file import round_mantissa
from hawq.data.variant import Variant
from hawq.errors import DataError, StageError, ToolError

pytest.importorskip("pythia8mc", reason="pip install 'hawq[jets]'")


def _pretend(item: Item) -> NDArray[np.float32]:
    """Make 7 to 10 jets an item that tell where they come from."""
    jets = np.zeros((10 - item.number % 4, 16), np.float32)
    jets[:, 0] = item.number
    jets[:, 1] = np.arange(len(jets))
    jets[:, 2] = CLASSES.index(item.jet_class)
    return jets


class _Counter:
    """Stands for ``make_item``; fails from one call on, whoever is quick to make it."""

    def __init__(self, fails_at: int = 0) -> None:
        self.made: list[Item] = []
        self.fails_at = fails_at

    def __call__(self, item: Item) -> NDArray[np.float32]:
        self.made.append(item)
        if 0 < self.fails_at <= len(self.made):
            raise KeyboardInterrupt
        return _pretend(item)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], _Counter]:
    def install(fails_at: int = 0) -> _Counter:
        counter = _Counter(fails_at)
        monkeypatch.setattr(generate, "make_item", counter)
        return counter

    return install


def _table(path: Path) -> NDArray[np.float32]:
    with h5py.File(path) as file:
        return file["jets"][:]


def test_one_and_two_workers_give_equal_bytes(tmp_path: Path) -> None:
    for workers in (1, 2):
        generate_jets(
            tmp_path / f"{workers}.h5",
            9,
            seed=5,
            classes=("w", "q"),
            workers=workers,
            events_per_item=4,
        )
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()
    table = _table(tmp_path / "1.h5")
    assert_array_equal(table[:, 16:].sum(axis=0), [0, 9, 0, 9, 0])
    assert len(np.unique(table[:, 0])) == 18
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.h5", "2.h5"]


def test_items_differ_by_number_class_and_seed() -> None:
    items = [
        Item("w", 0, 3, 1, Variant.DEFAULT),
        Item("w", 1, 3, 1, Variant.DEFAULT),
        Item("z", 0, 3, 1, Variant.DEFAULT),
        Item("w", 0, 3, 2, Variant.DEFAULT),
        Item("w", 0, 3, 1, Variant.CERNBOX),
    ]
    first = [make_item(item)[0, 0] for item in items]
    assert len(set(first)) == len(items)
    assert make_item(items[0])[0, 0] == first[0]


def test_jets_are_those_of_the_items_in_order(
    tmp_path: Path, pretend: Callable[[int], _Counter]
) -> None:
    pretend(0)
    generate_jets(tmp_path / "jets.h5", 23, events_per_item=10)
    table = _table(tmp_path / "jets.h5")
    expected = np.concatenate([_pretend(Item("t", n, 10, 1, "")) for n in range(3)])
    assert_array_equal(table[table[:, 18] == 1, :16], expected[:23])
    assert_array_equal(table[:, 2], np.tile(np.arange(5), 23))


def test_a_longer_run_begins_with_the_shorter_one(
    tmp_path: Path, pretend: Callable[[int], _Counter]
) -> None:
    pretend(0)
    generate_jets(tmp_path / "short.h5", 11, events_per_item=10)
    generate_jets(tmp_path / "long.h5", 40, events_per_item=10)
    short = _table(tmp_path / "short.h5")
    assert_array_equal(_table(tmp_path / "long.h5")[: len(short)], short)


def test_an_interrupted_run_is_taken_up(
    tmp_path: Path, pretend: Callable[[int], _Counter]
) -> None:
    output = tmp_path / "jets.h5"
    pretend(0)
    generate_jets(tmp_path / "whole.h5", 30, events_per_item=10)
    before = pretend(9)
    with pytest.raises(KeyboardInterrupt):
        generate_jets(output, 30, events_per_item=10)
    assert not output.exists()
    kept = len(list((tmp_path / "jets.h5.parts").iterdir()))
    after = pretend(0)
    generate_jets(output, 30, events_per_item=10)
    assert kept == 8
    assert not set(before.made[:8]) & set(after.made)
    assert output.read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert not (tmp_path / "jets.h5.parts").exists()


def test_parts_of_other_settings_are_not_used(
    tmp_path: Path, pretend: Callable[[int], _Counter]
) -> None:
    pretend(4)
    with pytest.raises(KeyboardInterrupt):
        generate_jets(tmp_path / "jets.h5", 30, seed=1, events_per_item=10)
    after = pretend(0)
    generate_jets(tmp_path / "jets.h5", 5, seed=2, events_per_item=10)
    assert {item.jet_class for item in after.made} == set(CLASSES)


def test_a_damaged_part_is_named(
    tmp_path: Path, pretend: Callable[[int], _Counter]
) -> None:
    pretend(2)
    with pytest.raises(KeyboardInterrupt):
        generate_jets(tmp_path / "jets.h5", 30, events_per_item=10)
    (part,) = (tmp_path / "jets.h5.parts").iterdir()
    part.write_bytes(part.read_bytes()[:100])
    message = rf"^{part} is damaged \(.*\): delete it and run again$"
    with pytest.raises(StageError, match=message):
        generate_jets(tmp_path / "jets.h5", 30, events_per_item=10)


def test_progress_ends_at_one(
    tmp_path: Path, pretend: Callable[[int], _Counter]
) -> None:
    pretend(0)
    told: list[float] = []
    generate_jets(
        tmp_path / "jets.h5",
        30,
        events_per_item=10,
        progress=lambda what, fraction: told.append(fraction),
    )
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_the_file_says_how_it_was_made(
    tmp_path: Path, pretend: Callable[[int], _Counter]
) -> None:
    pretend(0)
    generate_jets(
        tmp_path / "jets.h5",
        6,
        seed=3,
        variant=Variant.CERNBOX,
        classes=("w", "z"),
        events_per_item=10,
    )
    with h5py.File(tmp_path / "jets.h5") as file:
        attributes = dict(file.attrs)
    assert attributes["command"] == (
        "hawq jets OUTPUT.h5 --jets 6 --seed 3 --variant cernbox --class w --class z"
    )
    assert attributes["variant"] == "cernbox"
    assert attributes["seed"] == 3
    assert attributes["version_pythia8mc"].startswith("8.3")


def test_features_are_rounded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jets = np.random.default_rng(0).normal(size=(10, 16)).astype(np.float32)
    monkeypatch.setattr(generate, "make_item", lambda item: jets)
    generate_jets(tmp_path / "jets.h5", 10, classes=("g",), events_per_item=10)
    expected = round_mantissa(jets, generate.MANTISSA_BITS)
    assert_array_equal(_table(tmp_path / "jets.h5")[:, :16], expected)


@pytest.mark.parametrize("jets", [0, -3])
def test_no_jets_are_refused(tmp_path: Path, jets: int) -> None:
    message = rf"^jets per class: expected 1 or more, got {jets}$"
    with pytest.raises(DataError, match=message):
        generate_jets(tmp_path / "jets.h5", jets)


@pytest.mark.parametrize(
    ("classes", "got"), [(("b",), "b"), (("g", "g"), "g, g"), ((), "none")]
)
def test_unknown_classes_are_refused(
    tmp_path: Path, classes: tuple[str, ...], got: str
) -> None:
    message = rf"^classes: expected different ones of g, q, t, w, z; got {got}$"
    with pytest.raises(DataError, match=message):
        generate_jets(tmp_path / "jets.h5", 1, classes=classes)


def test_a_missing_distribution_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(generate, "_DISTRIBUTIONS", ("hawq", "no-such-thing"))
    message = (
        r"^making jets needs no-such-thing, which is not installed: "
        r"pip install 'hawq\[jets\]'$"
    )
    with pytest.raises(ToolError, match=message):
        generate.versions()
