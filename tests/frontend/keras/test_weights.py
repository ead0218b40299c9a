from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from hawq.errors import NetworkError
from hawq.frontend.keras.layer import Layer
from hawq.frontend.keras.quantizers import read_quantizer
from hawq.frontend.keras.weights import Levels, quantize_weights, write_levels
from hawq.frontend.keras.writer import Writer

with np.load(Path(__file__).parent / "fixtures" / "quantizers.npz") as _file:
    TEXTS = [str(t) for t in _file["weight_quantizers"]]
AUTO = [t for t in TEXTS if t.startswith(("binary", "ternary")) and "'auto'" in t]
NOISY = [*AUTO, "quantized_bits(4,0,alpha=0.3)"]
EXACT = [t for t in TEXTS if t not in NOISY]
SHAPES = ("matrix", "kernel", "bias")


def levels_of(text: str, x) -> Levels:
    layer = Layer("l", "QDense", {"kernel_quantizer": text})
    quantizer = read_quantizer(layer, "kernel_quantizer")
    assert quantizer is not None
    return quantize_weights(quantizer, np.asarray(x, dtype=np.float32))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", EXACT)
def test_weights_are_those_of_qkeras(stored_quantizers, text, shape):
    levels = levels_of(text, stored_quantizers[shape])

    expected = stored_quantizers[f"{shape}_quantized"][TEXTS.index(text)]
    np.testing.assert_array_equal(levels.values, expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", NOISY)
def test_weights_on_a_real_scale_are_those_of_qkeras(stored_quantizers, text, shape):
    """QKeras returns ``x + (quantized - x)``, and sums means in any order."""
    levels = levels_of(text, stored_quantizers[shape])

    expected = stored_quantizers[f"{shape}_quantized"][TEXTS.index(text)]
    np.testing.assert_allclose(levels.values, expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(
        np.rint(levels.values / levels.scale), np.rint(expected / levels.scale)
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", TEXTS)
def test_node_gives_the_weights(stored_quantizers, text, shape):
    levels, out = levels_of(text, stored_quantizers[shape]), Writer()

    name = write_levels(out, levels, "kernel", lambda a: np.moveaxis(a, -1, 0))

    model = ModelWrapper(out.model("m", [], [name]))
    values = execute_onnx(model, {})[name]
    np.testing.assert_array_equal(np.moveaxis(values, 0, -1), levels.values)


@given(
    hnp.arrays(np.float32, (4, 2), elements=st.floats(-4, 4, width=16)),
    st.integers(2, 8),
    st.sampled_from(["auto", "1", "auto_po2"]),
)
def test_values_are_whole_steps_in_range(x, bits, alpha):
    text = f"quantized_bits({bits},1,1,alpha={alpha if alpha == '1' else repr(alpha)})"

    levels = levels_of(text, x)

    integers = np.rint(levels.values / levels.scale)
    np.testing.assert_array_equal(levels.values, integers * levels.scale)
    assert np.abs(integers).max() < 2 ** (bits - 1)


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [
        ("1", [0.875, 0, 0.25, 0]),
        ("'auto'", [0.875, 0.125, 0.25, -0.125]),
        ("'auto_po2'", [0.875, 0.125, 0.25, -0.125]),
    ],
)
def test_halves_go_to_even_or_away_from_zero(alpha, expected):
    x = [[0.875], [0.0625], [0.1875], [-0.0625]]

    levels = levels_of(f"quantized_bits(4,0,alpha={alpha})", x)

    np.testing.assert_array_equal(levels.values[:, 0], expected)


@pytest.mark.parametrize(
    ("text", "x", "expected"),
    [
        ("binary(alpha=1)", [-1.0, 0.0], [-1, 1]),
        ("ternary(alpha=1,threshold=0.5)", [0.5, -0.5, 0.25], [1, -1, 0]),
        (  # one fit alone would leave the third weight 0
            "quantized_bits(2,0,alpha='auto_po2')",
            [-0.640625, 0.640625, 0.296875, 0.828125],
            [-0.5, 0.5, 0.5, 0.5],
        ),
    ],
)
def test_borders_are_those_of_qkeras(text, x, expected):
    levels = levels_of(text, np.reshape(x, (-1, 1)))

    np.testing.assert_array_equal(levels.values[:, 0], expected)


def test_channel_of_zeros_stays_zero():
    levels = levels_of("quantized_bits(4,0,alpha='auto')", [[0.0, 1.0], [0.0, 0.5]])

    np.testing.assert_array_equal(levels.values[:, 0], 0)
    assert (levels.scale > 0).all()


def test_scale_keeps_only_axes_on_which_it_varies():
    out = Writer()
    levels = levels_of("quantized_bits(4,0,alpha=[1.0,2.0])", np.ones((3, 2)))

    name = write_levels(out, levels, "kernel", lambda a: a)

    model = ModelWrapper(out.model("m", [], [name]))
    scale = model.get_initializer(f"{name}/scale")
    np.testing.assert_array_equal(scale, [[0.125, 0.25]])


@pytest.mark.parametrize(
    ("text", "x", "why"),
    [
        (
            "quantized_bits(4,0,alpha='auto_po2')",
            [[2**0.5 * 7 / 8]],
            "a power of two is chosen by the last bit of a logarithm, which differs "
            "between machines: change the weights slightly, or give alpha numbers",
        ),
        (
            "quantized_bits(1,0,alpha='auto')",
            [[1.0]],
            "one bit has no alpha='auto': use binary",
        ),
        (
            "quantized_bits(4,0,alpha=[1.0,2.0,3.0])",
            [[1.0, 2.0]],
            "alpha of shape (3,) does not fit weights of shape (1, 2): give one number "
            "a channel",
        ),
        (
            "quantized_linear(4,0,alpha='auto')",
            [[1.0]],
            "alpha='auto' depends on the version of QKeras: use quantized_bits",
        ),
        (
            "ternary(alpha='auto',threshold=0.5)",
            [[1.0]],
            "alpha 'auto' finds the threshold itself: leave threshold out",
        ),
        (
            "quantized_relu(4)",
            [[1.0]],
            "this quantizer is carried for data only: use quantized_bits on weights",
        ),
        (
            "quantized_relu_po2(4,negative_slope=0.5)",
            [[1.0]],
            "negative_slope is not carried on weights: use quantized_po2",
        ),
        (
            "quantized_po2(4,log2_rounding='floor')",
            [[1.0]],
            "log2_rounding is not 'rnd', which alone is carried",
        ),
        (
            "quantized_po2(12)",
            [[0.0]],
            "its scale is no float32 number above 0: use fewer bits",
        ),
    ],
)
def test_what_cannot_be_carried_is_refused(text, x, why):
    kind = text.split("(")[0]
    message = f"layer 'l' (QDense): kernel_quantizer {kind}: {why}"

    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        levels_of(text, x)
