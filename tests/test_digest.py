from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from hawq import digest
from hawq.errors import StageError


def test_file_digest_is_sha256_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"jets")
    assert digest.of_file(tmp_path / "x") == hashlib.sha256(b"jets").hexdigest()


def test_json_digest_tells_values_apart() -> None:
    values = [{}, {"a": 1}, {"a": 1.5}, {"a": "1"}, {"a": None}, {"a": [1]}]
    assert len({digest.of_json(value) for value in values}) == len(values)


def test_folder_digest_sees_names_bytes_and_depth(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "x").write_text("1")
    before = digest.of_path(tmp_path)
    (tmp_path / "deep" / "x").write_text("2")
    changed = digest.of_path(tmp_path)
    (tmp_path / "deep" / "x").rename(tmp_path / "x")
    moved = digest.of_path(tmp_path)
    assert len({before, changed, moved}) == 3


def test_folder_digest_leaves_caches_out(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("1")
    before = digest.of_path(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_text("2")
    assert digest.of_path(tmp_path) == before


def test_code_is_the_package_and_what_it_imports(toys: Path) -> None:
    code = digest.of_code("toy.first.stage")
    assert list(code) == [
        "hawq.fixed",
        "hawq.records",
        "toy.first.stage",
        "toy.journal",
        "toy.record",
    ]
    assert code["toy.record"] == digest.of_file(toys / "toy" / "record.py")


def test_code_covers_imports_inside_functions() -> None:
    code = digest.of_code("hawq.csim.stage")
    assert "hawq.integer.lower" in code
    assert "hawq.fixed" in code


def test_code_covers_the_templates_of_the_package() -> None:
    code = digest.of_code("hawq.report.stage")
    template = Path(digest.__file__).parent / "report" / "page.html.j2"
    assert code["report/page.html.j2"] == digest.of_file(template)


def test_libraries_are_those_imported_with_their_versions(toys: Path) -> None:
    found = digest.libraries("toy.first.stage")
    assert found.keys() == {"machine", "numpy", "pydantic", "python"}
    third = digest.libraries("toy.third.stage")
    assert third["no_such_package"] == "absent"


def test_a_package_that_is_not_there() -> None:
    with pytest.raises(StageError, match=r"^the package 'nowhere' of a stage's code"):
        digest.of_code("nowhere.stage")
