"""Fail in every way a stage can."""

from __future__ import annotations

import errno
import json
import os
from typing import Literal

from toy.journal import note
from toy.record import ToyRecord

from hawq.errors import MismatchError
from hawq.stage import StageContext, StageSettings


class Settings(StageSettings):
    """Settings of the table [third]."""

    mode: Literal["fine", "mismatch", "full", "file", "import", "fill"] = "fine"


def run(context: StageContext) -> ToyRecord:
    note("third")
    (context.folder / "trace.txt").write_text("half a trace")
    match context.settings.mode:
        case "mismatch":
            raise MismatchError("fc1: sample 3: expected 7,\n got 8")
        case "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x")
        case "file":
            (context.folder / "absent.txt").read_text()
        case "import":
            import no_such_package  # noqa: F401
        case "fill":
            with (context.folder / "large.bin").open("wb") as file:
                for _ in range(64):
                    file.write(bytes(1 << 20))
    record = json.loads((context.inputs["second"] / "record.json").read_text())
    return ToyRecord(value=record["value"], words=tuple(context.inputs))
