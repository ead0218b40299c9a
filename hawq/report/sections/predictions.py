"""What was expected of the hardware, beside what synthesis counted."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from hawq.records import Allocation, Record
from hawq.report import style
from hawq.report.sections.synthesis import TITLES
from hawq.report.spelling import grouped
from hawq.rtl.stage import RtlRecord
from hawq.synthesis.stage import SynthesisRecord
from hawq.training.record import TrainingRecord

_REFERENCE = "xcup"


class Estimate(Record):
    """One number that says how large the network will be.

    Attributes:
        name: What it is.
        told_by: What computed it, and when.
        value: Of it.
        unit: ``LUT``, or what else it counts.
        ratio: It over the measured LUTs, if there are any.
    """

    name: str
    told_by: str
    value: float
    unit: str
    ratio: float | None


class Predictions(Record):
    """The section on predicted against measured.

    Attributes:
        target: Title of the target whose LUTs are the measure.
        measured_luts: After synthesis, None if not reported.
        estimates: Those in LUTs first.
        predicted_ns: Of delay in cells, by the cost model, if it was asked.
    """

    target: str
    measured_luts: float | None
    estimates: tuple[Estimate, ...]
    predicted_ns: float | None


def gather(
    record: SynthesisRecord,
    rtl: RtlRecord | None,
    allocation: Allocation | None,
    training: TrainingRecord | None,
) -> Predictions | None:
    """Collect the estimates.

    Args:
        record: Of the stage.
        rtl: With the adders.
        allocation: With what the allocator believed it spent.
        training: With the BOPs that are left after it.

    Returns:
        The section; None without any estimate.
    """
    luts = _measured(record)
    costs = allocation.costs if allocation else {}
    told: list[tuple[str, str, float | None, str]] = [
        ("cost model", "fitted to layers, at the exported integers",
         record.predicted_luts, "LUT"),
        ("allocator", "the same laws, when bits were chosen",
         costs.get("lut"), "LUT"),
        ("adder graph", "alkaid, after sharing adders",
         rtl.adders if rtl else None, "LUT"),
        ("size before sharing", "signed digits, before the RTL was made",
         rtl.estimated_luts if rtl else None, "LUT"),
        ("EBOPs", "effective bit operations of the exported network",
         record.ebops, "EBOPs"),
        ("BOPs", "bit operations after training, zeros left out",
         training.bops if training else None, "BOPs"),
    ]  # fmt: skip
    estimates = tuple(
        Estimate(
            name=name,
            told_by=by,
            value=value,
            unit=unit,
            ratio=value / luts if luts else None,
        )
        for name, by, value, unit in told
        if value is not None
    )
    if not estimates and record.predicted_ns is None:
        return None
    return Predictions(
        target=TITLES[_REFERENCE],
        measured_luts=luts,
        estimates=estimates,
        predicted_ns=record.predicted_ns,
    )


def _measured(record: SynthesisRecord) -> float | None:
    target = record.targets.get(_REFERENCE)
    netlist = target.report.synthesised if target else None
    usage = netlist.resources.usage if netlist and netlist.resources else {}
    return usage["LUT"].used if "LUT" in usage else None


def drawable(section: Predictions | None) -> Predictions | None:
    """Give the section if it has something to compare.

    Args:
        section: Or none.

    Returns:
        It, or None without an estimate in LUTs or without measured LUTs.
    """
    if section is None or not section.measured_luts:
        return None
    return section if any(e.unit == "LUT" for e in section.estimates) else None


@style.sheet()
def draw(section: Predictions) -> Figure:
    """Draw the estimates that are in LUTs, and the count.

    Args:
        section: With measured LUTs.

    Returns:
        The figure.
    """
    assert section.measured_luts is not None
    shown = [e for e in section.estimates if e.unit == "LUT"]
    figure = style.canvas(7.6, 0.36 * len(shown) + 1.0)
    axes = figure.subplots()
    y = np.arange(len(shown))
    values = [e.value for e in shown]
    axes.barh(y, values, 0.62, color=style.ORANGE, label="estimate")
    for place, value in zip(y, values, strict=True):
        axes.annotate(
            grouped(value),
            (0, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontweight="bold",
            color=style.INK_ON_COLOUR,
        )
    measured = section.measured_luts
    label = f"counted after synthesis: {grouped(measured)}"
    axes.axvline(measured, color=style.BLUE, linewidth=2, label=label)
    axes.set_xlim(0, 1.2 * max(*values, measured))
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_yticks(y, [e.name for e in shown])
    style.categories(axes, "y")
    axes.set_xlabel(f"look-up tables, {section.target}")
    figure.legend(loc="outside upper right", ncols=2)
    return figure
