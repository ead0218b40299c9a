"""Sums of wide multiples of narrow tensors, rounded without ever being written down.

Batch normalization before a residual sum gives integers that no float holds. What they
are made of is narrow: ``x0 * f0 + x1 * f1 + ... + offset`` goes from there to the next
rounding in float64, with the filter of ``hawq.integer.executor.epilogue``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.fixed import IntArray
from hawq.integer.executor.epilogue import (
    HUGE,
    RELATIVE_ERROR,
    Operation,
    after_affine,
    bend,
    column,
    decide,
)
from hawq.integer.executor.normal_form import NormalForm
from hawq.integer.nodes import Affine, Sum
from hawq.integer.tensor import Tensor


@dataclass(frozen=True, eq=False)
class Linear:
    """``x0 * f0 + x1 * f1 + ... + offset``.

    Attributes:
        sources: The tensors, all of one shape.
        factors: For each, Python integers that broadcast to it.
        offset: Python integers that broadcast to them.
    """

    sources: tuple[Tensor, ...]
    factors: tuple[IntArray, ...]
    offset: IntArray

    @classmethod
    def of(cls, tensor: Tensor) -> Linear:
        """Write a tensor as once itself.

        Args:
            tensor: The tensor.

        Returns:
            The combination.
        """
        return cls((tensor,), (np.array(1, dtype=object),), np.array(0, dtype=object))

    def then(self, multiplier: IntArray, constant: IntArray) -> Linear:
        """Multiply and add.

        Args:
            multiplier: Integers that broadcast to the sources.
            constant: Integers that broadcast to the sources.

        Returns:
            The combination.
        """
        m, c = (np.asarray(a).astype(object) for a in (multiplier, constant))
        factors = tuple(_objects(f * m) for f in self.factors)
        return Linear(self.sources, factors, _objects(self.offset * m + c))

    def plus(self, other: Linear) -> Linear:
        """Add a combination of tensors of the same shape.

        Args:
            other: The other.

        Returns:
            The sum.
        """
        return Linear(
            self.sources + other.sources,
            self.factors + other.factors,
            _objects(self.offset + other.offset),
        )


def linear(node: Affine | Sum, inputs: Sequence[Linear]) -> Linear | None:
    """Follow combinations by a node.

    Args:
        node: The node.
        inputs: What it reads.

    Returns:
        The combination, or None if shapes differ.
    """
    if isinstance(node, Affine):
        return inputs[0].then(node.multiplier, node.constant)
    if len({x.shape for i in inputs for x in i.sources}) > 1:
        return None
    zero = np.array(0)
    first, *rest = (
        i.then(np.array(m, dtype=object), zero)
        for i, m in zip(inputs, node.multipliers, strict=True)
    )
    for term in rest:
        first = first.plus(term)
    return first


@dataclass(frozen=True, eq=False)
class Combination:
    """A combination and what follows, in float64 with a filter.

    Attributes:
        slopes: For each source, a column.
        intercept: A column.
        bend: Slope of what is negative.
        after: The rounding and what follows.
        doubt: Bound on the error, a column.
        form: What follows, exactly.
        factors: For each source, Python integers, a column.
        offset: Python integers, a column.
    """

    slopes: tuple[NDArray[np.float64], ...]
    intercept: NDArray[np.float64]
    bend: float
    after: tuple[Operation, ...]
    doubt: NDArray[np.float64]
    form: NormalForm
    factors: tuple[IntArray, ...]
    offset: IntArray

    @classmethod
    def of(cls, terms: Linear, form: NormalForm) -> Combination | None:
        """Write a combination in float64.

        Args:
            terms: The combination.
            form: What follows it.

        Returns:
            It, or None if too much would be in doubt.
        """
        if form.rounding is None:
            return None
        rank = len(terms.sources[0].shape)
        whole = terms.then(form.factor, form.offset)
        factors = tuple(column(f, rank, "object") for f in whole.factors)
        offset = column(whole.offset, rank, "object")
        reach: Any = abs(offset)
        for x, factor in zip(terms.sources, factors, strict=True):
            reach = reach + abs(factor) * max(-x.low, x.high, 1)
        if np.max(reach) // form.divisor >= HUGE:
            return None
        steep = max(1.0, float(form.slope))
        largest = (reach / form.divisor).astype(np.float64) + abs(form.lift) + 2
        doubt = largest * steep * RELATIVE_ERROR * len(factors)
        if doubt.max() > 2.0**-3:
            return None
        return cls(
            tuple((f / form.divisor).astype(np.float64) for f in factors),
            (offset / form.divisor).astype(np.float64),
            float(form.slope),
            after_affine(form),
            doubt,
            form,
            factors,
            offset,
        )

    def run(self, xs: Sequence[NDArray[Any]], out: NDArray[Any]) -> None:
        """Compute a chunk.

        Args:
            xs: The sources.
            out: Where results go, same shape.
        """
        xs = [x if x.dtype.kind == "f" else x.astype(np.float64) for x in xs]
        v = np.empty(out.shape)
        np.multiply(xs[0], self.slopes[0], out=v)
        for x, slope in zip(xs[1:], self.slopes[1:], strict=True):
            v += x * slope
        v += self.intercept
        if self.bend != 1:
            v = bend(v, self.bend, v)
        low, unsure = decide(v, self.doubt, self.after)
        if unsure.any():
            total: Any = 0
            for x, factor in zip(xs, self.factors, strict=True):
                whole = x[unsure].astype(np.int64).astype(object)
                total = total + whole * np.broadcast_to(factor, out.shape)[unsure]
            offset = np.broadcast_to(self.offset, out.shape)[unsure]
            one = np.ones(1, dtype=object)
            low[unsure] = self.form.exact(total, one, offset)
        np.copyto(out, low, casting="same_kind")


def _objects(values: Any) -> IntArray:
    return np.asarray(values, dtype=object)
