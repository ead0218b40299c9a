"""The ``report`` stage: records → a page, its figures and its numbers."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from hawq.report.record import ReportRecord
from hawq.stage import StageContext, StageSettings

PAGE = "report.html"
NUMBERS = "report.json"
FIGURES = "figures"


class Settings(StageSettings):
    """Settings of the ``[report]`` table."""

    title: str | None = Field(
        None, description="of the page; the flow's name if not set"
    )
    dpi: int = Field(150, ge=50, le=600, description="of the PNG figures, dots an inch")
    real_jets: Path | None = Field(
        None,
        description="a file of real jets with the data stage's features and classes, "
        "to be compared with the generated ones",
    )
    match_real_jets: bool = Field(
        False,
        description="the real jets' units are unknown, for example standardised: fit "
        "one affine map a feature to the generated jets",
    )


def run(context: StageContext) -> ReportRecord:
    """Collect the numbers, draw the figures, render the page.

    Writes ``report.html``, ``report.json`` and ``figures/``, each as PNG and PDF.

    Args:
        context: With ``data`` and whatever else ran among its inputs.

    Returns:
        The record, which lists the files.
    """
    from hawq.paths import atomic_file
    from hawq.report import content as contents
    from hawq.report import page, style
    from hawq.report.evidence import read, read_real

    settings: Settings = context.settings
    context.progress("reading records", 0.0)
    evidence = read(context.inputs)
    real = None
    if settings.real_jets is not None:
        real = read_real(evidence, settings.real_jets, settings.match_real_jets)
    flow = context.folder.parent.name
    context.progress("measuring", 0.1)
    content = contents.gather(
        evidence,
        real,
        title=settings.title or flow,
        flow=flow,
        seed=context.seed,
        settings=settings,
    )
    content.save(context.folder / NUMBERS)
    context.progress("drawing", 0.4)
    figures = page.draw_figures(content)
    pictures, files = {}, {}
    for done, (name, figure) in enumerate(figures.items()):
        context.progress(f"drawing {name}", 0.4 + 0.5 * done / len(figures))
        style.arrange(figure)
        pictures[name] = style.svg(figure)
        png, _ = style.save(figure, context.folder / FIGURES / name, settings.dpi)
        files[name] = png.relative_to(context.folder).as_posix()
    with atomic_file(context.folder / PAGE) as temporary:
        temporary.write_text(page.render(content, pictures), encoding="utf-8")
    return ReportRecord(
        page=PAGE,
        numbers=NUMBERS,
        figures=files,
        equal=content.equal,
        absent=tuple(content.absent),
    )
