"""ROC curves as the field draws them: signal efficiency across, background up, log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from hawq.model.metrics import SIGNAL_EFFICIENCY, auc, reject
from hawq.records import Record
from hawq.report import style
from hawq.report.outputs import probabilities

REPLICAS = 200
GRID = np.linspace(0.02, 1.0, 99)

Floats = NDArray[np.float64]


class RocCurve(Record):
    """How one form of the network tells one class from the rest.

    Attributes:
        network: Which form.
        class_name: The signal; every other class is background.
        signal: Samples of it.
        background: Samples of the others.
        auc: Area under the curve of signal against background efficiency.
        auc_error: One standard error, after DeLong.
        rejection: 1/ε_B at ε_S = 0.5; None where no background passes.
        rejection_error: One standard error of it.
        background_efficiency: ε_B at each of ``Roc.signal_efficiency``.
        background_efficiency_error: One standard error: binomial, and of the
            threshold.
    """

    network: str
    class_name: str
    signal: int
    background: int
    auc: float
    auc_error: float | None
    rejection: float | None
    rejection_error: float | None
    background_efficiency: tuple[float, ...]
    background_efficiency_error: tuple[float, ...]


class RocRatio(Record):
    """One network's background efficiency over another's, on the same samples.

    Attributes:
        class_name: The signal.
        ratio: At each of ``Roc.signal_efficiency``; None where the divisor is 0.
        error: One standard error, from replicas that draw samples with replacement and
            give both networks the same draw.
    """

    class_name: str
    ratio: tuple[float | None, ...]
    error: tuple[float | None, ...]


class Roc(Record):
    """The ROC section.

    Attributes:
        classes: Those with samples of signal and of background.
        left_out: The others.
        signal_efficiency: Where the curves are given.
        curves: One a network and class.
        ratios: Last network over first, one a class, if there are two networks.
        replicas: Behind the ratios' errors.
    """

    classes: tuple[str, ...]
    left_out: tuple[str, ...]
    signal_efficiency: tuple[float, ...]
    curves: tuple[RocCurve, ...]
    ratios: tuple[RocRatio, ...]
    replicas: int

    def of(self, network: str) -> list[RocCurve]:
        """Select the curves of one network, class by class."""
        return [curve for curve in self.curves if curve.network == network]

    @property
    def networks(self) -> list[str]:
        """The networks, in order."""
        return list(dict.fromkeys(curve.network for curve in self.curves))


def measure(
    logits: Mapping[str, NDArray[Any]],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    seed: int,
) -> Roc:
    """Measure the ROC curve of every class for one network or two.

    A class is told from the rest by its softmax probability, computed on the host.

    Args:
        logits: Network → its logits, shape (samples, classes), of the same samples.
        labels: Shape (samples,): indices into ``classes``.
        classes: Names.
        seed: Of the replicas.

    Returns:
        Curves, areas and rejections, with errors.
    """
    counts = np.bincount(labels, minlength=len(classes))
    usable = [i for i, n in enumerate(counts) if 0 < n < len(labels)]
    scores = {name: probabilities(values) for name, values in logits.items()}
    curves = [
        _curve(name, classes[i], values[:, i], labels == i)
        for name, values in scores.items()
        for i in usable
    ]
    ratios = []
    if len(scores) > 1:
        first, *_, last = scores.values()
        for i in usable:
            pair = (first[:, i], last[:, i])
            ratio, error = paired_ratio(pair, labels == i, GRID, [seed, i])
            ratios.append(
                RocRatio(
                    class_name=classes[i], ratio=_finite(ratio), error=_finite(error)
                )
            )
    return Roc(
        classes=tuple(classes[i] for i in usable),
        left_out=tuple(name for i, name in enumerate(classes) if i not in usable),
        signal_efficiency=tuple(GRID.tolist()),
        curves=tuple(curves),
        ratios=tuple(ratios),
        replicas=REPLICAS if ratios else 0,
    )


def background_efficiency(
    scores: NDArray[Any],
    is_signal: NDArray[np.bool_],
    signal_efficiency: Floats,
    weights: NDArray[np.int64] | None = None,
) -> Floats:
    """Give the fraction of background above the threshold of a signal efficiency.

    Samples of equal score are shared out: the ROC curve is interpolated.

    Args:
        scores: Shape (samples,).
        is_signal: Shape (samples,).
        signal_efficiency: Where, shape (points,), rising.
        weights: How often each sample counts, shape (replicas, samples); None counts
            each once.

    Returns:
        Shape (points,), or (replicas, points) with weights.

    >>> background_efficiency(
    ...     np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False]),
    ...     np.array([0.5, 1.0]),
    ... )
    array([0. , 0.5])
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=np.nan) != 0)
    counts = np.ones((1, len(scores)), np.int64) if weights is None else weights
    # Where many background efficiencies belong to one signal efficiency, the least of
    # them: just below it, so that ``interp`` takes the first.
    just_below = signal_efficiency * (1 - 1e-12)
    found = np.empty((len(counts), len(signal_efficiency)))
    for row, count in enumerate(counts):
        above = [
            np.cumsum((count * side)[order])[ends] for side in (is_signal, ~is_signal)
        ]
        passed, false = (np.concatenate([[0.0], side / side[-1]]) for side in above)
        found[row] = np.interp(just_below, passed, false)
    return found[0] if weights is None else found


