"""The features of the jets: class by class, and generated against real."""

from __future__ import annotations

import re

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from pydantic import Field

from hawq.data.compare import compare
from hawq.data.dataset import Dataset
from hawq.records import Record
from hawq.report import style

BINS = 40
REAL_BINS = 20
_COLUMNS = 4
_NAMES = {
    "zlogz": r"$Σ\,z\,\ln z$",
    "mass": "groomed mass [GeV]",
    "multiplicity": "multiplicity",
}
_OBSERVABLE = re.compile(r"([a-z])(\d)(?:_a(\d))?_b(\d)")

Floats = NDArray[np.float64]


class Spectrum(Record):
    """One feature's histogram.

    Attributes:
        feature: Its name.
        edges: Of the bins, raw units.
        counts: Class → jets in each bin.
        outside: Jets beyond the first and the last edge, all classes.
    """

    feature: str
    edges: tuple[float, ...]
    counts: dict[str, tuple[int, ...]]
    outside: int


class RealSpectrum(Record):
    """One feature of generated jets against real ones.

    Attributes:
        feature: Its name.
        edges: Of the bins.
        generated: Jets in each bin, the classes mixed as in the real sample.
        real: Jets in each bin.
        distance: Class → Kolmogorov–Smirnov distance.
        p_value: Class → its p-value.
    """

    feature: str
    edges: tuple[float, ...]
    generated: tuple[float, ...]
    real: tuple[int, ...]
    distance: dict[str, float]
    p_value: dict[str, float]


class Spectra(Record):
    """The section on features.

    Attributes:
        classes: In order.
        jets: Class → jets drawn.
        features: One a feature.
        real: Against real jets, if given.
        real_jets: Class → real jets.
        is_matched: Whether the real jets came in unknown units, and one affine map a
            feature was fitted to put them into raw ones.
    """

    classes: tuple[str, ...]
    jets: dict[str, int]
    features: tuple[Spectrum, ...]
    real: tuple[RealSpectrum, ...] = ()
    real_jets: dict[str, int] = Field(default_factory=dict)
    is_matched: bool = False


def feature_title(name: str) -> str:
    """Write a feature out for an axis.

    Args:
        name: For example ``c1_b0``.

    Returns:
        For example ``$C_1^{(β=0)}$``; an unknown name is its own title.

    >>> feature_title("d2_a1_b2")
    '$D_2^{(1,2)}$'
    """
    if match := _OBSERVABLE.fullmatch(name):
        letter, order, alpha, beta = match.groups()
        index = f"({alpha},{beta})" if alpha else f"β={beta}"
        return f"${letter.upper()}_{order}^{{{index}}}$"
    return _NAMES.get(name, name)


def measure(generated: Dataset) -> Spectra:
    """Count generated jets by feature and class.

    Args:
        generated: Raw units.

    Returns:
        The histograms; their range holds 99 % of the jets.
    """
    spectra = []
    for column, feature in enumerate(generated.features):
        values = generated.x[:, column].astype(np.float64)
        edges = _edges(values, BINS)
        counts = {
            name: np.histogram(values[generated.y == i], edges)[0]
            for i, name in enumerate(generated.classes)
        }
        inside = sum(int(n.sum()) for n in counts.values())
        spectra.append(
            Spectrum(
                feature=feature,
                edges=tuple(edges.tolist()),
                counts={name: tuple(n.tolist()) for name, n in counts.items()},
                outside=len(values) - inside,
            )
        )
    return Spectra(
        classes=generated.classes, jets=generated.counts, features=tuple(spectra)
    )


def against_real(
    spectra: Spectra, generated: Dataset, real: Dataset, is_matched: bool
) -> Spectra:
    """Add the comparison with real jets.

    Args:
        spectra: Of the generated jets.
        generated: Those jets, raw units.
        real: Raw units, of the same features and classes.
        is_matched: Whether a fitted map put them into raw units.

    Returns:
        The section with ``real`` filled.
    """
    tests = compare(generated, real)
    share = [
        real.counts[name] / max(1, generated.counts[name]) for name in real.classes
    ]
    weights = np.array(share)[generated.y]
    compared = []
    for j, feature in enumerate(real.features):
        made, seen = generated.x[:, j], real.x[:, j].astype(np.float64)
        edges = _edges(seen, REAL_BINS)
        mixed = np.histogram(made, edges, weights=weights)[0]
        pairs = zip(
            real.classes,
            tests.distance[:, j].tolist(),
            tests.p_value[:, j].tolist(),
            strict=True,
        )
        found = {name: (distance, p_value) for name, distance, p_value in pairs}
        compared.append(
            RealSpectrum(
                feature=feature,
                edges=tuple(edges.tolist()),
                generated=tuple(mixed.tolist()),
                real=tuple(np.histogram(seen, edges)[0].tolist()),
                distance={name: pair[0] for name, pair in found.items()},
                p_value={name: pair[1] for name, pair in found.items()},
            )
        )
    return spectra.model_copy(
        update={
            "real": tuple(compared),
            "real_jets": real.counts,
            "is_matched": is_matched,
        }
    )


