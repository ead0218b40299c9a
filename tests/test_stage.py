from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from hawq.stage import StageContext, StageSettings


class Inner(StageSettings):
    sample: Path


class Settings(StageSettings):
    number: int = 1
    file: Path | None = None
    files: tuple[Path, ...] = ()
    named: dict[str, Path] = Field(default_factory=dict)
    inner: Inner | None = None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b")
    return tmp_path


def test_paths_are_taken_from_the_folder_of_the_flow(folder: Path) -> None:
    text = """{"file": "a.txt", "files": ["a.txt", "b.txt"], "named": {"x": "b.txt"},
               "inner": {"sample": "a.txt"}}"""
    settings = Settings.model_validate_json(text, context={"folder": folder})
    a, b = folder / "a.txt", folder / "b.txt"
    assert settings.file == a
    assert settings.files == (a, b)
    assert settings.named == {"x": b}
    assert settings.inner == Inner(sample=a)


def test_without_a_folder_paths_stay(folder: Path) -> None:
    assert Settings(file=Path("a.txt")).file == Path("a.txt")


def test_missing_files_are_refused(folder: Path) -> None:
    message = f"no such file or folder: {folder / 'c.txt'}"
    with pytest.raises(ValidationError, match=message):
        Settings.model_validate_json('{"file": "c.txt"}', context={"folder": folder})


def test_serialising_for_the_key_replaces_paths_by_digests(folder: Path) -> None:
    a = folder / "a.txt"
    settings = Settings(file=a, files=(a,), named={"x": a}, inner=Inner(sample=a))
    text = settings.model_dump_json(context={"digest": lambda path: path.read_text()})
    assert text == (
        '{"number":1,"file":"a","files":["a"],"named":{"x":"a"},"inner":{"sample":"a"}}'
    )


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Settings.model_validate({"numbr": 2})


def test_scratch_is_made_where_the_runner_says(tmp_path: Path) -> None:
    context = StageContext(tmp_path, None, resume=tmp_path / "deep" / "resume")
    assert context.scratch == tmp_path / "deep" / "resume"
    assert context.scratch.is_dir()


def test_scratch_without_a_runner_is_in_the_folder(tmp_path: Path) -> None:
    assert StageContext(tmp_path, None).scratch == tmp_path / "resume"
