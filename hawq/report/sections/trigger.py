"""Signal efficiency and trigger rate against an integer threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hawq.errors import DataError, InputError
from hawq.records import Record
from hawq.report import style
from hawq.report.spelling import grouped

INPUT_RATE_HZ = 100e3
"""Jets a second that reach the classifier, unless the user says otherwise."""

BACKGROUND = {"g": 0.5, "q": 0.5}
"""What those jets are, unless the user says otherwise."""

_MOST_THRESHOLDS = 400


class TriggerCurve(Record):
    """What a cut on the integer margin keeps.

    The margin of a jet is the logit of the signal class less the largest logit of the
    background classes, as an integer of the firmware: a subtraction and a comparison,
    which the firmware itself can do exactly.

    Attributes:
        signal: Class to keep.
        composition: Class of background → its fraction of the jets that arrive.
        input_rate_hz: Jets that arrive, a second.
        fraction: Each step of the threshold is worth ``2**-fraction``.
        thresholds: Integers; jets of margin ≥ threshold are kept.
        efficiency: Fraction of the signal kept.
        efficiency_error: One standard error, binomial.
        rate_hz: Jets of background kept, a second.
        rate_error_hz: One standard error, binomial.
    """

    signal: str
    composition: dict[str, float]
    input_rate_hz: float
    fraction: int
    thresholds: tuple[int, ...]
    efficiency: tuple[float, ...]
    efficiency_error: tuple[float, ...]
    rate_hz: tuple[float, ...]
    rate_error_hz: tuple[float, ...]


class WorkingPoint(Record):
    """A threshold, and what it keeps.

    Attributes:
        threshold: Integer.
        efficiency: Fraction of the signal kept.
        efficiency_error: One standard error.
        rate_hz: Jets of background kept, a second.
        rate_error_hz: One standard error.
    """

    threshold: int
    efficiency: float
    efficiency_error: float
    rate_hz: float
    rate_error_hz: float


def margins(
    integers: NDArray[Any],
    classes: Sequence[str],
    signal: str,
    background: Sequence[str],
) -> NDArray[Any]:
    """Subtract the largest background logit from the signal's.

    Args:
        integers: Logits, shape (samples, classes).
        classes: Names of the columns.
        signal: The class to keep.
        background: The classes to keep it from.

    Returns:
        Shape (samples,), of the same type: integers stay exact.

    Raises:
        InputError: if a name is not in ``classes``, or there is no background.
    """
    unknown = [name for name in (signal, *background) if name not in classes]
    if unknown or not background or signal in background:
        raise InputError(
            f"signal {signal!r} against {', '.join(background) or 'nothing'}: expected "
            f"one class against others of {', '.join(classes)}"
        )
    others = [classes.index(name) for name in background]
    difference: NDArray[Any] = integers[:, classes.index(signal)] - integers[
        :, others
    ].max(axis=1)
    return difference


def measure(
    margin: NDArray[np.int64],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    fraction: int,
    signal: str,
    composition: Mapping[str, float] = BACKGROUND,
    input_rate_hz: float = INPUT_RATE_HZ,
) -> TriggerCurve:
    """Measure efficiency and rate at every threshold.

    The rate is ``input_rate · Σ_c f_c ε_c``, with f_c the fraction of class c among the
    jets that arrive and ε_c the fraction of it that is kept.

    Args:
        margin: From ``margins``, shape (samples,).
        labels: Shape (samples,): indices into ``classes``.
        classes: Names.
        fraction: Each integer is worth ``2**-fraction``.
        signal: The class to keep.
        composition: Class of background → fraction; the fractions sum to 1.
        input_rate_hz: Jets that arrive, a second.

    Returns:
        The curve, thresholds rising.

    Raises:
        InputError: if the fractions do not sum to 1 or the rate is not positive.
        DataError: if a class has no samples.
    """
    total = sum(composition.values())
    if not math.isclose(total, 1) or min(composition.values()) < 0:
        raise InputError(
            f"composition {dict(composition)}: expected fractions from 0 to 1 whose "
            f"sum is 1, got the sum {total:g}"
        )
    if not input_rate_hz > 0:
        raise InputError(f"input rate {input_rate_hz} Hz: expected a positive number")
    low, high = int(margin.min()), int(margin.max())
    step = max(1, (high - low) // _MOST_THRESHOLDS)
    thresholds = np.arange(low, high + 1, step)

    def kept(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        mine = np.sort(margin[labels == classes.index(name)])
        if not len(mine):
            raise DataError(f"no samples of class {name!r}: its efficiency is unknown")
        passed = 1 - np.searchsorted(mine, thresholds) / len(mine)
        return passed, passed * (1 - passed) / len(mine)

    efficiency, variance = kept(signal)
    rate, rate_variance = np.zeros(len(thresholds)), np.zeros(len(thresholds))
    for name, share in composition.items():
        passed, spread = kept(name)
        rate += input_rate_hz * share * passed
        rate_variance += (input_rate_hz * share) ** 2 * spread
    return TriggerCurve(
        signal=signal,
        composition=dict(composition),
        input_rate_hz=input_rate_hz,
        fraction=fraction,
        thresholds=tuple(thresholds.tolist()),
        efficiency=tuple(efficiency.tolist()),
        efficiency_error=tuple(np.sqrt(variance).tolist()),
        rate_hz=tuple(rate.tolist()),
        rate_error_hz=tuple(np.sqrt(rate_variance).tolist()),
    )


def working_point(curve: TriggerCurve, rate_hz: float) -> WorkingPoint:
    """Choose the lowest threshold whose rate is allowed.

    Args:
        curve: Of all thresholds.
        rate_hz: The most background that may be kept, jets a second.

    Returns:
        The threshold and what it keeps.

    Raises:
        InputError: if every threshold keeps more.
    """
    allowed = [i for i, rate in enumerate(curve.rate_hz) if rate <= rate_hz]
    if not allowed:
        raise InputError(
            f"no threshold keeps at most {rate_hz:g} Hz: the highest one keeps "
            f"{curve.rate_hz[-1]:g} Hz of {curve.input_rate_hz:g} Hz"
        )
    i = allowed[0]
    return WorkingPoint(
        threshold=curve.thresholds[i],
        efficiency=curve.efficiency[i],
        efficiency_error=curve.efficiency_error[i],
        rate_hz=curve.rate_hz[i],
        rate_error_hz=curve.rate_error_hz[i],
    )


@style.sheet()
def draw(
    curve: TriggerCurve,
    point: WorkingPoint | None = None,
    reference: TriggerCurve | None = None,
) -> Figure:
    """Draw efficiency and rate against the threshold.

    Args:
        curve: Of the firmware.
        point: A threshold to mark.
        reference: Of the float network, drawn dashed.

    Returns:
        The figure.
    """
    figure = style.canvas(7.6, 5.2)
    upper, lower = figure.subplots(2, 1, sharex=True)
    colour = style.class_colour(curve.signal, 0)
    _draw_band(upper, curve, "efficiency", "efficiency_error", colour)
    _draw_band(lower, curve, "rate_hz", "rate_error_hz", style.INK)
    if reference is not None:
        x = reference.thresholds
        rate = [value if value > 0 else np.nan for value in reference.rate_hz]
        upper.plot(x, reference.efficiency, "--", color=colour, label="float network")
        lower.plot(x, rate, "--", color=style.GREY, label="float network")
        upper.legend(loc="lower left")
        lower.legend(loc="lower left")
    upper.set(ylim=(0, 1.05))
    upper.set_ylabel(f"efficiency, {style.class_title(curve.signal)} jets")
    lower.set(yscale="log", xlim=_interesting(curve))
    lower.set_ylabel("background rate [Hz]")
    lower.set_xlabel(
        f"threshold on the integer margin  [units of $2^{{-{curve.fraction}}}$]"
    )
    mixture = " + ".join(
        f"{100 * share:.0f} % {style.class_title(name)}"
        for name, share in curve.composition.items()
    )
    lower.set_title(f"{curve.input_rate_hz / 1e3:g} kHz of jets: {mixture}")
    if point is not None:
        _mark(upper, lower, point)
    return figure


def _interesting(curve: TriggerCurve) -> tuple[float, float]:
    # Leave out the long stretch of thresholds that keep nearly all background.
    x, rate = np.array(curve.thresholds), np.array(curve.rate_hz)
    start = x[rate >= 0.95 * rate[0]].max()
    margin = max(1.0, 0.02 * float(x[-1] - start))
    return float(start) - margin, float(x[-1]) + margin


def _draw_band(
    axes: Axes, curve: TriggerCurve, what: str, errors: str, colour: str
) -> None:
    x, y = np.array(curve.thresholds), np.array(getattr(curve, what))
    error = np.array(getattr(curve, errors))
    seen = y > 0
    low = np.maximum(y - error, y[seen].min(initial=y.max()) / 3)[seen]
    axes.plot(x[seen], y[seen], color=colour, label="firmware")
    axes.fill_between(
        x[seen], low, (y + error)[seen], color=colour, alpha=0.25, linewidth=0
    )


def _mark(upper: Axes, lower: Axes, point: WorkingPoint) -> None:
    for axes in (upper, lower):
        axes.axvline(point.threshold, color=style.GREY, linestyle=":", linewidth=1)
    upper.set_title(
        f"threshold {grouped(point.threshold)} keeps {100 * point.efficiency:.1f} % "
        f"at {point.rate_hz / 1e3:.3g} kHz"
    )
