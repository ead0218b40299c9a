"""One site quantized at a time: read what the sensitivity stage tried."""

from __future__ import annotations

from pathlib import Path

from hawq.records import SensitivityMap
from hawq.report.sections.sensitivities import Trial


def read(folder: Path, sensitivity: SensitivityMap) -> tuple[Trial, ...]:
    return ()
