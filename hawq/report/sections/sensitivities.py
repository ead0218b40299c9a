"""Sensitivities site by site, and how well they predict what the loss does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.stats import spearmanr

from hawq.records import Record, SensitivityMap, SiteKind
from hawq.report import style

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


class Trial(Record):
    """One site quantized alone: what was predicted, and what happened.

    Attributes:
        site: Its name.
        kind: Weight, bias or activation.
        bits: Width it was quantized to.
        predicted_nats: ``½ · s · ‖δ‖²``.
        measured_nats: Rise of the loss on the same samples; may be negative.
        measured_error: One standard error of it, if known.
    """

    site: str
    kind: SiteKind
    bits: int
    predicted_nats: float
    measured_nats: float
    measured_error: float | None = None


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
        trials: Sites quantized alone, if the stage tried.
        rank_correlation: Spearman's, predicted against measured, if there are trials.
        rank_p_value: Of no correlation.
        factor: Median of measured over predicted, where both are positive.
    """

    source: str
    route: str
    unit: str
    samples: int
    probes: int
    seed: int
    loss_nats: float
    sites: tuple[SiteScore, ...]
    trials: tuple[Trial, ...] = ()
    rank_correlation: float | None = None
    rank_p_value: float | None = None
    factor: float | None = None


def gather(sensitivity: SensitivityMap, trials: Sequence[Trial] = ()) -> Sensitivities:
    """Collect scores and trials, and correlate.

    Args:
        sensitivity: The map.
        trials: Sites quantized alone.

    Returns:
        The section.
    """
    correlation = p_value = factor = None
    if len(trials) > 2:
        test = spearmanr(
            [trial.predicted_nats for trial in trials],
            [trial.measured_nats for trial in trials],
        )
        correlation, p_value = float(test.statistic), float(test.pvalue)
        ratios = [
            trial.measured_nats / trial.predicted_nats
            for trial in trials
            if trial.measured_nats > 0 and trial.predicted_nats > 0
        ]
        factor = float(np.median(ratios)) if ratios else None
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
        trials=tuple(trials),
        rank_correlation=correlation,
        rank_p_value=p_value,
        factor=factor,
    )


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
def draw_trials(section: Sensitivities) -> Figure:
    """Draw the measured rise of the loss against the predicted one.

    Args:
        section: With trials.

    Returns:
        The figure.
    """
    figure = style.canvas(7.6, 4.8)
    axes = figure.subplots()
    seen = [t for t in section.trials if t.measured_nats > 0 and t.predicted_nats > 0]
    for trial in seen:
        axes.errorbar(
            trial.predicted_nats,
            trial.measured_nats,
            yerr=_bar(trial),
            fmt=_SHAPES[trial.kind],
            color=style.KIND_COLOURS[trial.kind],
            markersize=9,
            markeredgecolor="white",
            markeredgewidth=0.5,
            elinewidth=0.9,
        )
        axes.annotate(
            str(trial.bits),
            (trial.predicted_nats, trial.measured_nats),
            ha="center",
            va="center_baseline",
            fontsize=6.5,
            color="white",
        )
    ends = np.array([
        v for trial in seen for v in (trial.predicted_nats, trial.measured_nats)
    ])
    low, high = ends.min(initial=1.0) / 2, ends.max(initial=1e-9) * 2
    axes.plot([low, high], [low, high], color=style.GREY, linewidth=0.9)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    axes.set_xlabel(r"predicted  $\frac{1}{2}\,s\,\Vert δ\Vert^2$  [nats]")
    axes.set_ylabel("measured rise of the loss [nats]")
    kinds = [kind for kind in SiteKind if kind in {trial.kind for trial in seen}]
    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker=_SHAPES[kind],
            markersize=8,
            color=style.KIND_COLOURS[kind],
            label=f"{kind.value} (number: bits)",
        )
        for kind in kinds
    ]
    handles.append(Line2D([], [], color=style.GREY, label="measured = predicted"))
    axes.legend(handles=handles, loc="upper left", title=_correlation(section))
    hidden = len(section.trials) - len(seen)
    if hidden:
        axes.set_title(f"not drawn: {hidden} trials whose loss did not rise")
    return figure


def _bar(trial: Trial) -> list[list[float]] | None:
    if trial.measured_error is None:
        return None
    down = min(trial.measured_error, 0.999 * trial.measured_nats)
    return [[down], [trial.measured_error]]


def _correlation(section: Sensitivities) -> str | None:
    if section.rank_correlation is None:
        return None
    return f"rank correlation {section.rank_correlation:.3f}"
