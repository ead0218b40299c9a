"""Flow files: one TOML table a stage, in the order of the data."""

from __future__ import annotations

import difflib
import importlib
import json
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hawq.errors import FlowError
from hawq.line import STAGES, Stage
from hawq.paths import shipped
from hawq.stage import StageSettings

_HEADER = re.compile(r"\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([\w\-.\"' ]+?)\s*=")
_SUBJECT = re.compile(r"^\w+ (?=should )")
_WORD = re.compile(r"[A-Za-z_.~/][\w./~:+-]*")


class _Head(BaseModel):
    """The keys above the first table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    seed: int = Field(ge=0, lt=2**32)


@dataclass(frozen=True)
class Flow:
    """A validated flow file.

    Attributes:
        path: The file.
        name: Of its folder in the build folder.
        seed: Of every random draw.
        settings: Stage → its settings; the stages that run.
        stages: Those stages, in order.
    """

    path: Path
    name: str
    seed: int
    settings: Mapping[str, StageSettings]
    stages: tuple[Stage, ...]

    def inputs(self, stage: Stage) -> tuple[str, ...]:
        """List the earlier stages that a stage reads in this flow.

        Args:
            stage: One of ``stages``.

        Returns:
            Their names, in order.
        """
        wanted = {*stage.needs, *stage.may_read}
        return tuple(name for name in self.settings if name in wanted)

    def stage(self, name: str) -> Stage:
        """Find a stage by name.

        Args:
            name: For example ``csim``.

        Returns:
            The stage.

        Raises:
            FlowError: if this flow does not run it.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        hint = _suggest(name, list(self.settings))
        raise FlowError(f"{self.path}: the flow has no table [{name}]{hint}")


@dataclass(frozen=True)
class _Source:
    """Where a flow's values come from, to tell it in errors."""

    path: Path
    text: str
    overrides: Mapping[tuple[str, ...], str]

    def error(self, keys: Sequence[str], message: str) -> FlowError:
        for end in range(len(keys), 0, -1):
            if override := self.overrides.get(tuple(keys[:end])):
                return FlowError(f"--set {override}: {message}")
        place = _locate(self.text, keys)
        return FlowError(f"{self.path}{place}: {message}")


def shipped_flows() -> dict[str, Path]:
    """List the flows that ship with hawq.

    Returns:
        Name → file, in alphabetical order.
    """
    return {path.stem: path for path in sorted(shipped("flows").glob("*.toml"))}


def title(path: Path) -> str:
    """Give the first line of a flow file's opening comment.

    Args:
        path: The file.

    Returns:
        The line, without the ``#``; empty if the file does not open with a comment.
    """
    first = next(iter(path.read_text(encoding="utf-8").splitlines()), "")
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def find(flow: str) -> Path:
    """Find a flow file.

    Args:
        flow: A path, or the name of a shipped flow.

    Returns:
        The file.

    Raises:
        FlowError: if there is neither.
    """
    if flow in (known := shipped_flows()):
        return known[flow]
    path = Path(flow)
    if path.is_file():
        return path
    raise FlowError(
        f"there is no flow file {flow!r}, and no shipped flow of that name"
        f"{_suggest(flow, list(known))}"
    )


