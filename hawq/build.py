"""The build folder: stages cached by content, written atomically, resumable.

``build/<flow>/NN-stage/`` is complete or absent: a stage writes into
``NN-stage.partial``, whose manifest comes last, and which is then renamed. A failed
stage leaves its partial folder for the user to read; the next run removes it.
Checkpoints that let a killed stage go on live in ``.resume/``.
"""

from __future__ import annotations

import errno
import fcntl
import importlib
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import hawq
from hawq import digest, tools
from hawq.errors import StageError
from hawq.flow import Flow
from hawq.line import Stage
from hawq.manifest import (
    LOG,
    MANIFEST,
    RECORD,
    MadeFrom,
    Manifest,
    artefacts,
    read,
    verify,
)
from hawq.stage import StageContext

_FULL_BYTES = 1 << 20
logger = logging.getLogger(__name__)


class State(StrEnum):
    """What happens to a stage."""

    WAITING = "waiting"
    CHECKING = "checking"
    RUNNING = "running"
    CACHED = "unchanged"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Event:
    """Something to show about a stage.

    Attributes:
        stage: Its name.
        state: Of the stage.
        what: What it is doing, or why it runs.
        fraction: Done, 0 to 1.
        seconds: How long it took; while it runs, how long it took last time, if known.
    """

    stage: str
    state: State
    what: str = ""
    fraction: float = 0.0
    seconds: float | None = None


@dataclass(frozen=True)
class Options:
    """How a flow is run.

    Attributes:
        start: Run this stage and later ones again, even if unchanged.
        stop: The last stage to run.
        force: Run every stage again.
        repair: Run damaged stages again instead of stopping.
        workers: Processes that may work at once.
        cluster: Address of a Dask scheduler.
    """

    start: str | None = None
    stop: str | None = None
    force: bool = False
    repair: bool = False
    workers: int = 1
    cluster: str | None = None


@dataclass(frozen=True)
class _Job:
    """One stage of one run."""

    stage: Stage
    folder: Path
    made_from: MadeFrom
    context: StageContext


def build_flow(
    flow: Flow, root: Path, options: Options, tell: Callable[[Event], None]
) -> dict[str, Path]:
    """Bring the stages of a flow up to date, in order.

    Args:
        flow: The flow.
        root: The build folder; the flow's own is ``root/<name>``.
        options: How.
        tell: Shown what happens.

    Returns:
        Stage → its finished folder.

    Raises:
        BaseException: whatever a stage raises, with a note naming the stage; the
            stages before it stay finished.
    """
    last = flow.stage(options.stop).number if options.stop else sys.maxsize
    first = flow.stage(options.start).number if options.start else sys.maxsize
    done: dict[str, Path] = {}
    with opened(root / flow.name) as build:
        for stage in flow.stages:
            if stage.number > last:
                break
            again = options.force or stage.number >= first
            tell(Event(stage.name, State.CHECKING))
            try:
                job = _plan(flow, stage, build, done, options, tell)
                _bring_up_to_date(job, again, options.repair, tell)
            except BaseException as error:
                partial = build / f"{stage.folder}.partial"
                what = f"see {partial}" if partial.exists() else ""
                tell(Event(stage.name, State.FAILED, what))
                error.add_note(f"stage {stage.name}")
                raise
            done[stage.name] = job.folder
    return done


def durations(build: Path, stages: Iterable[Stage]) -> dict[str, float]:
    """Look up how long stages took when they last ran.

    Args:
        build: ``build/<flow>``.
        stages: To look up.

    Returns:
        Stage → seconds, for those that ran.
    """
    found = {}
    for stage in stages:
        with suppress(StageError):
            if manifest := read(build / stage.folder):
                found[stage.name] = manifest.seconds
    return found


def finished(build: Path, stages: Iterable[Stage]) -> dict[str, dict[str, Any]]:
    """Read the records of the stages that are finished.

    Args:
        build: ``build/<flow>``.
        stages: To look for, in order.

    Returns:
        Stage → its record.

    Raises:
        StageError: if none is finished, or a folder is damaged.
    """
    folders = {stage.name: build / stage.folder for stage in stages}
    records = {name: record(f) for name, f in folders.items() if f.exists()}
    if not records:
        raise StageError(f"no stage is finished in {build}: use `hawq run` first")
    return records


def record(folder: Path) -> dict[str, Any]:
    """Read a finished stage's record, checked against its manifest.

    Args:
        folder: ``build/<flow>/NN-stage``.

    Returns:
        What ``record.json`` holds.
    """
    if manifest := read(folder):
        verify(folder, manifest, [RECORD])
    content: dict[str, Any] = json.loads((folder / RECORD).read_bytes())
    return content


