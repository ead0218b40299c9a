"""The integer programme: a width for each decision, what it loses and what it costs.

It holds tables only. ``solver.py`` finds the widths that lose least under any budgets;
``tables.py`` makes the tables of a network. Losses add up over decisions and costs over
terms; a term whose price depends on several widths at once (BOPs: weight × activation
bits) spans several decisions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hawq.errors import InputError

Bits = dict[str, int]
"""Decision → width."""


@dataclass(frozen=True)
class Decision:
    """A site whose width is chosen.

    Attributes:
        name: Of the site.
        bits: The widths on offer.
        loss: What each adds to the objective (nats), in the same order.
    """

    name: str
    bits: tuple[int, ...]
    loss: tuple[float, ...]


@dataclass(frozen=True)
class Term:
    """What some decisions cost together.

    Attributes:
        decisions: Their names: one, or several whose widths multiply.
        price: Cost of each combination, an axis a decision, in the order of its
            ``bits``.
    """

    decisions: tuple[str, ...]
    price: NDArray[np.float64]


@dataclass(frozen=True)
class Programme:
    """Decisions, what they cost and what they must obey.

    Attributes:
        decisions: In the order of the network.
        costs: Cost name → the terms that add up to it.
        groups: Decisions that must take the same width.
        fixed: Decision → the width it must take.
        minimum: Decision → the smallest width it may take.
        maximum: Decision → the largest width it may take.
    """

    decisions: tuple[Decision, ...]
    costs: Mapping[str, tuple[Term, ...]]
    groups: tuple[tuple[str, ...], ...] = ()
    fixed: Mapping[str, int] = field(default_factory=dict)
    minimum: Mapping[str, int] = field(default_factory=dict)
    maximum: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for d in self.decisions:
            if len(d.bits) != len(d.loss) or not np.isfinite(d.loss).all():
                raise InputError(
                    f"{d.name}: losses {d.loss} for widths {_listed(d.bits)}: expected "
                    "one finite loss a width"
                )
        named = [
            *self.fixed,
            *self.minimum,
            *self.maximum,
            *itertools.chain(*self.groups),
        ]
        names = self.names
        for name in named:
            if name not in names:
                raise InputError(
                    f"no site {name!r} to constrain; the sites are: {', '.join(names)}"
                )
        for cost, terms in self.costs.items():
            for term in terms:
                shape = tuple(len(self[name].bits) for name in term.decisions)
                if term.price.shape != shape:
                    raise InputError(
                        f"{cost} of {', '.join(term.decisions)}: a table of shape "
                        f"{term.price.shape}, expected one price a width: {shape}"
                    )
                if not (np.isfinite(term.price) & (term.price >= 0)).all():
                    raise InputError(
                        f"{cost} of {', '.join(term.decisions)}: a price is negative, "
                        "infinite or NaN: expected 0 or more"
                    )
        self.allowed()

    def __getitem__(self, name: str) -> Decision:
        return self.decisions[self.names.index(name)]

    @property
    def names(self) -> list[str]:
        """The decisions' names, in order."""
        return [decision.name for decision in self.decisions]

    def allowed(self) -> dict[str, set[int]]:
        """Give the widths that each decision may take.

        Returns:
            Decision → widths left by fixed, smallest and largest widths and groups.

        Raises:
            InputError: if a decision has none.
        """
        left: dict[str, set[int]] = {}
        for d in self.decisions:
            low, high = self.minimum.get(d.name, 0), self.maximum.get(d.name, math.inf)
            wanted = {self.fixed[d.name]} if d.name in self.fixed else set(d.bits)
            left[d.name] = {b for b in wanted.intersection(d.bits) if low <= b <= high}
            if not left[d.name]:
                raise InputError(
                    f"{d.name} has no width left of {_listed(d.bits)}: fixed at "
                    f"{self.fixed.get(d.name, 'none')}, at least {low}, at most "
                    f"{high}: offer a width that meets all three"
                )
        groups = [group for group in self.groups if group]
        for _ in groups:  # groups may overlap: as many passes as groups suffice
            for group in groups:
                shared = set.intersection(*(left[name] for name in group))
                if not shared:
                    sets = "; ".join(f"{n}: {_listed(left[n])}" for n in group)
                    raise InputError(
                        f"the sites of a group must agree but share no width ({sets})"
                    )
                left.update(dict.fromkeys(group, shared))
        return left

    def loss(self, bits: Mapping[str, int]) -> float:
        """Evaluate the objective.

        Args:
            bits: Decision → width.

        Returns:
            The sum of the decisions' losses, correctly rounded.
        """
        return math.fsum(d.loss[d.bits.index(bits[d.name])] for d in self.decisions)

    def cost(self, name: str, bits: Mapping[str, int]) -> float:
        """Evaluate a cost.

        Args:
            name: Of the cost.
            bits: Decision → width.

        Returns:
            The sum of its terms, correctly rounded.
        """
        return math.fsum(
            term.price[tuple(self[d].bits.index(bits[d]) for d in term.decisions)]
            for term in self.costs[name]
        )

    def check_budgets(self, budgets: Mapping[str, float]) -> None:
        """Refuse a budget on an unknown cost, or one that is no number.

        Args:
            budgets: Cost name → limit.

        Raises:
            InputError: if a name is unknown or a limit is NaN.
        """
        for name, limit in budgets.items():
            if name not in self.costs:
                known = ", ".join(sorted(self.costs)) or "none"
                raise InputError(f"no cost {name!r} to limit; the costs are: {known}")
            if math.isnan(limit):
                raise InputError(f"the budget of {name} is NaN: expected a number")


def _listed(bits: Iterable[int]) -> str:
    return ", ".join(str(width) for width in sorted(bits)) or "none"
