"""MatMul, Gemm and Conv, as ONNX specifies them."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
from qonnx_exact.values import Array, Attributes, alike, exact
from qonnx_exact.windows import output_size, padding


def matmul(inputs: list[Array], _: Attributes) -> Array:
    return np.matmul(*alike(inputs))


def gemm(inputs: list[Array], a: Attributes) -> Array:
    x, weights, *bias = (exact(i) for i in inputs)
    x = x.T if a.get("transA", 0) else x
    weights = weights.T if a.get("transB", 0) else weights
    y = np.matmul(x, weights) * Fraction(a.get("alpha", 1.0))
    return y + bias[0] * Fraction(a.get("beta", 1.0)) if bias else y


def conv(inputs: list[Array], a: Attributes) -> Array:
    """Sum products element by element: samples, outputs, positions, inputs, taps."""
    x, weights, *bias = (exact(i) for i in inputs)
    rank, groups = x.ndim - 2, a.get("group", 1)
    outputs, depth, *kernel = weights.shape
    strides, dilations = (a.get(k, [1] * rank) for k in ("strides", "dilations"))
    before, after = padding(a, x.shape[2:], kernel, strides, dilations)
    sizes = [
        output_size(
            x.shape[2 + i], kernel[i], strides[i], dilations[i], before[i] + after[i]
        )
        for i in range(rank)
    ]
    y = np.empty((len(x), outputs, *sizes), dtype=object)
    taps = {  # output channel → (input channel, tap, weight), zeros left out
        o: [
            (o // (outputs // groups) * depth + c, tap, weights[(o, c, *tap)])
            for c, *tap in itertools.product(range(depth), *map(range, kernel))
            if weights[(o, c, *tap)]
        ]
        for o in range(outputs)
    }
    for n, o, *place in np.ndindex(y.shape):
        total = bias[0][o] if bias else Fraction(0)
        for channel, tap, weight in taps[o]:
            where = [
                p * s + k * d - b
                for p, s, k, d, b in zip(
                    place, strides, tap, dilations, before, strict=True
                )
            ]
            if all(0 <= w < n for w, n in zip(where, x.shape[2:], strict=True)):
                total += x[(n, channel, *where)] * weight
        y[(n, o, *place)] = total
    return y
