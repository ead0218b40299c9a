"""Operators that only move elements: shapes, axes, slices, padding, upsampling.

Each moves an array of indices as NumPy would move the data; the integers follow. Real
inputs may be moved before their quantizer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.errors import NetworkError
from hawq.fixed import as_integers
from hawq.integer.nodes import Affine, Concat, Reshape, Select, Transpose
from hawq.integer.operation import Lowering, Operation, RealView, Smooth
from hawq.integer.quantizer import IntegerConstant, one_grid
from hawq.integer.tensor import Tensor

MAX_ELEMENTS = 2**24
"""Elements of one sample that a shape operator may make."""

Move = Reshape | Transpose | Select


def _data_shape(op: Operation) -> tuple[int, ...] | None:
    """Give the shape of one sample, None for a constant."""
    value = op.value(0)
    if isinstance(value, RealView | Tensor):
        return value.shape
    if isinstance(value, Smooth):
        op.data(0)
    return None


def _emit(state: Lowering, op: Operation, move: Move, output: str = "") -> None:
    """Apply a move with nameless ends to the operation's first input."""
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


def _reshaped(
    state: Lowering,
    op: Operation,
    target: Sequence[int],
    constant: Callable[[Any], Any],
) -> None:
    """Give data the sample shape ``target``, or a constant what ``constant`` makes."""
    shape = _data_shape(op)
    if shape is None:
        _constant(state, op, constant)
        return
    if math.prod(target) != math.prod(shape):
        raise op.refuse(f"shape {shape} does not fit the shape {tuple(target)}")
    _emit(state, op, Reshape(("",), "", tuple(target)))


def _constant(state: Lowering, op: Operation, change: Callable[[Any], Any]) -> None:
    value = op.value(0)
    try:
        if isinstance(value, IntegerConstant):
            integers = change(value.integers)
            state.values[op.output] = IntegerConstant(integers, value.scale)
        else:
            state.values[op.output] = change(value)
    except (ValueError, IndexError) as error:
        raise op.refuse(f"does not fit its constant: {error}") from error


def lower_identity(state: Lowering, op: Operation) -> None:
    """Lower ``Identity``, ``Dropout`` and ``Cast`` between number types."""
    value = op.value(0)
    if isinstance(value, Tensor):
        state.emit(Reshape((op.names[0],), op.output, value.shape))
    else:
        state.values[op.output] = value


def lower_reshape(state: Lowering, op: Operation) -> None:
    """Lower ``Reshape``; the batch stays the first axis."""
    target = [int(n) for n in op.parameter(1).ravel()]
    shape = _data_shape(op)
    if shape is None:
        value = op.value(0)
        array = value.integers if isinstance(value, IntegerConstant) else value
        assert isinstance(array, np.ndarray)
        _constant(state, op, lambda a: a.reshape(_sizes(op, a.shape, target)))
        return
    if not target or target[0] not in (-1, 0, state.batch):
        raise op.refuse(f"shape {target} does not keep the batch as the first axis")
    if target[0] == -1 and -1 in target[1:]:
        raise op.refuse(f"shape {target} leaves two sizes open")
    if target[0] == -1 and math.prod(n or 1 for n in target[1:]) != math.prod(shape):
        kept = _sizes(op, shape, target[1:])
        raise op.refuse(f"shape {target} makes batches of {kept} from {shape}")
    _emit(state, op, Reshape(("",), "", _sizes(op, shape, target[1:])))


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
    shape = _data_shape(op)
    if shape is None or axis not in (1, -len(shape)):
        raise op.refuse(f"axis {axis}, expected 1, which keeps the batch")
    _emit(state, op, Reshape(("",), "", (math.prod(shape),)))


def lower_squeeze(state: Lowering, op: Operation) -> None:
    """Lower ``Squeeze``."""
    shape = _data_shape(op)
    axes = _axes(op, len(shape) + 1 if shape is not None else 0)
    if shape is None:
        _constant(state, op, lambda a: np.squeeze(a, tuple(axes) if axes else None))
        return
    gone = axes or [i + 1 for i, n in enumerate(shape) if n == 1]
    if 0 in gone or any(shape[i - 1] != 1 for i in gone):
        raise op.refuse(f"axes {gone} of samples of shape {shape} are not of size 1")
    left = [n for i, n in enumerate(shape, 1) if i not in gone]
    _emit(state, op, Reshape(("",), "", tuple(left)))


