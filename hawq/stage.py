"""What a stage is: settings in, a record and artefacts out.

Each stage is a subpackage with a module ``stage.py`` that holds a class ``Settings``
(its table of the flow file) and a function ``run(context) -> Record``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    FieldSerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_serializer,
    field_validator,
)

Progress = Callable[[str, float], None]
"""Tells what is being done and which fraction of the stage is done, 0 to 1."""


def silent(what: str, fraction: float) -> None:
    """Take progress and tell nobody.

    Args:
        what: What is being done.
        fraction: Of the stage, 0 to 1.
    """


class StageSettings(BaseModel):
    """Base of the stages' settings: frozen, unknown keys refused.

    Fields of type ``Path`` name files and folders the stage reads. The flow validates
    with ``context={"folder": ...}``: a relative path is then taken from the flow file's
    folder and must exist. It serialises with ``context={"digest": ...}``: a path is
    then replaced by the digest of what is there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def also_reads(self) -> tuple[Path, ...]:
        """List files the stage reads that no setting names by path.

        Returns:
            Files or folders; a change in them runs the stage again.
        """
        return ()

    @field_validator("*", mode="after")
    @classmethod
    def _resolve_paths(cls, value: Any, info: ValidationInfo) -> Any:
        folder = (info.context or {}).get("folder")
        return _map_paths(value, partial(_existing, folder)) if folder else value

    @field_serializer("*", mode="wrap", when_used="json")
    def _digest_paths(
        self,
        value: Any,
        serialize: SerializerFunctionWrapHandler,
        info: FieldSerializationInfo,
    ) -> Any:
        digest = (info.context or {}).get("digest")
        mapped = _map_paths(value, digest) if digest else value
        return mapped if mapped is not value else serialize(value)


def _map_paths(value: Any, change: Callable[[Path], Any]) -> Any:
    if isinstance(value, Path):
        return change(value)
    if isinstance(value, tuple | list) and any(isinstance(v, Path) for v in value):
        return type(value)(_map_paths(v, change) for v in value)
    if isinstance(value, dict) and any(isinstance(v, Path) for v in value.values()):
        return {key: _map_paths(v, change) for key, v in value.items()}
    return value


def _existing(folder: Path, path: Path) -> Path:
    found = folder / path.expanduser()
    if not found.exists():
        raise ValueError(f"no such file or folder: {found}")
    return found


@dataclass(frozen=True)
class StageContext:
    """Everything a stage's ``run`` may look at.

    Attributes:
        folder: Where artefacts go: a temporary folder that becomes
            ``build/<flow>/NN-stage`` when ``run`` returns.
        settings: The stage's own ``Settings``.
        inputs: Earlier stage → its finished folder, which holds ``record.json``.
        seed: Of the flow; every random draw derives from it.
        workers: Processes that may work at once.
        cluster: Address of a Dask scheduler, or None for this machine.
        progress: Called with what is being done and the fraction done.
        resume: Where ``scratch`` is; None puts it inside ``folder``.
    """

    folder: Path
    settings: Any
    inputs: Mapping[str, Path] = field(default_factory=dict)
    seed: int = 0
    workers: int = 1
    cluster: str | None = None
    progress: Progress = silent
    resume: Path | None = None

    @property
    def scratch(self) -> Path:
        """A folder for checkpoints, which survives a kill.

        The next run of the same stage with the same settings, inputs and code finds the
        files again; they are removed when the stage succeeds. Write them atomically
        (``hawq.paths.atomic_file``): a kill may come at any moment.
        """
        scratch = self.resume or self.folder / "resume"
        scratch.mkdir(parents=True, exist_ok=True)
        return scratch
