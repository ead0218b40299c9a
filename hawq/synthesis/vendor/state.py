"""Which stage of a design a Vivado report tells of, and the head all of them have."""

from __future__ import annotations

import re
from pathlib import Path

from hawq.errors import DataError
from hawq.synthesis.record import SynthesisReport
from hawq.synthesis.vendor.table import head

_BEFORE = re.compile(r"synthesi[sz]ed|optimized", re.IGNORECASE)
_AFTER = re.compile(r"placed|routed|postroute|postplace", re.IGNORECASE)


def header(text: str) -> tuple[SynthesisReport, str]:
    """Read tool, design and part.

    Args:
        text: A report of Vivado.

    Returns:
        A report without numbers, and the design state (empty where it is not told).
    """
    lines = head(text)
    version = re.search(r"v\.?(\d{4}\.\d[\w.]*)", lines.get("tool version", ""))
    report = SynthesisReport(
        tools={"vivado": version[1]} if version else {},
        top=lines.get("design", ""),
        part=lines.get("device", ""),
    )
    return report, lines.get("design state", "")


def placed(state: str, path: Path) -> bool:
    """Tell whether a design is placed; its file's name tells where its state does not.

    Args:
        state: The design state, or words of the report that tell it.
        path: Of the report.

    Returns:
        False for a netlist before placement.

    Raises:
        DataError: if neither tells.
    """
    for word in (state, path.stem):
        if _AFTER.search(word) or re.search(r"(^|_)(impl|route)", word):
            return True
        if _BEFORE.search(word) or re.search(r"(^|_)syn(th)?(_|$)", word):
            return False
    raise DataError(
        f"{path}: neither the design state ({state!r}) nor the name tells whether the "
        "design is synthesised or routed: rename it to end in _synth or _routed"
    )
