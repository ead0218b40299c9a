"""Find out what a report is, read it, and join a folder's reports to one record."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from hawq.errors import DataError, ToolError
from hawq.synthesis.record import Netlist, SynthesisReport
from hawq.synthesis.vendor.csynth_report import (
    TITLE,
    read_cosimulation,
    read_csim,
    read_csynth,
)
from hawq.synthesis.vendor.csynth_xml import read_csynth_xml
from hawq.synthesis.vendor.export_report import read_export, read_export_xml
from hawq.synthesis.vendor.failure import explain
from hawq.synthesis.vendor.power import read_power
from hawq.synthesis.vendor.table import read_text, whole_lines
from hawq.synthesis.vendor.timing import read_timing
from hawq.synthesis.vendor.utilization import read_utilization

_TEXTS: tuple[tuple[str, Callable[[str, Path], SynthesisReport]], ...] = (
    (TITLE.pattern, read_csynth),
    (r"^Simulation tool\s*:|^\+\s+RTL\s+\+\s+Status", read_cosimulation),
    (r"CSim done with \d+ errors", read_csim),
    (r"^Implementation tool:", read_export),
    (r"^Utilization Design Information|^\|\s+Site Type\s+\|", read_utilization),
    (r"^\d\.\s+Utilization by Hierarchy", read_utilization),
    (r"^Timing Report|\| Design Timing Summary", read_timing),
    (r"^Power Report|\| Total On-Chip Power", read_power),
)
"""What marks a kind of report; a file may hold several."""

_XML = (
    ("PerformanceEstimates", read_csynth_xml),
    ("TimingReport", read_export_xml),
)

_REFUSED = (
    (
        r"== Synthesis Summary Report of",
        "is the summary of the whole design, which has no clock: read <top>_csynth.rpt "
        "or csynth.xml beside it",
    ),
    (
        r"^Release \d+\.\d+ (Map|par|Trace|- xst)|^ISE ",
        "is a report of ISE, which hawq does not read: use Vivado 2018 or newer",
    ),
)

_ORDER = ("estimate", "cosimulation", "synthesised", "routed")
_WRAPPERS = re.compile(r"bd_0(_wrapper|_hls_inst_0)?|project_\d+")
"""Tops that HLS puts around the design when it runs Vivado itself."""

_MEANING = {
    "estimate": "C-synthesis",
    "cosimulation": "co-simulation",
    "synthesised": "Vivado synthesis",
    "routed": "Vivado place and route",
}


def read_report(path: Path) -> SynthesisReport:
    """Read one report, text or XML, of any kind hawq knows.

    Args:
        path: The report.

    Returns:
        What it tells; other fields are None.

    Raises:
        DataError: if it is missing, cut short or of no known kind.
    """
    text = read_text(path)
    if text.lstrip().startswith("<"):
        return _read_xml(text, path)
    text = whole_lines(text, path)
    for pattern, reason in _REFUSED:
        if re.search(pattern, text, re.MULTILINE):
            raise DataError(f"{path} {reason}")
    readers = list(dict.fromkeys(_readers(text)))
    if not readers:
        first = text.lstrip().splitlines()[0][:60]
        raise DataError(
            f"{path}: not a report that hawq knows (C-synthesis, co-simulation, "
            f"export, utilisation, timing, power); it begins with {first!r}"
        )
    return join(reader(text, path) for reader in readers)


def _readers(text: str) -> Iterator[Callable[[str, Path], SynthesisReport]]:
    return (reader for mark, reader in _TEXTS if re.search(mark, text, re.MULTILINE))


def _read_xml(text: str, path: Path) -> SynthesisReport:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise DataError(f"{path}: XML that is cut short or damaged: {error}") from None
    for mark, reader in _XML:
        if root.find(mark) is not None:
            return reader(root, path)
    raise DataError(
        f"{path}: expected <PerformanceEstimates> or <TimingReport> in <{root.tag}>: "
        "the report is cut short, or not one of HLS"
    )


def join(reports: Iterable[SynthesisReport]) -> SynthesisReport:
    """Join reports on the same design; what an earlier one tells stands.

    Args:
        reports: In order of precedence.

    Returns:
        One report.
    """
    whole = SynthesisReport()
    for report in reports:
        update: dict[str, object] = {"tools": report.tools | whole.tools}
        for name in SynthesisReport.model_fields:
            ours, theirs = getattr(whole, name), getattr(report, name)
            if isinstance(ours, Netlist) and isinstance(theirs, Netlist):
                update[name] = _join_netlists(ours, theirs)
            elif ours in (None, "") or (
                name == "part" and len(theirs) > len(ours) and same_part(ours, theirs)
            ):
                update[name] = theirs
        whole = whole.model_copy(update=update)
    return whole


def _join_netlists(first: Netlist, second: Netlist) -> Netlist:
    missing = {
        name: getattr(second, name)
        for name in Netlist.model_fields
        if getattr(first, name) in (None, ())
    }
    return first.model_copy(update=missing)


def same_part(one: str, other: str) -> bool:
    """Tell whether two spellings name one part; a report may leave off the end.

    Args:
        one: For example ``xcvu9p-flgb2104-2-i``.
        other: For example ``xcvu9pflgb2104-2``.

    Returns:
        Whether they do.

    >>> same_part("xcvu9p-flgb2104-2-i", "xcvu9pflgb2104-2")
    True
    """
    plain = [re.sub(r"^xc|-", "", part.lower()) for part in (one, other)]
    return plain[0].startswith(plain[1]) or plain[1].startswith(plain[0])


def check_identity(report: SynthesisReport, top: str, part: str, path: Path) -> None:
    """Refuse the report of another project.

    Args:
        report: What was read.
        top: Name of the top module.
        part: The part asked for; empty accepts any.
        path: Where it came from.

    Raises:
        DataError: if the top or the part is another.
    """
    name = report.top
    if name and name != top and not _WRAPPERS.fullmatch(name):
        raise DataError(
            f"{path}: a report on {name!r}, expected one on {top!r}: the folder holds "
            "another project's reports"
        )
    if part and report.part and not same_part(report.part, part):
        raise DataError(
            f"{path}: a report for the part {report.part}, expected {part}: the folder "
            "holds another run's reports; synthesise again"
        )


def read_folder(
    folder: Path,
    top: str,
    part: str = "",
    needs: tuple[str, ...] = (),
    since: float = 0,
) -> SynthesisReport:
    """Join the reports below a folder to one record.

    Args:
        folder: A project of hls4ml, or any folder with reports.
        top: Name of the top module.
        part: The part asked for; empty accepts any.
        needs: Fields that must be there, for example ``("estimate",)``.
        since: Reports written before this time (seconds of the epoch) are left out.

    Returns:
        The record.

    Raises:
        DataError: if the folder is missing or holds another project's reports.
        ToolError: if a needed report is missing; the message has the first error of the
            logs if there is one.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder: run the vendor's tools first")
    found = []
    for path in _candidates(folder, top):
        if path.stat().st_mtime >= since and (kinds := _known(path)):
            report = read_report(path)
            check_identity(report, top, part, path)
            age = -path.stat().st_mtime
            found.append((kinds, path.suffix == ".xml", age, report))
    found.sort(key=lambda entry: entry[:3])
    whole = join(report for *_, report in found)
    missing = [name for name in needs or () if getattr(whole, name) is None]
    if missing or not found:
        raise ToolError(_why(folder, top, missing, since))
    return whole


