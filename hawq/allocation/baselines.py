"""What an allocation is compared with: uniform widths, and sensitivities reversed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hawq.allocation.programme import Programme
from hawq.allocation.solver import Solution, solve


def uniform(
    programme: Programme,
    weights: Sequence[str],
    activations: Sequence[str],
    budgets: Mapping[str, float],
    *,
    time_limit_s: float = math.inf,
) -> Solution:
    """Choose one width for all weights and one for all activations.

    Of the pairs that the budgets allow, the one whose predicted loss is least. Fixed
    sites keep their width; a site that shares no width with those named before it (an
    input that offers only 16 bits) takes its own.

    Args:
        programme: Decisions and tables.
        weights: Names of the weight sites.
        activations: Names of the activation sites, the input last.
        budgets: Cost name → limit.
        time_limit_s: For one run of the solver.

    Returns:
        The widths.
    """
    groups = (_agreeing(programme, weights), _agreeing(programme, activations))
    tied = replace(programme, groups=(*programme.groups, *groups))
    return solve(tied, budgets, time_limit_s=time_limit_s)


def reverse(
    programme: Programme,
    scores: Mapping[str, float],
    budgets: Mapping[str, float],
    *,
    time_limit_s: float = math.inf,
) -> Solution:
    """Solve with the order of the sensitivities reversed.

    The most sensitive site gets the least score, the next the next least, and so on. If
    sensitivities matter, the result must do worse.

    Args:
        programme: Decisions and tables.
        scores: Decision → sensitivity, positive.
        budgets: Cost name → limit.
        time_limit_s: For one run of the solver.

    Returns:
        The widths; ``loss`` is what the true sensitivities predict for them.
    """
    order = sorted(programme.names, key=lambda name: scores[name])
    reversed_score = {
        name: scores[other] for name, other in zip(order, reversed(order), strict=True)
    }
    decisions = tuple(
        replace(
            d,
            loss=tuple(v * (reversed_score[d.name] / scores[d.name]) for v in d.loss),
        )
        for d in programme.decisions
    )
    found = solve(
        replace(programme, decisions=decisions), budgets, time_limit_s=time_limit_s
    )
    return replace(found, loss=programme.loss(found.bits))


def _agreeing(programme: Programme, names: Sequence[str]) -> tuple[str, ...]:
    allowed = programme.allowed()
    taken: list[str] = []
    shared: set[int] = set()
    for name in names:
        left = allowed[name] & shared if taken else allowed[name]
        if name not in programme.fixed and left:
            taken.append(name)
            shared = left
    return tuple(taken)
