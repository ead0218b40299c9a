"""Fitting laws to measurements."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest

from hawq.allocation.measured import DelayLaw, LutLaw, MeasuredCosts, Sums
from hawq.errors import InputError
from hawq.synthesis.costs import fit as fitting
from hawq.synthesis.costs.fit import (
    Settings,
    compare,
    fit,
    fit_costs,
    fit_delay,
    fit_lut,
    summary,
)
from hawq.synthesis.costs.grid import GridLayer, draw_layers
from hawq.synthesis.costs.measure import LayerMeasurement

LUT = LutLaw(
    factor=0.7,
    digits=0.4,
    weights=0.3,
    width=1.2,
    outputs=0.2,
    inputs=0.1,
    signed=1.1,
)
DELAY = DelayLaw(doubling_ns=0.75, bit_ns=0.125)


def measurement(layer, lut, delay_ns):
    return LayerMeasurement(
        name=layer.name,
        lut=lut,
        carry=0,
        inverters=0,
        delay_ns=delay_ns,
        adders=lut / 1.25,
        levels=3.0,
        seconds=1.0,
    )


def exactly(layers):
    """Measurements that obey the laws, LUTs scaled so that rounding does not show."""
    sums = [Sums.of(layer.quantized) for layer in layers]
    return [
        measurement(layer, round(1e9 * LUT.predict(one)), DELAY.predict(one))
        for layer, one in zip(layers, sums, strict=True)
    ]


def test_laws_are_found_again():
    sums = [Sums.of(layer.quantized) for layer in draw_layers(30, 1)]

    lut = fit_lut(sums, np.array([LUT.predict(one) for one in sums]))
    delay = fit_delay(sums, np.array([DELAY.predict(one) for one in sums]))

    # Solved in float64 from a matrix with a condition number of a few hundred.
    assert lut.model_dump() == pytest.approx(LUT.model_dump(), rel=1e-9)
    assert delay.model_dump() == pytest.approx(DELAY.model_dump(), rel=1e-9)


def test_no_exponent_is_negative():
    sums = [Sums.of(layer.quantized) for layer in draw_layers(30, 1)]

    law = fit_lut(sums, np.array([s.digits / s.width_bits for s in sums]))

    assert law.width == pytest.approx(0.0, abs=1e-9)


def test_errors_by_hand():
    found = compare(np.array([11.0, 8.0, 10.0]), np.array([10.0, 10.0, 10.0]))

    assert found.layers == 3
    assert found.median == pytest.approx(0.1)
    assert found.percentile_90 == pytest.approx(0.18)  # 0.1 + 0.8 · 0.1
    assert found.mean == pytest.approx(-0.1 / 3)


def test_every_set_is_compared_and_one_is_fitted():
    layers = draw_layers(20, 1) + draw_layers(5, 2, other_sizes=True)
    sets = ["fitted"] * 20 + ["drawn"] * 5
    measurements = exactly(layers)
    doubled = [m.model_copy(update={"lut": 2 * m.lut}) for m in measurements[20:]]

    found = fit(sets, layers, measurements[:20] + doubled)

    assert found.lut_errors["fitted"].median == pytest.approx(0.0, abs=1e-6)
    assert found.lut_errors["drawn"].mean == pytest.approx(-0.5, abs=1e-6)
    assert found.delay_errors["drawn"].percentile_90 == pytest.approx(0.0, abs=1e-9)
    assert found.beside["adders"].factor == pytest.approx(1.25)
    assert found.beside["adders"].errors["drawn"].median == pytest.approx(0.5)
    assert found.lut_errors["unseen"] == found.lut_errors["drawn"]
    other = fit(["fitted"] * 19 + ["rest"] * 6, layers, measurements)
    assert other.grid != found.grid


def test_the_summary_gives_percentages():
    layers = draw_layers(20, 1)
    measurements = exactly(layers)
    doubled = [m.model_copy(update={"lut": 2 * m.lut}) for m in measurements[15:]]

    table = summary(
        fit(["fitted"] * 15 + ["drawn"] * 5, layers, measurements[:15] + doubled)
    )

    head, fitted, drawn, unseen, foot = table.splitlines()
    assert head.split() == [
        *("layers", "lut", "latency_ns", "adders", "·", "c", "ebops", "·", "c"),
        *("bops", "·", "c"),
    ]
    assert fitted.split()[:8] == ["fitted", "15", *["0.0", "0.0", "%"] * 2]
    assert drawn.split()[:8] == ["drawn", "5", *["50.0"] * 2, "%", *["0.0"] * 2, "%"]
    assert unseen.split()[1:] == drawn.split()[1:]
    assert foot == "median and 90th percentile of |predicted / measured - 1|"


def test_a_layer_of_zeros_is_named():
    zeros = GridLayer("dead", np.zeros((2, 3), np.int64), 2, np.zeros(2, np.int64), 4)

    with pytest.raises(
        InputError,
        match=r"^dead: all weights are zero, there is nothing to fit to: draw layers "
        r"of another seed$",
    ):
        fit(["fitted"], [zeros], [measurement(zeros, 1, 1.0)])


def test_the_command_leaves_laws_and_a_table(tmp_path, monkeypatch):
    asked = {}

    def measured_layers(layers, cache, **options):
        asked.update(options, cache=cache)
        return exactly(layers)

    monkeypatch.setattr(fitting, "measure_layers", measured_layers)

    settings = Settings(layers=10, held_out=3, convolutions=2, limit_s=7)
    costs = fit_costs(settings, tmp_path, workers=2)

    assert (asked["cache"], asked["workers"], asked["limit_s"]) == (
        tmp_path / "layers",
        2,
        7,
    )
    written = (tmp_path / "measured.json").read_text()
    assert MeasuredCosts.model_validate_json(written) == costs
    with (tmp_path / "layers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["set"] for row in rows] == [
        *["fitted"] * 10,
        *["drawn"] * 3,
        *["conv"] * 2,
    ]
    for row in rows:
        ratio = float(row["predicted_lut"]) / float(row["measured_lut"])
        assert ratio == pytest.approx(1, abs=1e-6)
        assert float(row["ebops"]) <= math.prod(
            int(row[name])
            for name in (
                *("inputs", "outputs", "positions"),
                *("weight_bits", "activation_bits"),
            )
        ) * (9 if row["kernel"] == "3x3" else 1)
