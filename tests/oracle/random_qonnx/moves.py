"""Operators that move elements: each takes a builder and data, and gives new data."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from random_qonnx.builder import Builder, Data


def _list(b: Builder, values: Sequence[int]) -> str:
    return b.file.constant(list(values), dtype="i8")


def reshape(b: Builder, x: Data) -> Data:
    size = math.prod(x.shape)
    first = b.choose.pick([n for n in range(1, size + 1) if size % n == 0])
    shape = b.choose.pick(((first, size // first), (size,), (1, *x.shape)))
    target = [b.choose.pick((1, 0)), *shape]
    if b.choose.chance(50):
        target[b.choose.integer(1, len(shape))] = -1
    return Data(b.file.node("Reshape", x.name, _list(b, target)), shape, x.reach)


def computed_reshape(b: Builder, x: Data) -> Data:
    """Flatten as exporters do: Shape, Gather, Unsqueeze, Concat, Reshape."""
    sizes = b.file.node("Shape", x.name)
    batch = b.file.node("Gather", sizes, b.file.constant(0, dtype="i8"), axis=0)
    column = b.file.node("Unsqueeze", batch, _list(b, [0]))
    target = b.file.node("Concat", column, _list(b, [-1]), axis=0)
    y = b.file.node("Reshape", x.name, target)
    return Data(y, (math.prod(x.shape),), x.reach)


def flatten(b: Builder, x: Data) -> Data:
    return Data(b.file.node("Flatten", x.name), (math.prod(x.shape),), x.reach)


def transpose(b: Builder, x: Data) -> Data:
    order = list(range(len(x.shape)))
    for i in range(len(order) - 1):
        j = b.choose.integer(i, len(order) - 1)
        order[i], order[j] = order[j], order[i]
    y = b.file.node("Transpose", x.name, perm=[0, *(i + 1 for i in order)])
    return Data(y, tuple(x.shape[i] for i in order), x.reach)


def squeeze(b: Builder, x: Data) -> Data:
    """Add an axis of size 1, or take one away."""
    ones = [i + 1 for i, n in enumerate(x.shape) if n == 1]
    if ones and len(x.shape) > 1 and b.choose.chance(70):
        axis = b.choose.pick(ones)
        y = b.file.node("Squeeze", x.name, _list(b, [axis]))
        shape = tuple(n for i, n in enumerate(x.shape, 1) if i != axis)
        return Data(y, shape, x.reach)
    axis = b.choose.integer(1, len(x.shape) + 1)
    y = b.file.node("Unsqueeze", x.name, _list(b, [axis]))
    return Data(y, (*x.shape[: axis - 1], 1, *x.shape[axis - 1 :]), x.reach)


def slice_(b: Builder, x: Data) -> Data:
    axis = b.choose.integer(0, len(x.shape) - 1)
    size = x.shape[axis]
    start = b.choose.integer(0, size - 1)
    step = b.choose.pick((1, 1, 2, -1, -2))
    end = size + 5 if step > 0 else -size - 5
    count = len(range(size)[start::step] if step > 0 else range(start, -1, step))
    names = [_list(b, [v]) for v in (start, end, axis + 1, step)]
    y = b.file.node("Slice", x.name, *names)
    return Data(y, _with(x.shape, axis, count), x.reach)


def _with(shape: tuple[int, ...], axis: int, size: int) -> tuple[int, ...]:
    return (*shape[:axis], size, *shape[axis + 1 :])


def split(b: Builder, x: Data) -> Data:
    axis = b.choose.integer(0, len(x.shape) - 1)
    if x.shape[axis] < 2:
        return flatten(b, x)
    first = b.choose.integer(1, x.shape[axis] - 1)
    parts = [first, x.shape[axis] - first]
    names = b.file.split("Split", 2, x.name, _list(b, parts), axis=axis + 1)
    made = [
        Data(name, _with(x.shape, axis, n), x.reach)
        for name, n in zip(names, parts, strict=True)
    ]
    b.made.append(made[0])
    return made[1]


def gather(b: Builder, x: Data) -> Data:
    axis = b.choose.integer(0, len(x.shape) - 1)
    size = x.shape[axis]
    chosen = [b.choose.integer(-size, size - 1) for _ in range(b.choose.integer(1, 4))]
    y = b.file.node("Gather", x.name, _list(b, chosen), axis=axis + 1)
    return Data(y, _with(x.shape, axis, len(chosen)), x.reach)


def pad(b: Builder, x: Data) -> Data:
    mode = b.choose.pick(("constant", "constant", "edge", "reflect"))
    most = [min(2, n - 1) if mode == "reflect" else 2 for n in x.shape]
    before, after = ([b.choose.integer(0, m) for m in most] for _ in range(2))
    y = b.file.node("Pad", x.name, _list(b, [0, *before, 0, *after]), mode=mode)
    sizes = zip(x.shape, before, after, strict=True)
    return Data(y, tuple(n + p + q for n, p, q in sizes), x.reach)


def concat(b: Builder, x: Data) -> Data:
    axis = b.choose.integer(0, len(x.shape) - 1)
    others = [o for o in b.made if _with(o.shape, axis, 0) == _with(x.shape, axis, 0)]
    others = [o for o in others if len(o.shape) == len(x.shape)]
    parts = [x, b.choose.pick([x, *others][-3:])]
    if b.choose.chance(50):
        parts.reverse()
    given = axis + 1 if b.choose.chance(50) else axis - len(x.shape)
    y = b.file.node("Concat", *(p.name for p in parts), axis=given)
    size = sum(p.shape[axis] for p in parts)
    return Data(y, _with(x.shape, axis, size), max(p.reach for p in parts))


def resize(b: Builder, x: Data) -> Data:
    factors = [b.choose.integer(1, 2) for _ in x.shape]
    shape = tuple(n * f for n, f in zip(x.shape, factors, strict=True))
    given = b.choose.pick((
        {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        {},
        {"coordinate_transformation_mode": "pytorch_half_pixel"},
        {"nearest_mode": "round_prefer_ceil"},
    ))
    if b.choose.chance(50):
        names = ("", b.file.constant([1.0, *factors]))
    else:
        names = ("", "", _list(b, (1, *shape)))
    y = b.file.node("Resize", x.name, *names, mode="nearest", **given)
    return Data(y, shape, x.reach)


def upsample(b: Builder, x: Data) -> Data:
    factors = [b.choose.integer(1, 2) for _ in x.shape]
    y = b.file.node("Upsample", x.name, b.file.constant([1.0, *factors]))
    shape = tuple(n * f for n, f in zip(x.shape, factors, strict=True))
    return Data(y, shape, x.reach)


def depth_to_space(b: Builder, x: Data) -> Data:
    """Move blocks from channels to space, or back."""
    c, h, w = x.shape
    if c % 4 == 0:
        mode = b.choose.pick(("DCR", "CRD"))
        y = b.file.node("DepthToSpace", x.name, blocksize=2, mode=mode)
        return Data(y, (c // 4, 2 * h, 2 * w), x.reach)
    if h % 2 == w % 2 == 0:
        y = b.file.node("SpaceToDepth", x.name, blocksize=2)
        return Data(y, (4 * c, h // 2, w // 2), x.reach)
    return transpose(b, x)


def constant_graph(b: Builder, x: Data) -> Data:
    """Add a constant that the file computes from others, in float32."""
    root = b.file.node("Sqrt", b.file.constant(np.abs(b.real(2)) + 0.5))
    chosen = b.file.node("Gather", root, b.file.constant([1], dtype="i8"), axis=0)
    value = b.file.node("Mul", chosen, b.file.constant(x.reach / 4))
    return Data(b.file.node("Add", x.name, value), x.shape, x.reach)
