"""Prove a network that came as a file: climb the ladder from the QONNX executor up.

The golden executor of the integer graph is the reference. The QONNX executor computes
in float32: what it rounds is bounded, counted and shown apart. Firmware and emulator
must give equal integers.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from hawq.csim.corners import corner_sets
from hawq.csim.ladder import describe
from hawq.csim.noise import compare_floats, error_bounds
from hawq.csim.qonnx_executor import run_samples
from hawq.errors import DataError, FormatError, InexactError, MismatchError
from hawq.fixed import IntArray
from hawq.integer.execute import trace
from hawq.integer.graph import Graph
from hawq.integer.nodes import Quantize
from hawq.integer.tensor import Tensor
from hawq.records import Comparison, Difference, Record, TensorComparison

logger = logging.getLogger(__name__)

Inputs = Mapping[str, NDArray[Any]]
Progress = Callable[[str, float], None]

GOLDEN = "golden integer graph"
EXECUTOR = "QONNX executor"
BUDGET = 2**25
"""Elements of tensors that the QONNX executor computes in all: some seconds."""


class NetworkProof(Record):
    """What was compared for a network that came as a file.

    Attributes:
        network: Its name.
        kind: What it came as.
        comparisons: One a rung, each against the golden executor.
        refused: Rung → why it cannot carry the network.
        saturated: Input → fraction of the given values beyond its quantizer's range.
        integers: How many were compared and equal, in all.
        noise: How many the QONNX executor could not give exactly.
    """

    network: str
    kind: str
    comparisons: tuple[Comparison, ...]
    refused: dict[str, str]
    saturated: dict[str, float]
    integers: int
    noise: int


@dataclass(frozen=True, eq=False)
class Sets:
    """Input sets and their exact integers.

    Attributes:
        inputs: Set → input name → real values, shape (samples, *shape).
        golden: Set → tensor name → integers.
    """

    inputs: Mapping[str, Inputs]
    golden: Mapping[str, Mapping[str, IntArray]]


def make_sets(
    graph: Graph, data: Inputs | None, *, samples: int, corners: int, seed: int
) -> Sets:
    """Put the user's data and the corner inputs through the golden executor.

    Args:
        graph: The integer graph.
        data: Input name → real values, or None.
        samples: How many of the data to take.
        corners: Random vectors in each corner set.
        seed: Of the corners.

    Returns:
        The sets.
    """
    inputs: dict[str, Inputs] = {}
    if data is not None:
        inputs["data"] = {name: x[:samples] for name, x in data.items()}
    inputs.update(corner_sets(graph, seed, corners))
    return Sets(inputs, {name: trace(graph, x) for name, x in inputs.items()})


def samples_within(graph: Graph, budget: int = BUDGET) -> int:
    """Tell how many samples a slow executor can run.

    Args:
        graph: The integer graph.
        budget: Elements of tensors in all.

    Returns:
        1 or more.
    """
    elements = sum(math.prod(t.shape) for t in graph.tensors.values())
    return max(1, budget // max(1, elements))


def compare_executor(
    model: onnx.ModelProto, graph: Graph, sets: Sets, samples: int
) -> Comparison:
    """Compare the QONNX executor's floats with the exact integers.

    Args:
        model: The QONNX model.
        graph: The same, lowered.
        sets: Inputs and exact integers.
        samples: At most so many of each set.

    Returns:
        The comparison; its first difference is one that float rounding cannot explain.
    """
    counts: dict[str, list[int]] = {}
    first: Difference | None = None
    for name, inputs in sets.inputs.items():
        chosen = {k: x[:samples] for k, x in inputs.items()}
        exact = {k: v[:samples] for k, v in sets.golden[name].items()}
        floats = run_samples(model, graph, chosen)
        bounds = error_bounds(graph, exact, chosen)
        for tensor in graph.tensors.values():
            if tensor.name not in floats:
                continue
            integers = exact[tensor.name]
            given = floats[tensor.name].reshape(integers.shape)
            equal, noise = compare_floats(integers, tensor, given, bounds[tensor.name])
            wrong = ~equal & ~noise
            row = counts.setdefault(tensor.name, [0, 0, 0])
            row[0] += integers.size
            row[1] += int(wrong.sum())
            row[2] += int(noise.sum())
            if wrong.any() and first is None:
                first = _difference(tensor, integers, given, wrong, name)
    return _comparison(graph, EXECUTOR, sets, counts, first, samples)


def compare_integers(
    graph: Graph,
    rung: str,
    sets: Sets,
    run: Callable[[Inputs], Mapping[str, IntArray]],
    samples: int,
) -> Comparison:
    """Compare a rung's integers with the exact ones.

    Args:
        graph: The integer graph.
        rung: Its name.
        sets: Inputs and exact integers.
        run: Inputs → tensor name → integers of the tensors that the rung shows.
        samples: At most so many of each set.

    Returns:
        The comparison.
    """
    counts: dict[str, list[int]] = {}
    first: Difference | None = None
    for name, inputs in sets.inputs.items():
        given = run({k: x[:samples] for k, x in inputs.items()})
        for tensor in graph.tensors.values():
            if tensor.name not in given:
                continue
            integers = sets.golden[name][tensor.name][:samples]
            got = np.asarray(given[tensor.name]).reshape(integers.shape)
            wrong = got != integers
            row = counts.setdefault(tensor.name, [0, 0, 0])
            row[0] += integers.size
            row[1] += int(wrong.sum())
            if wrong.any() and first is None:
                real = got.astype(np.float64) * float(tensor.scale)
                first = _difference(tensor, integers, real, wrong, name)
    return _comparison(graph, rung, sets, counts, first, samples)


def _difference(
    tensor: Tensor,
    integers: IntArray,
    floats: NDArray[Any],
    wrong: NDArray[np.bool_],
    inputs: str,
) -> Difference:
    sample, *index = (int(i) for i in np.argwhere(wrong)[0])
    got = Fraction(float(floats[sample, *index])) / tensor.scale
    whole = got.denominator == 1
    return Difference(
        tensor=tensor.name,
        sample=sample,
        index=tuple(index),
        expected=str(int(integers[sample, *index])),
        got=str(got) if whole else f"{float(got):.9g}",
        expected_type=spell(tensor),
        got_type=spell(tensor),
        inputs=inputs,
    )


def _comparison(
    graph: Graph,
    rung: str,
    sets: Sets,
    counts: Mapping[str, list[int]],
    first: Difference | None,
    samples: int,
) -> Comparison:
    rows = tuple(
        TensorComparison(
            tensor=name,
            format=spell(graph.tensors[name]),
            integers=total,
            different=different,
            noise=noise,
        )
        for name, (total, different, noise) in counts.items()
    )
    sizes = {
        name: min(samples, len(next(iter(x.values()))))
        for name, x in sets.inputs.items()
    }
    return Comparison(lower=GOLDEN, upper=rung, inputs=sizes, tensors=rows, first=first)


def spell(tensor: Tensor) -> str:
    """Spell a tensor's number format: ``fixed<8,3,...>``, or width and scale.

    Args:
        tensor: Of any scale and width.

    Returns:
        One word.
    """
    try:
        return tensor.format.ap_type()
    except (InexactError, FormatError):
        sign = "" if tensor.signed else "u"
        return f"{sign}int{tensor.width}*{float(tensor.scale):.6g}"


def require_equal(comparison: Comparison) -> Comparison:
    """Stop at the first difference.

    Args:
        comparison: Of one rung.

    Returns:
        The same.

    Raises:
        MismatchError: if an integer differs.
    """
    if comparison.first is not None:
        raise MismatchError(describe(comparison))
    return comparison


def saturation(graph: Graph, data: Inputs) -> dict[str, float]:
    """Tell how much of the data lies beyond the input quantizers.

    Args:
        graph: The integer graph.
        data: Input name → real values, shape (samples, *shape).

    Returns:
        Input name → fraction of the values that saturate.
    """
    found = {}
    for node in graph.nodes:
        if isinstance(node, Quantize):
            x = data[node.inputs[0]].astype(np.float64)
            gain = 1.0 if node.gain is None else node.gain.astype(np.float64)
            offset = 0.0 if node.offset is None else node.offset.astype(np.float64)
            steps = (x * gain + offset) / float(node.grid.scale)
            beyond = (steps < node.grid.low - 0.5) | (steps > node.grid.high + 0.5)
            found[node.inputs[0]] = float(beyond.mean()) if beyond.size else 0.0
    return found


def read_data(path: Path, graph: Graph) -> dict[str, NDArray[Any]]:
    """Read samples for a network's inputs.

    Args:
        path: ``.npz`` with an array a network input (or one array, or ``x``, if there
            is one input), or ``.npy``.
        graph: Gives names and shapes.

    Returns:
        Input name → float32 or float64, shape (samples, *shape).

    Raises:
        DataError: if arrays are missing, or their shapes or types do not fit.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path}: not a NumPy file of plain numbers: {error}"
        ) from error
    arrays = {"x": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    wanted = {i.name: i.shape for i in graph.inputs}
    if len(wanted) == 1:
        (name,) = wanted
        key = next((k for k in (name, "x") if k in arrays), None)
        if key is None and len(arrays) == 1:
            key = next(iter(arrays))
        arrays = {name: arrays[key]} if key else arrays
    missing = sorted(set(wanted) - set(arrays))
    if missing:
        raise DataError(
            f"{path} has no array {', '.join(missing)}; it has {', '.join(arrays)}: "
            "save one array for each input of the network"
        )
    return {name: _fitting(path, name, arrays[name], s) for name, s in wanted.items()}


def _fitting(
    path: Path, name: str, array: NDArray[Any], shape: tuple[int, ...]
) -> NDArray[Any]:
    if array.dtype.kind not in "fiub":
        raise DataError(f"{path}: {name!r} has type {array.dtype}, expected numbers")
    if array.shape[1:] != shape and array.ndim and array[0].size == math.prod(shape):
        raise DataError(
            f"{path}: {name!r} has shape {array.shape}, expected (samples, "
            f"{', '.join(map(str, shape))}): the elements would fit, but in which "
            "order? reshape or transpose the data"
        )
    if array.shape[1:] != shape or not len(array):
        expected = ", ".join(["samples", *map(str, shape)])
        raise DataError(
            f"{path}: {name!r} has shape {array.shape}, expected ({expected})"
        )
    real = array if array.dtype == np.float32 else array.astype(np.float64)
    if not np.isfinite(real).all():
        raise DataError(f"{path}: {name!r} has NaN or infinity: clean the data first")
    return real
