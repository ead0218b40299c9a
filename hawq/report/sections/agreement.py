"""Where the firmware's integers and the float network differ, and by how much."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import binomtest

from hawq.records import Record
from hawq.report import style
from hawq.report.outputs import Outputs

BINS = 60


class ClassAgreement(Record):
    """Firmware against float network on one true class.

    Attributes:
        class_name: True class, or ``all``.
        samples: Of it.
        flipped: Samples to which the two give different classes.
        corrected: Of these, those that only the firmware gets right.
        spoiled: Of these, those that only the float network gets right.
        mean: Of the class's own logit, firmware less float; for ``all``, over every
            logit.
        spread: Standard deviation of the same.
    """

    class_name: str
    samples: int
    flipped: int
    corrected: int
    spoiled: int
    mean: float
    spread: float


class Agreement(Record):
    """Firmware against float network.

    Attributes:
        rows: One a true class, then ``all``.
        step: Value of one integer of the firmware's logits.
        edges: Of the bins of logit differences, firmware less float.
        logits: Class → logits in each bin, of all samples.
        gap_edges: Of the bins of the float network's gap between its first and second
            choice, in logits.
        gap_all: Samples in each of those bins.
        gap_flipped: Of these, those where the firmware chooses another class.
    """

    rows: tuple[ClassAgreement, ...]
    step: float
    edges: tuple[float, ...]
    logits: dict[str, tuple[int, ...]]
    gap_edges: tuple[float, ...]
    gap_all: tuple[int, ...]
    gap_flipped: tuple[int, ...]


def measure(outputs: Outputs) -> Agreement:
    """Measure how far the firmware's decisions are from the float network's.

    If the firmware's network was trained again at its widths, the differences hold that
    training as well as rounding.

    Args:
        outputs: Of both on the same samples.

    Returns:
        The numbers.
    """
    differences, is_flipped = outputs.differences, outputs.is_flipped
    rows = [
        _row(outputs, name, outputs.labels == i, differences[outputs.labels == i, i])
        for i, name in enumerate(outputs.classes)
        if (outputs.labels == i).any()
    ]
    rows.append(
        _row(outputs, "all", np.ones(len(outputs.labels), bool), differences.ravel())
    )
    reach = float(np.quantile(np.abs(differences), 0.995)) or 1.0
    edges = np.linspace(-reach, reach, BINS + 1)
    first_two = np.sort(outputs.float_logits, axis=1)[:, -2:]
    gap = first_two[:, 1] - first_two[:, 0]
    # As far as decisions flip, and a bit more.
    widest = float(np.quantile(gap[is_flipped], 0.99)) if is_flipped.any() else 0.0
    gap_edges = np.linspace(0, 1.8 * widest or 1.0, BINS // 3 + 1)
    return Agreement(
        rows=tuple(rows),
        step=2.0**-outputs.fraction,
        edges=tuple(edges.tolist()),
        logits={
            name: _histogram(differences[:, i], edges)
            for i, name in enumerate(outputs.classes)
        },
        gap_edges=tuple(gap_edges.tolist()),
        gap_all=_histogram(gap, gap_edges),
        gap_flipped=_histogram(gap[is_flipped], gap_edges),
    )


def _row(
    outputs: Outputs,
    name: str,
    chosen: NDArray[np.bool_],
    differences: NDArray[np.float64],
) -> ClassAgreement:
    flipped = outputs.is_flipped & chosen
    by_firmware = outputs.integers.argmax(axis=1) == outputs.labels
    by_float = outputs.float_logits.argmax(axis=1) == outputs.labels
    return ClassAgreement(
        class_name=name,
        samples=int(chosen.sum()),
        flipped=int(flipped.sum()),
        corrected=int((flipped & by_firmware).sum()),
        spoiled=int((flipped & by_float).sum()),
        mean=float(differences.mean()),
        spread=float(differences.std()),
    )


def _histogram(
    values: NDArray[np.float64], edges: NDArray[np.float64]
) -> tuple[int, ...]:
    return tuple(np.histogram(values, edges)[0].tolist())


@style.sheet()
def draw(agreement: Agreement) -> Figure:
    """Draw the logits' differences, and where decisions flip.

    Args:
        agreement: The numbers.

    Returns:
        The figure.
    """
    figure = style.canvas(7.6, 3.4)
    left, right = figure.subplots(1, 2)
    for index, (name, counts) in enumerate(agreement.logits.items()):
        left.stairs(
            counts,
            agreement.edges,
            color=style.class_colour(name, index),
            linewidth=1.3,
            label=style.class_title(name),
        )
    left.axvline(0, color=style.GREY, linewidth=0.8)
    left.set(xlim=(agreement.edges[0], agreement.edges[-1]), ylim=(0, None))
    left.set_xlabel("logit: firmware less float network")
    left.set_ylabel("jets a bin")
    left.legend(title="logit of", alignment="left", loc="upper left")
    _draw_flips(right, agreement)
    right.set(xlim=(0, agreement.gap_edges[-1]), ylim=(0, None))
    right.set_xlabel("float network: first less second logit")
    right.set_ylabel("decisions that flip [%]")
    return figure


def _draw_flips(axes: Axes, agreement: Agreement) -> None:
    edges = np.array(agreement.gap_edges)
    centres = (edges[:-1] + edges[1:]) / 2
    for x, flipped, every in zip(
        centres, agreement.gap_flipped, agreement.gap_all, strict=True
    ):
        if every:
            found = binomtest(flipped, every)
            y = flipped / every
            low, high = found.proportion_ci(0.6827, "wilson")
            # Rounding may put an end of the interval on the wrong side of y = 0 or 1.
            bar = [[max(0, 100 * (y - low))], [max(0, 100 * (high - y))]]
            axes.errorbar(x, 100 * y, bar, fmt="o", color=style.BLUE, markersize=3)
