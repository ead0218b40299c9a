"""Solve the integer programme with HiGHS, and hold the answer to the budgets exactly.

Decisions are one-hot binaries x[d, o]. A price that several decisions set together
gets a variable y for each combination of their widths, tied to the binaries by its
marginals, ``Σ y over the others = x[d, o]``: the tightest linear form of the product of
the x, and equal to it where x is integer.

The solver works to tolerances, in floating point; the answer must not. So losses and
costs are evaluated again from the tables, and an answer that overspends is cut off and
the programme solved again. Every programme is solved twice: the second run is scaled
around the first answer, which leaves absolute tolerances far below it, and does without
presolve, whose bugs have made HiGHS call wrong answers optimal (HiGHS issues 2957,
2995, 3073).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, milp
from scipy.sparse import csr_array

from hawq.allocation.programme import Bits, Programme, Term
from hawq.errors import InfeasibleError, ToolError

Floats = NDArray[np.float64]
Row = tuple[NDArray[np.int64], Floats, float, float]
"""Columns, their factors, lower and upper limit."""

# Two orders of the same sum differ by less than this, relatively.
_ROUNDOFF = 1e-12
# Objectives are scaled to this, limits to the other: HiGHS takes 1e-6 as zero.
_OBJECTIVE = 1e4
_LIMIT = 1e3
_MOST_CUTS = 1000
_OPTIMAL, _INFEASIBLE = 0, 2  # scipy's status codes


@dataclass(frozen=True)
class Solution:
    """What the solver found.

    Attributes:
        bits: Decision → width.
        loss: The objective at these widths.
        costs: Cost name → what the widths spend.
        status: ``optimal``, or ``time_limit`` if the time ran out first.
        gap: Relative gap between the objective and the proven bound.
    """

    bits: Bits
    loss: float
    costs: dict[str, float]
    status: str
    gap: float


@dataclass(frozen=True)
class Answer:
    """What one run of HiGHS gave: widths (none found: empty), status, relative gap."""

    bits: Bits
    status: str
    gap: float


def solve(
    programme: Programme,
    budgets: Mapping[str, float],
    *,
    time_limit_s: float = math.inf,
) -> Solution:
    """Choose the widths that lose least within all budgets.

    Args:
        programme: Decisions and tables.
        budgets: Cost name → limit (inclusive).
        time_limit_s: For one run of the solver.

    Returns:
        The best widths. The same programme always gives the same widths, unless the
        time runs out.

    Raises:
        InfeasibleError: if no widths meet the budgets; the message gives the smallest
            feasible value of each.
    """
    programme.check_budgets(budgets)
    matrices = _Matrices(programme, time_limit_s)
    found = matrices.minimise(None, budgets)
    if found is None:
        raise InfeasibleError(_explain(matrices, budgets))
    return found


def smallest(
    programme: Programme,
    cost: str,
    budgets: Mapping[str, float],
    *,
    time_limit_s: float = math.inf,
) -> Solution:
    """Find the widths that spend least of a cost.

    Args:
        programme: Decisions and tables.
        cost: Its name.
        budgets: Limits on other costs.
        time_limit_s: For one run of the solver.

    Returns:
        The widths.

    Raises:
        InfeasibleError: if the budgets cannot be met.
    """
    programme.check_budgets({cost: 0.0, **budgets})
    matrices = _Matrices(programme, time_limit_s)
    found = matrices.minimise(cost, budgets)
    if found is None:
        raise InfeasibleError(_explain(matrices, budgets))
    return found


class _Matrices:
    """A programme as matrices, ready to minimise its loss or any of its costs."""

    def __init__(self, programme: Programme, time_limit_s: float) -> None:
        self.programme = programme
        self.time_limit_s = time_limit_s
        self.column: dict[tuple[str, int], int] = {}
        for d in programme.decisions:
            for bits in d.bits:
                self.column[d.name, bits] = len(self.column)
        self.size = len(self.column)
        self.joint: dict[tuple[str, ...], int] = {}
        for term in itertools.chain(*programme.costs.values()):
            if len(term.decisions) > 1 and term.decisions not in self.joint:
                self.joint[term.decisions] = self.size
                self.size += term.price.size
        self.allowed = programme.allowed()
        self.upper = np.ones(self.size)
        for (name, bits), column in self.column.items():
            self.upper[column] = bits in self.allowed[name]
        self.structure = tuple(self._structure())
        self.loss = self._objective()
        self.cost = {
            name: self._price(terms) for name, terms in programme.costs.items()
        }

    def minimise(
        self, cost: str | None, budgets: Mapping[str, float]
    ) -> Solution | None:
        # None: the loss. A result of None: infeasible.
        cuts: list[Row] = []
        while len(cuts) < _MOST_CUTS:
            run = self._run_twice(cost, budgets, cuts)
            if run is None:
                return None
            costs = {n: self.programme.cost(n, run.bits) for n in self.programme.costs}
            if all(costs[n] <= v + abs(v) * _ROUNDOFF for n, v in budgets.items()):
                loss = self.programme.loss(run.bits)
                return Solution(run.bits, loss, costs, run.status, run.gap)
            chosen = np.array([self.column[item] for item in run.bits.items()])
            cuts.append((chosen, np.ones(chosen.size), -math.inf, chosen.size - 1.0))
        raise ToolError(
            f"HiGHS gave {_MOST_CUTS} answers that overspend a budget within its "
            "tolerance: change the budgets slightly"
        )

    def _run_twice(
        self, cost: str | None, budgets: Mapping[str, float], cuts: Sequence[Row]
    ) -> Answer | None:
        objective = self.loss if cost is None else self.cost[cost]
        rows = [*self.structure, *self._limits(budgets), *cuts]
        largest = objective[self.upper > 0].max(initial=0.0) or 1.0
        scaled = objective * (_OBJECTIVE / largest)
        first = self._run(scaled, rows, self.upper, presolve=True)
        if first is None:
            first = self._run(scaled, rows, self.upper, presolve=False)
        if first is not None and not first.bits:
            raise ToolError(
                f"HiGHS found no widths within {self.time_limit_s:g} s: raise "
                "time_limit_s, or offer fewer widths"
            )
        if first is None or first.status != "optimal":
            return first
        value = objective @ self._indicator(first.bits)
        if value <= 0:  # nothing can be better
            return first
        # What alone exceeds the first answer can be no part of a better one.
        upper = np.where(objective <= value, self.upper, 0.0)
        scaled = objective * (_OBJECTIVE / value)
        second = self._run(scaled, rows, upper, presolve=False)
        if second is None or second.status != "optimal":
            return first
        return second if objective @ self._indicator(second.bits) <= value else first

    def _run(
        self, objective: Floats, rows: Sequence[Row], upper: Floats, *, presolve: bool
    ) -> Answer | None:
        result: OptimizeResult = milp(
            np.where(upper > 0, objective, 0.0),
            # The joint variables too: that is faster, and makes a repair rare that
            # prints to standard output (HiGHS issue 2783).
            integrality=np.ones(self.size, dtype=np.int64),
            bounds=Bounds(0, upper),
            constraints=_constraint(rows, self.size),
            options={
                "mip_rel_gap": 0.0,
                "time_limit": self.time_limit_s,
                "presolve": presolve,
            },
        )
        if result.status == _INFEASIBLE:
            return None
        if result.x is None:
            return Answer({}, result.message, math.inf)
        bits: Bits = {}
        best: dict[str, float] = {}
        for (name, width), column in self.column.items():
            if result.x[column] > best.get(name, 0.0):
                best[name], bits[name] = result.x[column], width
        status = "optimal" if result.status == _OPTIMAL else "time_limit"
        return Answer(bits, status, float(result.mip_gap))

    def _indicator(self, bits: Bits) -> Floats:
        # The columns that an assignment switches on, joint ones included.
        x = np.zeros(self.size)
        for item in bits.items():
            x[self.column[item]] = 1.0
        for names, start in self.joint.items():
            index = [self.programme[n].bits.index(bits[n]) for n in names]
            x[start + int(np.ravel_multi_index(index, self._shape(names)))] = 1.0
        return x

    def _shape(self, names: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(len(self.programme[name].bits) for name in names)

    def _objective(self) -> Floats:
        # Shifted so that each decision's least loss is 0: nothing is negative.
        loss = np.zeros(self.size)
        for d in self.programme.decisions:
            left = self.allowed[d.name]
            least = min(v for b, v in zip(d.bits, d.loss, strict=True) if b in left)
            for width, value in zip(d.bits, d.loss, strict=True):
                loss[self.column[d.name, width]] = max(value - least, 0.0)
        return loss

    def _price(self, terms: Sequence[Term]) -> Floats:
        price = np.zeros(self.size)
        for term in terms:
            if len(term.decisions) > 1:
                start = self.joint[term.decisions]
                price[start : start + term.price.size] += term.price.ravel()
            else:
                (name,) = term.decisions
                for width, value in zip(
                    self.programme[name].bits, term.price, strict=True
                ):
                    price[self.column[name, width]] += value
        return price

    def _limits(self, budgets: Mapping[str, float]) -> Iterator[Row]:
        for name, limit in budgets.items():
            if limit != math.inf:
                price = self.cost[name]
                used = np.flatnonzero(price)
                scale = _LIMIT / (price.max(initial=0.0) or 1.0)
                yield used, price[used] * scale, -math.inf, limit * scale

    def _structure(self) -> Iterator[Row]:
        programme = self.programme
        for d in programme.decisions:  # one width each
            columns = np.array([self.column[d.name, width] for width in d.bits])
            yield columns, np.ones(columns.size), 1.0, 1.0
        for group in programme.groups:  # equal widths
            for one, other in itertools.pairwise(group):
                for width in sorted(self.allowed[one]):
                    pair = [self.column[one, width], self.column[other, width]]
                    yield np.array(pair), np.array([1.0, -1.0]), 0.0, 0.0
        for names, start in self.joint.items():  # y has the marginals x
            shape = self._shape(names)
            y = start + np.arange(math.prod(shape)).reshape(shape)
            for axis, name in enumerate(names):
                for i, width in enumerate(programme[name].bits):
                    columns = np.append(
                        y.take(i, axis).ravel(), self.column[name, width]
                    )
                    factors = np.append(np.ones(columns.size - 1), -1.0)
                    yield columns, factors, 0.0, 0.0


def _constraint(rows: Sequence[Row], size: int) -> LinearConstraint:
    columns, factors, low, high = zip(*rows, strict=True)
    starts = np.cumsum([0, *(part.size for part in columns)])
    matrix = csr_array(
        (np.concatenate(factors), np.concatenate(columns), starts),
        shape=(len(rows), size),
    )
    return LinearConstraint(matrix, low, high)


def _explain(matrices: _Matrices, budgets: Mapping[str, float]) -> str:
    alone = {n: _least(matrices.minimise(n, {}), n) for n in budgets}
    over = [n for n, limit in budgets.items() if alone[n] > limit]
    if over:
        parts = [
            f"{n} <= {_text(limit)}, smallest feasible {_text(alone[n], up=True)}"
            for n, limit in budgets.items()
        ]
        return (
            f"no widths meet the budgets: {'; '.join(parts)}: raise the limit of "
            f"{' and '.join(over)}, or offer smaller widths"
        )
    beside = {
        n: _least(matrices.minimise(n, {m: v for m, v in budgets.items() if m != n}), n)
        for n in budgets
    }
    parts = [
        f"{n} <= {_text(limit)}, smallest feasible {_text(alone[n], up=True)} alone "
        f"and {_text(beside[n], up=True)} within the others"
        for n, limit in budgets.items()
    ]
    return (
        f"each budget can be met, but not together: {'; '.join(parts)}: raise one "
        "limit to its value within the others, or offer smaller widths"
    )


def _least(solution: Solution | None, cost: str) -> float:
    return math.inf if solution is None else solution.costs[cost]


def _text(value: float, *, up: bool = False) -> str:
    # Rounded up, so that the value shown is itself feasible.
    if not math.isfinite(value):
        return "none" if value > 0 else str(value)
    shown = Decimal(value)
    if up and value:
        digit = Decimal(1).scaleb(shown.adjusted() - 8)
        shown = shown.quantize(digit, ROUND_CEILING) if shown % 1 else shown
    return f"{shown:,f}".rstrip("0").rstrip(".") if shown % 1 else f"{int(shown):,}"
