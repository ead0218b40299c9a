from __future__ import annotations

import re

import pytest

from hawq.errors import NetworkError
from hawq.frontend.keras.activations import write_activation
from hawq.frontend.keras.quantizers import PARAMETERS, read_quantizer


def refuses(call, text: str) -> None:
    with pytest.raises(NetworkError, match=f"^{re.escape(text)}$"):
        call()


def test_text_and_settings_mean_the_same(layer_of):
    settings = {"bits": 4, "integer": 2, "alpha": 1.0, "qnoise_factor": 1.0}
    given = {"class_name": "quantized_bits", "config": settings}
    text = "quantized_bits(4, 2, alpha=1.0)"

    first, second = (
        read_quantizer(layer_of("QDense", kernel_quantizer=q), "kernel_quantizer")
        for q in (given, text)
    )

    assert first is not None
    assert second is not None
    assert first.kind == second.kind
    assert first.settings == second.settings


def test_names_and_settings_of_qkeras_for_keras_3_are_known(layer_of):
    settings = {"bits": 4, "post_training_scale": None}
    given = {"class_name": "qkeras>quantized_bits", "config": settings}

    quantizer = read_quantizer(layer_of("QDense", q=given), "q")

    assert quantizer is not None
    assert (quantizer.kind, quantizer.bits) == ("quantized_bits", 4)


@pytest.mark.parametrize("trained", [True, False])
def test_qkeras_sets_alpha_of_kernels_alone(layer_of, trained):
    layer = layer_of("QDense", quantizer="quantized_bits(4)")

    quantizer = read_quantizer(layer, "quantizer", trained)

    assert quantizer is not None
    assert quantizer.settings["alpha"] == ("auto_po2" if trained else None)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "quantized_bits(__import__('os'))",
        "quantized_bits(4)(5)",
        "quantized_bits(1,2,3,4,5,6,7,8,9,10,11,12)",
        "quantized_bits(4",
        "lambda x: x",
    ],
)
def test_text_is_never_executed(layer_of, compute, text):
    layer = layer_of("QActivation", activation=text)

    refuses(
        lambda: compute(write_activation, layer, [1.0]),
        f"layer 'l' (QActivation): activation is {text!r}, expected a quantizer like "
        "'quantized_bits(8,0)'",
    )


@pytest.mark.parametrize("given", [3, {"class_name": "quantized_bits"}, ["a"]])
def test_other_descriptions_are_refused(layer_of, given):
    refuses(
        lambda: read_quantizer(layer_of("QDense", q=given), "q"),
        f"layer 'l' (QDense): q is {given}, expected a name with settings: save the "
        "model again",
    )


def test_random_quantizer_is_refused(layer_of):
    carried = ", ".join(PARAMETERS)

    refuses(
        lambda: read_quantizer(layer_of("QDense", q="bernoulli(alpha=1)"), "q"),
        "layer 'l' (QDense): q bernoulli: this quantizer is not carried (carried: "
        f"{carried}): it draws random numbers: use binary(use_01=True)",
    )
