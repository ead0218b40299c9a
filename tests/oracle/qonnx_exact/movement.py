"""Operators that only move elements, as ONNX specifies them."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from qonnx_exact.values import Array, Attributes, alike, exact, scalar, whole_numbers


def listed(inputs: list[Array | None], i: int, a: Attributes, name: str) -> Any:
    """Give a list that newer opsets have as an input and older ones as an attribute."""
    if len(inputs) > i and inputs[i] is not None:
        return whole_numbers(inputs[i])
    return a.get(name)


def reshape(inputs: list[Array], _: Attributes) -> Array:
    x, target = inputs[0], whole_numbers(inputs[1])
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(target)])


def flatten(inputs: list[Array], a: Attributes) -> Array:
    x, axis = inputs[0], a.get("axis", 1)
    return x.reshape(math.prod(x.shape[:axis]), -1)


def squeeze(inputs: list[Array], a: Attributes) -> Array:
    axes = listed(inputs, 1, a, "axes")
    return np.squeeze(inputs[0], None if axes is None else tuple(axes))


def unsqueeze(inputs: list[Array], a: Attributes) -> Array:
    return np.expand_dims(inputs[0], tuple(listed(inputs, 1, a, "axes")))


def transpose(inputs: list[Array], a: Attributes) -> Array:
    return np.transpose(inputs[0], a.get("perm"))


def concat(inputs: list[Array], a: Attributes) -> Array:
    return np.concatenate(alike(inputs), a["axis"])


def split(inputs: list[Array], a: Attributes) -> tuple[Array, ...]:
    x, axis = inputs[0], a.get("axis", 0)
    sizes = listed(inputs, 1, a, "split")
    if sizes is None:
        part = -(-x.shape[axis] // a["outputs"])
        sizes = [part] * a["outputs"]
    ends = np.cumsum(sizes)
    return tuple(
        np.take(x, range(e - n, min(e, x.shape[axis])), axis)
        for e, n in zip(ends, sizes, strict=True)
    )


def slice_(inputs: list[Array | None], a: Attributes) -> Array:
    x = inputs[0]
    starts, ends, axes, steps = (
        listed(inputs, i, a, name)
        for i, name in enumerate(("starts", "ends", "axes", "steps"), 1)
    )
    axes = axes or list(range(len(starts)))
    for k, axis in enumerate(axes):
        size, step = x.shape[axis], steps[k] if steps else 1
        start, end = (v + size if v < 0 else v for v in (starts[k], ends[k]))
        if step > 0:
            chosen = range(min(max(start, 0), size), min(max(end, 0), size), step)
        else:
            first, last = min(max(start, 0), size - 1), min(max(end, -1), size - 1)
            chosen = range(first, last, step)
        x = np.take(x, np.array(chosen, dtype=np.int64), axis)
    return x


def gather(inputs: list[Array], a: Attributes) -> Array:
    x, indices = inputs
    return np.take(x, indices.astype(np.int64), a.get("axis", 0))


def pad(inputs: list[Array | None], a: Attributes) -> Array:
    x, pads = exact(inputs[0]), listed(inputs, 1, a, "pads")
    mode = a.get("mode", "constant")
    fill = Fraction(a.get("value", 0.0))
    if len(inputs) > 2 and inputs[2] is not None:
        fill = scalar(exact(inputs[2]))
    before, after = pads[: x.ndim], pads[x.ndim :]
    sizes = [n + b + e for n, b, e in zip(x.shape, before, after, strict=True)]
    y = np.empty(sizes, dtype=object)
    for index in np.ndindex(y.shape):
        where = [i - b for i, b in zip(index, before, strict=True)]
        if mode == "edge":
            where = [min(max(w, 0), n - 1) for w, n in zip(where, x.shape, strict=True)]
        if mode == "reflect":
            where = [
                n - 1 - abs(n - 1 - abs(w)) for w, n in zip(where, x.shape, strict=True)
            ]
        inside = all(0 <= w < n for w, n in zip(where, x.shape, strict=True))
        y[index] = x[tuple(where)] if inside else fill
    return y


def upsample(inputs: list[Array], a: Attributes) -> Array:
    """Repeat: output ``i`` is input ``floor(i / scale)``."""
    x = inputs[0]
    scales = exact(a["scales"] if "scales" in a else inputs[-1]).ravel()
    for axis, s in enumerate(scales):
        chosen = [math.floor(i / s) for i in range(math.floor(x.shape[axis] * s))]
        x = np.take(x, chosen, axis)
    return x


def resize(inputs: list[Array | None], a: Attributes) -> Array:
    """Take the nearest element in the coordinates that the attributes choose."""
    x = inputs[0]
    given = dict(enumerate(inputs))
    if given.get(3) is not None:
        sizes = whole_numbers(given[3])
        scales = [Fraction(n, m) for n, m in zip(sizes, x.shape, strict=True)]
    else:
        scales = exact(given.get(2)).ravel().tolist()
        sizes = [math.floor(n * s) for n, s in zip(x.shape, scales, strict=True)]
    where = a.get("coordinate_transformation_mode", "half_pixel")
    nearest = a.get("nearest_mode", "round_prefer_floor")
    for axis, (scale, size) in enumerate(zip(scales, sizes, strict=True)):
        last = x.shape[axis] - 1
        chosen = [
            min(
                max(_NEAREST[nearest](_original(where, i, scale, size, last + 1)), 0),
                last,
            )
            for i in range(size)
        ]
        x = np.take(x, chosen, axis)
    return x


def _original(where: str, i: int, scale: Fraction, size: int, old: int) -> Fraction:
    half = Fraction(1, 2)
    match where:
        case "asymmetric":
            return i / scale
        case "align_corners":
            return Fraction(i * (old - 1), size - 1) if size > 1 else Fraction(0)
        case "pytorch_half_pixel" if size == 1:
            return Fraction(0)
        case "half_pixel_symmetric":
            adjustment = size / (scale * old)
            centre = Fraction(old, 2)
            return centre * (1 - adjustment) + (i + half) / scale - half
        case _:
            return (i + half) / scale - half


_NEAREST = {
    "round_prefer_floor": lambda v: math.ceil(v - Fraction(1, 2)),
    "round_prefer_ceil": lambda v: math.floor(v + Fraction(1, 2)),
    "floor": math.floor,
    "ceil": math.ceil,
}


def depth_to_space(inputs: list[Array], a: Attributes) -> Array:
    x, b, crd = inputs[0], a["blocksize"], a.get("mode", "DCR") == "CRD"
    n, c, h, w = x.shape
    inner = c // b**2
    y = np.empty((n, inner, h * b, w * b), dtype=x.dtype)
    for k, i, j in np.ndindex(inner, b, b):
        channel = (k * b + i) * b + j if crd else (i * b + j) * inner + k
        y[:, k, i::b, j::b] = x[:, channel]
    return y


def space_to_depth(inputs: list[Array], a: Attributes) -> Array:
    x, b = inputs[0], a["blocksize"]
    parts = [x[:, :, i::b, j::b] for i in range(b) for j in range(b)]
    return np.concatenate(parts, axis=1)


def shape(inputs: list[Array], a: Attributes) -> Array:
    sizes = inputs[0].shape
    chosen = sizes[a.get("start", 0) : a.get("end", len(sizes))]
    return np.array(chosen, dtype=np.int64)


def constant_of_shape(inputs: list[Array], a: Attributes) -> Array:
    from onnx import numpy_helper

    value = numpy_helper.to_array(a["value"]) if "value" in a else np.float32([0])
    return np.full(whole_numbers(inputs[0]), value[0])