def _candidates(folder: Path, top: str) -> list[Path]:
    """List reports by name; HLS's own copies and those of submodules are left out."""
    paths = [
        path
        for pattern in ("*.rpt", "*csynth.xml", "export*.xml", "*_export.xml")
        for path in sorted(folder.rglob(pattern))
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.name != "csynth.rpt"
    ]
    hls = [path for path in paths if path.stem.endswith("_csynth")]
    ours = [path for path in hls if path.stem == f"{top}_csynth"]
    return [path for path in paths if path not in hls or path in ours or not ours]


def _known(path: Path) -> int:
    """Rank a report that can be read, the richest first; 0 for one of another kind."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".xml":
        return 1 if path.stem.endswith("csynth") else 4
    if ", estimated)" in text and ", routed)" not in text:
        return 0  # timing of a design that is placed but not routed
    readers = set(_readers(text))
    if read_utilization in readers and "Utilization by Hierarchy" in text:
        return 3
    return 4 if read_export in readers else 2 if readers else 0


def _why(folder: Path, top: str, missing: list[str], since: float) -> str:
    what = " and ".join(_MEANING[name] for name in _ORDER if name in missing)
    ages = {log: log.stat().st_mtime for log in folder.rglob("*.log")}
    logs = [
        log for log in sorted(ages, key=lambda log: ages[log]) if ages[log] >= since
    ]
    said = explain(logs)
    wanted = f"no report of {what}" if what else "no report of a vendor tool"
    because = (
        f"the tool failed; {said}"
        if said
        else "and no log with an error: run the step first, or name the folder that "
        "holds its reports"
    )
    return f"{folder}: {wanted} on {top!r}: {because}"
