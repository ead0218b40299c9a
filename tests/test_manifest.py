from __future__ import annotations

import json
from pathlib import Path

import pytest

from hawq import digest
from hawq.errors import StageError
from hawq.manifest import MadeFrom, Manifest, artefacts, read, verify

MADE_FROM = MadeFrom(
    settings={"epochs": 3, "rate": 0.001, "bits": [2, 3]},
    files={"jets.h5": "2" * 64},
    seed=1,
    inputs={"data": "0" * 64},
    code={"hawq.model.stage": "1" * 64},
    libraries={"numpy": "2.4"},
    tools={},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "02-model"
    folder.mkdir()
    (folder / "record.json").write_text("{}\n")
    (folder / "float.pt").write_bytes(bytes(1000))
    (folder / "log.txt").write_text("12:00 said something\n")
    found = artefacts(folder)
    Manifest(
        stage="model",
        key=MADE_FROM.key,
        made_from=MADE_FROM,
        artefacts=found,
        outputs=digest.of_json(found),
        seconds=1.5,
        finished="2026-01-01T00:00:00+00:00",
        hawq_version="0.1.0",
    ).write(folder)
    return folder


def edit(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_is_written_is_read(folder: Path) -> None:
    manifest = read(folder)
    assert manifest is not None
    assert manifest.made_from == MADE_FROM
    assert list(manifest.artefacts) == ["float.pt", "record.json"]
    verify(folder, manifest)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert read(tmp_path / "nowhere") is None


def test_the_log_may_change(folder: Path) -> None:
    (folder / "log.txt").write_text("13:00 said something else\n")
    manifest = read(folder)
    assert manifest is not None
    verify(folder, manifest)


def test_a_truncated_artefact(folder: Path) -> None:
    with (folder / "float.pt").open("r+b") as file:
        file.truncate(999)
    manifest = read(folder)
    assert manifest is not None
    message = (
        r"^.*/02-model/float\.pt is damaged: SHA-256 \w{12}, expected 541b3e9daa09$"
    )
    with pytest.raises(StageError, match=message):
        verify(folder, manifest)


def test_a_missing_artefact(folder: Path) -> None:
    (folder / "float.pt").unlink()
    manifest = read(folder)
    assert manifest is not None
    message = r"^.*/02-model/float\.pt is missing, which the stage wrote$"
    with pytest.raises(StageError, match=message):
        verify(folder, manifest)


def test_a_missing_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    message = r"^.*/manifest\.json is missing: the folder is half-written$"
    with pytest.raises(StageError, match=message):
        read(folder)


def test_a_truncated_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text()[:-20])
    message = r"^.*/manifest\.json is damaged: the file: Invalid JSON: EOF while .*$"
    with pytest.raises(StageError, match=message):
        read(folder)


def test_a_manifest_without_a_key_it_should_have(folder: Path) -> None:
    edit(folder, seconds=None)
    message = r"^.*/manifest\.json is damaged: seconds: Input should be a valid number$"
    with pytest.raises(StageError, match=message):
        read(folder)


def test_a_manifest_of_another_version_is_as_good_as_none(folder: Path) -> None:
    edit(folder, format=0, surplus=1)
    assert read(folder) is None


@pytest.mark.parametrize("field", ["key", "outputs"])
def test_a_manifest_that_contradicts_itself(folder: Path, field: str) -> None:
    edit(folder, **{field: "f" * 64})
    message = (
        rf"^.*/manifest\.json is damaged: {field} is ffffffffffff, its contents give "
        r"\w{12}$"
    )
    with pytest.raises(StageError, match=message):
        read(folder)


def test_changes_are_named_in_order() -> None:
    after = MADE_FROM.model_copy(
        update={
            "settings": {"epochs": 4, "rate": 0.001, "bits": [2, 3], "decay": 0.1},
            "seed": 2,
            "inputs": {},
        }
    )
    assert after.changes(MADE_FROM) == [
        "settings.decay",
        "settings.epochs",
        "seed",
        "inputs.data",
    ]
    assert MADE_FROM.changes(MADE_FROM) == []


def test_every_part_is_in_the_key() -> None:
    parts = {"seed": 2} | {
        name: {"x": "y"}
        for name in ("settings", "files", "inputs", "code", "libraries", "tools")
    }
    keys = {
        MADE_FROM.model_copy(update={name: part}).key for name, part in parts.items()
    }
    assert len(keys | {MADE_FROM.key}) == 8
