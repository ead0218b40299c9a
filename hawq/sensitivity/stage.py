"""The ``sensitivity`` stage: float network → how the loss curves at each site."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hawq.records import SensitivityMap
from hawq.stage import StageContext, StageSettings

VALIDATION = "validation.json"


class Settings(StageSettings):
    """Settings of the ``[sensitivity]`` table."""

    source: str = Field(
        "hessian_trace", description="plug-in whose map the allocation uses"
    )
    compare: tuple[str, ...] = Field(
        ("hessian_trace", "top_eigenvalue", "fisher"),
        description="plug-ins whose maps are written to sources/ beside it",
    )
    loss: Literal["cross_entropy", "squared"] = Field(
        "cross_entropy", description="the loss whose curvature is measured, in nats"
    )
    route: Literal["auto", "exact", "stochastic"] = Field(
        "auto",
        description="exact: analytic, for piecewise-linear networks; stochastic: "
        "random probes; auto: exact wherever it holds",
    )
    samples: int = Field(8192, ge=2, description="training samples to measure on")
    batch_size: int = Field(1024, ge=1, description="samples propagated at once")
    relative_error: float = Field(
        0.02, gt=0, description="of each score, one standard error from random probes"
    )
    max_probes: int = Field(256, ge=2, description="random probes at most")
    probe_batch: int = Field(8, ge=1, description="probes propagated at once")
    threads: int = Field(
        1, ge=1, description="of PyTorch; more pay for wide networks, not the taggers"
    )
    validation_bits: tuple[int, ...] = Field(
        (2, 3, 4, 5, 6, 8),
        description="widths at which each site alone is quantized, to compare the "
        "predicted with the measured rise of the loss; none: not compared",
    )


def run(context: StageContext) -> SensitivityMap:
    """Measure the sensitivities of the float network, batch norms folded.

    Beside the record it writes ``sources/<name>.json``, the map of every source in
    ``compare``, and ``validation.json``: predicted against measured rise of the loss
    with one site quantized alone.

    Args:
        context: With the stages ``data`` and ``model``.

    Returns:
        The map of the chosen source.
    """
    from hawq.sensitivity.measure import measure

    return measure(context)