def _edges(values: Floats, bins: int) -> Floats:
    low, high = np.quantile(values, [0.005, 0.995])
    if (values == np.rint(values)).all():
        # Bins that hold equally many whole numbers, or the histogram is a comb.
        width = max(1, round((high - low) / bins))
        count = int((high - low) // width) + 1
        whole: Floats = low - 0.5 + width * np.arange(count + 1)
        return whole
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, bins + 1)


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    rows = -(-count // _COLUMNS)
    figure = style.canvas(7.6, 1.75 * rows + 0.4)
    grid = figure.subplots(rows, _COLUMNS, squeeze=False).ravel().tolist()
    for axes in grid[count:]:
        axes.remove()
    for axes in grid[:count]:
        axes.xaxis.set_major_locator(MaxNLocator(4, prune="upper"))
        axes.locator_params(axis="y", nbins=4)
        axes.tick_params(labelsize=7)
    return figure, grid[:count]


@style.sheet()
def draw(spectra: Spectra) -> Figure:
    """Draw every feature, a line a class, each of unit area.

    Args:
        spectra: The numbers.

    Returns:
        The figure.
    """
    figure, panels = _panels(len(spectra.features))
    for axes, spectrum in zip(panels, spectra.features, strict=True):
        edges = np.array(spectrum.edges)
        for index, (name, counts) in enumerate(spectrum.counts.items()):
            density = np.array(counts) / (max(1, spectra.jets[name]) * np.diff(edges))
            axes.stairs(
                density,
                edges,
                color=style.class_colour(name, index),
                linewidth=1.1,
                label=style.class_title(name),
            )
        axes.set(xlim=(edges[0], edges[-1]), ylim=(0, None), yticks=[])
        axes.set_xlabel(feature_title(spectrum.feature), labelpad=1)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    figure.supylabel("density", fontsize=9)
    return figure


@style.sheet()
def draw_real(spectra: Spectra) -> Figure:
    """Draw every feature of generated and real jets, classes mixed alike.

    Args:
        spectra: With ``real``.

    Returns:
        The figure.
    """
    figure, panels = _panels(len(spectra.real))
    for axes, spectrum in zip(panels, spectra.real, strict=True):
        edges = np.array(spectrum.edges)
        axes.stairs(
            spectrum.generated,
            edges,
            fill=True,
            color=style.SKY,
            alpha=0.55,
            label="generated",
        )
        real = np.array(spectrum.real, dtype=float)
        axes.errorbar(
            (edges[:-1] + edges[1:]) / 2,
            real,
            np.sqrt(real),
            fmt="o",
            color=style.INK,
            markersize=2,
            elinewidth=0.8,
            capsize=0,
            label="real",
        )
        axes.set(xlim=(edges[0], edges[-1]), ylim=(0, None))
        axes.set_xlabel(feature_title(spectrum.feature), labelpad=1)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    figure.supylabel("jets a bin", fontsize=9)
    return figure


@style.sheet()
def draw_distances(spectra: Spectra) -> Figure:
    """Draw the Kolmogorov–Smirnov p-value of each class and feature.

    Args:
        spectra: With ``real``.

    Returns:
        The figure.
    """
    p_values = np.array([
        [entry.p_value[name] for entry in spectra.real] for name in spectra.classes
    ])
    figure = style.canvas(7.6, 2.7)
    axes = figure.subplots()
    logs = np.log10(np.maximum(p_values, 1e-6))
    image = axes.imshow(logs, cmap="viridis", vmin=-4, vmax=0, aspect="auto")
    for (i, j), p_value in np.ndenumerate(p_values):
        distance = spectra.real[j].distance[spectra.classes[i]]
        axes.text(
            j,
            i,
            f"{distance:.2f}".removeprefix("0"),
            ha="center",
            va="center",
            fontsize=7.5,
            color="white" if p_value < 0.02 else style.INK_ON_COLOUR,
        )
    axes.set_yticks(
        range(len(spectra.classes)), map(style.class_title, spectra.classes)
    )
    titles = [
        feature_title(entry.feature).removesuffix(" [GeV]") for entry in spectra.real
    ]
    axes.set_xticks(range(len(titles)), titles, rotation=40, ha="right")
    for which in "xy":
        style.categories(axes, which)
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label("log₁₀ p-value", labelpad=6)
    return figure
