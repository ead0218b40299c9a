from __future__ import annotations

from pathlib import Path

import pytest

from hawq.csim.firmware import compile_project
from hawq.errors import ToolError


def test_missing_compiler_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    message = (
        r"^g\+\+ was not found: C-simulation compiles the firmware with it; install "
        r"it, for example with `apt install g\+\+`$"
    )
    with pytest.raises(ToolError, match=message):
        compile_project(tmp_path, tmp_path / "firmware.so")


def test_first_compiler_error_is_shown_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "firmware").mkdir()
    (tmp_path / "firmware" / "network.cpp").write_text("int wrong = nothing;\n")
    (tmp_path / "network_bridge.cpp").write_text("")
    library = tmp_path / "out" / "firmware.so"
    with pytest.raises(
        ToolError,
        match=r"^g\+\+ failed with exit code 1: .*network\.cpp:1:13: error: 'nothing' "
        r"was not declared in this scope$",
    ):
        compile_project(tmp_path, library)
    assert list(library.parent.iterdir()) == []
