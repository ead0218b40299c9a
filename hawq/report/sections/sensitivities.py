"""Sensitivities site by site, and how well they predict what the loss does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hawq.records import Record, SensitivityMap, SiteKind
from hawq.report import style
from hawq.sensitivity.validate import Trial, Validation

_SHAPES = {SiteKind.WEIGHT: "o", SiteKind.BIAS: "^", SiteKind.ACTIVATION: "s"}


class SiteScore(Record):
    """One site's sensitivity.

    Attributes:
        site: Its name.
        kind: Weight, bias or activation.
        elements: How many numbers it has (one sample's, for activations).
        score: s, nats per squared unit.
        probe_error: One standard error from random probes; 0 on the exact route.
        sample_error: One standard error from the finite sample.
        error: Both in quadrature.
    """

    site: str
    kind: SiteKind
    elements: int
    score: float
    probe_error: float
    sample_error: float
    error: float


class Sensitivities(Record):
    """The section on sensitivities.

    Attributes:
        source: The plug-in that measured them.
        route: ``exact`` or ``stochastic``.
        unit: Of the scores.
        samples: Behind them.
        probes: Behind them.
        seed: Of the probes.
        loss_nats: At the expansion point.
        sites: In the network's order.
        validation: Predicted against measured rise of the loss, if the stage tried.
        factor: Median of measured over predicted rise, where both are positive.
        factor_by_element: The same with each element's curvature, if known.
    """

    source: str
    route: str
    unit: str
    samples: int
    probes: int
    seed: int
    loss_nats: float
    sites: tuple[SiteScore, ...]
    validation: Validation | None = None
    factor: float | None = None
    factor_by_element: float | None = None


def gather(
    sensitivity: SensitivityMap, validation: Validation | None = None
) -> Sensitivities:
    """Collect scores and trials.

    Args:
        sensitivity: The map.
        validation: Sites quantized alone.

    Returns:
        The section.
    """
    trials = validation.trials if validation else ()
    return Sensitivities(
        source=sensitivity.source,
        route=sensitivity.route,
        unit=sensitivity.unit,
        samples=sensitivity.samples,
        probes=sensitivity.probes,
        seed=sensitivity.seed,
        loss_nats=sensitivity.loss_nats,
        sites=tuple(
            SiteScore(
                site=entry.site.name,
                kind=entry.site.kind,
                elements=entry.site.elements,
                score=entry.score,
                probe_error=entry.probe_error,
                sample_error=entry.sample_error,
                error=entry.standard_error,
            )
            for entry in sensitivity.sites
        ),
        validation=validation,
        factor=_factor(trials, "predicted_nats"),
        factor_by_element=_factor(trials, "predicted_by_element_nats"),
    )


def _factor(trials: Sequence[Trial], prediction: str) -> float | None:
    pairs = [(getattr(trial, prediction), trial.measured_nats) for trial in trials]
    ratios = [m / p for p, m in pairs if p is not None and p > 0 and m > 0]
    return float(np.median(ratios)) if ratios else None


@style.sheet()
def draw(section: Sensitivities) -> Figure:
    """Draw a bar a site, with its error, on a logarithmic axis.

    Args:
        section: The numbers.

    Returns:
        The figure.
    """
    sites = section.sites
    figure = style.canvas(7.6, 0.27 * len(sites) + 0.9)
    axes = figure.subplots()
    y = np.arange(len(sites))
    scores = np.array([site.score for site in sites])
    errors = np.array([site.error for site in sites])
    # A score at or below zero has no bar on this axis: its error bar's end is drawn.
    lengths = np.where(scores > 0, scores, errors)
    smallest = lengths[lengths > 0].min(initial=1.0)
    left = 10 ** np.floor(np.log10(smallest) - 0.3)
    axes.barh(
        y,
        np.where(scores > 0, scores, 0) - left,
        0.7,
        left=left,
        color=[style.KIND_COLOURS[site.kind] for site in sites],
    )
    shown = scores > 0
    axes.errorbar(
        scores[shown],
        y[shown],
        xerr=[
            np.minimum(errors, scores - left / 10)[shown],
            errors[shown],
        ],
        fmt="none",
        ecolor=style.INK,
        elinewidth=1.1,
    )
    axes.plot(lengths[~shown], y[~shown], "<", color=style.INK, markersize=5)
    axes.set(xscale="log", xlim=(left, 2.5 * float((scores + errors).max())))
    axes.set_ylim(len(sites) - 0.4, -0.6)
    axes.set_yticks(y, [site.site for site in sites])
    style.categories(axes, "y")
    axes.set_xlabel(f"sensitivity $s$  [{section.unit}]")
    kinds = [kind for kind in SiteKind if kind in {site.kind for site in sites}]
    figure.legend(
        handles=[
            Patch(color=style.KIND_COLOURS[kind], label=kind.value) for kind in kinds
        ],
        loc="outside upper right",
        ncols=len(kinds),
    )
    return figure


@style.sheet()
def draw_validation(validation: Validation) -> Figure:
    """Draw the measured rise of the loss against the predicted one.

    Args:
        validation: The trials.

    Returns:
        The figure: left, predicted by the site's mean curvature; right, by each
        element's, where it is known.
    """
    kinds = [
        ("predicted_nats", r"$\frac{1}{2}\,s\,\Vert δ\Vert^2$"),
        ("predicted_by_element_nats", r"$\frac{1}{2}\,\sum_i h_i\,δ_i^2$"),
    ]
    correlations = [
        validation.rank_correlation,
        validation.rank_correlation_by_element,
    ]
    columns = 2 if correlations[1] is not None else 1
    figure = style.canvas(7.6, 4.3 if columns == 2 else 4.8)
    row = figure.subplots(1, columns, sharex=True, sharey=True, squeeze=False)[0]
    seen = [trial for trial in validation.trials if trial.measured_nats > 0]
    for axes, (prediction, title), correlation in zip(
        row, kinds[:columns], correlations[:columns], strict=True
    ):
        _draw_trials(axes, seen, prediction)
        axes.set_xlabel(f"predicted  {title}  [nats]")
        axes.set_title(f"rank correlation {correlation:.3f}")
    ends = np.array([
        value
        for trial in seen
        for value in (trial.measured_nats, *(getattr(trial, k) for k, _ in kinds))
        if value
    ])
    low, high = ends.min(initial=1.0) / 2, ends.max(initial=1e-9) * 2
    for axes in row:
        axes.plot([low, high], [low, high], color=style.GREY, linewidth=0.9, zorder=0)
        axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    row[0].set_ylabel("measured rise of the loss [nats]")
    _explain(figure, seen)
    return figure


def _draw_trials(axes: Axes, trials: Sequence[Trial], prediction: str) -> None:
    for kind, shape in _SHAPES.items():
        mine = [trial for trial in trials if trial.kind is kind]
        x = np.array([getattr(trial, prediction) for trial in mine], dtype=float)
        y = np.array([trial.measured_nats for trial in mine])
        error = np.array([trial.measured_error for trial in mine])
        axes.errorbar(
            x,
            y,
            [np.minimum(error, 0.999 * y), error],
            fmt=shape,
            color=style.KIND_COLOURS[kind],
            markersize=9,
            markeredgecolor="white",
            markeredgewidth=0.5,
            elinewidth=0.9,
            capsize=0,
        )
        for trial, *at in zip(mine, x, y, strict=True):
            axes.annotate(
                str(trial.bits),
                (at[0], at[1]),
                ha="center",
                va="center_baseline",
                fontsize=6.5,
                color="white",
            )


def _explain(figure: Figure, trials: Sequence[Trial]) -> None:
    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker=_SHAPES[kind],
            markersize=8,
            color=style.KIND_COLOURS[kind],
            label=kind.value,
        )
        for kind in SiteKind
        if kind in {trial.kind for trial in trials}
    ]
    handles.append(Line2D([], [], color=style.GREY, label="measured = predicted"))
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
