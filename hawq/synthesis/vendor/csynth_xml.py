"""``csynth.xml`` of Vivado HLS and Vitis HLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from hawq.errors import DataError
from hawq.synthesis.record import (
    HlsEstimate,
    Module,
    Resources,
    Span,
    SynthesisReport,
    Usage,
)
from hawq.synthesis.vendor.kinds import kind
from hawq.synthesis.vendor.table import nanoseconds, number, span

_TIMING = "PerformanceEstimates/SummaryOfTimingAnalysis"
_LATENCY = "PerformanceEstimates/SummaryOfOverallLatency"


def read_csynth_xml(root: ElementTree.Element, path: Path) -> SynthesisReport:
    """Read ``<top>_csynth.xml`` or ``csynth.xml``, 2018 to 2025.

    Args:
        root: The document.
        path: Where it came from.

    Returns:
        The estimate; with one row an instance from ``csynth.xml`` of the whole design.

    Raises:
        DataError: if the target clock, the latency or the resources are missing.
    """
    user = root.find("UserAssignments")
    target = nanoseconds(_text(user, "TargetClockPeriod"))
    used = dict(_numbers(root, "AreaEstimates/Resources"))
    if target is None or root.find(_LATENCY) is None or not used:
        raise DataError(
            f"{path}: expected TargetClockPeriod, SummaryOfOverallLatency and "
            "AreaEstimates, not all are there: the report is cut short"
        )
    available = dict(_numbers(root, "AreaEstimates/AvailableResources"))
    latency, interval = _cycles(root)
    version = _text(root, "ReportVersion/Version")
    estimate = HlsEstimate(
        file=path.name,
        target_clock_ns=target,
        clock_ns=nanoseconds(_text(root, f"{_TIMING}/EstimatedClockPeriod")),
        uncertainty_ns=nanoseconds(_text(user, "ClockUncertainty")),
        latency_cycles=latency,
        interval_cycles=interval,
        pipeline=_text(root, "PerformanceEstimates/PipelineType"),
        resources=Resources(
            file=path.name,
            state="estimated by HLS",
            usage={
                name: Usage(used=value, available=available.get(name))
                for name, value in used.items()
            },
        ),
        modules=tuple(_hierarchy(root)),
    )
    tool = "vivado_hls" if version and version < "2020.2" else "vitis_hls"
    return SynthesisReport(
        tools={tool: version} if version else {},
        top=_text(user, "TopModelName"),
        part=_text(user, "Part"),
        estimate=estimate,
    )


def _text(element: ElementTree.Element | None, path: str) -> str:
    return (element.findtext(path) or "").strip() if element is not None else ""


def _numbers(element: ElementTree.Element, path: str) -> Iterator[tuple[str, float]]:
    """Read ``<LUT>12</LUT>``...; ``AVAIL_`` and ``UTIL_`` are of other quantities."""
    for entry in element.iterfind(f"{path}/*"):
        value = number(entry.text or "")
        if value is not None and not entry.tag.startswith(("AVAIL_", "UTIL_")):
            yield kind(entry.tag) or entry.tag, value


def _cycles(element: ElementTree.Element) -> tuple[Span, Span]:
    summary = element.find(_LATENCY)
    latency = span(
        _text(summary, "Best-caseLatency"),
        _text(summary, "Worst-caseLatency"),
        _text(summary, "Average-caseLatency"),
    )
    same = _text(summary, "PipelineInitiationInterval")
    low = _text(summary, "Interval-min") or same.split("~")[0]
    high = _text(summary, "Interval-max") or same.split("~")[-1]
    return latency, span(low, high)


def _hierarchy(root: ElementTree.Element) -> Iterator[Module]:
    """Walk the tree of instances; each takes its numbers from its module's entry."""
    entries = {
        _text(entry, "Name"): entry
        for entry in root.iterfind("ModuleInformation/Module")
    }

    def walk(parent: ElementTree.Element, depth: int) -> Iterator[Module]:
        for instance in parent.iterfind("InstancesList/Instance"):
            yield _module(instance, entries, depth)
            yield from walk(instance, depth + 1)

    for top in root.iterfind("RTLDesignHierarchy/TopModule"):
        yield _module(top, entries, 0)
        yield from walk(top, 1)


def _module(
    instance: ElementTree.Element, entries: dict[str, ElementTree.Element], depth: int
) -> Module:
    name = _text(instance, "ModuleName")
    module = Module(
        instance=_text(instance, "InstName") or name, module=name, depth=depth
    )
    if (entry := entries.get(name)) is None:
        return module
    latency, interval = _cycles(entry)
    return module.model_copy(
        update={
            "usage": dict(_numbers(entry, "AreaEstimates/Resources")),
            "latency_cycles": latency,
            "interval_cycles": interval,
            "pipeline": _text(entry, f"{_LATENCY}/PipelineType"),
        }
    )