def lower_unsqueeze(state: Lowering, op: Operation) -> None:
    """Lower ``Unsqueeze``."""
    shape = _data_shape(op)
    if shape is None:
        axes = _axes(op, 0)
        _constant(state, op, lambda a: np.expand_dims(a, tuple(axes)))
        return
    count = len(_axes(op, 0))
    axes = _axes(op, len(shape) + 1 + count)
    if 0 in axes:
        raise op.refuse("puts an axis before the batch: use a later axis")
    sizes = iter(shape)
    target = [1 if i in axes else next(sizes) for i in range(1, len(shape) + count + 1)]
    _emit(state, op, Reshape(("",), "", tuple(target)))


def _axes(op: Operation, rank: int) -> list[int]:
    axes = op.attribute("axes", [0]) if "axes" in op.attributes else []
    if op.has(1):
        axes = [int(a) for a in op.parameter(1).ravel()]
    return [a + rank if a < 0 and rank else a for a in axes]


def lower_transpose(state: Lowering, op: Operation) -> None:
    """Lower ``Transpose``; the batch stays the first axis."""
    shape = _data_shape(op)
    if shape is None:
        _constant(state, op, lambda a: np.transpose(a, _order(op, a.ndim)))
        return
    order = _order(op, len(shape) + 1)
    if order[0] != 0:
        raise op.refuse(f"perm {order} moves the batch: keep it the first axis")
    _emit(state, op, Transpose(("",), "", tuple(i - 1 for i in order[1:])))


def _order(op: Operation, rank: int) -> list[int]:
    order = op.attribute("perm", list(range(rank))[::-1])
    if sorted(order) != list(range(rank)):
        raise op.refuse(f"perm {order} does not fit {rank} axes")
    return order


def _select(
    state: Lowering,
    op: Operation,
    change: Callable[[NDArray[np.int64]], NDArray[np.int64]],
    output: str = "",
) -> None:
    """Let the output's elements be those that ``change`` leaves of an index array."""
    shape = _data_shape(op)
    if shape is None:
        value = op.value(0)
        output = output or op.output
        if isinstance(value, IntegerConstant):
            moved = change(value.integers[None])[0]
            state.values[output] = IntegerConstant(moved, value.scale)
            return
        raise op.refuse("of a constant is not carried: fold constants first")
    count = math.prod(shape)
    try:
        indices = change(np.arange(count, dtype=np.int64).reshape(1, *shape))
    except (ValueError, IndexError) as error:
        raise op.refuse(f"does not fit samples of shape {shape}: {error}") from error
    if len(indices) != 1 or indices.size > MAX_ELEMENTS:
        raise op.refuse(
            f"makes {indices.size} elements of samples of shape {shape}, expected the "
            f"batch kept and at most {MAX_ELEMENTS}"
        )
    _emit(state, op, Select(("",), "", np.ascontiguousarray(indices[0])), output)


def lower_slice(state: Lowering, op: Operation) -> None:
    """Lower ``Slice``, with bounds as attributes or as inputs."""
    lists = {
        name: [int(v) for v in op.parameter(i).ravel()] if op.has(i) else None
        for i, name in ((1, "starts"), (2, "ends"), (3, "axes"), (4, "steps"))
    }
    for name in ("starts", "ends", "axes"):
        if lists[name] is None and name in op.attributes:
            lists[name] = op.attribute(name, [0])
    starts, ends = lists["starts"] or [], lists["ends"] or []
    axes = lists["axes"] or list(range(len(starts)))
    steps = lists["steps"] or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise op.refuse(
            "starts, ends, axes and steps do not fit together: export again"
        )

    def change(indices: NDArray[np.int64]) -> NDArray[np.int64]:
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            stop = None if step < 0 and end < -indices.shape[axis] else end
            cut = [slice(None)] * indices.ndim
            cut[axis] = slice(start, stop, step)
            indices = indices[tuple(cut)]
        return indices

    _select(state, op, change)


