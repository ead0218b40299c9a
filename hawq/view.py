"""What the user sees while a flow runs: a live table, or plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.progress import Progress as Bar
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from hawq.build import Event, State
from hawq.doctor import Finding, Health
from hawq.stage import Progress, silent

if TYPE_CHECKING:
    from hawq.csim.network import NetworkProof
    from hawq.csim.prove import NetworkCheck

GOLDEN = "golden integer graph"
_LINE_SECONDS = 15
_STYLES = {
    State.WAITING: "dim",
    State.CHECKING: "dim",
    State.RUNNING: "bold",
    State.CACHED: "green",
    State.DONE: "green",
    State.FAILED: "bold red",
}


def clock(seconds: float) -> str:
    """Spell a duration.

    Args:
        seconds: Not negative.

    Returns:
        For example ``0.3 s``, ``42 s``, ``3:05`` or ``1:02:03``.

    >>> clock(0.31), clock(42.4), clock(185), clock(3723)
    ('0.3 s', '42 s', '3:05', '1:02:03')
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@dataclass
class Row:
    """What one stage is doing.

    Attributes:
        state: Of the stage.
        what: It is doing.
        fraction: Done, 0 to 1.
        began: On the monotonic clock, in seconds.
        took: Seconds, once it is finished.
    """

    state: State = State.WAITING
    what: str = ""
    fraction: float = 0.0
    began: float = 0.0
    took: float | None = None

    def follow(self, event: Event) -> None:
        """Take in an event.

        Args:
            event: Of this stage.
        """
        if event.state is State.RUNNING and self.state is not State.RUNNING:
            self.began = time.monotonic()
        self.state, self.what = event.state, event.what
        self.fraction = min(1.0, max(0.0, event.fraction))
        if event.state in {State.DONE, State.CACHED}:
            self.took = event.seconds

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began

    def left(self, before: float | None) -> float | None:
        """Estimate the seconds left, by the fraction done or by the last run.

        Args:
            before: Seconds the stage took when it last ran, if known.

        Returns:
            The seconds; None if nothing is known.
        """
        if self.state in {State.DONE, State.CACHED, State.FAILED}:
            return 0.0
        if self.state is State.RUNNING and self.fraction > 0.02:
            return self.elapsed * (1 / self.fraction - 1)
        if before is None:
            return None
        running = self.state is State.RUNNING
        return max(0.0, before - self.elapsed) if running else before


@dataclass
class Timetable:
    """The stages of a run, and the time they need.

    Attributes:
        rows: Stage → what it is doing.
        before: Stage → seconds it took last time, where known.
    """

    rows: dict[str, Row]
    before: Mapping[str, float] = field(default_factory=dict)

    def left(self) -> tuple[float, bool]:
        """Estimate the seconds left for all stages.

        Returns:
            The seconds, and whether no stage's time is unknown.
        """
        each = [row.left(self.before.get(name)) for name, row in self.rows.items()]
        return sum(s for s in each if s is not None), None not in each


class LiveTable:
    """A table that redraws itself."""

    def __init__(self, timetable: Timetable) -> None:
        self.timetable = timetable
        self.spinner = Spinner("dots")

    def tell(self, event: Event) -> None:
        """Show an event.

        Args:
            event: What happened.
        """
        self.timetable.rows[event.stage].follow(event)

    def __rich__(self) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("stage")
        table.add_column()
        table.add_column("time", justify="right")
        table.add_column("left", justify="right")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for name, row in self.timetable.rows.items():
            running = row.state is State.RUNNING
            took = row.elapsed if running else row.took
            left = row.left(self.timetable.before.get(name))
            bar = ProgressBar(completed=100 * row.fraction, width=16)
            table.add_row(
                name,
                bar if running else row.state.value,
                "" if took is None else clock(took),
                clock(left) if left and left >= 1 else "",
                row.what,
                style=_STYLES[row.state],
            )
        seconds, is_known = self.timetable.left()
        if seconds:
            prefix = "" if is_known else "> "
            table.add_row(
                self.spinner, "", "", prefix + clock(seconds), "", style="dim"
            )
        return table


class Lines:
    """One line when something changes."""

    def __init__(self, timetable: Timetable, console: Console) -> None:
        self.timetable = timetable
        self.console = console
        self.spoke = 0.0

    def tell(self, event: Event) -> None:
        """Show an event, if it is news or the last line is old.

        Args:
            event: What happened.
        """
        row = self.timetable.rows[event.stage]
        is_news = event.state is not row.state
        row.follow(event)
        if event.state in {State.CHECKING, State.WAITING}:
            return
        text = f"{event.stage:<12} {event.state.value}"
        if event.state is State.RUNNING and not is_news:
            if time.monotonic() - self.spoke < _LINE_SECONDS:
                return
            text += f" {100 * row.fraction:3.0f} %"
            left = row.left(self.timetable.before.get(event.stage))
            text += f", {clock(left)} left" if left else ""
        elif event.state is State.DONE and event.seconds is not None:
            text += f" in {clock(event.seconds)}"
        text += f": {event.what}" if event.what else ""
        self.spoke = time.monotonic()
        self.console.print(text, soft_wrap=True, markup=False, highlight=False)


