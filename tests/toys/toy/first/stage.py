"""Write a number, or the size of a file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pydantic import Field
from toy.journal import note
from toy.record import ToyRecord

from hawq.stage import StageContext, StageSettings


class Settings(StageSettings):
    """Settings of the table [first]."""

    value: int = Field(1, ge=0)
    ratio: float = 0.5
    source: Path | None = None

    def also_reads(self) -> tuple[Path, ...]:
        name = os.environ.get("TOY_TABLE")
        return (Path(name),) if name else ()


def run(context: StageContext) -> ToyRecord:
    note("first")
    settings = context.settings
    value = settings.value
    if settings.source:
        value += settings.source.stat().st_size
    (context.folder / "deep").mkdir()
    (context.folder / "deep" / "value.txt").write_text(f"{value}\n")
    sys.stdout.write("a library talks\n")
    return ToyRecord(value=value)
