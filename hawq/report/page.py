"""Draw the figures and render the page."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import jinja2
from matplotlib.figure import Figure

from hawq import __version__
from hawq.report import spelling, style
from hawq.report.content import Content
from hawq.report.sections import (
    agreement,
    confusion,
    front,
    history,
    layers,
    predictions,
    roc,
    sensitivities,
    spectra,
    synthesis,
    widths,
)
from hawq.report.sections.front import COST_NAMES, COST_TITLES
from hawq.report.sections.quantities import COUNTS
from hawq.report.sections.synthesis import Synthesis

TEMPLATE = "page.html.j2"


def draw_figures(content: Content) -> dict[str, Figure]:
    """Draw every figure whose numbers are there.

    Args:
        content: The numbers.

    Returns:
        Name → figure, in the page's order.
    """
    c = content
    table: tuple[tuple[str, Callable[[Any], Figure], Any], ...] = (
        ("agreement", agreement.draw, c.agreement),
        ("roc", roc.draw, c.roc if c.roc and c.roc.classes else None),
        ("confusion", confusion.draw, c.confusion),
        ("features", spectra.draw, c.spectra),
        ("features_real", spectra.draw_real, c.spectra if c.spectra.real else None),
        ("distances", spectra.draw_distances, c.spectra if c.spectra.real else None),
        ("sensitivity", sensitivities.draw, c.sensitivities),
        (
            "prediction",
            sensitivities.draw_validation,
            c.sensitivities.validation if c.sensitivities else None,
        ),
        ("bits", widths.draw, c.widths),
        ("pareto", front.draw, c.front),
        ("seeds", synthesis.draw_seeds, _routed(c)),
        ("layers", layers.draw, c.layers),
        ("expected", predictions.draw, predictions.drawable(c.predictions)),
        ("training", history.draw, c.history),
    )
    return {name: draw(numbers) for name, draw, numbers in table if numbers is not None}


def _in_unit(value: float | None, unit: str) -> str:
    text = spelling.reported(value, is_count=unit in COUNTS)
    return text if value is None or not unit else f"{text} {unit}"


def _routed(content: Content) -> Synthesis | None:
    found = content.synthesis
    return found if found and any(t.fmax_mhz for t in found.targets) else None


def render(content: Content, pictures: Mapping[str, bytes]) -> str:
    """Render the page; it needs no other file.

    Args:
        content: The numbers.
        pictures: Name → SVG.

    Returns:
        HTML.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hawq.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "grouped": spelling.grouped,
        "measured": spelling.measured,
        "scientific": spelling.scientific,
        "significant": spelling.significant,
        "clock": spelling.clock,
        "reported": spelling.reported,
        "in_unit": _in_unit,
        "class_title": style.class_title,
        "cost_name": lambda name: COST_NAMES.get(name, name),
        "cost_title": lambda name: COST_TITLES.get(name, name),
    }
    encoded = {name: base64.b64encode(svg).decode() for name, svg in pictures.items()}
    return environment.get_template(TEMPLATE).render(
        c=content, pictures=encoded, version=__version__
    )
