"""The manifest of a stage's folder: from what it was made, and what it holds."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from hawq import digest
from hawq.errors import StageError
from hawq.paths import atomic_file

MANIFEST = "manifest.json"
LOG = "log.txt"
RECORD = "record.json"
FORMAT = 1


class MadeFrom(BaseModel):
    """Everything a stage's result depends on; its digest is the stage's key.

    Attributes:
        settings: The stage's table, defaults included; instead of a path, the digest
            of what is there.
        files: What it reads besides, by file name → digest.
        seed: Of the flow.
        inputs: Earlier stage → digest of what it wrote.
        code: Module → digest of its source.
        libraries: Distribution → version.
        tools: External tool → first line it prints about its version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: dict[str, Any]
    files: dict[str, str]
    seed: int
    inputs: dict[str, str]
    code: dict[str, str]
    libraries: dict[str, str]
    tools: dict[str, str]

    @property
    def key(self) -> str:
        """Digest of all of it: equal keys, equal results."""
        return digest.of_json(self.model_dump(mode="json"))

    def changes(self, before: MadeFrom) -> list[str]:
        """Name what differs from an earlier run.

        Args:
            before: What the folder was made from.

        Returns:
            Words such as ``settings.epochs``, in the order of the attributes.
        """
        named = []
        for part in type(self).model_fields:
            now, then = getattr(self, part), getattr(before, part)
            if now == then:
                continue
            if not isinstance(now, dict):
                named.append(part)
                continue
            keys = sorted(now.keys() | then.keys())
            named += [f"{part}.{k}" for k in keys if now.get(k) != then.get(k)]
        return named


class _Format(BaseModel):
    format: int = 0


class Manifest(BaseModel):
    """What ``manifest.json`` holds.

    Attributes:
        format: Of this class; raised when a field changes.
        stage: Its name.
        key: Digest of ``made_from``.
        made_from: What the result depends on.
        artefacts: File, relative to the folder → SHA-256 of its bytes.
        outputs: Digest of ``artefacts``; what later stages depend on.
        seconds: How long the stage ran.
        finished: When, ISO 8601 with time zone.
        hawq_version: That ran it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    stage: str
    key: str
    made_from: MadeFrom
    artefacts: dict[str, str]
    outputs: str
    seconds: float
    finished: str
    hawq_version: str

    def write(self, folder: Path) -> None:
        """Write ``manifest.json``, whole or not at all, and force it to the disk.

        Args:
            folder: The stage's folder, everything else already in it.
        """
        path = folder / MANIFEST
        with atomic_file(path) as temporary, temporary.open("w") as file:
            file.write(self.model_dump_json(indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())


def artefacts(folder: Path) -> dict[str, str]:
    """Digest what a stage wrote, without its log and manifest.

    Args:
        folder: The stage's folder.

    Returns:
        File, relative to the folder → SHA-256.
    """
    found = digest.of_folder(folder)
    return {name: found[name] for name in found if name not in {MANIFEST, LOG}}


def read(folder: Path) -> Manifest | None:
    """Read a stage folder's manifest and check that it agrees with itself.

    Args:
        folder: The stage's folder.

    Returns:
        The manifest; None if there is no such folder, or one of another format, which
        another version of hawq wrote.

    Raises:
        StageError: if the folder has no manifest, or one that is damaged.
    """
    path = folder / MANIFEST
    if not folder.exists():
        return None
    if not path.is_file():
        raise StageError(f"{path} is missing: the folder is half-written")
    try:
        if _Format.model_validate_json(path.read_bytes()).format != FORMAT:
            return None
        manifest = Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(map(str, problem["loc"])) or "the file"
        raise StageError(f"{path} is damaged: {where}: {problem['msg']}") from error
    for field, expected in (
        ("key", manifest.made_from.key),
        ("outputs", digest.of_json(manifest.artefacts)),
    ):
        if (got := getattr(manifest, field)) != expected:
            raise StageError(
                f"{path} is damaged: {field} is {got[:12]}, its contents give "
                f"{expected[:12]}"
            )
    return manifest


def verify(
    folder: Path, manifest: Manifest, names: Iterable[str] | None = None
) -> None:
    """Check the artefacts' bytes against the manifest.

    Args:
        folder: The stage's folder.
        manifest: What ``read`` gave.
        names: Those to check; None checks all.

    Raises:
        StageError: if a file is missing or its bytes changed; the first in order.
    """
    for name in manifest.artefacts if names is None else names:
        path = folder / name
        expected = manifest.artefacts[name]
        if not path.is_file():
            raise StageError(f"{path} is missing, which the stage wrote")
        if (got := digest.of_file(path)) != expected:
            raise StageError(
                f"{path} is damaged: SHA-256 {got[:12]}, expected {expected[:12]}"
            )
