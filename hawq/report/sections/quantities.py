"""The quantities of hardware, and how they are read from what tools report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hawq.synthesis.record import (
    HlsEstimate,
    Netlist,
    Resources,
    SynthesisReport,
    Timing,
    Usage,
)


class Quantity(NamedTuple):
    """How a quantity is shown.

    Attributes:
        title: In the table.
        unit: Empty for a count.
        always: Whether its row stands there even where nobody reported it.
        of: Whether that is so for an FPGA (False), an ASIC (True) or both.
    """

    title: str
    unit: str = ""
    always: bool = False
    of: tuple[bool, ...] = (False, True)


COUNTS = ("", "clocks")
"""Units of what is counted."""

_FPGA, _ASIC = (False,), (True,)

QUANTITIES: Mapping[str, Quantity] = {
    "LUT": Quantity("look-up tables (LUT)", "", True, _FPGA),
    "area_um2": Quantity("area of the cells", "µm²", True, _ASIC),
    "cells": Quantity("standard cells", "", True, _ASIC),
    "LUT_MEMORY": Quantity("… of them as memory"),
    "FF": Quantity("flip-flops (FF)", "", True, _FPGA),
    "LATCH": Quantity("latches"),
    "CARRY": Quantity("carry chains (CARRY)", "", True, _FPGA),
    "MUXF7": Quantity("multiplexers F7"),
    "MUXF8": Quantity("multiplexers F8"),
    "DSP": Quantity("multiplier blocks (DSP)", "", True, _FPGA),
    "BRAM": Quantity("block RAM (BRAM, 18 kbit)", "", True, _FPGA),
    "URAM": Quantity("UltraRAM"),
    "CLB": Quantity("logic blocks (CLB)"),
    "SLICE": Quantity("slices"),
    "period_ns": Quantity("clock period asked for", "ns"),
    "slack_ns": Quantity("slack of the slowest path", "ns", True),
    "hold_slack_ns": Quantity("slack of hold", "ns"),
    "failing": Quantity("ends of paths that are too slow"),
    "achieved_ns": Quantity("shortest clock period", "ns"),
    "fmax_minimum_mhz": Quantity("highest clock (Fmax), slowest seed", "MHz"),
    "fmax_mhz": Quantity("highest clock (Fmax)", "MHz", True),
    "fmax_maximum_mhz": Quantity("highest clock (Fmax), fastest seed", "MHz"),
    "latency_cycles": Quantity("latency", "clocks", True),
    "interval_cycles": Quantity("between two inputs", "clocks"),
    "latency_ns": Quantity("latency at the highest clock", "ns", True),
    "total_mw": Quantity("power", "mW", True),
    "dynamic_mw": Quantity("… of switching", "mW"),
    "static_mw": Quantity("… without switching", "mW"),
}
"""Every quantity, in the table's order."""

_BLOCKS = ("BRAM_TILE", "BRAM_36K", "BRAM_18K")
_UNITS = {"BRAM_TILE": 2, "BRAM_36K": 2, "BRAM_18K": 1}


def of_netlist(netlist: Netlist, cycles: float | None) -> dict[str, float | None]:
    """Read a netlist.

    Args:
        netlist: What is counted in it.
        cycles: Its latency, counted in simulation.

    Returns:
        Quantity → value, None where the netlist's reports do not say.
    """
    power = netlist.power
    return {
        **_resources(netlist.resources),
        "area_um2": netlist.area_um2,
        **_timing(netlist.timing, cycles),
        "total_mw": power.total_mw if power else None,
        "dynamic_mw": power.dynamic_mw if power else None,
        "static_mw": power.static_mw if power else None,
    }


def of_estimate(found: HlsEstimate) -> dict[str, float | None]:
    """Read what HLS expects.

    Args:
        found: The estimate.

    Returns:
        Quantity → value, None where HLS does not say.
    """
    cycles, period = found.latency_cycles.maximum, found.clock_ns
    resources = _resources(found.resources)
    del resources["cells"]
    return {
        **resources,
        "period_ns": found.target_clock_ns,
        "achieved_ns": period,
        "fmax_mhz": 1000 / period if period else None,
        "latency_cycles": cycles,
        "interval_cycles": found.interval_cycles.maximum,
        "latency_ns": cycles * period if cycles is not None and period else None,
    }


def available_in(report: SynthesisReport) -> dict[str, float]:
    """Tell how much the part has.

    Args:
        report: Of the target.

    Returns:
        Quantity → what is there, as far as a report says.
    """
    estimate = report.estimate.resources if report.estimate else None
    nets = [n.resources for n in (report.synthesised, report.routed) if n]
    found: dict[str, float] = {}
    for resources in (estimate, *nets):
        if resources is None:
            continue
        for kind, usage in resources.usage.items():
            if kind in QUANTITIES and usage.available is not None:
                found[kind] = usage.available
        if (whole := _bram_available(resources.usage)) is not None:
            found["BRAM"] = whole
    return found


def _resources(resources: Resources | None) -> dict[str, float | None]:
    usage = resources.usage if resources else {}
    kinds = [k for k in QUANTITIES if k.isupper() and k != "BRAM"]
    return {
        **{kind: usage[kind].used if kind in usage else None for kind in kinds},
        "BRAM": resources.bram_18k if resources else None,
        "cells": sum(resources.primitives.values()) or None if resources else None,
    }


def _bram_available(usage: Mapping[str, Usage]) -> float | None:
    """In units of 18 kbit: tiles or halves of the same memories, so never both."""
    for kind in _BLOCKS:
        if kind in usage and (available := usage[kind].available) is not None:
            return _UNITS[kind] * available
    return None


def _timing(timing: Timing | None, cycles: float | None) -> dict[str, float | None]:
    if timing is None:
        names = (
            *("period_ns", "slack_ns", "hold_slack_ns", "failing", "achieved_ns"),
            *("fmax_mhz", "latency_ns"),
        )
        return dict.fromkeys(names)
    return {
        "period_ns": timing.period_ns,
        "slack_ns": timing.worst_slack_ns,
        "hold_slack_ns": timing.worst_hold_slack_ns,
        "failing": timing.failing,
        "achieved_ns": timing.achieved_ns,
        "fmax_mhz": timing.fmax_mhz,
        "latency_ns": None if cycles is None else cycles * timing.achieved_ns,
    }
