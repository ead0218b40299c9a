"""Operators that keep every element: shapes and the order of axes.

Real inputs may be moved before their quantizer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from onnx import TensorProto

from hawq.integer.nodes import Reshape, Select, Transpose
from hawq.integer.operation import Lowering, Operation, RealView, Smooth
from hawq.integer.quantizer import IntegerConstant
from hawq.integer.tensor import Tensor

Move = Reshape | Transpose | Select


def data_shape(op: Operation) -> tuple[int, ...] | None:
    """Give the shape of one sample.

    Args:
        op: The operation.

    Returns:
        That of its first input, None for a constant.
    """
    value = op.value(0)
    if isinstance(value, RealView | Tensor):
        return value.shape
    if isinstance(value, Smooth):
        op.data(0)
    return None


def emit_move(state: Lowering, op: Operation, move: Move, output: str = "") -> None:
    """Apply a move to the operation's first input.

    Args:
        state: What has been lowered.
        op: The operation.
        move: With nameless ends.
        output: Name of the result, if not the operation's first.
    """
    value, output = op.value(0), output or op.output
    if isinstance(value, RealView):
        shape = _shape_after(value.shape, move)
        state.values[output] = replace(value, shape=shape, moves=(*value.moves, move))
        return
    state.emit(replace(move, inputs=(op.names[0],), output=output))


def _shape_after(shape: tuple[int, ...], move: Move) -> tuple[int, ...]:
    match move:
        case Reshape():
            return move.shape
        case Transpose():
            return tuple(shape[i] for i in move.order)
        case _:
            return move.indices.shape


def on_constant(state: Lowering, op: Operation, change: Callable[[Any], Any]) -> None:
    """Apply a change to the operation's first input, a constant.

    Args:
        state: What has been lowered.
        op: The operation.
        change: Array → array.

    Raises:
        NetworkError: if it does not fit.
    """
    value = op.value(0)
    try:
        if isinstance(value, IntegerConstant):
            integers = change(value.integers)
            state.values[op.output] = IntegerConstant(integers, value.scale)
        else:
            state.values[op.output] = change(value)
    except (ValueError, IndexError) as error:
        raise op.refuse(f"does not fit its constant: {error}") from error


def lower_cast(state: Lowering, op: Operation) -> None:
    """Lower ``Cast``, which must not change a value."""
    to, value = op.attribute("to", 0), op.value(0)
    if to in _FLOATS or (isinstance(value, Tensor) and _holds(to, value)):
        lower_identity(state, op)
        return
    raise op.refuse(
        f"casts to type {to}, which may not hold every value: use a Quant instead"
    )


_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)
_INTEGERS = {
    getattr(TensorProto, f"{name}{bits}".upper()): f"{name}{bits}"
    for name in ("int", "uint")
    for bits in (8, 16, 32, 64)
}


def _holds(to: int, x: Tensor) -> bool:
    if to not in _INTEGERS or x.scale.denominator != 1:
        return False
    limits = np.iinfo(_INTEGERS[to])
    return bool(limits.min <= x.low * x.scale and x.high * x.scale <= limits.max)


def lower_identity(state: Lowering, op: Operation) -> None:
    """Lower ``Identity`` and ``Dropout``."""
    value = op.value(0)
    if isinstance(value, Tensor):
        state.emit(Reshape((op.names[0],), op.output, value.shape))
    else:
        state.values[op.output] = value


def lower_reshape(state: Lowering, op: Operation) -> None:
    """Lower ``Reshape``; the batch stays the first axis."""
    target = [int(n) for n in op.parameter(1).ravel()]
    shape = data_shape(op)
    if shape is None:
        value = op.value(0)
        array = value.integers if isinstance(value, IntegerConstant) else value
        assert isinstance(array, np.ndarray)
        on_constant(state, op, lambda a: a.reshape(_sizes(op, a.shape, target)))
        return
    if not target or target[0] not in (-1, 0, state.batch):
        raise op.refuse(f"shape {target} does not keep the batch as the first axis")
    if target[0] == -1 and -1 in target[1:]:
        raise op.refuse(f"shape {target} leaves two sizes open")
    if target[0] == -1 and math.prod(n or 1 for n in target[1:]) != math.prod(shape):
        kept = _sizes(op, shape, target[1:])
        raise op.refuse(f"shape {target} makes batches of {kept} from {shape}")
    emit_move(state, op, Reshape(("",), "", _sizes(op, shape, target[1:])))


def _sizes(
    op: Operation, old: tuple[int, ...], target: Sequence[int]
) -> tuple[int, ...]:
    """Resolve ONNX's 0 (keep this size) and -1 (whatever is left)."""
    kept = [old[i] if n == 0 and i < len(old) else n for i, n in enumerate(target)]
    if kept.count(-1) == 1:
        known = math.prod(n for n in kept if n != -1)
        kept[kept.index(-1)] = math.prod(old) // known if known else 0
    if math.prod(kept) != math.prod(old) or min(kept, default=1) < 0:
        raise op.refuse(f"shape {old} does not fit the shape {kept}")
    return tuple(kept)


