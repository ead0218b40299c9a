"""One look for every figure: colours, fonts, and files that repeat to the byte."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hawq.paths import atomic_file
from hawq.records import SiteKind

BLUE = "#0072B2"
ORANGE = "#E69F00"
VERMILION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#B8609A"
SKY = "#56B4E9"
GREY = "#7A7A7A"
INK = "#222222"
LIGHT_INK = "#E3E6EA"
INK_ON_COLOUR = "#222223"
"""For letters inside coloured areas: it stays dark on dark pages."""

CLASS_COLOURS = {"g": BLUE, "q": ORANGE, "t": VERMILION, "w": GREEN, "z": PURPLE}
"""Of the jet classes, everywhere; safe for colour-blind readers.

Source: M. Okabe, K. Ito, Color Universal Design, 2008.
"""

CLASS_TITLES = {
    "g": "gluon",
    "q": "light quark",
    "t": "top",
    "w": "W boson",
    "z": "Z boson",
}
"""How the jet classes are written out."""

KIND_COLOURS = {
    SiteKind.WEIGHT: BLUE,
    SiteKind.BIAS: GREY,
    SiteKind.ACTIVATION: ORANGE,
}
"""Of weights, biases and activations, everywhere."""

SEQUENTIAL = "Blues"
"""Colour map of counts and fractions."""

_LIT = "".join(
    f'[style*="{what}: {INK.lower()}"] {{ {what}: {LIGHT_INK} !important }}'
    for what in ("fill", "stroke")
)
_DARK = f"<style>@media (prefers-color-scheme: dark) {{ {_LIT} }}</style>"
_OTHERS = (SKY, GREY, BLUE, ORANGE, VERMILION, GREEN, PURPLE)

_SHEET: dict[str, Any] = {
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.labelsize": 9.5,
    "axes.linewidth": 0.8,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "errorbar.capsize": 2.0,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "legend.borderaxespad": 0.8,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "lines.linewidth": 1.4,
    "mathtext.fontset": "dejavusans",
    "svg.hashsalt": "hawq",
    "text.color": INK,
    "xtick.color": INK,
    "xtick.direction": "in",
    "xtick.labelsize": 8.5,
    "xtick.minor.visible": True,
    "xtick.top": True,
    "ytick.color": INK,
    "ytick.direction": "in",
    "ytick.labelsize": 8.5,
    "ytick.minor.visible": True,
    "ytick.right": True,
}


@contextmanager
def sheet() -> Iterator[None]:
    """Use the style sheet, whatever the user's own settings are.

    As a decorator it does so while a function runs.

    Yields:
        Nothing.
    """
    with matplotlib.style.context(["default", _SHEET]):
        yield


def class_colour(name: str, index: int) -> str:
    """Give the colour of a class.

    Args:
        name: Of the class.
        index: Of the class, for a class that is not of the jet set.

    Returns:
        A colour of Matplotlib.
    """
    return CLASS_COLOURS.get(name, _OTHERS[index % len(_OTHERS)])


def class_title(name: str) -> str:
    """Write a class out.

    Args:
        name: Of the class.

    Returns:
        For example ``light quark``; an unknown name is its own title.
    """
    return CLASS_TITLES.get(name, name)


def canvas(width: float, height: float) -> Figure:
    """Make an empty figure that belongs to no window and to no global state.

    Args:
        width: In inches; the page is 7.6 wide.
        height: In inches.

    Returns:
        The figure.
    """
    return Figure(figsize=(width, height))


def categories(axes: Axes, which: str) -> None:
    """Take the tick marks off an axis of names.

    Args:
        axes: Where.
        which: ``x`` or ``y``.
    """
    sides = {"x": ("top", "bottom"), "y": ("left", "right")}[which]
    off: dict[str, Any] = dict.fromkeys(sides, False)
    axes.tick_params(axis=which, which="both", **off)  # type: ignore[arg-type]


@sheet()
def arrange(figure: Figure) -> None:
    """Lay a finished figure out once, for all the files that are made of it.

    Args:
        figure: Everything already on it.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


@sheet()
def svg(figure: Figure) -> bytes:
    """Draw a figure as SVG on a transparent ground, letters as outlines.

    Where the reader prefers dark pages, ink turns light; other colours stay.

    Args:
        figure: What to draw.

    Returns:
        The file; equal figures give equal bytes.
    """
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    head, defs, rest = file.getvalue().partition(b"<defs>")
    return head + _DARK.encode() + defs + rest


@sheet()
def save(figure: Figure, stem: Path, dpi: int) -> tuple[Path, Path]:
    """Write a figure as PNG and as PDF, without a date in either.

    Args:
        figure: What to draw.
        stem: The files' path without suffix.
        dpi: Of the PNG.

    Returns:
        The PNG and the PDF.
    """
    png, pdf = stem.with_suffix(".png"), stem.with_suffix(".pdf")
    with atomic_file(png) as temporary:
        figure.savefig(temporary, dpi=dpi, metadata={"Software": None})
    with atomic_file(pdf) as temporary:
        figure.savefig(temporary, metadata={"CreationDate": None})
    return png, pdf
