"""The fitted cost models: what they count, and how well they do."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawq import plugins
from hawq.allocation.cost import QuantizedLayer
from hawq.allocation.measured import (
    DelayLaw,
    LutLaw,
    Sums,
    ebops,
    latency_ns,
    lut,
    measured,
    models,
    read,
    signed_digits,
)
from hawq.errors import InputError


def layer(weight, activation_bits=4, bias=None, macs=None):
    weight = np.array(weight)
    return QuantizedLayer(
        name="fc",
        weight=weight,
        weight_bits=4,
        activation_bits=activation_bits,
        bias=None if bias is None else np.array(bias),
        bias_bits=0 if bias is None else 8,
        macs=weight.size if macs is None else macs,
    )


def test_signed_digits_are_the_fewest_powers_of_two():
    # Reached by sums of one, two, three ... signed powers of two.
    powers = [sign * 2**k for k in range(8) for sign in (1, -1)]
    fewest = {0: 0}
    for terms in range(1, 5):
        for chosen in product(powers, repeat=terms):
            fewest.setdefault(sum(chosen), terms)
    numbers = np.arange(-100, 101)

    digits = signed_digits(numbers)

    np.testing.assert_array_equal(digits, [fewest[int(n)] for n in numbers])


def test_sums_of_a_layer_by_hand():
    # 3 = 4 - 1 and 7 = 8 - 1 take two digits, 5 = 4 + 1 two, 1 and -4 one each.
    one = layer([[3, 0, -4], [0, 0, 0], [7, 0, 5]], activation_bits=2, bias=[1, 9, -2])

    sums = Sums.of(one)

    assert sums is not None
    assert (sums.digits, sums.weights, sums.copies, sums.signed) == (7, 4, 1, False)
    assert sums.outputs == 49 / (3**2 + 4**2)
    assert sums.inputs == 49 / (4**2 + 3**2)
    # Accumulators reach 7 · 3 + 1 and 12 · 3 + 2.
    assert sums.width_bits == pytest.approx((np.log2(23) + np.log2(39)) / 2, rel=1e-15)


def test_laws_by_hand():
    sums = Sums(
        digits=16,
        weights=9,
        width_bits=10.0,
        outputs=4,
        inputs=27,
        signed=True,
        copies=2,
    )
    law = LutLaw(
        factor=3.0,
        digits=0.5,
        weights=0.5,
        width=1.0,
        outputs=0.5,
        inputs=1 / 3,
        signed=1.5,
    )
    delay = DelayLaw(doubling_ns=0.5, bit_ns=0.25)

    assert law.predict(sums) == pytest.approx(2 * 3 * 4 * 3 * 10 * 2 * 3 * 1.5)
    assert law.predict(replace(sums, signed=False)) == pytest.approx(2 * 3 * 720)
    assert delay.predict(sums) == 0.5 * (4 + 1) + 0.25 * 10


@pytest.mark.parametrize("model", [lut, latency_ns, ebops])
def test_zeros_cost_nothing(model):
    weight = np.zeros((3, 4), dtype=np.int64)
    pruned = np.array([[3, 0, -5], [0, 0, 0], [1, 0, 2]])

    assert model.price(layer(weight, bias=[1, 2, 3])) == 0.0
    assert model.price(layer(pruned)) == model.price(layer([[3, -5], [1, 2]]))


def test_an_unrolled_convolution_is_paid_at_every_position():
    kernel = np.arange(-9, 9).reshape(2, 1, 3, 3)

    once, often = layer(kernel), layer(kernel, macs=18 * 49)

    assert lut.price(often) == pytest.approx(49 * lut.price(once), rel=1e-14)
    assert ebops.price(often) == 49 * ebops.price(once)
    slower = measured().delay.doubling_ns * np.log2(49)
    assert latency_ns.price(often) == pytest.approx(latency_ns.price(once) + slower)


def test_effective_bits_run_from_the_highest_to_the_lowest():
    one = layer([[0, 1, 2, 3], [6, -5, 12, 8]], activation_bits=3)

    assert ebops.price(one) == 3 * (0 + 1 + 1 + 2 + 2 + 3 + 2 + 1)


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    bits=st.integers(2, 8),
)
def test_more_activation_bits_never_cost_less(seed, size, bits):
    weight = np.random.default_rng(seed).integers(-7, 8, size)

    narrow, wide = layer(weight, bits), layer(weight, bits + 1)

    assert lut.price(narrow) <= lut.price(wide)
    assert latency_ns.price(narrow) <= latency_ns.price(wide)


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(2, 12), st.integers(2, 12)),
)
def test_pruning_a_weight_never_costs_more(seed, size):
    random = np.random.default_rng(seed)
    weight = random.choice([-3, 3], size)
    pruned = weight.copy()
    pruned[0, 0] = 0

    assert lut.price(layer(pruned)) <= lut.price(layer(weight)) * (1 + 1e-12)
    assert ebops.price(layer(pruned)) < ebops.price(layer(weight))


def test_models_of_other_laws():
    shipped = measured()
    delay = DelayLaw(doubling_ns=1.0, bit_ns=0.0)
    other = models(shipped.model_copy(update={"delay": delay}))
    one = layer([[3, 0, -5], [7, 1, 2]])

    assert other["lut"].price(one) == lut.price(one)
    assert other["latency_ns"].price(one) == 3.0  # 8 digits
    assert (other["lut"].name, other["latency_ns"].unit) == ("lut", latency_ns.unit)


def test_a_file_of_something_else_is_named(tmp_path):
    file = tmp_path / "other.json"
    file.write_text('{"lut": {"factor": 0}}')

    with pytest.raises(
        InputError,
        match=rf"^{file} is no cost model: lut\.factor: Input should be greater than "
        "0; expected the measured.json that `hawq cost-model` writes$",
    ):
        read(file)
    file.write_text("LUTs: 12")
    with pytest.raises(InputError, match=rf"^{file} is no cost model: the file: "):
        read(file)


def test_errors_on_layers_that_were_not_fitted():
    found = measured()

    assert found.tools.keys() == {"pyosys", "alkaid"}
    for errors in (found.lut_errors, found.delay_errors):
        assert errors.keys() == {"fitted", "drawn", "conv", "network", "unseen"}
        assert errors["unseen"].layers == 24 + 8 + 15
        assert errors["unseen"].median <= 0.10
        assert errors["unseen"].percentile_90 <= 0.25


@pytest.mark.parametrize("model", [lut, latency_ns, ebops])
def test_is_a_plugin(model):
    assert plugins.load("hawq.cost", model.name) is model
