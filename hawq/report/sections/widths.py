"""Bits of every site, and the types that reached the firmware."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from hawq.export.stage import ExportRecord
from hawq.fixed import FixedPoint
from hawq.records import (
    Allocation,
    FirmwareProject,
    Record,
    SensitivityMap,
    SiteKind,
)
from hawq.report import style
from hawq.training.record import TrainingRecord

_WIDTH = re.compile(r"<\s*(\d+)")


class SiteBits(Record):
    """The format of one site.

    Attributes:
        site: Its name.
        kind: Weight, bias or activation.
        elements: How many numbers (one sample's, for activations), if known.
        bits: Width chosen.
        format: The type as hls4ml spells it; after training where the flow has it.
        channels: Whether each output channel has a scale of its own.
        uniform_bits: Width in the uniform baseline, if there is one.
        loss_rise_nats: Predicted.
        nonzero: Fraction of the weights that are not zero after training, if known.
    """

    site: str
    kind: SiteKind
    elements: int | None
    bits: int
    format: str
    channels: bool
    uniform_bits: int | None
    loss_rise_nats: float
    nonzero: float | None


class Widths(Record):
    """The section on bits.

    Attributes:
        sites: In the network's order.
    """

    sites: tuple[SiteBits, ...]


class FirmwareType(Record):
    """The type of one tensor.

    Attributes:
        tensor: Name in the graph; for a type without a tensor, in the firmware.
        graph: Type that the graph proves to be exact, if the tensor is the graph's.
        firmware: Type read back from the firmware project, if it is in it.
        bits: Its width.
    """

    tensor: str
    graph: str | None
    firmware: str | None
    bits: int | None


def gather(
    allocation: Allocation,
    sensitivity: SensitivityMap | None,
    training: TrainingRecord | None,
    uniform: Allocation | None,
) -> Widths:
    """Collect the widths.

    Args:
        allocation: The chosen one.
        sensitivity: Knows the sites' kinds and sizes.
        training: Knows the formats that were trained.
        uniform: The baseline.

    Returns:
        The section.
    """
    known = {e.site.name: e.site for e in sensitivity.sites} if sensitivity else {}
    trained: Mapping[str, FixedPoint] = training.formats if training else {}
    nonzero = training.nonzero if training else {}
    flat = uniform.bits() if uniform else {}
    rows = []
    for choice in allocation.choices:
        site = known.get(choice.site)
        form = trained.get(choice.site, choice.format)
        rows.append(
            SiteBits(
                site=choice.site,
                kind=site.kind if site else _kind(choice.site),
                elements=site.elements if site else None,
                bits=choice.bits,
                format=form.ap_type(),
                channels=choice.channel_integer is not None,
                uniform_bits=flat.get(choice.site),
                loss_rise_nats=choice.loss_rise_nats,
                nonzero=nonzero.get(choice.site.removesuffix(".weight"))
                if choice.site.endswith(".weight")
                else None,
            )
        )
    return Widths(sites=tuple(rows))


def firmware_types(
    hls: FirmwareProject | None, export: ExportRecord | None
) -> tuple[FirmwareType, ...]:
    """Collect the type of every tensor.

    Args:
        hls: Types in the firmware project.
        export: Types of the graph.

    Returns:
        The graph's tensors in order, then what only the firmware has.
    """
    graph = export.formats if export else {}
    firmware = hls.types if hls else {}
    rows = []
    for tensor in dict.fromkeys([*graph, *firmware]):
        spelled = firmware.get(tensor) or graph[tensor]
        found = _WIDTH.search(spelled)
        rows.append(
            FirmwareType(
                tensor=tensor,
                graph=graph.get(tensor),
                firmware=firmware.get(tensor),
                bits=int(found[1]) if found else None,
            )
        )
    return tuple(rows)


def _kind(site: str) -> SiteKind:
    endings = {"weight": SiteKind.WEIGHT, "bias": SiteKind.BIAS}
    return endings.get(site.rpartition(".")[2], SiteKind.ACTIVATION)


@style.sheet()
def draw(widths: Widths) -> Figure:
    """Draw the bits of every site in the network's order.

    Args:
        widths: The numbers.

    Returns:
        The figure.
    """
    sites = widths.sites
    figure = style.canvas(7.6, 3.3)
    axes = figure.subplots()
    x = np.arange(len(sites))
    bits = np.array([site.bits for site in sites])
    axes.bar(x, bits, 0.72, color=[style.KIND_COLOURS[site.kind] for site in sites])
    for position, value in zip(x, bits, strict=True):
        axes.annotate(
            str(value),
            (position, value),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontweight="bold",
        )
    kinds = [kind for kind in SiteKind if kind in {site.kind for site in sites}]
    handles: list[Patch | Line2D] = [
        Patch(color=style.KIND_COLOURS[kind], label=f"{kind.value}s") for kind in kinds
    ]
    if any(site.uniform_bits is not None for site in sites):
        for position, site in zip(x, sites, strict=True):
            if site.uniform_bits is not None:
                span = [position - 0.42, position + 0.42]
                axes.plot(span, [site.uniform_bits] * 2, color=style.INK, linewidth=1.6)
        handles.append(
            Line2D([], [], color=style.INK, linewidth=1.6, label="uniform baseline")
        )
    highest = max([*bits, *(s.uniform_bits or 0 for s in sites)])
    axes.set(ylim=(0, highest * 1.32 + 0.4), xlim=(-0.7, len(sites) - 0.3))
    axes.set_ylabel("width [bits]")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.minorticks_off()
    crowded = len(sites) > 9
    axes.set_xticks(
        x,
        [site.site for site in sites],
        rotation=35 if crowded else 0,
        ha="right" if crowded else "center",
    )
    style.categories(axes, "x")
    axes.legend(handles=handles, ncols=3, loc="upper right")
    return figure
