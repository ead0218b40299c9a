"""Vivado's ``report_power``."""

from __future__ import annotations

import re
from pathlib import Path

from hawq.errors import DataError
from hawq.synthesis.record import Netlist, Power, SynthesisReport
from hawq.synthesis.vendor.state import header, placed
from hawq.synthesis.vendor.table import number, tables

TOTALS = {
    "total_mw": "Total On-Chip Power (W)",
    "dynamic_mw": "Dynamic (W)",
    "static_mw": "Device Static (W)",
}


def read_power(text: str, path: Path) -> SynthesisReport:
    """Read a power report.

    Args:
        text: The report.
        path: Where it came from.

    Returns:
        Power in the field of the design's stage.

    Raises:
        DataError: if a total is missing.
    """
    report, state = header(text)
    pairs = dict(re.findall(r"^\| *(\S[^|]*?) *\| *([^|]*?) *\|$", text, re.MULTILINE))
    totals = {
        field: _milliwatts(value)
        for field, row in TOTALS.items()
        if (value := number(pairs.get(row, "-"))) is not None
    }
    if missing := [row for field, row in TOTALS.items() if field not in totals]:
        raise DataError(
            f"{path}: the power report has no {' and no '.join(missing)}: it is cut "
            "short or of a format that hawq does not know"
        )
    components = {
        f"{above}: {name}" if above else name: row[1]
        for table in tables(text)
        if table.columns[:2] == ("On-Chip", "Power (W)")
        for above, name, row in table.nested()
        if name != "Total"
    }
    bounded = {field for field, row in TOTALS.items() if pairs[row].startswith("<")}
    bounded |= {name for name, cell in components.items() if cell.startswith("<")}
    power = Power(
        file=path.name,
        **totals,
        confidence=pairs.get("Confidence Level", ""),
        junction_celsius=number(pairs.get("Junction Temperature (C)", "-")),
        components_mw={
            name: _milliwatts(value)
            for name, cell in components.items()
            if (value := number(cell)) is not None
        },
        at_most=tuple(sorted(bounded)),
    )
    field = "routed" if placed(state, path) else "synthesised"
    return report.model_copy(update={field: Netlist(power=power)})


def _milliwatts(watts: float) -> float:
    """Convert, without the tail that a binary fraction grows."""
    return round(1000 * watts, 6)
