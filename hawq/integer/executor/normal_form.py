"""Bring a chain of nodes to one affine map, one bend, one rounding and one clip.

``clip(round(bend((x * factor + offset) / divisor)) - lift, low, high)`` is exact:
rounding and bending are monotone and rounding leaves integers alone, so that limits
before them become limits after them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from hawq.fixed import IntArray, Overflow, Rounding, as_integers, divide
from hawq.integer.grid import Grid
from hawq.integer.nodes import (
    Affine,
    Clip,
    Conv,
    Dense,
    LeakyRelu,
    Node,
    Relu,
    Requantize,
)
from hawq.integer.rounding import INDIFFERENT
from hawq.integer.tensor import Tensor

_INT64_SAFE = 2**62

_NOTHING_ADDED = (
    None,
    Rounding.HALF_EVEN,
    Rounding.FLOOR,
    Rounding.CEIL,
    Rounding.TOWARD_ZERO,
    Rounding.AWAY,
)


@dataclass(frozen=True, eq=False)
class NormalForm:
    """``clip(round(bend((x * factor + offset) / divisor)) - lift, low, high)``.

    ``bend`` multiplies what is negative by ``slope``.

    Attributes:
        bottom: Smallest result without the clip.
        top: Largest result without the clip.
        factor: Python integers that broadcast to ``x``.
        offset: Python integers that broadcast to ``x``.
        divisor: 1 if nothing is rounded.
        slope: Not negative.
        rounding: None where nothing is rounded.
        lift: Taken away after rounding.
        low: None if there is no limit.
        high: None if there is no limit.
    """

    bottom: int
    top: int
    factor: IntArray = field(default_factory=lambda: np.array(1))
    offset: IntArray = field(default_factory=lambda: np.array(0))
    divisor: int = 1
    slope: Fraction = Fraction(1)
    rounding: Rounding | None = None
    lift: int = 0
    low: int | None = None
    high: int | None = None

    def __post_init__(self) -> None:
        for name in ("factor", "offset"):
            exact = np.asarray(getattr(self, name), dtype=object)
            object.__setattr__(self, name, exact)

    def reach(self, largest: int) -> int:
        """Bound every number on the way to the result, in units of ``1 / divisor``.

        Args:
            largest: Bound on the magnitude of ``x``.

        Returns:
            A bound on magnitudes.
        """
        products = abs(self.factor) * largest
        sums = products + abs(self.offset)
        return self.after(int(np.max(sums, initial=0)))

    def after(self, largest: int) -> int:
        """Bound what follows the affine map, in units of ``1 / divisor``.

        Args:
            largest: Bound on the magnitude of ``x * factor + offset``.

        Returns:
            A bound on magnitudes, with room for the half that some modes add.
        """
        room = 0 if self.rounding in _NOTHING_ADDED else self.divisor
        return math.ceil(largest * max(Fraction(1), self.slope)) + room

    def exact(self, x: IntArray, factor: IntArray, offset: IntArray) -> IntArray:
        """Compute some elements in Python integers.

        Args:
            x: Python integers, shape (elements,).
            factor: Of each of them.
            offset: Of each of them.

        Returns:
            The results.
        """
        p, q = self.slope.as_integer_ratio()
        y = x * factor + offset
        y = np.where(y < 0, y * p, y * q)
        y = divide(y, self.divisor * q, self.rounding or Rounding.FLOOR) - self.lift
        y = y if self.low is None else np.maximum(y, self.low)
        return y if self.high is None else np.minimum(y, self.high)


def normal_form(
    chain: Sequence[Node], tensors: Mapping[str, Tensor], source: str
) -> NormalForm | None:
    """Bring a chain to normal form.

    Args:
        chain: Each node reads the output of the one before; see ``may_follow``.
        tensors: The graph's.
        source: What the first node reads.

    Returns:
        The form, without limits that bounds prove superfluous, or None if the chain has
        none.
    """
    x = tensors[source]
    form: NormalForm | None = NormalForm(x.low, x.high)
    for node in chain:
        if form is not None:
            form = _follow(form, node, tensors)
    return None if form is None else _without_superfluous_limits(form)


def may_follow(chain: Sequence[Node], node: Node | None) -> bool:
    """Tell whether a chain that one step could do may grow by a node.

    Args:
        chain: Sums of products, then affine maps, then what is monotone, then one
            rounding.
        node: What reads the chain's output, if it is one node.

    Returns:
        Whether the kinds are in that order.
    """
    stages = {Dense: 0, Conv: 0, Affine: 1, LeakyRelu: 2, Relu: 3, Clip: 3}
    last = stages.get(type(chain[-1]), 4)
    return last < 4 and (
        isinstance(node, Requantize)
        or (isinstance(node, Affine) and last <= 1)
        or (isinstance(node, LeakyRelu) and last < 2)
        or (isinstance(node, Relu | Clip))
    )


def fold(
    node: Dense | Conv, form: NormalForm, shape: tuple[int, ...]
) -> tuple[Dense | Conv, NormalForm] | None:
    """Multiply weights by the form's factors, and add its offsets to the bias.

    Args:
        node: Sums of products.
        form: What follows.
        shape: Of the sums.

    Returns:
        The node whose sums are in units of ``1 / divisor``, and the rest of the form;
        or None if factors or offsets differ along other axes than the channels.
    """
    axis = len(shape) - 1
    if isinstance(node, Conv) and not node.window.channels_last:
        axis = 0
    factor = per_channel(form.factor, shape, axis)
    offset = per_channel(form.offset, shape, axis)
    if factor is None or offset is None:
        return None
    column = factor
    if isinstance(node, Conv):
        column = factor.reshape(-1, *[1] * (node.weights.ndim - 1))
    bias = 0 if node.bias is None else _exact(node.bias)
    folded = replace(
        node,
        weights=_product(node.weights, column),
        bias=as_integers(np.asarray(bias * factor + offset, dtype=object)),
    )
    return folded, replace(form, factor=np.array(1), offset=np.array(0))


def per_channel(values: IntArray, shape: tuple[int, ...], axis: int) -> IntArray | None:
    """Give one value a channel.

    Args:
        values: Integers that broadcast to ``shape``.
        shape: Of one sample.
        axis: Of the channels.

    Returns:
        Python integers, shape (channels,), or None if values differ along other axes.
    """
    full = values.reshape((1,) * (len(shape) - values.ndim) + values.shape)
    rows = np.moveaxis(full, axis, 0).reshape(full.shape[axis], -1).astype(object)
    if (rows != rows[:, :1]).any():
        return None
    return np.broadcast_to(rows[:, 0], (shape[axis],))


def _follow(
    form: NormalForm, node: Node, tensors: Mapping[str, Tensor]
) -> NormalForm | None:
    y = tensors[node.output]
    match node:
        case Affine():
            return replace(
                form,
                bottom=y.low,
                top=y.high,
                factor=form.factor * _exact(node.multiplier),
                offset=form.offset * _exact(node.multiplier) + _exact(node.constant),
            )
        case LeakyRelu():
            if node.slope < 0:
                return None
            ones = node.slope.denominator
            return replace(
                form,
                bottom=y.low,
                top=y.high,
                factor=form.factor * ones,
                offset=form.offset * ones,
                slope=node.slope,
            )
        case Relu():
            return _limit(form, 0, None)
        case Clip():
            return _limit(form, node.low, node.high)
        case Requantize():
            return _requantize(form, node.grid, tensors[node.inputs[0]].scale)
        case _:
            return None


def _product(values: IntArray, factors: IntArray) -> IntArray:
    """Multiply by Python integers, in int64 if it is long enough."""
    sizes = (np.max(abs(array), initial=1) for array in (values, factors))
    if values.dtype != object and math.prod(map(int, sizes)) < _INT64_SAFE:
        return np.asarray(values * factors.astype(np.int64))
    return as_integers(_exact(values) * factors)


def _exact(values: IntArray) -> IntArray:
    return values.astype(object)


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


def _requantize(form: NormalForm, grid: Grid, scale: Fraction) -> NormalForm | None:
    ratio = scale / grid.scale

    def moved(integer: int | None) -> int | None:
        if integer is None:
            return None
        return int(grid.rounded(as_integers([integer]), scale)[0])

    bottom, top, low, high = map(moved, (form.bottom, form.top, form.low, form.high))
    if bottom is None or top is None:
        return None
    lift = 0 if grid.rounding in INDIFFERENT else grid.zero_point
    if grid.rounding is Rounding.HALF_EVEN:
        lift %= 2
    if ratio.denominator == 1:
        lift = 0
    if lift and form.slope != 1:
        return None
    form = NormalForm(
        bottom,
        top,
        form.factor * ratio.numerator,
        form.offset * ratio.numerator + lift * ratio.denominator,
        ratio.denominator,
        form.slope,
        grid.rounding if ratio.denominator > 1 else None,
        lift,
        low,
        high,
    )
    if grid.overflow is not Overflow.WRAP:
        return _limit(form, grid.low, grid.high)
    first = bottom if low is None else max(low, bottom)
    last = top if high is None else min(high, top)
    return form if grid.low <= first and last <= grid.high else None


def _without_superfluous_limits(form: NormalForm) -> NormalForm:
    low = None if form.low is None or form.bottom >= form.low else form.low
    high = None if form.high is None or form.top <= form.high else form.high
    return replace(form, low=low, high=high)
