"""What a stage is: settings in, a record and artefacts out.

Each stage is a subpackage with a module ``stage.py`` that holds a class ``Settings``
(its table of the flow file) and a function ``run(context) -> Record``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

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

    A relative ``Path`` in a flow file is taken from the flow file's folder: the flow
    passes it as ``context={"folder": ...}`` when it validates a table.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="after")
    @classmethod
    def _from_flow_folder(cls, value: Any, info: ValidationInfo) -> Any:
        folder = (info.context or {}).get("folder")
        return folder / value if folder and isinstance(value, Path) else value


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
