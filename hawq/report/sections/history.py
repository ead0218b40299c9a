"""How the float and the quantized network were trained."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hawq.model.record import Epoch, ModelRecord
from hawq.records import Record
from hawq.report import style
from hawq.training.record import TrainingRecord


class Course(Record):
    """One training.

    Attributes:
        title: Of what.
        epochs: One entry a pass.
        best_epoch: The pass whose weights were kept, from 1.
        start_loss_nats: On the validation sample before the first pass, if measured.
        start_accuracy: Likewise.
    """

    title: str
    epochs: tuple[Epoch, ...]
    best_epoch: int
    start_loss_nats: float | None = None
    start_accuracy: float | None = None


class History(Record):
    """The section on training.

    Attributes:
        courses: In order.
    """

    courses: tuple[Course, ...]


def gather(
    model: ModelRecord | None, training: TrainingRecord | None
) -> History | None:
    """Collect the trainings of the flow.

    Args:
        model: Of the float network.
        training: Of the quantized network.

    Returns:
        The section; None if the flow trained nothing.
    """
    courses = []
    if model is not None and model.history:
        courses.append(
            Course(
                title="float network",
                epochs=model.history,
                best_epoch=model.best_epoch,
            )
        )
    if training is not None and training.epochs:
        courses.append(
            Course(
                title="quantized network",
                epochs=training.epochs,
                best_epoch=training.best_epoch,
                start_loss_nats=training.before.loss_nats,
                start_accuracy=training.before.accuracy,
            )
        )
    return History(courses=tuple(courses)) if courses else None


@style.sheet()
def draw(history: History) -> Figure:
    """Draw loss and accuracy against passes over the training sample.

    Args:
        history: The numbers.

    Returns:
        The figure.
    """
    columns = len(history.courses)
    figure = style.canvas(7.6, 4.6)
    grid = figure.subplots(
        2, columns, sharex="col", sharey="row", squeeze=False, height_ratios=[1.3, 1]
    )
    for upper, lower, course in zip(*grid, history.courses, strict=True):
        _draw_course(upper, lower, course)
    _limits(grid[0, 0], history)
    grid[0, 0].set_ylabel("cross-entropy [nats]")
    grid[1, 0].set_ylabel("accuracy [%]")
    grid[0, 0].legend(loc="upper right")
    return figure


def _draw_course(upper: Axes, lower: Axes, course: Course) -> None:
    x = np.arange(1, len(course.epochs) + 1)
    train, validation, accuracy = (
        [getattr(epoch, name) for epoch in course.epochs]
        for name in ("train_loss_nats", "validation_loss_nats", "validation_accuracy")
    )
    mark = "." if len(x) <= 40 else ""
    upper.plot(x, train, mark + "-", color=style.GREY, label="training")
    upper.plot(x, validation, mark + "-", color=style.BLUE, label="validation")
    lower.plot(x, 100 * np.array(accuracy), mark + "-", color=style.BLUE)
    if course.start_loss_nats is not None and course.start_accuracy is not None:
        upper.plot([0], [course.start_loss_nats], "D", color=style.BLUE, markersize=4)
        lower.plot([0], [100 * course.start_accuracy], "D", color=style.BLUE, ms=4)
    for axes in (upper, lower):
        axes.axvline(course.best_epoch, color=style.VERMILION, linestyle=":")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    upper.set_title(course.title)
    lower.set_xlabel("passes over the training sample")
    lower.set(xlim=(-0.03 * len(x) if course.start_accuracy else 0.5, len(x) + 0.5))


def _limits(axes: Axes, history: History) -> None:
    # The first passes of the float network fall from far above: leave them out of view.
    losses = [
        loss
        for course in history.courses
        for epoch in course.epochs[len(course.epochs) // 20 :]
        for loss in (epoch.train_loss_nats, epoch.validation_loss_nats)
    ]
    losses += [
        c.start_loss_nats for c in history.courses if c.start_loss_nats is not None
    ]
    low, high = min(losses), max(losses)
    margin = 0.06 * (high - low) or 0.05
    axes.set_ylim(low - margin, high + margin)
