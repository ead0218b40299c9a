"""What HLS reports after it ran Vivado on its own output: ``export_design -flow``."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from hawq.errors import DataError
from hawq.synthesis.record import Netlist, Resources, SynthesisReport, Timing, Usage
from hawq.synthesis.vendor.kinds import kind
from hawq.synthesis.vendor.table import head, number

_COUNT = re.compile(r"^[ -]*([A-Z]+): +(\d+) *$", re.MULTILINE)


def read_export(text: str, path: Path) -> SynthesisReport:
    """Read ``<top>_export.rpt``, ``export_syn.rpt`` or ``export_impl.rpt``.

    It writes ``SLICE: 0`` where it does not know the slices; that is left out.

    Args:
        text: The report.
        path: Where it came from.

    Returns:
        Resources and timing after synthesis, or after place and route, or both.

    Raises:
        DataError: if it has no resources.
    """
    lines = head(text)
    usage = {
        kind(name) or name: Usage(used=float(used))
        for name, used in _COUNT.findall(text)
        if (name, used) != ("SLICE", "0")
    }
    if not usage:
        raise DataError(
            f"{path}: the export report counts no resources: it is cut short, or "
            "export_design ran without -flow syn or -flow impl"
        )
    after = "Post-Implementation" in text
    netlists = {
        field: Netlist(timing=timing)
        for field, stage in (
            ("synthesised", "post-synthesis"),
            ("routed", "post-implementation"),
        )
        if (timing := _timing(lines, stage, path))
    }
    field = "routed" if after else "synthesised"
    resources = Resources(
        file=path.name,
        state="post-implementation" if after else "post-synthesis",
        usage=usage,
    )
    netlists[field] = netlists.get(field, Netlist()).model_copy(
        update={"resources": resources}
    )
    version = re.search(r"\d{4}\.[\d.]+", lines.get("implementation tool", ""))
    return SynthesisReport(
        tools={"vivado": version[0]} if version else {},
        part=lines.get("device target", ""),
        **netlists,
    )


def _timing(lines: dict[str, str], stage: str, path: Path) -> Timing | None:
    required = number(lines.get("cp required", "-"))
    achieved = number(lines.get(f"cp achieved {stage}", "-"))
    return _slack(required, achieved, path)


def _slack(required: float | None, achieved: float | None, path: Path) -> Timing | None:
    """Turn the clock period asked for and the one reached into a slack."""
    if required is None or achieved is None:
        return None
    return Timing(
        file=path.name,
        period_ns=required,
        worst_slack_ns=round(required - achieved, 6),
    )


def read_export_xml(root: ElementTree.Element, path: Path) -> SynthesisReport:
    """Read ``export_syn.xml`` or ``export_impl.xml``.

    Args:
        root: The document.
        path: Where it came from.

    Returns:
        Resources, with those of the part, and timing.

    Raises:
        DataError: if the stage or the resources are missing.
    """
    run = (root.findtext("RunData/RUN_TYPE") or path.stem).lower()
    stage = re.search(r"(?:^|_)(syn|impl)", run)
    counts = {
        section: {
            kind(entry.tag) or entry.tag: value
            for entry in root.iterfind(f"AreaReport/{section}/*")
            if (value := number(entry.text or "")) is not None
        }
        for section in ("Resources", "AvailableResources")
    }
    if stage is None or not counts["Resources"]:
        raise DataError(
            f"{path}: the export report does not say whether it is of synthesis or of "
            "implementation, or counts no resources: read the .rpt beside it"
        )
    timing = _slack(
        number(root.findtext("TimingReport/TargetClockPeriod") or ""),
        number(root.findtext("TimingReport/AchievedClockPeriod") or ""),
        path,
    )
    resources = Resources(
        file=path.name,
        state="post-implementation" if stage[1] == "impl" else "post-synthesis",
        usage={
            name: Usage(used=used, available=counts["AvailableResources"].get(name))
            for name, used in counts["Resources"].items()
            if (name, used) != ("SLICE", 0)
        },
    )
    version = re.search(r"\d{4}\.[\d.]+", root.findtext("RunData/VIVADO_VERSION") or "")
    field = "routed" if stage[1] == "impl" else "synthesised"
    return SynthesisReport(
        tools={"vivado": version[0]} if version else {},
        **{field: Netlist(resources=resources, timing=timing)},
    )