@contextmanager
def opened(folder: Path) -> Iterator[Path]:
    """Hold a flow's build folder, and tidy what a killed run left.

    Args:
        folder: ``build/<flow>``; made if needed.

    Yields:
        The folder.

    Raises:
        StageError: if another run holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StageError(
                f"another run is using {folder}: wait for it, or choose another folder "
                "with --build"
            ) from error
        for previous in folder.glob("*.previous"):
            if (final := previous.with_suffix("")).exists():
                shutil.rmtree(previous)
            else:
                previous.rename(final)
        for partial in folder.glob("*.partial"):
            # The manifest comes last: with it, only the renaming was left to do.
            if (partial / MANIFEST).exists():
                _replace(partial.with_suffix(""), partial)
            else:
                shutil.rmtree(partial)
        yield folder


def _plan(
    flow: Flow,
    stage: Stage,
    build: Path,
    done: Mapping[str, Path],
    options: Options,
    tell: Callable[[Event], None],
) -> _Job:
    settings = flow.settings[stage.name]
    inputs = {name: done[name] for name in flow.inputs(stage)}
    outputs = {n: m.outputs for n, f in inputs.items() if (m := read(f))}
    plain = settings.model_dump_json(context={"digest": digest.of_path})
    made_from = MadeFrom(
        settings=json.loads(plain),
        files={p.name: digest.of_path(p) for p in settings.also_reads()},
        seed=flow.seed,
        inputs=outputs,
        code=digest.of_code(stage.module),
        libraries=digest.libraries(stage.module),
        tools={tool: tools.version(tool) or "absent" for tool in stage.tools},
    )
    folder = build / stage.folder
    context = StageContext(
        folder=folder.with_name(folder.name + ".partial"),
        settings=settings,
        inputs=inputs,
        seed=flow.seed,
        workers=options.workers,
        cluster=options.cluster,
        progress=lambda what, fraction: tell(
            Event(stage.name, State.RUNNING, what, fraction)
        ),
        resume=build / ".resume" / f"{stage.folder}-{made_from.key[:16]}",
    )
    return _Job(stage, folder, made_from, context)


def _bring_up_to_date(
    job: _Job, again: bool, repair: bool, tell: Callable[[Event], None]
) -> None:
    name = job.stage.name
    seconds = None
    try:
        manifest = read(job.folder)
        if manifest:
            seconds = manifest.seconds
        if manifest and manifest.key == job.made_from.key and not again:
            verify(job.folder, manifest)
            tell(Event(name, State.CACHED, seconds=seconds))
            return
        why = _why(job, manifest)
    except StageError as error:
        if not (again or repair):
            raise StageError(
                f"{error}; --repair runs the stage again, and nothing else is lost"
            ) from error
        why = str(error)
    logger.info("%s runs: %s", name, why)
    tell(Event(name, State.RUNNING, why, seconds=seconds))
    manifest = _run(job)
    tell(Event(name, State.DONE, fraction=1.0, seconds=manifest.seconds))


def _why(job: _Job, manifest: Manifest | None) -> str:
    if manifest is None:
        is_old = job.folder.exists()
        return "another version of hawq ran it" if is_old else "not run before"
    changes = job.made_from.changes(manifest.made_from)
    more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
    return ", ".join(changes[:3]) + more + " changed" if changes else "asked to"


def _run(job: _Job) -> Manifest:
    for tool in job.stage.tools:
        tools.require(tool, job.stage.name)
    partial, start = job.context.folder, time.monotonic()
    try:
        partial.mkdir()
        with _logged(partial / LOG):
            record = importlib.import_module(job.stage.module).run(job.context)
            record.save(partial / RECORD)
        found = artefacts(partial)
        manifest = Manifest(
            stage=job.stage.name,
            key=job.made_from.key,
            made_from=job.made_from,
            artefacts=found,
            outputs=digest.of_json(found),
            seconds=round(time.monotonic() - start, 3),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            hawq_version=hawq.__version__,
        )
        manifest.write(partial)
        _replace(job.folder, partial)
    except (OSError, RuntimeError) as error:
        # torch.save says RuntimeError when a write fails.
        if not _disk_is_full(error, partial.parent):
            raise
        shutil.rmtree(partial, ignore_errors=True)
        raise StageError(
            f"the disk of {partial.parent} is full: free some space and run again; "
            "what was finished is kept"
        ) from error
    if job.context.resume:
        shutil.rmtree(job.context.resume, ignore_errors=True)
    return manifest


def _replace(final: Path, partial: Path) -> None:
    previous = final.with_name(final.name + ".previous")
    if final.exists():
        final.rename(previous)
    partial.rename(final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    shutil.rmtree(previous, ignore_errors=True)


def _disk_is_full(error: Exception, folder: Path) -> bool:
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return True
    return shutil.disk_usage(folder).free < _FULL_BYTES


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Send what libraries print, and log messages, to a file."""
    handler = logging.FileHandler(path)
    handler.setLevel(logging.INFO)
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    sys.stdout.flush()
    standard_output = os.dup(1)
    try:
        with path.open("a") as file:
            os.dup2(file.fileno(), 1)  # not sys.stdout: C++ libraries print too
        yield
    finally:
        sys.stdout.flush()
        os.dup2(standard_output, 1)
        os.close(standard_output)
        root.removeHandler(handler)
        handler.close()
