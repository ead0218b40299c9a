from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
TOYS = Path(__file__).parent / "toys"


@pytest.fixture
def hawq(tmp_path: Path) -> Run:
    """The real command line, with the toy stages, in a folder of its own."""

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(TOYS / "hawq_toy.py"), *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=os.environ | {"COLUMNS": "100"} | environment,
        )

    (tmp_path / "toy.toml").write_text((TOYS / "toy.toml").read_text())
    return run


def test_run_says_on_lines_what_it_does(hawq: Run) -> None:
    done = hawq("run", "toy.toml")
    assert (done.returncode, done.stdout) == (0, "up to date: build/toy/03-third\n")
    lines = done.stderr.splitlines()
    assert [line.split(" in ")[0] for line in lines] == [
        "first        running: not run before",
        "first        done",
        "second       running: not run before",
        "second       done",
        "third        running: not run before",
        "third        done",
    ]
    again = hawq("run", "toy.toml")
    assert again.stderr == (
        "first        unchanged\nsecond       unchanged\nthird        unchanged\n"
    )


def test_run_takes_all_its_options(hawq: Run, tmp_path: Path) -> None:
    done = hawq(
        *("run", "toy.toml", "--set", "first.value=5", "--set", "seed=8"),
        *("--build", "elsewhere", "--to", "second", "--workers", "2"),
    )
    assert done.stdout == "up to date: elsewhere/toy/02-second\n"
    manifest = tmp_path / "elsewhere" / "toy" / "01-first" / "manifest.json"
    made_from = json.loads(manifest.read_text())["made_from"]
    assert (made_from["settings"]["value"], made_from["seed"]) == (5, 8)


def test_quiet_says_nothing_on_standard_error(hawq: Run) -> None:
    done = hawq("--quiet", "run", "toy.toml")
    assert (done.returncode, done.stderr) == (0, "")


def test_verbose_shows_log_messages(hawq: Run) -> None:
    done = hawq("--verbose", "run", "toy.toml", "--to", "first")
    assert "hawq.build: first runs: not run before\n" in done.stderr


def test_a_stage_runs_the_flow_up_to_it_and_shows_its_record(
    hawq: Run, tmp_path: Path
) -> None:
    done = hawq("second", "toy.toml")
    assert done.returncode == 0
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["second"],
        ["value", "6"],
        ["words"],
    ]
    assert not (tmp_path / "build" / "toy" / "03-third").exists()


def test_force_of_a_stage_runs_that_stage_only(hawq: Run) -> None:
    hawq("run", "toy.toml")
    done = hawq("second", "toy.toml", "--force")
    assert "first        unchanged\nsecond       running: asked to\n" in done.stderr


def test_show_gives_one_json_object(hawq: Run) -> None:
    hawq("run", "toy.toml")
    done = hawq("show", "toy.toml", "--json")
    assert json.loads(done.stdout) == {
        "first": {"value": 2, "words": []},
        "second": {"value": 6, "words": []},
        "third": {"value": 6, "words": ["first", "second"]},
    }
    assert done.stderr == ""


def test_show_gives_tables(hawq: Run) -> None:
    hawq("run", "toy.toml")
    done = hawq("show", "toy.toml")
    assert [line.split() for line in done.stdout.splitlines()][-3:] == [
        ["third"],
        ["value", "6"],
        ["words", "first,", "second"],
    ]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("show", "toy.toml"),
            "hawq: no stage is finished in build/toy: use `hawq run` first",
        ),
        (
            ("run", "toy.tml"),
            "hawq: there is no flow file 'toy.tml', and no shipped flow of that name; "
            "known: jets, jets_small",
        ),
        (
            ("run", "toy.toml", "--set", "first.valeu=1"),
            "hawq: --set first.valeu=1: [first] has no key 'valeu' "
            "(did you mean 'value'?)",
        ),
        (
            ("run", "toy.toml", "--to", "thrid"),
            "hawq: there is no stage 'thrid' (did you mean 'third'?)",
        ),
        (
            ("run", "toy.toml", "--with", "thrid"),
            "hawq: there is no stage 'thrid' (did you mean 'third'?)",
        ),
        (
            ("run", "toy.toml", "--set", "third.mode=mismatch"),
            "hawq: stage third: fc1: sample 3: expected 7, got 8",
        ),
        (
            ("third", "toy.toml", "--set", "third.mode=full"),
            "hawq: stage third: the disk of build/toy is full: free some space and run "
            "again; what was finished is kept",
        ),
        (
            ("run", "toy.toml", "--set", "third.mode=file"),
            "hawq: stage third: build/toy/03-third.partial/absent.txt: "
            "No such file or directory",
        ),
        (
            ("run", "toy.toml", "--set", "third.mode=import"),
            "hawq: stage third: the Python package 'no_such_package' is not installed: "
            "see `hawq doctor`",
        ),
    ],
)
def test_an_error_is_one_line_and_an_exit_status(
    hawq: Run, words: tuple[str, ...], line: str
) -> None:
    done = hawq("--quiet", *words)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line + "\n")


def test_a_damaged_folder_is_one_line_and_repair_mends_it(
    hawq: Run, tmp_path: Path
) -> None:
    hawq("run", "toy.toml")
    record = tmp_path / "build" / "toy" / "02-second" / "record.json"
    record.write_text("{}")
    done = hawq("--quiet", "run", "toy.toml")
    assert done.returncode == 1
    assert done.stderr == (
        "hawq: stage second: build/toy/02-second/record.json is damaged: SHA-256 "
        "44136fa355b3, expected 40f613668d7a; --repair runs the stage again, and "
        "nothing else is lost\n"
    )
    assert hawq("run", "toy.toml", "--repair").returncode == 0
    assert hawq("run", "toy.toml").returncode == 0