@contextmanager
def shown(
    stages: Sequence[str], before: Mapping[str, float], *, quiet: bool = False
) -> Iterator[Callable[[Event], None]]:
    """Show a run on standard error.

    Args:
        stages: That will run, in order.
        before: Stage → seconds it took last time, where known.
        quiet: Show nothing.

    Yields:
        What takes the events: a live table on a terminal, else plain lines.
    """
    console = Console(stderr=True)
    timetable = Timetable({name: Row() for name in stages}, before)
    if quiet:
        yield lambda event: None
    elif console.is_terminal:
        table = LiveTable(timetable)
        with Live(table, console=console, refresh_per_second=8, redirect_stdout=False):
            yield table.tell
    else:
        yield Lines(timetable, console).tell


@contextmanager
def shown_bar(title: str, *, quiet: bool = False) -> Iterator[Progress]:
    """Show the progress of one piece of work on standard error.

    Args:
        title: What is made.
        quiet: Show nothing.

    Yields:
        What takes the progress.
    """
    if quiet:
        yield silent
        return
    with Bar(console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda what, fraction: bar.update(
            task, completed=fraction, description=f"{title} {what}"
        )


def show_record(name: str, record: Mapping[str, Any]) -> None:
    """Print the numbers and words of a record, two levels deep.

    Args:
        name: Of the stage.
        record: What ``record.json`` holds.
    """
    table = Table("", "", title=name, title_justify="left", show_header=False, box=None)
    for key, value in record.items():
        table.add_row(key, _spell(value))
    Console(highlight=False, markup=False).print(table)


def show_check(check: NetworkCheck) -> None:
    """Print which rungs can carry a network, and its tensors.

    Args:
        check: From ``check_network``.
    """
    console = Console(highlight=False, markup=False)
    tensors = Table("tensor", "shape", "format", "from", "to", box=None)
    for t in check.tensors:
        tensors.add_row(t.name, "x".join(map(str, t.shape)), t.format, t.low, t.high)
    console.print(tensors)
    console.print()
    for name in check.host:
        console.print(f"{name}: its Softmax is left to the host; logits are compared")
    for rung, reason in check.rungs.items():
        console.print(f"{rung}: {f'cannot carry it: {reason}' if reason else 'yes'}")


def show_proof(proof: NetworkProof) -> None:
    """Print a proof: one line a rung, and what it could not cover.

    Args:
        proof: From ``prove_network``.
    """
    console = Console(highlight=False, markup=False)
    table = Table("rung", "samples", "tensors", "equal", "float noise", box=None)
    for c in proof.comparisons:
        equal = sum(row.integers - row.noise for row in c.tensors)
        noise = sum(row.noise for row in c.tensors)
        counts = (sum(c.inputs.values()), len(c.tensors), equal, noise)
        table.add_row(c.upper, *(f"{n:,}" for n in counts))
    console.print(table)
    for name, fraction in proof.saturated.items():
        console.print(f"{name}: {fraction:.2%} of the values given saturate")
    for rung, reason in proof.refused.items():
        console.print(f"{rung}: not climbed: {reason}")
    console.print(
        f"{proof.integers:,} integers equal to the {GOLDEN}"
        + (f"; {proof.noise:,} floats within their rounding" if proof.noise else "")
    )


def _spell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        is_nested = any(isinstance(v, dict | list) for v in value)
        return f"{len(value)} entries" if is_nested else ", ".join(map(_spell, value))
    if isinstance(value, dict):
        plain = {k: v for k, v in value.items() if not isinstance(v, dict | list)}
        return ", ".join(f"{key} {_spell(v)}" for key, v in plain.items())
    return "none" if value is None else str(value)


def show_findings(findings: Sequence[Finding]) -> None:
    """Print what the doctor found.

    Args:
        findings: In order.
    """
    styles = {Health.MISSING: "bold red", Health.GOOD: "green"}
    table = Table("item", "", "found", "what to do", box=None, pad_edge=False)
    for finding in findings:
        style = styles.get(finding.health, "yellow")
        health = Text(finding.health.value, style=style)
        table.add_row(finding.item, health, finding.found, finding.remedy)
    Console(highlight=False, markup=False).print(table)
