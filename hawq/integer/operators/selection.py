"""Operators that pick elements: slices, padding, upsampling, depth to space, joins.

Each moves an array of indices as NumPy would move the data; the integers follow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.errors import NetworkError
from hawq.fixed import as_integers
from hawq.integer.nodes import Affine, Concat, Select
from hawq.integer.operation import Lowering, Operation
from hawq.integer.operators.movement import data_shape, emit_move, on_constant
from hawq.integer.quantizer import IntegerConstant, one_grid
from hawq.integer.tensor import Tensor

MAX_ELEMENTS = 2**24
"""Elements of one sample that an operator may make."""


def _select(
    state: Lowering,
    op: Operation,
    change: Callable[[NDArray[np.int64]], NDArray[np.int64]],
    output: str = "",
) -> None:
    """Let the output's elements be those that ``change`` leaves of an index array."""
    shape = data_shape(op)
    if shape is None:
        value = op.value(0)
        output = output or op.output
        if isinstance(value, IntegerConstant):
            flat = value.integers.reshape(-1)
            indices = change(np.arange(flat.size).reshape(value.integers.shape))
            moved = np.where(indices < 0, 0, flat[indices])
            state.values[output] = IntegerConstant(as_integers(moved), value.scale)
            return
        raise op.refuse("of a constant is not carried: fold constants first")
    count = math.prod(shape)
    try:
        indices = change(np.arange(count, dtype=np.int64).reshape(1, *shape))
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise op.refuse(f"does not fit samples of shape {shape}: {error}") from error
    if len(indices) != 1 or indices.size > MAX_ELEMENTS:
        raise op.refuse(
            f"makes {indices.size} elements of samples of shape {shape}, expected the "
            f"batch kept and at most {MAX_ELEMENTS}"
        )
    emit_move(state, op, Select(("",), "", np.ascontiguousarray(indices[0])), output)


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
    shape = data_shape(op)
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
    shape = data_shape(op)
    if shape is None:
        on_constant(state, op, lambda a: np.take(a, chosen, op.attribute("axis", 0)))
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
    if max(pads) > MAX_ELEMENTS:
        raise op.refuse(f"pads {pads} make more than {MAX_ELEMENTS} elements")
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

    if math.prod(shape) * math.prod(factors) > MAX_ELEMENTS:
        raise op.refuse(f"factors {factors} make more than {MAX_ELEMENTS} elements")
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