def test_debug_shows_the_traceback(hawq: Run) -> None:
    done = hawq("--debug", "run", "toy.toml", "--set", "third.mode=mismatch")
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "hawq.errors.MismatchError" in done.stderr


def test_a_wrong_option_is_a_usage_error(hawq: Run) -> None:
    done = hawq("run", "toy.toml", "--form", "second")
    assert done.returncode == 2
    assert "No such option: --form" in done.stderr


def test_help_lists_every_stage(hawq: Run) -> None:
    done = hawq("--help")
    assert done.returncode == 0
    for name in ("run", "show", "jets", "flows", "doctor", "first", "second", "third"):
        assert f" {name} " in done.stdout


def test_flows_lists_the_shipped_ones(hawq: Run) -> None:
    lines = hawq("flows").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["jets", "jets_small"]


def test_completion_knows_the_flows(hawq: Run) -> None:
    done = hawq(
        _HAWQ_COMPLETE="complete_bash", COMP_WORDS="hawq run je", COMP_CWORD="2"
    )
    assert done.stdout.split() == ["jets", "jets_small"]


def test_version(hawq: Run) -> None:
    assert hawq("--version").stdout == "hawq 0.1.0\n"


def test_python_dash_m() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hawq", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "hawq 0.1.0\n"


def test_the_command_line_imports_nothing_heavy() -> None:
    script = (
        "import sys, hawq.cli;"
        "print(*{'numpy', 'pydantic', 'torch', 'rich.live'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "\n"


def test_jets_hands_its_options_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from typer.testing import CliRunner

    from hawq.cli import app
    from hawq.data import generate
    from hawq.data.variant import Variant

    asked: dict[str, object] = {}

    def generate_jets(output: Path, jets_per_class: int, **rest: object) -> None:
        asked.update(rest, output=output, jets=jets_per_class)
        rest["progress"]("g", 0.5)

    monkeypatch.setattr(generate, "generate_jets", generate_jets)
    words = f"jets {tmp_path}/few.h5 --jets 20 --seed 7 --variant cernbox --workers 3"
    done = CliRunner().invoke(app, words.split())
    assert done.exit_code == 0, done.output
    assert asked.pop("progress")
    assert asked == {
        "output": tmp_path / "few.h5",
        "jets": 20,
        "seed": 7,
        "variant": Variant.CERNBOX,
        "workers": 3,
        "cluster": None,
    }


def hawq_with(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The real command line in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "hawq", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ | {"COLUMNS": "200"},
    )


def test_check_says_which_rungs_carry_a_network(
    small_qonnx: Path, tmp_path: Path
) -> None:
    done = hawq_with(tmp_path, "check", str(small_qonnx))
    assert done.returncode == 0
    assert done.stdout.splitlines()[-4:] == [
        "QONNX executor: yes",
        "golden integer graph: yes",
        "hls4ml (Vitis): yes",
        "C++ emulator: yes",
    ]
    found = json.loads(hawq_with(tmp_path, "check", str(small_qonnx), "--json").stdout)
    assert found["inputs"] == {"features": [4]}
    assert set(found["rungs"].values()) == {""}


def test_csim_proves_a_network_file(small_qonnx: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", np.full((3, 4), 1.5, dtype=np.float32))
    words = ("csim", str(small_qonnx), "--data", "x.npz", "--json")
    proof = json.loads(hawq_with(tmp_path, *words).stdout)
    rungs = [c["upper"] for c in proof["comparisons"]]
    assert rungs == ["QONNX executor", "C++ emulator", "HLS C-simulation (Vitis)"]
    assert proof["refused"] == {}
    assert proof["noise"] == 0
    assert proof["saturated"] == {"features": 0.0}
    assert all(c["inputs"]["data"] == 3 for c in proof["comparisons"])
    saved = tmp_path / "build/networks" / small_qonnx.stem / "proof.json"
    assert json.loads(saved.read_text()) == proof


def test_convert_writes_qonnx_with_an_input_quantizer(tmp_path: Path) -> None:
    weights = onnx.numpy_helper.from_array(np.float32([[3], [-2]]), "w")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "network",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 2])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 1])],
        [weights],
    )
    onnx.save(onnx.helper.make_model(graph), str(tmp_path / "real.onnx"))
    refused = hawq_with(tmp_path, "check", "real.onnx")
    assert (refused.returncode, refused.stderr) == (
        1,
        "hawq: node 'MatMul_0' (MatMul): input 'x' is real-valued: put a Quant before "
        "it (brevitas.nn.QuantIdentity), or give its format (--input fixed<16,6>)\n",
    )
    words = ("convert", "real.onnx", "out.onnx", "--input", "fixed<8,3>")
    assert hawq_with(tmp_path, *words).stdout == "out.onnx\n"
    assert hawq_with(tmp_path, "check", "out.onnx").returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("check", "none.onnx"), "hawq: none.onnx: no such file or folder\n"),
        (
            ("check", "empty.onnx", "--input", "float"),
            "hawq: 'float' is no fixed-point format: expected for example fixed<16,6> "
            "or ufixed<8,0,RND_CONV,SAT>\n",
        ),
        (
            ("check", "text.toml"),
            "hawq: text.toml: not a network: expected a file .onnx, .h5, .hdf5, "
            ".keras, or a folder with network.py\n",
        ),
        (
            ("check", "empty.onnx"),
            "hawq: empty.onnx: the file has no nodes: give an ONNX file of a network\n",
        ),
    ],
)
def test_wrong_networks_are_one_line(
    words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "text.toml").touch()
    done = hawq_with(tmp_path, *words)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message)
