from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hawq.csim.firmware import compile_project, from_firmware, to_firmware
from hawq.errors import ToolError
from hawq.records import StoredLayout


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


def test_oneapi_names_the_compiler_it_needs(tmp_path: Path) -> None:
    (tmp_path / "src" / "firmware").mkdir(parents=True)
    message = (
        r"^a project for oneAPI is SYCL code, which needs Intel's compiler icpx: "
        r"install the oneAPI toolkit, or simulate the target Quartus$"
    )
    with pytest.raises(ToolError, match=message):
        compile_project(tmp_path, tmp_path / "firmware.so")


def test_layouts_move_elements_there_and_back() -> None:
    layout = StoredLayout(shape=(2, 3), order=(1, 0))
    file = np.array([[0.0, 1, 2, 3, 4, 5]])
    firmware = to_firmware(file, layout)
    np.testing.assert_array_equal(firmware, [[0, 3, 1, 4, 2, 5]])
    np.testing.assert_array_equal(from_firmware(firmware, layout), file)
    assert to_firmware(file, None) is file
    assert from_firmware(file, None) is file
