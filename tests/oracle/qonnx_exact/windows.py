"""Windows and pooling, as ONNX specifies them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from qonnx_exact.values import Array, Attributes, exact

Sizes = Sequence[int]


def padding(
    a: Attributes, spatial: Sizes, kernel: Sizes, strides: Sizes, dilations: Sizes
) -> tuple[list[int], list[int]]:
    """Give the padding before and after each spatial axis."""
    rank, mode = len(kernel), a.get("auto_pad", "NOTSET")
    if mode == "NOTSET":
        pads = a.get("pads", [0] * (2 * rank))
        return pads[:rank], pads[rank:]
    if mode == "VALID":
        return [0] * rank, [0] * rank
    totals = [
        max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
        for n, k, s, d in zip(spatial, kernel, strides, dilations, strict=True)
    ]
    small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return (small, large) if mode == "SAME_UPPER" else (large, small)


def output_size(
    size: int, kernel: int, stride: int, dilation: int, pads: int, ceil: int = 0
) -> int:
    room = size + pads - ((kernel - 1) * dilation + 1)
    return (-(-room // stride) if ceil else room // stride) + 1


def _pool(x: Array, a: Attributes, combine: Callable[[list[Any], int], Any]) -> Array:
    """Combine, at each position, the elements that are not padding.

    ``combine`` gets them, and how many there are with the padding.
    """
    x = exact(x)
    kernel = a["kernel_shape"]
    rank, ceil = len(kernel), a.get("ceil_mode", 0)
    strides, dilations = (a.get(k, [1] * rank) for k in ("strides", "dilations"))
    before, after = padding(a, x.shape[2:], kernel, strides, dilations)
    sizes = [
        output_size(
            x.shape[2 + i],
            kernel[i],
            strides[i],
            dilations[i],
            before[i] + after[i],
            ceil,
        )
        for i in range(rank)
    ]
    y = np.empty((*x.shape[:2], *sizes), dtype=object)
    for n, c, *place in np.ndindex(y.shape):
        seen, padded = [], 0
        for tap in itertools.product(*map(range, kernel)):
            where = [
                p * s + k * d - b
                for p, s, k, d, b in zip(
                    place, strides, tap, dilations, before, strict=True
                )
            ]
            spatial = x.shape[2:]
            padded += all(
                w < n + e for w, n, e in zip(where, spatial, after, strict=True)
            )
            if all(0 <= w < n for w, n in zip(where, spatial, strict=True)):
                seen.append(x[(n, c, *where)])
        y[(n, c, *place)] = combine(seen, padded)
    return y


def max_pool(inputs: list[Array], a: Attributes) -> Array:
    return _pool(inputs[0], a, lambda seen, _: max(seen))


def average_pool(inputs: list[Array], a: Attributes) -> Array:
    if a.get("count_include_pad", 0):
        return _pool(inputs[0], a, lambda seen, padded: sum(seen) / padded)
    return _pool(inputs[0], a, lambda seen, _: sum(seen) / len(seen))


def global_average_pool(inputs: list[Array], a: Attributes) -> Array:
    return _mean(exact(inputs[0]), tuple(range(2, inputs[0].ndim)), keep=True)


def global_max_pool(inputs: list[Array], a: Attributes) -> Array:
    return exact(inputs[0]).max(axis=tuple(range(2, inputs[0].ndim)), keepdims=True)


def reduce_mean(inputs: list[Array], a: Attributes) -> Array:
    x = exact(inputs[0])
    axes = [int(v) for v in inputs[1]] if len(inputs) > 1 else a.get("axes")
    wanted = tuple(axes) if axes is not None else tuple(range(x.ndim))
    return _mean(x, wanted, keep=bool(a.get("keepdims", 1)))


def _mean(x: Array, axes: tuple[int, ...], keep: bool) -> Array:
    count = int(np.prod([x.shape[i] for i in axes]))
    return np.asarray(x.sum(axis=axes, keepdims=keep) / Fraction(count))
