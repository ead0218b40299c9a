from __future__ import annotations

from pathlib import Path

import pytest

from hawq.synthesis.process import first_error
from hawq.synthesis.vendor.failure import explain, remedy

PART = (
    ": the part is not installed: add its family with the tool's installer (Add Design "
    "Tools or Devices), or choose a part that set_part knows"
)


def test_the_first_error_is_the_one_that_matters() -> None:
    log = (
        "INFO: [HLS 200-10] start\nWARNING: [X 1-1] an ERROR: is not here\n"
        "ERROR: [HLS 207-3776] use of undeclared identifier 'x'\n"
        "ERROR: [HLS 200-70] Compilation errors found\n"
    )
    assert first_error(log) == "ERROR: [HLS 207-3776] use of undeclared identifier 'x'"


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("ERROR: [HLS 200-1023] Part 'xcku040-a' is not installed.", PART),
        ("ERROR: [HLS 200-1023] Part 'xc7a' is not supported.", PART),
        ("ERROR: [Coretcl 2-106] Specified part could not be found.", PART),
        (
            "ERROR: [Common 17-345] A valid license was not found for 'Synthesis'",
            ": no licence for this tool or device: set XILINXD_LICENSE_FILE, or choose "
            "a part of the free edition",
        ),
        (
            "Killed",
            ": the machine ran out of memory: raise the reuse factor, or run on a "
            "larger host",
        ),
        (
            "../firmware/network.cpp:3:10: fatal error: x.h: No such file",
            ": the C++ does not compile with this version of the tool",
        ),
        ("ERROR: [Synth 8-403] loop limit (65536) exceeded", ""),
    ],
)
def test_known_errors_have_a_remedy(line: str, advice: str) -> None:
    assert first_error(f"INFO: a\n{line}\nafter\n") == line
    assert remedy(line) == advice


def test_a_log_without_errors_explains_nothing(tmp_path: Path) -> None:
    log = tmp_path / "vivado.log"
    log.write_text("INFO: 0 errors\n")
    assert explain([log]) is None
