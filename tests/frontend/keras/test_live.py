"""Random models, built, saved and run by Keras itself; needs the ``keras`` extra."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from hawq.frontend.keras.read import read_keras

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        not __import__("importlib.util").util.find_spec("qkeras"),
        reason="Keras lives in an environment of its own: see the extra 'keras'",
    ),
]


@pytest.fixture(scope="module")
def libraries() -> tuple[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import qkeras
        import tf_keras
    return tf_keras, qkeras


def random_layers(rng: np.random.Generator, keras: Any, qkeras: Any) -> list[Any]:
    """A few layers on images, each behind a quantizer, then two dense ones."""

    def bits(alpha: Any = 1.0) -> Any:
        width, integer = int(rng.integers(2, 7)), int(rng.integers(0, 2))
        return qkeras.quantized_bits(width, integer, int(rng.integers(2)), alpha=alpha)

    def kernel() -> Any:
        return rng.choice([bits(), bits("auto_po2"), bits(None), qkeras.ternary()])

    def sizes() -> dict[str, Any]:
        strided = bool(rng.integers(2))
        step = (int(rng.integers(1, 3)),) * 2
        return {
            "kernel_size": tuple(map(int, rng.integers(1, 4, 2))),
            "padding": str(rng.choice(["same", "valid"])),
            "strides" if strided else "dilation_rate": step,
            "bias_quantizer": bits(),
        }

    def data() -> Any:
        integer, slope = int(rng.integers(3)), float(rng.choice([0, 0.25, 1]))
        return rng.choice([
            qkeras.QActivation(f"quantized_relu(5,{integer},negative_slope={slope})"),
            qkeras.QActivation(qkeras.quantized_bits(5, integer, alpha=1.0)),
            qkeras.QActivation("ternary(alpha=1)"),
            qkeras.QActivation("binary(alpha=1)"),
        ])

    def window() -> Any:
        return rng.choice([
            qkeras.QConv2D(
                int(rng.integers(1, 5)), kernel_quantizer=kernel(), **sizes()
            ),
            qkeras.QDepthwiseConv2D(depthwise_quantizer=kernel(), **sizes()),
            keras.layers.MaxPooling2D(2, padding="same"),
            keras.layers.AveragePooling2D((1, 2), padding="valid"),
            keras.layers.UpSampling2D((1, 2)),
            keras.layers.ZeroPadding2D(((0, 1), (2, 0))),
            keras.layers.Permute((2, 1, 3)),
        ])

    layers: list[Any] = [keras.layers.InputLayer((8, 9, 3))]
    for _ in range(3):
        layers += [data(), window()]
    layers += [data(), keras.layers.Flatten()]
    for _ in range(2):
        dense = qkeras.QDense(4, kernel_quantizer=kernel(), bias_quantizer=bits())
        layers += [dense, data()]
    return layers


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_random_model_equals_keras(
    libraries: tuple[Any, Any], tmp_path: Path, seed: int, suffix: str
) -> None:
    keras, qkeras = libraries
    rng = np.random.default_rng(seed)
    model = keras.Sequential(random_layers(rng, keras, qkeras))
    for layer in model.layers:
        layer.set_weights([
            np.rint(rng.normal(0, 0.7, w.shape) * 64) / 64 for w in layer.get_weights()
        ])
    x = np.float32(rng.integers(-32, 32, (2, 8, 9, 3)) / 8)
    model.save(tmp_path / f"m{suffix}")

    read = ModelWrapper(read_keras(tmp_path / f"m{suffix}"))

    name, result = read.graph.input[0].name, read.graph.output[0].name
    values = [execute_onnx(read, {name: x[i : i + 1]})[result] for i in range(2)]
    np.testing.assert_array_equal(
        np.concatenate(values), model.predict(x, verbose=0, batch_size=1)
    )