def efficiency_error(
    scores: NDArray[Any], is_signal: NDArray[np.bool_], signal_efficiency: Floats
) -> Floats:
    """Give one standard error of ``background_efficiency``.

    The binomial error of ε_B and that of the threshold, which moves with the signal
    sample (the curve's slope times the binomial error of ε_S), in quadrature.

    Args:
        scores: Shape (samples,).
        is_signal: Shape (samples,).
        signal_efficiency: Where, shape (points,), rising.

    Returns:
        Shape (points,).
    """
    signal = int(is_signal.sum())
    spread = np.sqrt(signal_efficiency * (1 - signal_efficiency) / signal)
    low, middle, high = (
        background_efficiency(
            scores, is_signal, np.clip(signal_efficiency + shift, 0, 1)
        )
        for shift in (-spread, 0.0, spread)
    )
    binomial = middle * (1 - middle) / (len(scores) - signal)
    error: Floats = np.sqrt(binomial + ((high - low) / 2) ** 2)
    return error


def paired_ratio(
    scores: tuple[NDArray[Any], NDArray[Any]],
    is_signal: NDArray[np.bool_],
    signal_efficiency: Floats,
    seed: Sequence[int],
) -> tuple[Floats, Floats]:
    """Divide two networks' background efficiencies on the same samples.

    Args:
        scores: Of the divisor and of the dividend, each of shape (samples,).
        is_signal: Shape (samples,).
        signal_efficiency: Where, shape (points,), rising.
        seed: Of the draws.

    Returns:
        The ratio and its standard error; NaN where a divisor is 0.
    """
    weights = np.random.default_rng(seed).poisson(1.0, (REPLICAS, len(is_signal)))
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = (
            background_efficiency(s, is_signal, signal_efficiency) for s in scores
        )
        below, above = (
            background_efficiency(s, is_signal, signal_efficiency, weights)
            for s in scores
        )
        ratio, replicas = second / first, above / below
    ratio[first == 0] = np.nan
    replicas[below == 0] = np.nan
    return ratio, replicas.std(axis=0, ddof=1)


def _curve(
    network: str, class_name: str, scores: Floats, is_signal: NDArray[np.bool_]
) -> RocCurve:
    area, area_error = auc(scores, is_signal)
    rejection = reject(scores, is_signal)
    efficiency = background_efficiency(scores, is_signal, GRID)
    error = efficiency_error(scores, is_signal, GRID)
    return RocCurve(
        network=network,
        class_name=class_name,
        signal=int(is_signal.sum()),
        background=int((~is_signal).sum()),
        auc=area,
        auc_error=area_error if np.isfinite(area_error) else None,
        rejection=rejection.value,
        rejection_error=rejection.error,
        background_efficiency=tuple(efficiency.tolist()),
        background_efficiency_error=tuple(error.tolist()),
    )


def _finite(values: Floats) -> tuple[float | None, ...]:
    return tuple(v if np.isfinite(v) else None for v in values.tolist())


