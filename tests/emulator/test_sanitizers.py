import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hawq.emulator.write import write_emulator

DRIVER = Path(__file__).parent / "corners.cpp"
PARTS = ("network", "interface", "cms")


@pytest.mark.parametrize("kinds", ["address,undefined", "thread"])
def test_corner_inputs_upset_no_sanitizer(kinds, every_node, tmp_path):
    if not shutil.which("g++"):
        pytest.skip("g++ is missing")
    write_emulator(every_node, tmp_path, name="net", version="1")
    program = tmp_path / "corners"
    flags = ["-std=c++17", "-O0", "-g", "-march=x86-64-v2", f"-fsanitize={kinds}"]
    sources = [str(tmp_path / "network" / f"{part}.cpp") for part in PARTS]
    subprocess.run(
        [
            "g++",
            *flags,
            "-fno-sanitize-recover=all",
            f"-I{tmp_path}",
            str(DRIVER),
            *sources,
            "-o",
            str(program),
            "-pthread",
        ],
        check=True,
    )
    # The thread sanitizer of g++ 12 does not know the random addresses of new kernels.
    fixed = ["setarch", "-R"] if shutil.which("setarch") else []
    done = subprocess.run(
        [*fixed, str(program)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
    )
    assert (done.returncode, done.stdout) == (0, "equal\n"), done.stderr
