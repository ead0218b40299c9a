"""What each layer takes, synthesised alone."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from hawq.records import Record
from hawq.report import style
from hawq.report.sections.synthesis import TITLES
from hawq.report.spelling import grouped
from hawq.synthesis.record import Resources, SynthesisReport
from hawq.synthesis.stage import SynthesisRecord

_KINDS = ("LUT", "CARRY", "DSP")


class Layer(Record):
    """One layer, synthesised alone.

    Attributes:
        name: Of its matrix product, with the bias.
        counts: Kind of resource → count, None where it was not reported.
        file: The report.
    """

    name: str
    counts: dict[str, float | None]
    file: str


class TargetLayers(Record):
    """The layers on one target.

    Attributes:
        target: As in the flow file.
        title: Written out.
        kinds: Of resources, the one that is drawn first.
        layers: In the network's order.
        total: Kind → sum over the layers, None where one did not report it.
        network: Kind → what the whole network takes after synthesis, with registers.
    """

    target: str
    title: str
    kinds: tuple[str, ...]
    layers: tuple[Layer, ...]
    total: dict[str, float | None]
    network: dict[str, float | None]


class Layers(Record):
    """The section on layers.

    Attributes:
        targets: Those whose layers were synthesised alone.
    """

    targets: tuple[TargetLayers, ...]


def gather(record: SynthesisRecord) -> Layers | None:
    """Collect the layers of every target.

    Args:
        record: Of the stage.

    Returns:
        The section; None if no layer was synthesised alone.
    """
    found = tuple(
        _target(name, result.report)
        for name, result in record.targets.items()
        if result.report.layers_alone
    )
    return Layers(targets=found) if found else None


def _target(name: str, report: SynthesisReport) -> TargetLayers:
    alone = report.layers_alone
    seen = {kind for resources in alone.values() for kind in resources.usage}
    kinds = tuple(kind for kind in _KINDS if kind in seen) or tuple(sorted(seen))
    layers = tuple(
        Layer(name=layer, counts=_counts(resources, kinds), file=resources.file)
        for layer, resources in alone.items()
    )
    whole = report.synthesised.resources if report.synthesised else None
    return TargetLayers(
        target=name,
        title=TITLES.get(name, name),
        kinds=kinds,
        layers=layers,
        total={kind: _sum([x.counts[kind] for x in layers]) for kind in kinds},
        network=_counts(whole, kinds),
    )


def _counts(
    resources: Resources | None, kinds: tuple[str, ...]
) -> dict[str, float | None]:
    usage = resources.usage if resources else {}
    return {kind: usage[kind].used if kind in usage else None for kind in kinds}


def _sum(counts: list[float | None]) -> float | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


@style.sheet()
def draw(section: Layers) -> Figure:
    """Draw a bar a layer, a panel a target.

    Args:
        section: The numbers.

    Returns:
        The figure.
    """
    targets = section.targets
    most = max(len(target.layers) for target in targets)
    figure = style.canvas(7.6, 0.34 * most + 0.95)
    row = figure.subplots(1, len(targets), squeeze=False)[0]
    for axes, target in zip(row, targets, strict=True):
        kind = target.kinds[0]
        y = np.arange(len(target.layers))
        counts = [layer.counts[kind] for layer in target.layers]
        lengths = [count or 0 for count in counts]
        axes.barh(y, lengths, 0.68, color=style.BLUE)
        for place, count in zip(y, counts, strict=True):
            axes.annotate(
                "not reported" if count is None else grouped(count),
                (count or 0, place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontweight="bold",
            )
        axes.set_xlim(0, 1.25 * max([*lengths, 1]))
        axes.set_ylim(len(target.layers) - 0.4, -0.6)
        axes.set_yticks(y, [layer.name for layer in target.layers])
        style.categories(axes, "y")
        axes.set_xlabel(f"{kind}, each layer synthesised alone")
        axes.set_title(target.title)
    return figure