@style.sheet()
def draw(roc: Roc) -> Figure:
    """Draw the curves, and below them the ratio of the last network to the first.

    Args:
        roc: The numbers.

    Returns:
        The figure.
    """
    ratios = bool(roc.ratios)
    figure = style.canvas(7.6, 6.4 if ratios else 5.0)
    heights = [3.2, 1.0] if ratios else [1.0]
    axes, *lower = figure.subplots(
        len(heights), 1, sharex=True, squeeze=False, height_ratios=heights
    )[:, 0]
    _draw_curves(axes, roc)
    axes.set_ylabel("background efficiency  $ε_B$")
    if ratios:
        _draw_ratios(lower[0], roc)
    (lower[0] if ratios else axes).set_xlabel("signal efficiency  $ε_S$")
    return figure


def _draw_curves(axes: Axes, roc: Roc) -> None:
    networks = roc.networks
    lines = ("--", "-") if len(networks) > 1 else ("-",)
    x = np.array(roc.signal_efficiency)
    for network, line in zip(networks, lines, strict=True):
        for index, curve in enumerate(roc.of(network)):
            colour = style.class_colour(curve.class_name, index)
            y, error = (
                np.array(values)
                for values in (
                    curve.background_efficiency,
                    curve.background_efficiency_error,
                )
            )
            seen = np.where(y > 0, y, np.nan)
            axes.plot(x, seen, line, color=colour)
            if network == networks[-1]:
                low = np.maximum(y - error, 1e-9)
                axes.fill_between(
                    x, low, y + error, color=colour, alpha=0.18, linewidth=0
                )
    background = min(curve.background for curve in roc.curves)
    smallest = min(
        (y for c in roc.curves for y in c.background_efficiency if y > 0), default=1e-3
    )
    axes.set(
        yscale="log",
        ylim=(max(smallest, 1 / background) / 1.5, 1.3),
        xlim=(0, 1),
    )
    axes.axvline(SIGNAL_EFFICIENCY, color=style.GREY, linewidth=0.8, linestyle=":")
    axes.plot(x, x, color=style.GREY, linewidth=0.8)
    axes.annotate(
        "no discrimination",
        (0.24, 0.17),
        color=style.GREY,
        fontsize=8,
        va="top",
    )
    _legends(axes, roc)


def _legends(axes: Axes, roc: Roc) -> None:
    last = roc.of(roc.networks[-1])
    handles = [
        Line2D([], [], color=style.class_colour(curve.class_name, index))
        for index, curve in enumerate(last)
    ]
    labels = [
        f"{style.class_title(c.class_name)}   {c.auc:.4f}"
        + (f" ± {c.auc_error:.4f}" if c.auc_error is not None else "")
        for c in last
    ]
    title = f"AUC, {roc.networks[-1]}"
    first = axes.legend(
        handles, labels, title=title, loc="lower right", alignment="left"
    )
    if len(roc.networks) > 1:
        axes.add_artist(first)
        axes.legend(
            [Line2D([], [], color=style.INK, linestyle=line) for line in ("--", "-")],
            roc.networks,
            loc="upper left",
        )


def _draw_ratios(axes: Axes, roc: Roc) -> None:
    x = np.array(roc.signal_efficiency)
    reach = [0.05]
    for index, entry in enumerate(roc.ratios):
        colour = style.class_colour(entry.class_name, index)
        ratio = np.array(entry.ratio, dtype=float)
        error = np.array(entry.error, dtype=float)
        axes.plot(x, ratio, color=colour)
        axes.fill_between(
            x, ratio - error, ratio + error, color=colour, alpha=0.15, linewidth=0
        )
        span = (np.abs(ratio - 1) + error)[x >= 0.4]
        reach += span[np.isfinite(span)].tolist()
    half = min(0.6, 1.2 * float(np.quantile(reach, 0.98)))
    axes.axhline(1, color=style.GREY, linewidth=0.8)
    axes.set(ylim=(1 - half, 1 + half))
    first, *_, last = roc.networks
    axes.set_ylabel(f"$ε_B$: {last}\nover {first}")
