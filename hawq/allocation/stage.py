"""The ``allocation`` stage: sensitivities → bits per site."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from hawq.records import Allocation
from hawq.stage import StageContext, StageSettings


class Settings(StageSettings):
    """Settings of the ``[allocation]`` table."""

    weight_bits: tuple[int, ...] = Field(
        (2, 3, 4, 5, 6, 7, 8), description="widths on offer to weights"
    )
    activation_bits: tuple[int, ...] = Field(
        (2, 3, 4, 5, 6, 7, 8, 9, 10), description="widths on offer to activations"
    )
    input_bits: tuple[int, ...] = Field(
        (4, 5, 6, 7, 8, 9, 10, 12, 16), description="widths on offer to the input"
    )
    budgets: dict[str, float] = Field(
        {"bops": 350_000.0},
        description="cost name → most that may be spent, in the cost's unit",
    )
    cost_model: Path | None = Field(
        None,
        description="measured.json of `hawq cost-model`, for lut and latency_ns; the "
        "shipped one if absent",
    )
    groups: tuple[tuple[str, ...], ...] = Field(
        (), description="sites that must take the same width"
    )
    fixed: dict[str, int] = Field(
        {}, description="site → width it must take, on offer or not"
    )
    minimum_bits: dict[str, int] = Field(
        {}, description="site → smallest width it may take"
    )
    maximum_bits: dict[str, int] = Field(
        {}, description="site → largest width it may take"
    )
    symmetric_weights: bool = Field(
        True, description="leave out the most negative integer of weights"
    )
    per_channel: bool = Field(
        False, description="a power-of-two scale for each output channel of weights"
    )
    weighting: Literal["auto", "tensor", "channel", "element"] = Field(
        "auto",
        description="level of the curvature that predicts the loss; auto: by channel "
        "where the sensitivities have it, else by tensor",
    )
    calibration_samples: int = Field(
        4096, ge=1, description="training samples that calibrate activations"
    )
    pareto_cost: str | None = Field(
        None, description="cost whose budget is swept; the first budget if not set"
    )
    pareto_points: int = Field(16, ge=2, description="budgets in the sweep")
    pareto_spacing: Literal["log", "linear"] = Field(
        "log", description="spacing of the swept budgets"
    )
    time_limit_s: float = Field(
        60.0, gt=0, description="for one run of the solver, in seconds"
    )


def run(context: StageContext) -> Allocation:
    """Choose the widths.

    Beside the record it writes ``calibration.json`` (every site at every width),
    ``pareto.csv``, and the baselines ``uniform.json`` and ``reversed.json``, each an
    ``Allocation`` under the same budgets. ``uniform.json`` is absent when no uniform
    widths meet them.

    Args:
        context: With the stages ``data``, ``model`` and ``sensitivity``.

    Returns:
        The allocation, with the sweep around it.
    """
    from hawq.allocation.allocate import allocate

    return allocate(context)
