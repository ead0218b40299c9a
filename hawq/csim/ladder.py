"""Climb the ladder: compare rung with rung, tensor by tensor, integer by integer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from hawq.csim.rungs import Rung, Values
from hawq.errors import MismatchError
from hawq.integer.graph import Graph
from hawq.records import Comparison, Difference, TensorComparison

Inputs = Mapping[str, NDArray[np.float32]]


def climb(
    rungs: Sequence[Rung],
    graph: Graph,
    inputs: Inputs,
    progress: Callable[[str, float], None],
) -> tuple[list[Comparison], dict[str, Values]]:
    """Compare each rung with the one below; stop at the first that differs.

    Args:
        rungs: From the trained network upwards.
        graph: Gives each tensor's binary point and the order of tensors.
        inputs: Name of the set → standardised features.
        progress: Called before each rung.

    Returns:
        One comparison a pair of rungs, and the last rung's values on each set.

    Raises:
        MismatchError: at the first rung that differs; it names tensor, sample, index,
            both integers and both types.
    """
    comparisons: list[Comparison] = []
    below: dict[str, Values] = {}
    for index, rung in enumerate(rungs):
        progress(rung.name, index / len(rungs))
        values = {name: rung.run(features) for name, features in inputs.items()}
        if index:
            pair = (rungs[index - 1], rung)
            comparison = compare(pair, (below, values), graph)
            if comparison.first is not None:
                raise MismatchError(describe(comparison))
            comparisons.append(comparison)
        below = values
    return comparisons, below


def compare(
    pair: tuple[Rung, Rung],
    values: tuple[Mapping[str, Values], Mapping[str, Values]],
    graph: Graph,
) -> Comparison:
    """Compare two rungs on every input set and every tensor that both name.

    Args:
        pair: The lower and the upper rung.
        values: Input set → values, of the lower and of the upper rung.
        graph: Gives each tensor's binary point and the order of tensors.

    Returns:
        The comparison, with the first difference if there is one: first tensor in the
        network's order, then first input set, then first sample.
    """
    lower, upper = values
    sets = list(lower)
    shared = [t for t in graph.tensors if t in lower[sets[0]] and t in upper[sets[0]]]
    rows, first = [], None
    for tensor in shared:
        fraction = graph.tensors[tensor].fraction
        integers = different = 0
        for name in sets:
            expected = np.ldexp(lower[name][tensor], fraction)
            got = np.ldexp(upper[name][tensor], fraction)
            unequal = expected != got
            integers += unequal.size
            different += int(np.count_nonzero(unequal))
            if first is None and unequal.any():
                sample, *index = (int(i) for i in np.argwhere(unequal)[0])
                first = Difference(
                    tensor=tensor,
                    sample=sample,
                    index=tuple(index),
                    expected=_exact(expected[sample, *index]),
                    got=_exact(got[sample, *index]),
                    expected_type=pair[0].types[tensor],
                    got_type=pair[1].types[tensor],
                    inputs=name,
                )
        form = graph.tensors[tensor].format.ap_type()
        rows.append(
            TensorComparison(
                tensor=tensor, format=form, integers=integers, different=different
            )
        )
    return Comparison(
        lower=pair[0].name,
        upper=pair[1].name,
        inputs={name: _samples(lower[name]) for name in sets},
        tensors=tuple(rows),
        first=first,
    )


def _samples(values: Values) -> int:
    return len(next(iter(values.values())))


def _exact(value: np.float64) -> str:
    """Write a scaled value: an integer, or the fraction that lies off the grid."""
    return str(Fraction(float(value)))


def describe(comparison: Comparison) -> str:
    """Say in one line where two rungs part.

    Args:
        comparison: With a first difference.

    Returns:
        The line.
    """
    first = comparison.first
    if first is None:
        return f"{comparison.upper} = {comparison.lower}: every integer is equal"
    total = sum(row.different for row in comparison.tensors)
    return (
        f"{comparison.upper} differs from {comparison.lower} at tensor "
        f"{first.tensor!r}, sample {first.sample} of {first.inputs!r}, element "
        f"{list(first.index)}: expected the integer {first.expected} "
        f"({first.expected_type}), got {first.got} ({first.got_type}); "
        f"{total} integers differ in all"
    )
