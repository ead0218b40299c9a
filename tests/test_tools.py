from __future__ import annotations

from pathlib import Path

import pytest

from hawq.errors import ToolError
from hawq.tools import TOOLS, require, version


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    version.cache_clear()
    yield tmp_path
    version.cache_clear()


def install(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_version_is_the_first_line(programs: Path) -> None:
    install(programs, "perl", 'echo "perl 5.40 asked $1"; echo more')
    assert version("perl") == "perl 5.40 asked -v"


def test_vivado_is_asked_in_its_way(programs: Path) -> None:
    install(programs, "vivado", 'echo "asked $1"')
    assert version("vivado") == "asked -version"


def test_a_program_that_is_not_there(programs: Path) -> None:
    assert version("perl") is None


def test_a_program_that_does_not_run(programs: Path) -> None:
    install(programs, "perl", "exit 3")
    message = rf"^{programs}/perl does not run: .* returned non-zero exit status 3\.$"
    with pytest.raises(ToolError, match=message):
        version("perl")


def test_requiring_what_is_there(programs: Path) -> None:
    install(programs, "g++", "echo 12.2.0")
    assert require("g++", "csim") == "12.2.0"


def test_requiring_what_is_not(programs: Path) -> None:
    message = (
        r"^csim needs g\+\+, which is not on the PATH: apt install g\+\+, "
        r"dnf install gcc-c\+\+ or conda install gxx$"
    )
    with pytest.raises(ToolError, match=message):
        require("g++", "csim")


def test_every_tool_says_what_for_and_how_to_get_it() -> None:
    assert all(tool.purpose and tool.remedy for tool in TOOLS.values())
