"""Activations on integers, and the choice of a class."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from hawq.fixed import as_integers
from hawq.integer.nodes import (
    Affine,
    ArgMax,
    Clip,
    LeakyRelu,
    MaxPool,
    Relu,
    Reshape,
    Window,
)
from hawq.integer.operation import Lowering, Operation
from hawq.integer.quantizer import one_grid


def lower_relu(state: Lowering, op: Operation) -> None:
    """Lower ``Relu``."""
    op.data(0)
    state.emit(Relu((op.names[0],), op.output))


def lower_leaky_relu(state: Lowering, op: Operation) -> None:
    """Lower ``LeakyRelu``; its slope is a float, which is dyadic."""
    op.data(0)
    alpha = op.attribute("alpha", float(np.float32(0.01)))
    if not math.isfinite(alpha):
        raise op.refuse(f"slope {alpha}, expected a finite number")
    state.emit(LeakyRelu((op.names[0],), op.output, Fraction(alpha)))


def lower_prelu(state: Lowering, op: Operation) -> None:
    """Lower ``PRelu`` with one slope."""
    op.data(0)
    slopes = set(op.rational(1).flat)
    if len(slopes) != 1:
        raise op.refuse("a slope a channel is not carried: use one slope")
    state.emit(LeakyRelu((op.names[0],), op.output, slopes.pop()))


def lower_clip(state: Lowering, op: Operation) -> None:
    """Lower ``Clip``, with limits as attributes or as inputs."""
    x = op.data(0)
    low, high = (
        _limit(op, position, name) for position, name in ((1, "min"), (2, "max"))
    )
    limits = [abs(v) for v in (low, high) if v]
    scale = one_grid(op.output, x.scale, *limits)
    source = op.names[0]
    if scale != x.scale:
        source = f"{op.output}.fine"
        factor = as_integers(np.array(int(x.scale / scale), dtype=object))
        zero = np.zeros((), dtype=np.int64)
        state.emit(Affine((op.names[0],), source, factor, zero, scale))
    if low is not None and high is not None and low > high:
        raise op.refuse(f"limits {low} and {high} are in the wrong order")
    # A limit that no integer passes is the end of the integers.
    bottom, top = (int(end * x.scale / scale) for end in (x.low, x.high))
    highest = top if high is None else min(int(high / scale), top)
    lowest = min(bottom, highest)
    lowest = lowest if low is None else max(int(low / scale), lowest)
    state.emit(Clip((source,), op.output, lowest, max(highest, lowest)))


def _limit(op: Operation, position: int, name: str) -> Fraction | None:
    if op.has(position):
        limit = op.value(position)
        values = limit if isinstance(limit, np.ndarray) else op.rational(position)
    elif name in op.attributes:
        values = np.array(op.attribute(name, 0.0))
    else:
        return None
    if values.size != 1 or (values != values).any():
        raise op.refuse(f"limit {name!r} is {values.tolist()}, expected one number")
    value = values.reshape(-1)[0]
    if abs(value) >= 3e38:  # how exporters write "none"
        return None
    return Fraction(value if isinstance(value, Fraction) else value.item())


def lower_argmax(state: Lowering, op: Operation) -> None:
    """Lower ``ArgMax`` over an axis of the sample."""
    x = op.data(0)
    axis = op.attribute("axis", 0)
    axis = axis + len(x.shape) + 1 if axis < 0 else axis
    if not 1 <= axis <= len(x.shape):
        raise op.refuse(f"axis {axis} is the batch, or does not exist: use a later one")
    last = bool(op.attribute("select_last_index", 0))
    keep = bool(op.attribute("keepdims", 1))
    name = op.output if keep else f"{op.output}.kept"
    state.emit(ArgMax((op.names[0],), name, axis - 1, last))
    if not keep:
        shape = (*x.shape[: axis - 1], *x.shape[axis:])
        state.emit(Reshape((name,), op.output, shape))


def lower_top_k(state: Lowering, op: Operation) -> None:
    """Lower ``TopK`` with k = 1: the largest value and its index."""
    x = op.data(0)
    k = [int(v) for v in op.rational(1).flat]
    axis = op.attribute("axis", -1)
    axis = axis + len(x.shape) + 1 if axis < 0 else axis
    if k != [1] or not op.attribute("largest", 1) or axis != 1 or len(x.shape) != 1:
        raise op.refuse(
            f"k {k} along axis {axis} is not carried: use k = 1, the largest, of a "
            "vector"
        )
    values, indices = (*op.outputs, "")[:2]
    if values:
        _largest(state, op, values)
    if indices:
        state.emit(ArgMax((op.names[0],), indices, axis - 1))


def _largest(state: Lowering, op: Operation, output: str) -> None:
    """Take the maximum of a vector by pooling over all of it."""
    x = op.data(0)
    column, peak = f"{output}.column", f"{output}.peak"
    state.emit(Reshape((op.names[0],), column, (1, *x.shape)))
    window = Window(x.shape, (1,), (1,), (0, 0))
    state.emit(MaxPool((column,), peak, window))
    state.emit(Reshape((peak,), output, (1,)))