def lower_split(state: Lowering, op: Operation) -> None:
    """Lower ``Split`` into parts along an axis of the sample."""
    shape = _data_shape(op)
    axis = op.attribute("axis", 0)
    axis = axis + len(shape or ()) + 1 if axis < 0 else axis
    if shape is None or not 1 <= axis <= len(shape):
        raise op.refuse(f"axis {axis} is the batch, or does not exist: use a later one")
    size, count = shape[axis - 1], len(op.outputs)
    sizes = op.attribute("split", [0]) if "split" in op.attributes else []
    if op.has(1):
        sizes = [int(v) for v in op.parameter(1).ravel()]
    if not sizes:
        part = -(-size // count)
        sizes = [part] * (count - 1) + [size - part * (count - 1)]
    if sum(sizes) != size or len(sizes) != count or min(sizes) < 1:
        raise op.refuse(f"parts of {sizes} do not make up the {size} of axis {axis}")
    start = 0
    for output, width in zip(op.outputs, sizes, strict=True):
        chosen = range(start, start + width)
        if output:
            _select(state, op, lambda a, c=chosen: np.take(a, c, axis), output)  # type: ignore[misc]
        start += width


def lower_gather(state: Lowering, op: Operation) -> None:
    """Lower ``Gather`` with constant indices."""
    chosen = op.parameter(1).astype(np.int64)
    shape = _data_shape(op)
    if shape is None:
        _constant(state, op, lambda a: np.take(a, chosen, op.attribute("axis", 0)))
        return
    axis = op.attribute("axis", 0)
    if axis % (len(shape) + 1) == 0:
        raise op.refuse("gathers along the batch: use a later axis")
    _select(state, op, lambda a: np.take(a, chosen, axis))


def lower_pad(state: Lowering, op: Operation) -> None:
    """Lower ``Pad`` with zeros, by edges or by reflection."""
    mode = op.attribute("mode", "constant")
    pads = op.attribute("pads", [0]) if "pads" in op.attributes else []
    if op.has(1):
        pads = [int(v) for v in op.parameter(1).ravel()]
    fill = op.rational(2).reshape(-1)[0] if op.has(2) else op.attribute("value", 0.0)
    if fill != 0 or op.has(3) or mode not in ("constant", "edge", "reflect"):
        raise op.refuse(f"mode {mode!r} with {float(fill)} is not carried: pad with 0")
    if not pads or len(pads) % 2 or min(pads) < 0:
        raise op.refuse(f"pads {pads}, expected two numbers of 0 or more an axis")
    half = len(pads) // 2
    widths = list(zip(pads[:half], pads[half:], strict=True))
    constants = {"constant_values": -1} if mode == "constant" else {}
    arguments: dict[str, Any] = {"mode": mode, **constants}
    _select(state, op, lambda a: np.pad(a, widths, **arguments))


def lower_upsample(state: Lowering, op: Operation) -> None:
    """Lower ``Upsample`` and ``Resize`` by whole factors, nearest neighbour."""
    if op.attribute("mode", "nearest") != "nearest":
        raise op.refuse(
            "only nearest-neighbour upsampling is exact: use mode='nearest'"
        )
    shape = (1, *op.data(0).shape)
    scales = _resize_factors(op, shape)
    factors = [round(s) for s in scales]
    if (
        any(f < 1 or f != s for f, s in zip(factors, scales, strict=True))
        or factors[0] != 1
    ):
        raise op.refuse(f"factors {scales}, expected whole numbers, 1 for the batch")
    where = op.attribute("coordinate_transformation_mode", "half_pixel")
    nearest = op.attribute("nearest_mode", "round_prefer_floor")
    even_split = (where == "asymmetric" and nearest == "floor") or (
        where in ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel")
        and nearest.startswith("round_prefer")
    )
    if op.label.endswith("(Resize)") and not even_split:
        raise op.refuse(
            f"coordinates {where!r} with {nearest!r} are not plain repetition: use "
            "asymmetric with floor"
        )

    def change(indices: NDArray[np.int64]) -> NDArray[np.int64]:
        for axis, factor in enumerate(factors):
            indices = np.repeat(indices, factor, axis)
        return indices

    _select(state, op, change)


def _resize_factors(op: Operation, shape: tuple[int, ...]) -> list[float]:
    for position in (2, 1):
        if op.has(position) and op.parameter(position).size == len(shape):
            return [float(v) for v in op.parameter(position).ravel()]
    if op.has(3):
        sizes = [int(v) for v in op.parameter(3).ravel()]
        return [n / old for n, old in zip(sizes, shape, strict=True)]
    if "scales" in op.attributes:
        return op.attributes["scales"]  # type: ignore[no-any-return]
    raise op.refuse("has neither scales nor sizes: export again")


def lower_depth_to_space(state: Lowering, op: Operation) -> None:
    """Lower ``DepthToSpace``."""
    b, mode = op.attribute("blocksize", 1), op.attribute("mode", "DCR")

    def change(indices: NDArray[np.int64]) -> NDArray[np.int64]:
        n, c, h, w = indices.shape
        if mode == "DCR":
            parts = indices.reshape(n, b, b, c // b**2, h, w)
            return parts.transpose(0, 3, 4, 1, 5, 2).reshape(n, c // b**2, h * b, w * b)
        parts = indices.reshape(n, c // b**2, b, b, h, w)
        return parts.transpose(0, 1, 4, 2, 5, 3).reshape(n, c // b**2, h * b, w * b)

    _select(state, op, change)


def lower_space_to_depth(state: Lowering, op: Operation) -> None:
    """Lower ``SpaceToDepth``."""
    b = op.attribute("blocksize", 1)

    def change(indices: NDArray[np.int64]) -> NDArray[np.int64]:
        n, c, h, w = indices.shape
        parts = indices.reshape(n, c, h // b, b, w // b, b)
        return parts.transpose(0, 3, 5, 1, 2, 4).reshape(n, c * b**2, h // b, w // b)

    _select(state, op, change)


def lower_concat(state: Lowering, op: Operation) -> None:
    """Lower ``Concat``; tensors of different scales go to one grid first."""
    if all(op.is_constant(i) for i in range(len(op.names))):
        parts = [op.parameter(i) for i in range(len(op.names))]
        state.values[op.output] = np.concatenate(parts, op.attribute("axis", 0))
        return
    xs = [op.data(i) for i in range(len(op.names))]
    rank = len(xs[0].shape)
    axis = op.attribute("axis", 1)
    axis = axis + rank + 1 if axis < 0 else axis
    if not 1 <= axis <= rank:
        raise op.refuse(f"axis {axis} is the batch, or does not exist: use a later one")
    scale = one_grid(op.output, *(x.scale for x in xs))
    names = [_on_grid(state, op, i, x, scale) for i, x in enumerate(xs)]
    state.emit(Concat(tuple(names), op.output, axis - 1))


def _on_grid(state: Lowering, op: Operation, i: int, x: Tensor, scale: Any) -> str:
    if x.scale == scale:
        return x.name
    name = f"{op.output}.part{i}"
    factor = as_integers(np.array([int(x.scale / scale)], dtype=object))
    zero = np.zeros(1, dtype=np.int64)
    if not x.shape:
        raise NetworkError(f"{op.label}: cannot join scalars")
    state.emit(Affine((x.name,), name, factor, zero, scale))
    return name


def lower_shape(state: Lowering, op: Operation) -> None:
    """Lower ``Shape`` of data to the constant it is."""
    shape = _data_shape(op)
    if shape is None:
        _constant(state, op, lambda a: np.array(a.shape, dtype=np.int64))
        return
    whole = (state.batch, *shape)
    start, end = op.attribute("start", 0), op.attribute("end", len(whole))
    state.values[op.output] = np.array(whole[start:end], dtype=np.int64)
