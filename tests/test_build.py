from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hawq.build import (
    Event,
    Options,
    State,
    build_flow,
    durations,
    finished,
    opened,
    record,
)
from hawq.errors import MismatchError, StageError, ToolError
from hawq.flow import read
from hawq.line import Stage

FLOW = """name = "toy"
seed = 3
[first]
value = 2
[second.budgets]
steps = 4
[third]
"""


class Toy:
    """A flow of toy stages and what happened in it."""

    def __init__(self, folder: Path) -> None:
        from toy.line import TOYS

        self.path = folder / "toy.toml"
        self.path.write_text(FLOW)
        self.root = folder / "build"
        self.folder = self.root / "toy"
        self.journal = folder / "journal"
        self.events: list[Event] = []
        self.line: tuple[Stage, ...] = TOYS

    def run(self, *overrides: str, **options: object) -> list[str]:
        """Run, and list what the stages noted."""
        self.journal.write_text("")
        flow = read(self.path, overrides, self.line)
        build_flow(flow, self.root, Options(**options), self.events.append)
        return self.journal.read_text().split("\n")[:-1]


STEPS = ["step 0", "step 1", "step 2", "step 3"]
ALL = ["first", "second", *STEPS, "third"]


@pytest.fixture
def toy(toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    toy = Toy(tmp_path)
    monkeypatch.setenv("TOY_JOURNAL", str(toy.journal))
    return toy


def states(toy: Toy, stage: str) -> list[State]:
    seen = [event.state for event in toy.events if event.stage == stage]
    return list(dict.fromkeys(seen))


def test_stages_run_once(toy: Toy) -> None:
    assert toy.run() == ALL
    assert toy.run() == []


def test_a_finished_folder_holds_record_artefacts_and_manifest(toy: Toy) -> None:
    toy.run()
    names = sorted(path.name for path in (toy.folder / "01-first").iterdir())
    assert names == ["deep", "log.txt", "manifest.json", "record.json"]
    assert record(toy.folder / "01-first") == {"value": 2, "words": []}


def test_only_finished_folders_are_left(toy: Toy) -> None:
    toy.run()
    names = sorted(path.name for path in toy.folder.iterdir())
    assert names == [".lock", ".resume", "01-first", "02-second", "03-third"]
    assert list((toy.folder / ".resume").iterdir()) == []


def test_stages_see_the_folders_they_may_read(toy: Toy) -> None:
    toy.run()
    assert record(toy.folder / "03-third")["words"] == ["first", "second"]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("first.value=5", ALL),
        ("first.ratio=0.25", ["first"]),  # it writes the same bytes
        ("second.budgets.steps=2", ["second", "step 0", "step 1", "third"]),
        ("third.mode=fill", ["third"]),
        ("seed=4", ALL),
    ],
)
def test_a_change_runs_what_depends_on_it(
    toy: Toy, override: str, expected: list[str]
) -> None:
    toy.run()
    assert toy.run(override) == expected


def test_a_changed_file_runs_the_stage_that_reads_it(toy: Toy) -> None:
    jets = toy.path.with_name("jets.bin")
    jets.write_bytes(bytes(10))
    toy.run("first.source=jets.bin")
    jets.write_bytes(bytes(11))
    assert toy.run("first.source=jets.bin") == ALL
    assert record(toy.folder / "01-first")["value"] == 13


