import numpy as np
import pytest

from hawq import plugins
from hawq.allocation.cost import (
    CostModel,
    QuantizedLayer,
    bops,
    bops_dense,
    memory_bits,
)
from hawq.testing import check_cost_model

JETS = ((64, 16), (32, 64), (32, 32), (5, 32))
PUBLISHED = {
    2: 128_448,
    3: 178_176,
    4: 234_368,
    5: 297_024,
    6: 366_144,
    7: 441_728,
    8: 523_776,
}


def layer(outputs, inputs, weight_bits, activation_bits, nonzero=None):
    weight = np.ones((outputs, inputs), dtype=np.int64)
    weight.ravel()[weight.size if nonzero is None else nonzero :] = 0
    return QuantizedLayer(
        name="fc",
        weight=weight,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        bias=None,
        bias_bits=0,
        macs=weight.size,
    )


def jet_tagger(weight_bits, activation_bits, input_bits):
    widths = (input_bits, activation_bits, activation_bits, activation_bits)
    return [layer(m, n, weight_bits, a) for (m, n), a in zip(JETS, widths, strict=True)]


@pytest.mark.parametrize(("bits", "total"), PUBLISHED.items())
@pytest.mark.parametrize("model", [bops, bops_dense])
def test_published_totals_of_the_jet_tagger(model, bits, total):
    assert model.total(jet_tagger(bits, bits + 3, 16)) == total


def test_published_total_at_32_bits():
    layers = jet_tagger(32, 32, 32)

    assert bops.total(layers) == 4_652_832
    assert [bops.price(one) for one in layers] == [
        1_118_208,
        2_240_512,
        1_119_232,
        174_880,
    ]


def test_published_optimum():
    # The published table prices a layer at its own width + 3.
    widths = ((8, 16), (5, 8), (5, 8), (5, 8))

    layers = [layer(m, n, w, a) for (m, n), (w, a) in zip(JETS, widths, strict=True)]

    assert bops_dense.total(layers) == 349_248


def test_zeros_spare_only_the_products():
    one = layer(4, 8, 3, 5, nonzero=8)  # a quarter of 32

    assert bops.price(one) == 32 * (0.25 * 3 * 5 + 3 + 5 + 3)
    assert bops_dense.price(one) == 32 * (3 * 5 + 3 + 5 + 3)


def test_biases_count_among_the_integers():
    one = QuantizedLayer(
        name="fc",
        weight=np.array([[1, 0], [2, 3]]),
        weight_bits=3,
        activation_bits=4,
        bias=np.array([0, 9]),
        bias_bits=6,
        macs=4,
    )

    assert one.nonzero_fraction == 4 / 6
    assert memory_bits.price(one) == 4 * 3 + 2 * 6


def test_a_convolution_is_paid_at_every_position():
    weight = np.ones((8, 3, 3, 3), dtype=np.int64)
    one = QuantizedLayer("conv", weight, 4, 6, None, 0, macs=weight.size * 16)

    assert one.fan_in == 27
    assert bops.price(one) == weight.size * 16 * (4 * 6 + 4 + 6 + np.log2(27))
    assert memory_bits.price(one) == weight.size * 4


@pytest.mark.parametrize("name", plugins.names("hawq.cost"))
def test_keeps_the_contract(name):
    model = plugins.load("hawq.cost", name)

    check_cost_model(model)

    assert model.name == name
    assert isinstance(model, CostModel)
