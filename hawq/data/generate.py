"""Make jets: split the work, keep what is finished, write one HDF5 file.

Work is split into items of a fixed number of events, each with a seed of its own, made
from (seed, class, number of the item). A class's jets are those of its items in order,
cut at the number asked for. So the file depends neither on the number of workers nor on
interruptions, and a longer run begins with the jets of a shorter one.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hawq import digest
from hawq.compute import executor
from hawq.data import generated_file
from hawq.data.columns import CLASSES
from hawq.data.variant import DETECTORS, Variant
from hawq.errors import DataError, StageError, ToolError
from hawq.paths import atomic_file
from hawq.stage import Progress, silent

EVENTS_PER_ITEM: Final = 1000
"""Changing it changes the jets."""

MANTISSA_BITS: Final = 14
"""Relative error of a feature at most 2^-15, far below the detector's resolution."""

_DISTRIBUTIONS: Final = ("hawq", "awkward", "numba", "numpy", "pythia8mc")
_SEEDS: Final = 900_000_000
_AHEAD_ON_CLUSTER: Final = 1024
_RECIPE: Final = (
    "clustering",
    "compiled",
    "detector",
    "features",
    "generate",
    "ordering",
    "pythia",
    "substructure",
    "variant",
)
"""The modules that decide what a jet is."""

_LOG: Final = logging.getLogger(__name__)


class Item(NamedTuple):
    """One item of work.

    Attributes:
        jet_class: One of ``hawq.data.columns.CLASSES``.
        number: Of the item within its class, from 0.
        events: Hard processes to generate.
        seed: Of the whole run.
        variant: Of the detector.
    """

    jet_class: str
    number: int
    events: int
    seed: int
    variant: Variant


def make_item(item: Item) -> NDArray[np.float32]:
    """Make the jets of one item of work, here and now.

    Args:
        item: What to make.

    Returns:
        Features of the leading jets that pass the selection, shape (jets, 16).
    """
    from hawq.data.features import SELECTION, measure
    from hawq.data.pythia import shower, write_hard_events

    key = (CLASSES.index(item.jet_class), item.number)
    sequence = np.random.SeedSequence(item.seed, spawn_key=key)
    hard, soft = (1 + int(word) % _SEEDS for word in sequence.generate_state(2))
    generator = np.random.Generator(np.random.PCG64(sequence.spawn(1)[0]))
    detector = DETECTORS[item.variant]
    with tempfile.TemporaryDirectory(prefix="hawq-jets-") as folder:
        path = Path(folder) / "hard.lhe"
        write_hard_events(path, item.jet_class, item.events, hard)
        batches = [
            measure(events, detector, SELECTION, generator)
            for events in shower(path, soft)
        ]
    return np.concatenate([*batches, np.empty((0, 16))]).astype(np.float32)


@dataclass
class _Plan:
    """One class: the jets wanted, the items started and finished."""

    jets_wanted: int
    events: int
    started: int = 0
    finished: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def jets(self) -> int:
        """Jets in finished items."""
        return sum(map(len, self.finished.values()))

    @property
    def fraction(self) -> float:
        """The fraction of the jets wanted that is finished."""
        return min(1.0, self.jets / self.jets_wanted)

    @property
    def needs_item(self) -> bool:
        """Whether the items started so far are expected to hold too few jets."""
        under_way = self.started - len(self.finished)
        mean = self.jets / len(self.finished) if self.finished else self.events
        return self.jets + under_way * mean < self.jets_wanted

    def merged(self) -> NDArray[np.float32]:
        """Join the jets of all items in order, cut at the number wanted."""
        parts = [self.finished[number] for number in range(self.started)]
        return np.concatenate(parts)[: self.jets_wanted]


class _Parts:
    """Finished items as files beside the output."""

    def __init__(self, output: Path, settings: dict[str, Any]) -> None:
        self.folder = output.with_name(output.name + ".parts")
        self.digest = digest.of_json(settings)[:16]

    def path(self, item: Item) -> Path:
        return self.folder / f"{self.digest}-{item.jet_class}-{item.number:06d}.npy"

    def read(self, item: Item) -> NDArray[np.float32] | None:
        path = self.path(item)
        if not path.exists():
            return None
        try:
            jets: NDArray[np.float32] = np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise StageError(
                f"{path} is damaged ({error}): delete it and run again"
            ) from error
        return jets

    def write(self, item: Item, jets: NDArray[np.float32]) -> None:
        with atomic_file(self.path(item)) as temporary:
            np.save(temporary, jets)

    def clean(self) -> None:
        """Delete the finished items; other files in the folder stay."""
        for path in self.folder.glob("*.npy"):
            path.unlink()
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


def versions() -> dict[str, str]:
    """Give the versions that decide what the jets are.

    Returns:
        Distribution → version.

    Raises:
        ToolError: if one is not installed.
    """
    try:
        return {name: version(name) for name in _DISTRIBUTIONS}
    except PackageNotFoundError as error:
        raise ToolError(
            f"making jets needs {error.name}, which is not installed: "
            "pip install 'hawq[jets]'"
        ) from error


