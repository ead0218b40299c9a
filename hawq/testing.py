"""Contracts that plug-ins keep; call these from the tests of your own plug-in."""

from __future__ import annotations

import math

import numpy as np

from hawq.allocation.cost import CostModel, QuantizedLayer


def check_cost_model(model: CostModel) -> None:
    """Hold a cost model to the contract of the seam ``hawq.cost``.

    It must have a name and a unit; price dense, sparse, pruned and bias-free layers
    with a finite number that is not negative; give the same layer the same price and
    leave its integers alone; and price 8 × 8 bits no lower than 2 × 2.

    Args:
        model: The plug-in.

    Raises:
        AssertionError: if it breaks the contract; the message says how.
    """
    if not (isinstance(model.name, str) and model.name and model.unit):
        raise AssertionError(f"{model!r}: name and unit must say something")
    random = np.random.default_rng(0)
    for bits in (2, 5, 8):
        top = 2 ** (bits - 1) - 1
        dense = random.integers(1, top + 1, (5, 7))
        bias = random.integers(-100, 100, 5)
        sparse = dense * (random.random(dense.shape) < 0.3)
        for weight in (dense, sparse, np.zeros_like(dense), dense.reshape(5, 7, 1, 1)):
            for some_bias in (None, bias):
                _check_price(model, _layer(weight, some_bias, bits, bits))
    narrow = model.price(_layer(np.ones((5, 7), dtype=np.int64), None, 2, 2))
    wide = model.price(_layer(np.full((5, 7), 85), None, 8, 8))
    if not wide >= narrow:
        raise AssertionError(
            f"{model.name}: 8 x 8 bits cost {wide}, less than {narrow} for 2 x 2"
        )


def _layer(
    weight: np.ndarray, bias: np.ndarray | None, weight_bits: int, activation_bits: int
) -> QuantizedLayer:
    return QuantizedLayer(
        name="layer",
        weight=weight,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        bias=bias,
        bias_bits=0 if bias is None else 8,
        macs=weight.size,
    )


def _check_price(model: CostModel, layer: QuantizedLayer) -> None:
    before = layer.weight.copy()
    price = model.price(layer)
    if not (isinstance(price, float) and math.isfinite(price) and price >= 0):
        raise AssertionError(
            f"{model.name}: a price of {price!r} for weights of shape "
            f"{layer.weight.shape}: expected a float of 0 or more"
        )
    if model.price(layer) != price:
        raise AssertionError(f"{model.name}: the same layer got two prices")
    if not np.array_equal(before, layer.weight):
        raise AssertionError(f"{model.name}: pricing changed the layer's integers")