def lower_flatten(state: Lowering, op: Operation) -> None:
    """Lower ``Flatten`` from the axis after the batch."""
    axis = op.attribute("axis", 1)
    shape = data_shape(op)
    if shape is None or axis not in (1, -len(shape)):
        raise op.refuse(f"axis {axis}, expected 1, which keeps the batch")
    emit_move(state, op, Reshape(("",), "", (math.prod(shape),)))


def lower_squeeze(state: Lowering, op: Operation) -> None:
    """Lower ``Squeeze``."""
    shape = data_shape(op)
    axes = _axes(op, len(shape) + 1 if shape is not None else 0)
    if shape is None:
        on_constant(state, op, lambda a: np.squeeze(a, tuple(axes) if axes else None))
        return
    gone = axes or [i + 1 for i, n in enumerate(shape) if n == 1]
    if any(not 1 <= i <= len(shape) or shape[i - 1] != 1 for i in gone):
        raise op.refuse(f"axes {gone} of samples of shape {shape} are not of size 1")
    left = [n for i, n in enumerate(shape, 1) if i not in gone]
    emit_move(state, op, Reshape(("",), "", tuple(left)))


def lower_unsqueeze(state: Lowering, op: Operation) -> None:
    """Lower ``Unsqueeze``."""
    shape = data_shape(op)
    if shape is None:
        axes = _axes(op, 0)
        on_constant(state, op, lambda a: np.expand_dims(a, tuple(axes)))
        return
    count = len(_axes(op, 0))
    axes = _axes(op, len(shape) + 1 + count)
    if len(set(axes)) < count or any(not 1 <= i <= len(shape) + count for i in axes):
        raise op.refuse(
            f"axes {axes} lie before the batch or beyond the samples: use others"
        )
    sizes = iter(shape)
    target = [1 if i in axes else next(sizes) for i in range(1, len(shape) + count + 1)]
    emit_move(state, op, Reshape(("",), "", tuple(target)))


def _axes(op: Operation, rank: int) -> list[int]:
    axes = op.attribute("axes", [0]) if "axes" in op.attributes else []
    if op.has(1):
        axes = [int(a) for a in op.parameter(1).ravel()]
    return [a + rank if a < 0 and rank else a for a in axes]


def lower_transpose(state: Lowering, op: Operation) -> None:
    """Lower ``Transpose``; the batch stays the first axis."""
    shape = data_shape(op)
    if shape is None:
        on_constant(state, op, lambda a: np.transpose(a, _order(op, a.ndim)))
        return
    order = _order(op, len(shape) + 1)
    if order[0] != 0:
        raise op.refuse(f"perm {order} moves the batch: keep it the first axis")
    emit_move(state, op, Transpose(("",), "", tuple(i - 1 for i in order[1:])))


def _order(op: Operation, rank: int) -> list[int]:
    order = op.attribute("perm", list(range(rank))[::-1])
    if sorted(order) != list(range(rank)):
        raise op.refuse(f"perm {order} does not fit {rank} axes")
    return order


def lower_shape(state: Lowering, op: Operation) -> None:
    """Lower ``Shape`` of data to the constant it is."""
    shape = data_shape(op)
    if shape is None:
        on_constant(state, op, lambda a: np.array(a.shape, dtype=np.int64))
        return
    whole = (state.batch, *shape)
    start, end = op.attribute("start", 0), op.attribute("end", len(whole))
    state.values[op.output] = np.array(whole[start:end], dtype=np.int64)