def command(
    jets_per_class: int, seed: int, variant: Variant, classes: Sequence[str]
) -> str:
    """Give the command that makes the same jets.

    Args:
        jets_per_class: How many.
        seed: Of the whole run.
        variant: Of the detector.
        classes: Some of ``hawq.data.columns.CLASSES``.

    Returns:
        One line; defaults are left out.

    >>> command(20, 1, Variant.DEFAULT, CLASSES)
    'hawq jets OUTPUT.h5 --jets 20 --seed 1'
    """
    words = ["hawq jets OUTPUT.h5", f"--jets {jets_per_class}", f"--seed {seed}"]
    if variant != Variant.DEFAULT:
        words.append(f"--variant {variant}")
    if tuple(classes) != CLASSES:
        words += [f"--class {name}" for name in classes]
    return " ".join(words)


def _settings(seed: int, variant: Variant, events: int) -> dict[str, Any]:
    """Give all that the jets of an item depend on, as JSON can hold it."""
    folder = Path(__file__).parent
    return {
        "seed": seed,
        "variant": variant,
        "events_per_item": events,
        "versions": versions(),
        "code": {name: digest.of_file(folder / f"{name}.py") for name in _RECIPE},
    }


def _check(jets_per_class: int, events: int, classes: Sequence[str]) -> None:
    """Refuse what cannot be made."""
    if jets_per_class < 1:
        raise DataError(f"jets per class: expected 1 or more, got {jets_per_class}")
    if events < 1:
        raise DataError(f"events per item: expected 1 or more, got {events}")
    if not classes or len(set(classes)) != len(classes) or set(classes) - set(CLASSES):
        raise DataError(
            f"classes: expected different ones of {', '.join(CLASSES)}; "
            f"got {', '.join(classes) or 'none'}"
        )


def generate_jets(
    output: Path,
    jets_per_class: int,
    *,
    seed: int = 1,
    variant: Variant = Variant.DEFAULT,
    classes: Sequence[str] = CLASSES,
    workers: int = 1,
    cluster: str | None = None,
    progress: Progress = silent,
    events_per_item: int = EVENTS_PER_ITEM,
) -> Path:
    """Make jets and write them as HDF5, in the layout of ``generated_file``.

    Finished items are kept in ``<output>.parts/`` until the file is complete; a run
    with the same settings takes them up. Bad input is a DataError, missing Pythia a
    ToolError.

    Args:
        output: The file to write.
        jets_per_class: How many.
        seed: Of the whole run, 0 or more.
        variant: Of the detector.
        classes: Some of ``hawq.data.columns.CLASSES``.
        workers: Processes on this machine.
        cluster: Address of a Dask scheduler, or None.
        progress: Told the fraction of the jets that are finished.
        events_per_item: Hard processes in an item of work; part of the settings.

    Returns:
        ``output``.
    """
    _check(jets_per_class, events_per_item, classes)
    parts = _Parts(output, _settings(seed, variant, events_per_item))
    plans = {name: _Plan(jets_per_class, events_per_item) for name in classes}
    pattern = Item("", 0, events_per_item, seed, variant)
    with executor(workers, cluster) as pool:
        ahead = _AHEAD_ON_CLUSTER if cluster else 2 * workers
        _make(plans, pattern, parts, pool, ahead, progress)
    generated_file.write(
        output,
        {name: plan.merged() for name, plan in plans.items()},
        mantissa_bits=MANTISSA_BITS,
        attributes={
            "command": command(jets_per_class, seed, variant, classes),
            "seed": seed,
            "variant": variant.value,
            "jets_per_class": jets_per_class,
            "events_per_item": events_per_item,
            **{f"version_{name}": text for name, text in versions().items()},
        },
    )
    parts.clean()
    return output


def _make(
    plans: Mapping[str, _Plan],
    pattern: Item,
    parts: _Parts,
    pool: Executor,
    ahead: int,
    progress: Progress,
) -> None:
    """Make items until every class has its jets.

    Args:
        plans: Class → its plan; filled.
        pattern: An item whose class and number are replaced.
        parts: Where finished items are kept.
        pool: Where items are made.
        ahead: Items that may be under way.
        progress: Told the fraction finished.
    """
    pending: dict[Future[NDArray[np.float32]], Item] = {}
    while True:
        while len(pending) < ahead and (item := _next_item(plans, pattern)):
            plan = plans[item.jet_class]
            plan.started += 1
            jets = parts.read(item)
            if jets is None:
                pending[pool.submit(make_item, item)] = item
            else:
                plan.finished[item.number] = jets
        progress("jets", sum(plan.fraction for plan in plans.values()) / len(plans))
        if not pending:
            return
        done = wait(pending, return_when=FIRST_COMPLETED).done
        for future in sorted(done, key=_failed):  # what succeeded is kept first
            item = pending.pop(future)
            jets = future.result()
            parts.write(item, jets)
            plans[item.jet_class].finished[item.number] = jets
            _LOG.debug("class %s item %d: %d jets", *item[:2], len(jets))


def _failed(future: Future[Any]) -> bool:
    return future.exception() is not None


def _next_item(plans: Mapping[str, _Plan], pattern: Item) -> Item | None:
    """Give the next item of the class that is furthest behind, None if all have."""
    needy = [name for name, plan in plans.items() if plan.needs_item]
    if not needy:
        return None
    name = min(needy, key=lambda name: plans[name].started)
    return pattern._replace(jet_class=name, number=plans[name].started)