def read(
    path: Path,
    overrides: Iterable[str] = (),
    stages: Sequence[Stage] = STAGES,
    wanted: Collection[str] = (),
) -> Flow:
    """Read and validate a flow file.

    Args:
        path: The file.
        overrides: ``table.key=value`` each, the value as in TOML; a bare word is taken
            as a string.
        stages: All stages there are.
        wanted: Stages asked for. An optional one runs only if it is among them, or one
            of them needs it; its table may be absent.

    Returns:
        The flow.

    Raises:
        FlowError: if the file is not TOML, a key is unknown or missing, a value is of
            the wrong type or range, or a stage lacks an earlier one that it needs.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise FlowError(f"{path}: not UTF-8: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise FlowError(f"{path}: not TOML: {error}") from error
    asked = _asked(stages, wanted)
    for name in asked:
        tables.setdefault(name, {})
    source = _Source(path, text, _override(tables, overrides))
    names = [stage.name for stage in stages]
    head = {k: v for k, v in tables.items() if k not in names}
    top = _validate(_Head, head, (), source, [*_Head.model_fields, *names])
    present = tuple(stage for stage in stages if stage.name in tables)
    if not present:
        raise FlowError(f"{path}: the flow has no stage: add a table such as [data]")
    optional = {stage.name for stage in stages if stage.optional}
    for stage in present:
        for need in stage.needs:
            if need not in tables and need not in optional:
                message = (
                    f"[{stage.name}] needs [{need}], which the flow lacks: add the "
                    "table (an empty one takes the defaults)"
                )
                raise source.error((stage.name,), message)
    settings = {
        stage.name: _validate(
            importlib.import_module(stage.module).Settings,
            tables[stage.name],
            (stage.name,),
            source,
        )
        for stage in present
    }
    runs = tuple(s for s in present if not s.optional or s.name in asked)
    settings = {stage.name: settings[stage.name] for stage in runs}
    return Flow(path, top.name, top.seed, settings, runs)


def _asked(stages: Sequence[Stage], wanted: Collection[str]) -> set[str]:
    """Find the optional stages that run: those wanted, and what they need."""
    known = [stage.name for stage in stages]
    for name in wanted:
        if name not in known:
            raise FlowError(f"there is no stage {name!r}{_suggest(name, known)}")
    asked = set(wanted)
    for stage in reversed(stages):
        if stage.name in asked:
            asked |= set(stage.needs)
    return {stage.name for stage in stages if stage.optional and stage.name in asked}


def _override(
    tables: dict[str, Any], overrides: Iterable[str]
) -> dict[tuple[str, ...], str]:
    seen = {}
    for override in overrides:
        name, equals, text = override.partition("=")
        keys = tuple(key.strip() for key in name.split("."))
        if not equals or not all(keys):
            raise FlowError(f"--set {override}: expected table.key=value")
        table = tables
        for depth, key in enumerate(keys[:-1]):
            inner = table.setdefault(key, {}) if depth else table.get(key)
            if not isinstance(inner, dict):
                raise FlowError(
                    f"--set {override}: the flow has no table [{'.'.join(keys[:-1])}]"
                    f"{_suggest(key, [k for k in table if isinstance(table[k], dict)])}"
                )
            table = inner
        table[keys[-1]] = _value(text.strip(), override)
        seen[keys] = override
    return seen


def _value(text: str, override: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        if _WORD.fullmatch(text):
            return text
        raise FlowError(
            f"--set {override}: {text!r} is not a TOML value; a string needs quotes: "
            f"""'{override.partition("=")[0]}="{text.strip('"')}"'"""
        ) from error


def _validate(
    model: type[Any],
    table: Any,
    prefix: tuple[str, ...],
    source: _Source,
    known: list[str] | None = None,
) -> Any:
    # Strict JSON, not Python: a string may be a path or an enum, never a number.
    text = json.dumps(table, default=str)
    context = {"folder": source.path.resolve().parent}
    try:
        return model.model_validate_json(text, strict=True, context=context)
    except ValidationError as error:
        # An unknown key first: it tells why another one is missing.
        problems = error.errors(include_url=False)
        problem = min(problems, key=lambda p: p["type"] != "extra_forbidden")
        keys = (*prefix, *map(str, problem["loc"]))
        message = _message(problem, keys, known or _keys(model, problem["loc"][:-1]))
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise source.error(keys, message + more) from error


def _message(problem: Any, keys: tuple[str, ...], known: list[str]) -> str:
    kind, last, name = problem["type"], keys[-1] if keys else "", ".".join(keys)
    table = f"[{'.'.join(keys[:-1])}]" if keys[:-1] else "the flow"
    if kind == "extra_forbidden":
        return f"{table} has no key {last!r}{_suggest(last, known)}"
    if kind == "missing":
        return f"{table} lacks the key {last!r}"
    if kind == "value_error":
        return f"{name}: {problem['msg'].removeprefix('Value error, ')}"
    expected = _SUBJECT.sub("", problem["msg"])  # Input should be ...
    return f"{name} {expected}, got {problem['input']!r}"


def _keys(model: type[Any], loc: Sequence[Any]) -> list[str]:
    for key in loc:
        field = getattr(model, "model_fields", {}).get(key)
        model = field.annotation if field else object
    return list(getattr(model, "model_fields", {}))


def _suggest(name: str, known: list[str]) -> str:
    if close := difflib.get_close_matches(name, known, n=1):
        return f" (did you mean {close[0]!r}?)"
    return f"; known: {', '.join(known)}" if known else ""


def _locate(text: str, keys: Sequence[str]) -> str:
    # ``:line:column`` of the key, else of its table; empty if neither is in the file.
    best, place, table = 0, "", tuple[str, ...]()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            found = table = _split(header[1])
            column = header.start(1)
        elif key := _KEY.match(line):
            found = (*table, *_split(key[1]))
            column = key.start(1)
        else:
            continue
        depth = min(len(found), len(keys))
        if depth > best and tuple(keys[:depth]) == found[:depth]:
            best, place = depth, f":{number}:{column + 1}"
    return place


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))
