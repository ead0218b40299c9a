from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from hawq import view
from hawq.build import Event, State


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that the test turns."""
    now = [100.0]
    monkeypatch.setattr(view.time, "monotonic", lambda: now[0])
    return now


def timetable(before: dict[str, float]) -> view.Timetable:
    return view.Timetable({"data": view.Row(), "model": view.Row()}, before)


def follow(table: view.Timetable, stage: str, state: State, **rest: object) -> None:
    table.rows[stage].follow(Event(stage, state, **rest))


def test_nothing_is_known_at_first(now: list[float]) -> None:
    assert timetable({}).left() == (0, False)


def test_time_left_is_that_of_last_time(now: list[float]) -> None:
    table = timetable({"data": 10.0, "model": 30.0})
    assert table.left() == (40.0, True)
    follow(table, "data", State.RUNNING)
    now[0] += 4
    assert table.left() == (36.0, True)


def test_time_left_follows_the_fraction_done(now: list[float]) -> None:
    table = timetable({"data": 10.0})
    follow(table, "data", State.RUNNING)
    now[0] += 6
    follow(table, "data", State.RUNNING, fraction=0.25)
    assert table.left() == (18.0, False)


def test_finished_and_unchanged_stages_need_no_time(now: list[float]) -> None:
    table = timetable({"data": 10.0, "model": 30.0})
    follow(table, "data", State.DONE, seconds=9.0)
    follow(table, "model", State.CACHED, seconds=30.0)
    assert table.left() == (0.0, True)
    assert table.rows["data"].took == 9.0


def test_a_late_stage_has_no_time_left(now: list[float]) -> None:
    table = timetable({"data": 10.0, "model": 0.0})
    follow(table, "data", State.RUNNING)
    now[0] += 99
    assert table.left() == (0.0, True)


def lines_of(shown: view.Lines) -> list[str]:
    return shown.console.file.getvalue().splitlines()


@pytest.fixture
def lines(now: list[float]) -> view.Lines:
    console = Console(file=io.StringIO(), width=40)
    return view.Lines(timetable({"data": 100.0}), console)


def test_lines_tell_changes_and_then_now_and_then(
    lines: view.Lines, now: list[float]
) -> None:
    lines.tell(Event("data", State.CHECKING))
    lines.tell(Event("data", State.RUNNING, "seed changed"))
    now[0] += 10
    lines.tell(Event("data", State.RUNNING, "reading", 0.1))
    now[0] += 10
    lines.tell(Event("data", State.RUNNING, "reading [all]", 0.2))
    lines.tell(Event("data", State.DONE, seconds=99.0))
    assert lines_of(lines) == [
        "data         running: seed changed",
        "data         running  20 %, 1:20 left: reading [all]",
        "data         done in 1:39",
    ]


def test_the_table_shows_every_stage(now: list[float]) -> None:
    table = view.LiveTable(timetable({"data": 10.0, "model": 30.0}))
    table.tell(Event("data", State.RUNNING, "reading", 0.5))
    now[0] += 5
    console = Console(file=io.StringIO(), width=80)
    console.print(table)
    rows = [re.split(r"\s{2,}|━+", row.strip()) for row in lines_of_console(console)]
    assert [row[0] for row in rows][:3] == ["stage", "data", "model"]
    assert rows[1][-1] == "reading"
    assert rows[2][1:] == ["waiting", "30 s"]
    assert rows[3][-1] == "35 s"


def lines_of_console(console: Console) -> list[str]:
    return [line for line in console.file.getvalue().splitlines() if line.strip()]


def test_records_are_spelt(capsys: pytest.CaptureFixture[str]) -> None:
    view.show_record(
        "csim",
        {
            "accuracy": 0.76123456,
            "equal": True,
            "first": None,
            "bits": {"fc1": 4, "fc2": 3},
            "tensors": [{"a": 1}, {"b": 2}],
            "shape": [16, 64],
            "test": {"accuracy": 0.75, "auc": {"g": 0.9}, "rows": [1]},
        },
    )
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == [
        "csim",
        "accuracy  0.761235",
        "equal     True",
        "first     none",
        "bits      fc1 4, fc2 3",
        "tensors   2 entries",
        "shape     16, 64",
        "test      accuracy 0.75",
    ]
