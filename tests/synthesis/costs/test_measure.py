"""Single layers, synthesised and kept."""

from __future__ import annotations

import numpy as np
import pytest

from hawq.allocation.measured import latency_ns, lut, measured
from hawq.errors import ToolError
from hawq.synthesis.costs import measure
from hawq.synthesis.costs.grid import GridLayer, draw_layers
from hawq.synthesis.costs.measure import measure_layer, measure_layers

pytest.importorskip("alkaid", reason="alkaid is not installed")
pytest.importorskip("pyosys", reason="pyosys is not installed")


def sums_of(weight, activation_bits=6):
    weight = np.array(weight)
    bias = np.zeros(len(weight), dtype=np.int64)
    return GridLayer("sums", weight, 3, bias, activation_bits)


def test_one_adder_takes_a_lut_a_bit_and_is_synthesised_once(tmp_path, monkeypatch):
    (found,) = measure_layers([sums_of([[1, 1]])], tmp_path)

    # x + y of 6 bits: a LUT (x xor y) a bit; the carry leaves the chain as bit 7.
    assert (found.lut, found.inverters, found.levels) == (6, 0, 1.0)
    assert found.carry == 2
    # A LUT2 (at most 238 ps) and a carry chain of two cells (at least 205 ps).
    assert 0.205 < found.delay_ns < 0.238 + 2 * 0.674

    monkeypatch.setattr(measure, "run_yosys", lambda *_, **__: pytest.fail("again"))
    again = measure_layers([sums_of([[1, 1]])], tmp_path)
    assert again == [found]
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]


def test_wires_are_no_layer_to_measure(tmp_path):
    with pytest.raises(
        ToolError,
        match=r"^layer sums: Yosys found no path through a cell; expected logic "
        r"between inputs and outputs, not wires alone; see \S+layer\.log$",
    ):
        measure_layer(sums_of([[1]]), tmp_path)
    assert not list(tmp_path.glob("*.json"))


def test_a_layer_that_fails_is_not_kept(tmp_path):
    with pytest.raises(
        ToolError,
        match=r"^Yosys was ended after 0\.5 s, the time limit: raise it or make the "
        r"design smaller; what it printed is in \S+layer\.log$",
    ):
        measure_layer(sums_of([[1, 1]]), tmp_path, limit_s=0.5)
    assert not list(tmp_path.glob("*.json"))


def test_predictions_hold_on_a_layer_that_nobody_fitted(tmp_path):
    drawn = draw_layers(20, 12345, other_sizes=True)
    layer = min(drawn, key=lambda one: one.weight.size)

    found = measure_layer(layer, tmp_path)

    # One layer of many: twice the error that nine of ten stay below.
    errors = measured()
    off = lut.price(layer.quantized) / found.lut - 1
    assert abs(off) < 2 * errors.lut_errors["unseen"].percentile_90
    off = latency_ns.price(layer.quantized) / found.delay_ns - 1
    assert abs(off) < 2 * errors.delay_errors["unseen"].percentile_90
