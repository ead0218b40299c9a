"""Compare what the integer graph computes with what the file means, exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from qonnx_exact.interpreter import interpret

from hawq.integer.execute import execute
from hawq.integer.graph import Graph
from hawq.integer.lower import lower_model

Inputs = NDArray[Any] | Mapping[str, NDArray[Any]]


def assert_exact(model: onnx.ModelProto, x: Inputs) -> Graph:
    """Check every tensor of a file: values, bounds, and all carriers of integers."""
    graph = lower_model(model)
    expected = interpret(model, x)
    names = tuple(graph.tensors)
    got = execute(graph, x, names, threads=1)
    plain = execute(graph, x, names, threads=1, carriers=("object",))
    compared = [name for name in names if name in expected]
    assert set(graph.outputs) <= set(compared)
    for name in names:
        tensor = graph.tensors[name]
        assert_array_equal(got[name], plain[name], f"carriers of {name!r}")
        assert (tensor.lows <= plain[name]).all(), f"{name!r} is below its bounds"
        assert (plain[name] <= tensor.highs).all(), f"{name!r} is above its bounds"
    for name in compared:
        values = plain[name].astype(object) * graph.tensors[name].scale
        assert values.shape == expected[name].shape, f"shape of {name!r}"
        if (values != expected[name]).any():
            index = tuple(int(i) for i in np.argwhere(values != expected[name])[0])
            raise AssertionError(
                f"{name!r} at {index}: the graph gives {values[index]}, the file means "
                f"{expected[name][index]}"
            )
    return graph


def worth(graph: Graph, x: Inputs, name: str) -> NDArray[np.float64]:
    """Give the values of one tensor, for cases with a closed form."""
    integers = execute(graph, x, (name,), threads=1)[name]
    return (integers.astype(object) * graph.tensors[name].scale).astype(np.float64)


def samples(*shape: int, count: int = 4, step: float = 0.125) -> NDArray[np.float64]:
    """Draw multiples of a step between -4 and 4 steps of 1."""
    reach = round(4 / step)
    integers = np.random.default_rng(0).integers(-reach, reach, (count, *shape))
    return integers * step
