"""The examples of every page give what the page says, in the order of the page."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
KERAS = ROOT / "tests" / "frontend" / "keras" / "fixtures"

_BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_ELLIPSIS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Checker(doctest.OutputChecker):
    """Lets examples print where the page shows no output: exporters are talkative."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return not want or super().check_output(want, got, optionflags)


def run_python(text: str, page: Path, names: dict[str, Any]) -> None:
    """Run the ``>>>`` examples of a block; other blocks are for reading."""
    test = doctest.DocTestParser().get_doctest(text, names, page.name, str(page), 0)
    runner = doctest.DocTestRunner(Checker(), optionflags=doctest.ELLIPSIS)
    result = runner.run(test, clear_globs=False)
    names.update(test.globs)
    assert result.failed == 0


def run_console(text: str) -> None:
    """Run the ``$`` commands of a block and compare what they print, ``...`` is any."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        done = subprocess.run(
            command.partition("  #")[0],
            shell=True,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PATH": path, "COLUMNS": "160"},
        )
        printed = done.stdout + done.stderr
        assert doctest.OutputChecker().check_output(
            expected or "...", printed or "\n", _ELLIPSIS
        ), f"$ {command}\nexpected:\n{expected}\ngot:\n{printed}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_give_what_it_says(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(KERAS / "qkeras_dense.h5", tmp_path / "qkeras.h5")
    names: dict[str, Any] = {}
    for kind, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind == "python":
            run_python(text, page, names)
        else:
            run_console(text)


def test_every_complaint_names_a_test() -> None:
    page = (ROOT / "docs" / "complaints.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    rows = [line for line in page.splitlines() if re.match(r"\| \S+( PR|#)", line)]
    assert len(named) == len(rows)
    missing = [
        f"{file}::{function}"
        for file, function in named
        if not (ROOT / file).is_file()
        or f"def {function}(" not in (ROOT / file).read_text(encoding="utf-8")
    ]
    assert missing == []
