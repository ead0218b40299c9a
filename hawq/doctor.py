"""What is installed, what is missing, and how to get it."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from packaging.requirements import Requirement

from hawq import tools
from hawq.errors import ToolError
from hawq.line import STAGES

_OLDEST_PYTHON = (3, 11)
_GROUP = "all"


class Health(StrEnum):
    """How an item is."""

    GOOD = "good"
    UNTESTED = "untested version"
    OPTIONAL = "missing, optional"
    MISSING = "missing"


@dataclass(frozen=True)
class Finding:
    """One item that was looked for.

    Attributes:
        item: Python, a library, an extra or a tool.
        health: ``MISSING`` only for what the main job needs.
        found: Version, or what is missing of an extra.
        remedy: What to do; empty if nothing is to do.
    """

    item: str
    health: Health
    found: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Look for Python, the libraries, the extras and the external tools.

    The libraries and their ranges are those of the installed package's metadata.

    Returns:
        One finding an item: Python, libraries, extras, tools.
    """
    requirements = [Requirement(r) for r in importlib.metadata.requires("hawq") or ()]
    return [
        _python(),
        *(_library(r) for r in requirements if r.marker is None),
        *_extras([r for r in requirements if r.marker is not None]),
        *map(_tool, tools.TOOLS),
        _opensta(),
    ]


def _python() -> Finding:
    oldest = ".".join(map(str, _OLDEST_PYTHON))
    health = Health.GOOD if sys.version_info >= _OLDEST_PYTHON else Health.MISSING
    remedy = "" if health is Health.GOOD else f"install Python {oldest} or newer"
    return Finding("python", health, platform.python_version(), remedy)


def _library(requirement: Requirement) -> Finding:
    name = requirement.name
    if (version := _version(name)) is None:
        remedy = f"pip install '{name}{requirement.specifier}'"
        return Finding(name, Health.MISSING, "", remedy)
    if not requirement.specifier.contains(version, prereleases=True):
        remedy = f"hawq is tested with {requirement.specifier}"
        return Finding(name, Health.UNTESTED, version, remedy)
    return Finding(name, Health.GOOD, version)


def _extras(requirements: list[Requirement]) -> Iterator[Finding]:
    extras = importlib.metadata.metadata("hawq").get_all("Provides-Extra") or []
    for extra in sorted(set(extras) - {_GROUP}):
        names = [
            r.name
            for r in requirements
            if r.marker is not None and r.marker.evaluate({"extra": extra})
        ]
        missing = [name for name in names if _version(name) is None]
        if missing:
            lacks = "lacks " + ", ".join(missing)
            remedy = f"pip install 'hawq[{extra}]'"
            yield Finding(f"hawq[{extra}]", Health.OPTIONAL, lacks, remedy)
        else:
            yield Finding(f"hawq[{extra}]", Health.GOOD, ", ".join(names))


def _tool(name: str) -> Finding:
    tool = tools.TOOLS[name]
    is_required = any(name in stage.tools for stage in STAGES)
    try:
        version = tools.version(name)
    except ToolError as error:
        broken = Health.MISSING if is_required else Health.OPTIONAL
        return Finding(name, broken, str(error), tool.remedy)
    if version is None:
        absent = Health.MISSING if is_required else Health.OPTIONAL
        return Finding(name, absent, "", f"{tool.purpose}: {tool.remedy}")
    return Finding(name, Health.GOOD, version)


def _opensta() -> Finding:
    from hawq.synthesis.fetch import store

    purpose = "times ASIC netlists and computes their power"
    if found := shutil.which("sta"):
        return Finding("opensta", Health.GOOD, found)
    if (store() / "opensta").is_dir():
        return Finding("opensta", Health.GOOD, str(store() / "opensta"))
    remedy = f"{purpose}: python -m hawq.synthesis.fetch takes it from Debian"
    return Finding("opensta", Health.OPTIONAL, "", remedy)


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
