"""Matrices as tables: no zeros, and sums in parts that narrow integers hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hawq.emulator.integers import INT32, TYPES, IntegerType, type_for
from hawq.emulator.source import Source
from hawq.fixed import IntArray
from hawq.integer.tensor import Tensor

_WORTH_IT = 3
"""Terms a part, from which narrower products save more than adding parts costs."""


@dataclass(frozen=True, eq=False)
class Matrix:
    """Sums of products.

    Attributes:
        weights: For each output, integers.
        indices: For each output and weight, the element it multiplies.
        reaches: For each output and weight, the largest magnitude of that element.
        bias: For each output, or None.
    """

    weights: list[IntArray]
    indices: list[NDArray[np.int64]]
    reaches: list[IntArray]
    bias: IntArray | None


def write_rows(
    source: Source, matrix: Matrix, reach: int, x: Tensor
) -> tuple[str, IntegerType, list[int]]:
    """Write a matrix down.

    Args:
        source: Takes the tables.
        matrix: The matrix.
        reach: The largest magnitude of any partial sum.
        x: What it multiplies.

    Returns:
        A C++ statement that defines ``rows``; the type of the sums; for each term,
        which of its output's weights it is.
    """
    bias = [0] * len(matrix.weights) if matrix.bias is None else matrix.bias.tolist()
    kind = type_for(reach, *bias, least=INT32)
    terms = list(_terms(matrix))
    narrow, parts = kind, _parts(terms, kind)
    for candidate in TYPES:
        if candidate.bytes >= min(kind.bytes, 8):
            break
        if candidate.bytes >= source.stored(x.name).bytes and _fit(terms, candidate):
            made = _parts(terms, candidate)
            count = sum(len(row) for row in made)
            if sum(map(len, terms)) >= _WORTH_IT * count:
                narrow, parts = candidate, made
                break
    starts = [0]
    for row in parts:
        starts += (starts[-1] + np.cumsum(row, dtype=int)).tolist()
    begin = np.cumsum([0, *map(len, parts)]).tolist()
    indices = [i for row in terms for i, _, _, _ in row]
    short = "uint16_t" if max(indices, default=0) < 2**16 else "uint32_t"
    tables = (
        source.constant("uint32_t", f"{{{', '.join(map(str, begin))}}}"),
        source.constant("uint32_t", f"{{{', '.join(map(str, starts))}}}"),
        source.constant(short, f"{{{', '.join(map(str, indices or [0]))}}}"),
        source.table(narrow, [w for row in terms for _, w, _, _ in row] or [0]),
        source.table(kind, bias),
    )
    types = f"{kind.name}, {narrow.name}, {short}"
    statement = f"const Rows<{types}> rows = {{{', '.join(tables)}}};"
    return statement, kind, [number for row in terms for *_, number in row]


Term = tuple[int, int, int, int]
"""Index, weight, largest magnitude of the product, number of the weight."""


def _terms(matrix: Matrix) -> Iterator[list[Term]]:
    """Leave out what is always zero."""
    for weights, indices, reaches in zip(
        matrix.weights, matrix.indices, matrix.reaches, strict=True
    ):
        rows = zip(indices.tolist(), weights.tolist(), reaches.tolist(), strict=True)
        yield [
            (index, weight, abs(weight) * reach, number)
            for number, (index, weight, reach) in enumerate(rows)
            if weight and reach
        ]


def _fit(terms: list[list[Term]], kind: IntegerType) -> bool:
    return all(product <= kind.reach for row in terms for _, _, product, _ in row)


def _parts(terms: list[list[Term]], kind: IntegerType) -> list[list[int]]:
    """Count, for each output, the terms of parts whose sums fit."""
    parts = []
    for row in terms:
        counts, total = [], kind.reach + 1
        for _, _, product, _ in row:
            if total + product > kind.reach:
                counts.append(0)
                total = 0
            counts[-1] += 1
            total += product
        parts.append(counts)
    return parts
