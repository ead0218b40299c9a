from __future__ import annotations

import json
from pathlib import Path

import pytest

from hawq.errors import DataError, ToolError
from hawq.synthesis.yosys import cells, phase, read_verilog, run_yosys, stat

SOURCE = """
module half (input a, b, output s);
  assign s = a ^ b;
endmodule
module top (input [3:0] a, b, output [3:0] s);
  half one [3:0] (.a(a), .b(b), .s(s));
endmodule
"""


@pytest.fixture
def source(tmp_path: Path, require: object) -> Path:
    require("pyosys")  # type: ignore[operator]
    path = tmp_path / "a folder" / "top.v"
    path.parent.mkdir()
    path.write_text(SOURCE)
    return path


def test_cells_of_all_modules_are_counted(source: Path, tmp_path: Path) -> None:
    out, lines = tmp_path / "out", list[str]()
    log = run_yosys(
        [
            *read_verilog([source]),
            "hierarchy -top top",
            "synth -top top",
            stat(out / "stat.json"),
        ],
        out,
        name="count",
        seconds=60,
        on_line=lines.append,
    )
    assert cells(out / "stat.json")["$_XOR_"] == 4
    assert log == out / "count.log"
    assert [line.rstrip() for line in log.read_text().splitlines()] == lines
    passes = [what for line in lines if (what := phase(line))]
    assert any(what.startswith("SYNTH pass") for what in passes)
    assert (out / "count.ys").read_text().startswith('read_verilog "')


def test_an_error_of_yosys(tmp_path: Path, require: object) -> None:
    require("pyosys")  # type: ignore[operator]
    message = (
        r"^Yosys failed: ERROR: File `/none\.v' not found or is a directory; its log "
        r"is .*/bad\.log$"
    )
    with pytest.raises(ToolError, match=message):
        run_yosys(read_verilog([Path("/none.v")]), tmp_path, name="bad", seconds=60)


def test_yosys_that_hangs(tmp_path: Path, require: object) -> None:
    require("pyosys")  # type: ignore[operator]
    message = r"^Yosys was ended after 2 s, the time limit: .*/slow\.log$"
    with pytest.raises(ToolError, match=message):
        run_yosys(["exec -- sleep 60"], tmp_path, name="slow", seconds=2)


@pytest.mark.parametrize("text", [None, "", "[]", '{"modules": {}}'])
def test_counts_that_are_none(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "stat.json"
    if text is not None:
        path.write_text(text)
    message = r"^.*/stat\.json is not what Yosys' stat -json writes: .*: run synthesis "
    with pytest.raises(DataError, match=message):
        cells(path)


def test_scopes_are_no_cells(tmp_path: Path) -> None:
    path = tmp_path / "stat.json"
    counts = {"LUT2": 3, "$scopeinfo": 7}
    path.write_text(json.dumps({"design": {"num_cells_by_type": counts}}))
    assert cells(path) == {"LUT2": 3}
