"""Count to a number, slowly, with a checkpoint after each step."""

from __future__ import annotations

import time
from typing import Literal

from toy.journal import note
from toy.record import ToyRecord

from hawq.paths import atomic_file
from hawq.stage import StageContext, StageSettings


class Budgets(StageSettings):
    """A nested table."""

    steps: int = 3


class Settings(StageSettings):
    """Settings of the table [second]."""

    pause_s: float = 0.0
    mode: Literal["up", "down"] = "up"
    budgets: Budgets = Budgets()


def run(context: StageContext) -> ToyRecord:
    note("second")
    checkpoint = context.scratch / "step"
    begin = int(checkpoint.read_text()) if checkpoint.exists() else 0
    steps = context.settings.budgets.steps
    for step in range(begin, steps):
        note(f"step {step}")
        time.sleep(context.settings.pause_s)
        with atomic_file(checkpoint) as temporary:
            temporary.write_text(str(step + 1))
        context.progress(f"step {step}", (step + 1) / steps)
    value = int((context.inputs["first"] / "deep" / "value.txt").read_text())
    return ToyRecord(value=value + steps)
