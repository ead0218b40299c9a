"""The data stage: from a source to three files and their record."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from hawq.data import stage
from hawq.data.columns import CLASSES, FEATURES
from hawq.data.dataset import Dataset
from hawq.data.record import DataRecord
from hawq.data.stage import Settings, embedded_jets, run
from hawq.errors import DataError
from hawq.stage import StageContext

JETS = 200


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "jets.npz"
    np.savez(path, x=rng.normal(size=(JETS, 16)), y=np.arange(JETS) % 5)
    return path


def _run(folder: Path, seed: int = 3, **settings: Any) -> DataRecord:
    folder.mkdir()
    return run(StageContext(folder=folder, settings=Settings(**settings), seed=seed))


def test_three_parts_and_their_record(source: Path, tmp_path: Path) -> None:
    record = _run(tmp_path / "data", source=source)
    parts = {p.stem: Dataset.read(p) for p in (tmp_path / "data").glob("*.h5")}
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 140,
        "validation": 20,
        "test": 40,
    }
    for name, part in parts.items():
        described = getattr(record, name)
        assert (part.features, part.classes) == (FEATURES, CLASSES)
        assert described.digest == part.digest
        assert described.samples == len(part)
        assert described.counts == dict.fromkeys(CLASSES, len(part) // 5)
    assert record.source == str(source)
    assert DataRecord.model_validate_json(record.model_dump_json()) == record


def test_seed_decides_the_split(source: Path, tmp_path: Path) -> None:
    first, again, other = (
        _run(tmp_path / name, seed, source=source)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again
    assert first.source_digest == other.source_digest
    assert first.test.digest != other.test.digest


def test_limit_of_samples(source: Path, tmp_path: Path) -> None:
    record = _run(
        tmp_path / "data",
        source=source,
        samples_per_class=20,
        fractions=(0.5, 0.25, 0.25),
    )
    assert record.train.counts == dict.fromkeys(CLASSES, 10)
    assert record.test.counts == dict.fromkeys(CLASSES, 5)


def test_own_features_and_classes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "own.npz"
    np.savez(path, energy=rng.normal(size=60), width=rng.normal(size=60), y=[0, 1] * 30)
    record = _run(
        tmp_path / "data",
        source=path,
        features=("width", "energy"),
        classes=("electron", "photon"),
    )
    train = Dataset.read(tmp_path / "data" / "train.h5")
    assert train.features == ("width", "energy")
    assert record.train.counts == {"electron": 21, "photon": 21}


def test_generated_jets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []

    def generate_jets(output: Path, jets_per_class: int, **options: Any) -> Path:
        calls.append({"output": output, "jets": jets_per_class, **options})
        x = np.random.default_rng(0).normal(size=(5 * jets_per_class, 16))
        with output.open("wb") as file:
            np.savez(file, x=x, y=np.arange(len(x)) % 5)
        options["progress"]("jets", 1.0)
        return output

    monkeypatch.setattr(stage, "generate_jets", generate_jets)
    told: list[float] = []
    (tmp_path / "data").mkdir()
    settings = Settings(source="generate", generate_per_class=30, variant="cernbox")
    context = StageContext(
        folder=tmp_path / "data",
        settings=settings,
        seed=5,
        workers=2,
        cluster="tcp://host:1",
        progress=lambda _, fraction: told.append(fraction),
        resume=tmp_path / "resume",
    )
    record = run(context)
    (call,) = calls
    del call["progress"]
    assert call == {
        "output": tmp_path / "resume" / "jets.h5",
        "jets": 30,
        "seed": 5,
        "variant": "cernbox",
        "workers": 2,
        "cluster": "tcp://host:1",
    }
    assert told == sorted(told)
    assert told[0] == pytest.approx(0.9)
    assert record.source == "generate"
    assert record.train.samples == 105


def test_sources_by_name_and_by_path() -> None:
    assert Settings().source == "embedded"
    assert Settings(source="generate").source == "generate"
    assert Settings(source="my/jets.h5").source == Path("my/jets.h5")


def test_the_digest_covers_the_embedded_jets_only_when_they_are_read() -> None:
    assert Settings().also_reads() == (embedded_jets(),)
    assert Settings(source="generate").also_reads() == ()


def test_embedded_jets(tmp_path: Path) -> None:
    if not embedded_jets().is_file():
        pytest.skip(f"{embedded_jets()} is not there")
    record = _run(tmp_path / "data")
    assert record.source == "embedded"
    counts = np.array([
        list(part.counts.values())
        for part in (record.train, record.validation, record.test)
    ])
    assert counts.sum(axis=0).min() >= 14_000


def test_card_is_of_what_the_stage_reads(tmp_path: Path) -> None:
    card = tomllib.loads((embedded_jets().parent / "card.toml").read_text())
    record = _run(tmp_path / "data", seed=card["data"]["split_seed"])
    assert record.source_digest == card["data"]["digest"]
    assert (card["features"], card["classes"]) == (list(FEATURES), list(CLASSES))
    for name in ("train", "validation", "test"):
        assert getattr(record, name).samples == card["data"][name]


def test_bad_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^.*/none\.h5: no such file or folder$"):
        _run(tmp_path / "data", source=tmp_path / "none.h5")


@pytest.mark.parametrize(
    "settings", [{"jets": 3}, {"samples_per_class": 0}, {"classes": ["g"]}]
)
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**settings)
