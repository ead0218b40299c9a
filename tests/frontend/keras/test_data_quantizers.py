from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from hawq.errors import NetworkError
from hawq.frontend.keras.activations import write_activation

with np.load(Path(__file__).parent / "fixtures" / "quantizers.npz") as _file:
    TEXTS = [str(t) for t in _file["data_quantizers"]]


@pytest.mark.parametrize("text", TEXTS)
def test_data_are_quantized_as_qkeras_does(layer_of, compute, stored_quantizers, text):
    layer = layer_of("QActivation", activation=text)

    _, values = compute(write_activation, layer, stored_quantizers["data"])

    expected = stored_quantizers["data_quantized"][TEXTS.index(text)]
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("quantized_linear(3,1,alpha=0.5)", [-0.75, -0.25, 0, 0.75]),
        ("quantized_linear(3,1,0,alpha=0.5)", [-1, -0.25, 0, 0.75]),
        ("quantized_linear(1,1)", [-1, -1, 1, 1]),
        ("quantized_linear(2,1,keep_negative=False)", [0, 0, 0, 1.5]),
    ],
)
def test_alpha_of_linear_sets_the_step(layer_of, compute, text, expected):
    layer = layer_of("QActivation", activation=text)

    _, values = compute(write_activation, layer, [-9.0, -0.3, 0.0, 9.0])

    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "quantized_bits(0)",
            "0 bits, expected 1 to 24, which float32 holds: use fewer",
        ),
        (
            "quantized_bits(33)",
            "33 bits, expected 1 to 24, which float32 holds: use fewer",
        ),
        ("quantized_bits(4.5)", "bits is 4.5, expected a whole number"),
        ("quantized_bits(4,'a')", "integer is 'a', expected a whole number"),
        ("quantized_bits(4,alpha=-1)", "alpha is -1, expected numbers above 0"),
        ("quantized_bits(4,alpha=0)", "alpha is 0, expected numbers above 0"),
        (
            "quantized_bits(4,alpha='best')",
            "alpha is 'best', expected 'auto' or 'auto_po2'",
        ),
        (
            "quantized_bits(4,alpha='auto')",
            "alpha='auto' makes a scale of each batch of data: give alpha a number",
        ),
        ("quantized_bits(4,zeta=1)", "unknown parameter 'zeta': leave it out"),
        (
            "quantized_bits(4,qnoise_factor=0.5)",
            "qnoise_factor=0.5 is not carried: save it with qnoise_factor=1.0",
        ),
        (
            "binary(use_stochastic_rounding=True)",
            "use_stochastic_rounding=True is not carried: save it with "
            "use_stochastic_rounding=False",
        ),
        (
            "quantized_relu(4,0,negative_slope=0.3)",
            "negative_slope is 0.30000001192092896, expected a power of two",
        ),
        (
            "quantized_relu(1,0,negative_slope=0.5)",
            "one bit holds no negative values: use 2 bits or more",
        ),
        (
            "quantized_relu(4,0,1,0.5)",
            "use_sigmoid with one bit or a negative slope is not carried: leave it out",
        ),
        ("quantized_tanh(1)", "one bit gives -1 and 0 only: use 2 bits or more"),
        ("ternary(threshold=-1)", "threshold is -1.0, expected a number of 0 or more"),
        ("ternary(threshold='a')", "threshold is 'a', expected a number"),
        ("ternary(alpha=[1,2])", "alpha is a list, expected one number on data"),
        (
            "quantized_po2(4)",
            "powers of two are carried for weights only: use quantized_bits or "
            "quantized_relu on data",
        ),
    ],
)
def test_what_cannot_be_carried_is_refused(layer_of, compute, text, why):
    kind = text.split("(")[0]
    layer = layer_of("QActivation", activation=text)

    message = re.escape(f"layer 'l' (QActivation): activation {kind}: {why}")

    with pytest.raises(NetworkError, match=f"^{message}$"):
        compute(write_activation, layer, [1.0])
