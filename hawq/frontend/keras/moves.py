"""Layers without weights that rearrange, pad, join or combine tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hawq.frontend.keras.layer import Layer, is_whole, whole_numbers
from hawq.frontend.keras.windows import require_channels_last, reshape
from hawq.frontend.keras.writer import Shape, Writer


def write_nothing(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write a layer that does something in training only."""
    return xs[0]


def write_flatten(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``Flatten``."""
    require_channels_last(layer)
    return reshape(out, xs[0], (math.prod(out.shapes[xs[0]]),))


def write_reshape(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``Reshape``, one size of which may be -1."""
    given, count = layer.config.get("target_shape"), math.prod(out.shapes[xs[0]])
    sizes = list(given) if whole_numbers(given) and given else [0]
    known = math.prod(n for n in sizes if n != -1)
    if -1 in sizes and known > 0:
        sizes[sizes.index(-1)] = count // known
    if min(sizes) < 1 or math.prod(sizes) != count:
        raise layer.refuse(
            f"target_shape {given} does not hold the {count} elements of a sample"
        )
    return reshape(out, xs[0], tuple(sizes))


def write_permute(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``Permute``."""
    shape, dims = out.shapes[xs[0]], layer.config.get("dims")
    if not whole_numbers(dims) or sorted(dims) != list(range(1, len(shape) + 1)):
        raise layer.refuse(
            f"dims {dims} is no order of {len(shape)} axes: save the model again"
        )
    moved = tuple(shape[d - 1] for d in dims)
    return out.add("Transpose", xs, moved, perm=[0, *dims])


def write_zero_padding(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``ZeroPadding1D`` or ``ZeroPadding2D``."""
    require_channels_last(layer)
    *spatial, channels = out.shapes[xs[0]]
    given = layer.config.get("padding")
    pairs = _pairs(given, len(spatial))
    if pairs is None:
        raise layer.refuse(
            f"padding {given} does not fit {len(spatial)} axes: save the model again"
        )
    before, behind = ([p[i] for p in pairs] for i in (0, 1))
    pads = out.constant("pads", [0, *before, 0, 0, *behind, 0], np.int64)
    shape = tuple(n + sum(p) for n, p in zip(spatial, pairs, strict=True))
    inputs = [xs[0], pads, out.constant("zero", 0.0)]
    return out.add("Pad", inputs, (*shape, channels), mode="constant")


def _pairs(given: object, rank: int) -> list[tuple[int, int]] | None:
    if is_whole(given):
        given = [given] * rank
    if rank == 1 and whole_numbers(given):
        given = [given] if len(given) == 2 else given
    if not isinstance(given, list) or len(given) != rank:
        return None
    pairs = [[p, p] if is_whole(p) else p for p in given]
    if not all(whole_numbers(p) and len(p) == 2 and min(p) >= 0 for p in pairs):
        return None
    return [(p[0], p[1]) for p in pairs]


def write_upsampling(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``UpSampling1D`` or ``UpSampling2D``, nearest."""
    require_channels_last(layer)
    if layer.config.get("interpolation", "nearest") != "nearest":
        raise layer.refuse(
            f"interpolation {layer.config['interpolation']!r} is not carried: use "
            "'nearest'"
        )
    *spatial, channels = out.shapes[xs[0]]
    factors = layer.sizes("size", len(spatial), 2)
    shape = tuple(n * f for n, f in zip(spatial, factors, strict=True))
    inputs = [
        xs[0],
        out.constant("region", []),
        out.constant("factors", [1, *factors, 1]),
    ]
    return out.add(
        "Resize",
        inputs,
        (*shape, channels),
        mode="nearest",
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    )


def write_concatenate(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``Concatenate``."""
    shapes = [out.shapes[x] for x in xs]
    rank, axis = len(shapes[0]), layer.whole("axis", -1)
    axis = axis + rank + 1 if axis < 0 else axis
    rests = {(*s[: axis - 1], *s[axis:]) for s in shapes}
    if not 1 <= axis <= rank or len(rests) > 1:
        raise layer.refuse(
            f"samples of shapes {shapes} cannot be joined along axis "
            f"{layer.whole('axis', -1)}"
        )
    total = sum(s[axis - 1] for s in shapes)
    joined = (*shapes[0][: axis - 1], total, *shapes[0][axis:])
    return out.add("Concat", xs, joined, axis=axis)


def write_merge(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``Add``, ``Subtract`` or ``Multiply``, of tensors or with a number."""
    operator = {"Add": "Add", "Subtract": "Sub", "Multiply": "Mul"}[layer.kind]
    if len(xs) < 2 or (operator == "Sub" and len(xs) > 2):
        raise layer.refuse(f"it reads {len(xs)} tensors, expected 2: build it again")
    result = xs[0]
    for x in xs[1:]:
        result = out.add(operator, [result, x], _joint(out, layer, result, x))
    return result


def _joint(out: Writer, layer: Layer, first: str, second: str) -> Shape:
    shapes = [out.shapes[x] for x in (first, second) if x in out.shapes]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        shape = ()
    if not shapes or any(len(s) != len(shape) for s in shapes):
        raise layer.refuse(f"samples of shapes {shapes} do not fit together")
    return shape