def test_a_changed_file_that_no_setting_names_runs_the_stage(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = toy.path.with_name("table")
    table.write_text("1")
    monkeypatch.setenv("TOY_TABLE", str(table))
    toy.run()
    assert toy.run() == []
    table.write_text("2")
    assert toy.run() == ["first"]  # it writes the same bytes
    assert "files.table changed" in [event.what for event in toy.events]


def test_a_moved_file_does_not(toy: Toy) -> None:
    jets = toy.path.with_name("jets.bin")
    jets.write_bytes(bytes(10))
    toy.run("first.source=jets.bin")
    jets.rename(jets.with_name("moved.bin"))
    assert toy.run("first.source=moved.bin") == []


def test_changed_code_runs_the_stage(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.run()
    monkeypatch.setattr("hawq.digest.of_code", lambda module: {module: "changed"})
    assert toy.run() == ALL


def test_the_reason_is_told(toy: Toy) -> None:
    toy.run()
    toy.events.clear()
    toy.run("first.value=5", "first.ratio=0.1")
    reasons = [e.what for e in toy.events if e.state is State.RUNNING and e.what]
    assert reasons[0] == "settings.ratio, settings.value changed"
    assert "inputs.first changed" in reasons


def test_from_runs_unchanged_stages_again(toy: Toy) -> None:
    toy.run()
    assert toy.run(start="second") == ["second", *STEPS, "third"]


def test_to_stops(toy: Toy) -> None:
    assert toy.run(stop="second") == ["first", "second", *STEPS]
    assert not (toy.folder / "03-third").exists()


def test_force_runs_all(toy: Toy) -> None:
    toy.run()
    assert toy.run(force=True) == ALL


def test_a_failed_stage_leaves_the_previous_result(toy: Toy) -> None:
    toy.run()
    before = (toy.folder / "03-third" / "manifest.json").read_bytes()
    with pytest.raises(
        MismatchError, match=r"^fc1: sample 3: expected 7,\n got 8\nstage third$"
    ):
        toy.run("third.mode=mismatch")
    assert (toy.folder / "03-third" / "manifest.json").read_bytes() == before
    assert toy.run() == []


def test_a_failed_stage_leaves_what_it_wrote_until_the_next_run(toy: Toy) -> None:
    with pytest.raises(MismatchError):
        toy.run("third.mode=mismatch")
    partial = toy.folder / "03-third.partial"
    assert (partial / "trace.txt").read_text() == "half a trace"
    assert toy.events[-1] == Event("third", State.FAILED, f"see {partial}")
    toy.run()
    assert not partial.exists()


def test_an_error_names_its_stage(toy: Toy) -> None:
    with pytest.raises(MismatchError) as caught:
        toy.run("third.mode=mismatch")
    assert caught.value.__notes__ == ["stage third"]


@pytest.mark.parametrize("damage", ["truncate", "remove", "edit"])
def test_a_damaged_folder_stops_the_flow(toy: Toy, damage: str) -> None:
    toy.run()
    value = toy.folder / "01-first" / "deep" / "value.txt"
    {
        "truncate": lambda: os.truncate(value, 1),
        "remove": value.unlink,
        "edit": lambda: value.write_text("3\n"),
    }[damage]()
    message = (
        rf"^{re.escape(str(value))} is .*; --repair runs the stage again, and nothing "
        r"else is lost\nstage first$"
    )
    with pytest.raises(StageError, match=message):
        toy.run()
    assert toy.run(repair=True) == ["first"]  # the same bytes again
    assert toy.run() == []


def test_a_half_written_folder_stops_the_flow(toy: Toy) -> None:
    toy.run()
    manifest = toy.folder / "02-second" / "manifest.json"
    manifest.unlink()
    message = (
        rf"^{re.escape(str(manifest))} is missing: the folder is half-written; "
        r"--repair runs the stage again, and nothing else is lost\nstage second$"
    )
    with pytest.raises(StageError, match=message):
        toy.run()
    assert toy.run(start="second") == ["second", *STEPS, "third"]


def test_a_partial_folder_of_a_killed_run_is_removed(toy: Toy) -> None:
    partial = toy.folder / "02-second.partial"
    partial.mkdir(parents=True)
    (partial / "float.pt").write_text("half")
    assert toy.run() == ALL
    assert not partial.exists()


def test_a_run_killed_before_the_renaming_is_finished(toy: Toy) -> None:
    toy.run()
    final = toy.folder / "03-third"
    final.rename(toy.folder / "03-third.partial")
    assert toy.run() == []
    assert final.exists()


def test_a_run_killed_between_the_renamings_is_finished(toy: Toy) -> None:
    toy.run()
    final = toy.folder / "03-third"
    shutil.copytree(final, toy.folder / "03-third.partial")
    final.rename(toy.folder / "03-third.previous")
    assert toy.run() == []
    assert [path.name for path in toy.folder.glob("03*")] == ["03-third"]


def test_a_run_killed_after_the_renamings_is_tidied(toy: Toy) -> None:
    toy.run()
    shutil.copytree(toy.folder / "03-third", toy.folder / "03-third.previous")
    assert toy.run() == []
    assert [path.name for path in toy.folder.glob("03*")] == ["03-third"]


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    message = (
        rf"^another run is using {re.escape(str(folder))}: wait for it, or choose "
        r"another folder with --build$"
    )
    with opened(folder), pytest.raises(StageError, match=message), opened(folder):
        pass
    with opened(folder):
        pass


def test_a_full_disk_by_its_error(toy: Toy) -> None:
    message = (
        rf"^the disk of {re.escape(str(toy.folder))} is full: free some space and run "
        r"again; what was finished is kept\nstage third$"
    )
    with pytest.raises(StageError, match=message):
        toy.run("third.mode=full")
    assert not (toy.folder / "03-third.partial").exists()
    assert toy.run() == ["third"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root may mount a small file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_really_full(toy: Toy, small_disk: Path) -> None:
    toy.root = small_disk / "build"
    with pytest.raises(StageError, match=r"^the disk of .* is full: ") as caught:
        toy.run("third.mode=fill")
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert toy.run() == ["third"]


def test_a_missing_tool(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(toy.root))
    monkeypatch.setattr("hawq.tools.version", lambda tool: None)
    toy.line = (*toy.line[:2], Stage(3, "third", "", ("second",), (), ("g++",), "toy"))
    message = (
        r"^third needs g\+\+, which is not on the PATH: apt install g\+\+, .*"
        r"\nstage third$"
    )
    with pytest.raises(ToolError, match=message):
        toy.run()
    assert (toy.folder / "02-second").exists()


def test_what_libraries_print_goes_to_the_log(toy: Toy) -> None:
    script = (
        "import sys; from pathlib import Path; from toy.line import TOYS;"
        "from hawq.build import *; from hawq.flow import read;"
        "build_flow(read(Path(sys.argv[1]), (), TOYS), Path(sys.argv[2]), Options(),"
        "lambda event: None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(toy.path), str(toy.root)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent / "toys")},
    )
    assert done.stdout == ""
    log = toy.folder / "01-first" / "log.txt"
    assert log.read_text() == "a library talks\n"


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "nothing happened for 30 s"
        time.sleep(0.01)


def start(toy: Toy, *overrides: str) -> subprocess.Popen[str]:
    """Run the flow in a process of its own until the second step."""
    toy.journal.write_text("")
    sets = [word for override in overrides for word in ("--set", override)]
    command = [sys.executable, Path(__file__).parent / "toys" / "hawq_toy.py", "run"]
    process = subprocess.Popen(
        [*command, toy.path, "--build", toy.root, *sets],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: "step 1" in toy.journal.read_text())
    return process


def test_a_killed_run_goes_on_from_its_checkpoint(toy: Toy) -> None:
    slow = "second.pause_s=0.3"
    process = start(toy, slow)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert (toy.folder / "02-second.partial").exists()
    assert toy.run(slow) == ["second", "step 1", "step 2", "step 3", "third"]
    assert record(toy.folder / "02-second")["value"] == 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on_from_its_checkpoint(
    toy: Toy, number: signal.Signals
) -> None:
    slow = "second.pause_s=0.3"
    process = start(toy, slow)
    process.send_signal(number)
    _, error = process.communicate()
    assert process.returncode == 130
    assert error.splitlines()[-1] == (
        "hawq: stage second: interrupted; what was finished is kept, run the same "
        "command to go on"
    )
    assert "Traceback" not in error
    assert toy.run(slow) == ["second", "step 1", "step 2", "step 3", "third"]


def test_a_checkpoint_belongs_to_its_settings(toy: Toy) -> None:
    process = start(toy, "second.pause_s=0.3")
    process.kill()
    process.communicate()
    assert toy.run("second.pause_s=0.0") == ["second", *STEPS, "third"]


def test_the_lock_of_a_killed_run_is_free(toy: Toy) -> None:
    process = start(toy, "second.pause_s=0.3")
    with (toy.folder / ".lock").open("a") as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    process.kill()
    process.communicate()
    with opened(toy.folder):
        pass


def test_events_tell_what_happens(toy: Toy) -> None:
    toy.run(stop="second")
    assert states(toy, "second") == [State.CHECKING, State.RUNNING, State.DONE]
    steps = [e for e in toy.events if e.what.startswith("step")]
    assert [e.fraction for e in steps] == [0.25, 0.5, 0.75, 1.0]
    toy.events.clear()
    toy.run(stop="second")
    assert states(toy, "second") == [State.CHECKING, State.CACHED]


def test_durations_of_the_last_run(toy: Toy) -> None:
    assert durations(toy.folder, toy.line) == {}
    toy.run(stop="second")
    (toy.folder / "01-first" / "manifest.json").write_text("{")
    found = durations(toy.folder, toy.line)
    assert list(found) == ["second"]
    assert 0 <= found["second"] < 60


def test_finished_records(toy: Toy) -> None:
    toy.run(stop="second")
    found = finished(toy.folder, toy.line)
    assert found == {
        "first": {"value": 2, "words": []},
        "second": {"value": 6, "words": []},
    }


def test_no_finished_records(toy: Toy) -> None:
    message = (
        rf"^no stage is finished in {re.escape(str(toy.folder))}: use `hawq run` first$"
    )
    with pytest.raises(StageError, match=message):
        finished(toy.folder, toy.line)


def test_a_damaged_record_is_not_shown(toy: Toy) -> None:
    toy.run(stop="first")
    (toy.folder / "01-first" / "record.json").write_text('{"value": 3}')
    with pytest.raises(StageError, match=r"^.*/record\.json is damaged: SHA-256 "):
        finished(toy.folder, toy.line)
