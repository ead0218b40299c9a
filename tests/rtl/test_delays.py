from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hawq.integer.lower import lower_qonnx
from hawq.rtl.delays import count_levels
from hawq.rtl.trace import trace_graph

alkaid = pytest.importorskip("alkaid.trace")


def logic_of(function: Any) -> Any:
    low, high = np.full(2, -8.0), np.full(2, 7.0)
    hardware = alkaid.HWConfig(1, 1, -1)
    x = alkaid.FVArray.from_lhs(low, high, np.ones(2), hardware, 0.0, {})
    return alkaid.trace(x, function(x))


@pytest.mark.parametrize(
    ("function", "levels"),
    [
        (lambda x: x, 0.0),
        (lambda x: x[:1] + x[1:], 1.0),
        (lambda x: x[:1] + x[1:] + 5.0, 2.0),
        (lambda x: np.maximum(x[:1] - x[1:], 0), 1.5),
    ],
    ids=["wires", "sum", "biased sum", "ReLU of a difference"],
)
def test_levels_of_small_logic(function: Any, levels: float) -> None:
    assert count_levels(logic_of(function)).latency[1] == levels


def test_the_logic_stays_as_it_is(small_qonnx: Path) -> None:
    graph = lower_qonnx(small_qonnx)
    logic = trace_graph(graph)
    counted = count_levels(logic)
    x = np.random.default_rng(0).integers(-32, 32, (100, 4)).astype(np.float64)
    np.testing.assert_array_equal(counted.predict(x), logic.predict(x))
    assert [op._replace(latency=0) for op in counted.ops] == [
        op._replace(latency=0) for op in logic.ops
    ]
