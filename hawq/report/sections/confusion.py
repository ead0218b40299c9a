"""The confusion matrix: which class is taken for which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hawq.records import Record
from hawq.report import style


class ConfusionMatrix(Record):
    """What one form of the network made of each class.

    Attributes:
        network: Which form.
        counts: Samples, true class by row, chosen class by column.
    """

    network: str
    counts: tuple[tuple[int, ...], ...]


class Confusion(Record):
    """The section on confusion.

    Attributes:
        classes: In the order of rows and columns.
        matrices: One a network.
    """

    classes: tuple[str, ...]
    matrices: tuple[ConfusionMatrix, ...]


def measure(
    logits: Mapping[str, NDArray[Any]],
    labels: NDArray[np.int64],
    classes: Sequence[str],
) -> Confusion:
    """Count which class is taken for which.

    Args:
        logits: Network → its logits, shape (samples, classes).
        labels: Shape (samples,): indices into ``classes``.
        classes: Names.

    Returns:
        One matrix a network.
    """
    matrices = []
    for network, values in logits.items():
        counts = np.zeros((len(classes), len(classes)), np.int64)
        np.add.at(counts, (labels, values.argmax(axis=1)), 1)
        rows = tuple(tuple(row) for row in counts.tolist())
        matrices.append(ConfusionMatrix(network=network, counts=rows))
    return Confusion(classes=tuple(classes), matrices=tuple(matrices))


@style.sheet()
def draw(confusion: Confusion) -> Figure:
    """Draw each matrix, every row as fractions of its true class.

    Args:
        confusion: The numbers.

    Returns:
        The figure.
    """
    matrices = confusion.matrices
    figure = style.canvas(7.6, 3.3 if len(matrices) > 1 else 4.6)
    row = figure.subplots(1, len(matrices), squeeze=False)[0]
    for axes, matrix in zip(row, matrices, strict=True):
        _draw_matrix(axes, matrix, confusion.classes)
    row[0].set_ylabel("true class")
    return figure


def _draw_matrix(axes: Axes, matrix: ConfusionMatrix, classes: Sequence[str]) -> None:
    counts = np.array(matrix.counts, dtype=float)
    totals = counts.sum(axis=1, keepdims=True)
    fractions = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    axes.imshow(fractions, cmap=style.SEQUENTIAL, vmin=0, vmax=1)
    for (i, j), value in np.ndenumerate(fractions):
        axes.text(
            j,
            i,
            f"{100 * value:.1f}",
            ha="center",
            va="center",
            color="white" if value > 0.55 else style.INK_ON_COLOUR,
            fontweight="bold" if i == j else "normal",
        )
    titles = [style.class_title(name).removesuffix(" boson") for name in classes]
    axes.set_xticks(range(len(classes)), [t.replace(" ", "\n") for t in titles])
    axes.set_yticks(range(len(classes)), titles)
    for which in "xy":
        style.categories(axes, which)
    axes.set_title(f"{matrix.network}: % of the true class")
    axes.set_xlabel("chosen class")
