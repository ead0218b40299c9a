"""Bring a chain of nodes to one affine map, one rounding and one clip.

``clip(round((x @ matrix * 2**grow + offset) * 2**-drop), low, high)`` is exact because
rounding is monotone and leaves integers alone: limits before it become limits after it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from hawq.fixed import (
    FixedPoint,
    IntArray,
    Overflow,
    Rounding,
    as_integers,
    power_of_two_exponent,
    shift_right,
)
from hawq.integer.nodes import (
    Affine,
    Dense,
    Node,
    Relu,
    Requantize,
)
from hawq.integer.steps import FLOAT_ROUNDING, FloatStep
from hawq.integer.sums import absolute_sum
from hawq.integer.tensor import Tensor

MAX_SHIFT = 60
"""Binary places a float step may shift: far from float32's smallest normal number."""


@dataclass(frozen=True, eq=False)
class NormalForm:
    """``clip(round((x @ matrix * 2**grow + offset) * 2**-drop), low, high)``.

    Attributes:
        fraction: Fraction bits of the result.
        lows: Smallest result without the clip, for each element.
        highs: Largest result without the clip, for each element.
        matrix: Shape (in, out), or None for the identity.
        offset: Shape (out,) with a matrix, else that of ``x``; or None.
        grow: 0 with a matrix.
        drop: Negative shifts left.
        rounding: None where ``drop`` is not positive.
        low: None if there is no limit.
        high: None if there is no limit.
    """

    fraction: int
    lows: IntArray
    highs: IntArray
    matrix: IntArray | None = None
    offset: IntArray | None = None
    grow: int = 0
    drop: int = 0
    rounding: Rounding | None = None
    low: int | None = None
    high: int | None = None

    def reach(self, x: Tensor) -> int:
        """Bound the magnitude of every partial sum, in units of the affine map.

        Args:
            x: The tensor the form is applied to.

        Returns:
            A bound that holds for any order of summation.
        """
        if self.matrix is not None:
            return absolute_sum(x.lows, x.highs, self.matrix, self.offset)
        largest = max(-x.low, x.high) << self.grow
        if self.offset is None or not self.offset.size:
            return largest
        return largest + int(max(map(abs, self.offset.ravel().tolist())))

    def step(self, source: str, target: str, carrier: str) -> FloatStep:
        """Write the form in floats.

        Args:
            source: Name of the input tensor.
            target: Name of the output tensor.
            carrier: ``float32`` or ``float64``, whichever ``reach`` allows.

        Returns:
            The step.
        """
        unit = 2.0**-self.drop
        rounding = None if self.rounding is None else FLOAT_ROUNDING[self.rounding]
        low = -math.inf if self.low is None else float(self.low)
        high = math.inf if self.high is None else float(self.high)
        limits = None if math.isinf(low) and math.isinf(high) else (low, high)
        offset = None if self.offset is None else self.offset.astype(np.float64) * unit
        if self.matrix is None:
            factor = unit * 2.0**self.grow
            column = None if offset is None else offset.astype(carrier)[..., None]
            return FloatStep(source, target, None, factor, column, rounding, limits)
        if offset is None:
            offset = np.zeros(self.matrix.shape[1])
        weights = self.matrix.T.astype(np.float64) * unit
        matrix = np.concatenate([weights, offset[:, None]], axis=1).astype(carrier)
        return FloatStep(source, target, matrix, 1.0, None, rounding, limits)


def normal_form(
    chain: Sequence[Node], tensors: Mapping[str, Tensor]
) -> NormalForm | None:
    """Bring a chain to normal form.

    Args:
        chain: Each node reads the output of the one before. Affine nodes come first, at
            most one ``Requantize`` comes last.
        tensors: The graph's.

    Returns:
        The form, without limits that bounds prove superfluous, or None if the chain has
        none that floats can carry.
    """
    affine = [node for node in chain if isinstance(node, Dense | Affine)]
    start = affine[-1].output if affine else chain[0].inputs[0]
    base = tensors[start]
    names = [chain[0].inputs[0], *(node.output for node in chain)]
    if any(power_of_two_exponent(tensors[name].scale) is None for name in names):
        return None
    form: NormalForm | None = NormalForm(base.fraction, base.lows, base.highs)
    for node in chain:
        form = None if form is None else _follow(form, node)
    return None if form is None else _without_superfluous_limits(form)


def _follow(form: NormalForm, node: Node) -> NormalForm | None:
    match node:
        case Dense():
            return replace(form, matrix=node.weights, offset=node.bias)
        case Affine():
            return _add(form, node)
        case Relu():
            return _limit(form, 0, None)
        case Requantize():
            target = node.grid.fixed_point
            return None if target is None else _requantize(form, target)
        case _:
            return None


def _add(form: NormalForm, node: Affine) -> NormalForm | None:
    factors = np.unique(node.multiplier)
    shift = power_of_two_exponent(Fraction(int(factors[0]))) if factors.size else None
    if shift is None or factors.size > 1:
        return None
    added = node.constant.astype(object)
    if form.matrix is not None:
        rows = added.reshape(-1, added.shape[-1])
        if (rows != rows[0]).any():
            return None  # one bias a column cannot differ along the other axes
        added = rows[0]
    if form.offset is not None:
        added = added + (form.offset.astype(object) << shift)
    form = replace(form, offset=as_integers(np.asarray(added, dtype=object)))
    if form.matrix is None:
        return replace(form, grow=form.grow + shift)
    return replace(form, matrix=as_integers(form.matrix.astype(object) << shift))


def _limit(form: NormalForm, low: int | None, high: int | None) -> NormalForm:
    """Follow the limits of a form by others."""
    first, last = form.low, form.high
    if low is not None:
        first = low if first is None else max(first, low)
        last = None if last is None else max(last, low)
    if high is not None:
        first = None if first is None else min(first, high)
        last = high if last is None else min(last, high)
    return replace(form, low=first, high=last)


def _requantize(form: NormalForm, target: FixedPoint) -> NormalForm | None:
    drop = form.fraction - target.fraction
    rounds = drop > 0
    if abs(drop) > MAX_SHIFT or (rounds and target.rounding not in FLOAT_ROUNDING):
        return None

    def moved(integers: IntArray | int) -> IntArray:
        return shift_right(as_integers(integers), drop, target.rounding)

    form = replace(
        form,
        fraction=target.fraction,
        lows=moved(form.lows),
        highs=moved(form.highs),
        drop=drop,
        rounding=target.rounding if rounds else None,
        low=None if form.low is None else int(moved(form.low)),
        high=None if form.high is None else int(moved(form.high)),
    )
    if target.overflow is not Overflow.WRAP:
        return _limit(form, target.min, target.max)
    low = form.lows.min() if form.low is None else max(form.low, form.lows.min())
    high = form.highs.max() if form.high is None else min(form.high, form.highs.max())
    return form if target.min <= low and high <= target.max else None


def _without_superfluous_limits(form: NormalForm) -> NormalForm:
    low = None if form.low is None or form.lows.min() >= form.low else form.low
    high = None if form.high is None or form.highs.max() <= form.high else form.high
    return replace(form, low=low, high=high)
