"""Make the small Keras files of this folder, and what Keras itself computes from them.

Run it where the ``keras`` extra is installed:

    TF_USE_LEGACY_KERAS=1 python tests/frontend/keras/make_fixtures.py

With qkeras-v3 1.2.1 in place of qkeras it makes the one file of that package.

All numbers are dyadic with few bits, so that every float32 result is exact.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras as keras3
import numpy as np
import qkeras
import tensorflow as tf
import tf_keras as keras2
from qkeras import quantized_bits

FOLDER = Path(__file__).parent / "fixtures"
SAMPLES = 4

WEIGHT_QUANTIZERS = [
    *(
        f"quantized_bits({bits},{integer},{symmetric},{signed},alpha={alpha})"
        for bits, integer in ((1, 0), (4, 0), (4, 2), (8, 1))
        for symmetric in (0, 1)
        for signed in (True, False)
        for alpha in (
            "None",
            "1",
            "0.5",
            "[1.0,2.0,0.5,1.0,4.0]",
            "'auto'",
            "'auto_po2'",
        )
        if bits > 1 or "auto" not in alpha
    ),
    "quantized_bits(4,0,alpha=0.3)",
    *(
        f"{kind}alpha={alpha})"
        for kind in ("binary(", "binary(use_01=True,", "ternary(")
        for alpha in ("None", "1", "0.5", "'auto'", "'auto_po2'")
    ),
    "ternary(alpha=0.5,threshold=0.25)",
    "ternary(threshold=0.0)",
    "quantized_po2(4)",
    "quantized_po2(5,max_value=0.5)",
    "quantized_po2(5,quadratic_approximation=True)",
    "quantized_relu_po2(6,2048)",
    "quantized_relu_po2(6,quadratic_approximation=True)",
]
DATA_QUANTIZERS = [
    *(
        f"quantized_bits({bits},{integer},{symmetric},{signed},alpha={alpha})"
        for bits, integer in ((1, 0), (2, 1), (4, 0), (4, 2))
        for symmetric in (0, 1)
        for signed in (True, False)
        for alpha in ("None", "1", "0.5", "[1.0,2.0,0.5,1.0,4.0]")
    ),
    *(
        f"quantized_relu({bits},{integer},negative_slope={slope})"
        for bits, integer in ((1, 0), (3, 1), (6, 0), (6, 3))
        for slope in (0.0, 1.0, 0.25, 0.03125)
        if bits > 1 or not slope
    ),
    "quantized_relu(6)",
    "quantized_relu",
    "quantized_relu(6,2,1)",
    "quantized_relu(6,2,relu_upper_bound=1.5)",
    "quantized_relu(6,2,relu_upper_bound=1.53,is_quantized_clip=False)",
    *(f"quantized_tanh({b},symmetric={s})" for b in (2, 6) for s in (True, False)),
    *(f"quantized_sigmoid({b},symmetric={s})" for b in (1, 6) for s in (True, False)),
    "quantized_tanh(6,use_real_tanh=True)",
    "quantized_sigmoid(6,use_real_sigmoid=True)",
    "binary()",
    "binary(alpha=0.5)",
    "binary(use_01=True)",
    "binary(use_01=True,alpha=0.5)",
    "ternary()",
    "ternary(alpha=0.5)",
    "ternary(alpha=2.0,threshold=0.25)",
    "ternary(threshold=0.0)",
]


def quantizer_of(text: str):
    """Make a QKeras quantizer."""
    return eval(f"qkeras.{text}" if "(" in text else f"qkeras.{text}()")


def make_quantizers(rng: np.random.Generator) -> None:
    """Store what each quantizer makes of weights and of data."""
    given = {
        "matrix": rng.normal(0, 0.7, (12, 5)),
        "kernel": (2 * np.rint(rng.normal(0, 90, (2, 2, 3, 5))) + 1) / 256,
        "bias": rng.normal(0, 0.7, 5),
        "data": np.rint(rng.normal(0, 2, (24, 5)) * 64) / 64,
    }
    # Odd powers of two lie between two even ones: QKeras chooses by rounding error.
    given["kernel"][np.abs(given["kernel"]) == 1 / 256] = 3 / 256
    stored = {
        "weight_quantizers": np.array(WEIGHT_QUANTIZERS),
        "data_quantizers": np.array(DATA_QUANTIZERS),
    }
    for name, x in given.items():
        texts = DATA_QUANTIZERS if name == "data" else WEIGHT_QUANTIZERS
        x = tf.constant(x, tf.float32)
        values = [np.asarray(quantizer_of(text)(x)) for text in texts]
        stored |= {name: x.numpy(), f"{name}_quantized": np.stack(values)}
    np.savez_compressed(FOLDER / "quantizers.npz", **stored)


class Recorder(dict):
    """Tensors by name, as a model is built."""

    def __call__(self, layer, *inputs, name=None):
        tensor = layer(inputs[0] if len(inputs) == 1 else list(inputs))
        self[name or layer.name] = tensor
        return tensor


def fill(model, rng: np.random.Generator, steps: int) -> None:
    """Give every weight few bits; variances plus epsilon are powers of four."""
    for layer in model.layers:
        values = [
            np.rint(rng.normal(0, 0.7, w.shape) * steps) / steps
            for w in layer.get_weights()
        ]
        if "Batchnorm" in type(layer).__name__:
            values[-1], values[-3] = np.abs(values[-1]) + 1 / 3, np.int64(-1)
        if "BatchNormalization" in type(layer).__name__:
            # QKeras takes variances to powers of four; of those plus 3, only 4 is one.
            most = 1 if layer.epsilon == 3 else 2
            total = 4.0 ** rng.integers(1, most + 1, values[-1].shape)
            values[-1] = total - layer.epsilon
            values[0] = np.abs(values[0]) + 1 / steps
        layer.set_weights(values)


def save(name: str, model, tensors, suffixes, keras, rng, steps: int = 16) -> None:
    """Store a model and the values of its tensors for a few samples."""
    fill(model, rng, steps)
    x = [
        np.float32(rng.integers(-16, 16, (SAMPLES, *i.shape[1:])) / 4)
        for i in model.inputs
    ]
    probe = keras.Model(model.inputs, list(tensors.values()))
    values = probe.predict(x if len(x) > 1 else x[0], verbose=0)
    values = values if isinstance(values, list) else [values]
    stored = dict(zip(tensors, values, strict=True))
    names = [i.name.split(":")[0] for i in model.inputs]
    stored |= {f"input/{n}": v for n, v in zip(names, x, strict=True)}
    np.savez_compressed(FOLDER / f"{name}.npz", **stored)
    for suffix in suffixes:
        model.save(FOLDER / f"{name}{suffix}")
        if suffix == ".keras":
            deflate(FOLDER / f"{name}{suffix}")


def deflate(path: Path) -> None:
    """Compress the parts of a ``.keras`` file, which Keras only stores."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


def qkeras_dense(rng) -> None:
    """A Sequential model with the quantizers that other converters get wrong."""
    layers = [
        qkeras.QDense(
            12,
            kernel_quantizer=quantized_bits(4, 0),
            bias_quantizer=quantized_bits(6, 2),
            name="alpha_none_is_auto_po2",
            input_shape=(16,),
        ),
        qkeras.QActivation("quantized_relu(6)", name="relu_6"),
        qkeras.QDense(
            10,
            kernel_quantizer=quantized_bits(4, 2, alpha=1),
            bias_quantizer=None,
            activation=quantized_bits(8, 3, alpha=1),
            name="bits_4_2",
        ),
        qkeras.QActivation(quantized_bits(6, 2, alpha=1), name="qactivation"),
        qkeras.QDense(
            8,
            kernel_quantizer=quantized_bits(4, 0, alpha=1),
            use_bias=False,
            name="bits_4_0",
        ),
        qkeras.QActivation("quantized_relu(6,2,negative_slope=0.25)", name="leaky"),
        keras2.layers.Dropout(0.5, name="dropout"),
        qkeras.QDense(
            5,
            kernel_quantizer=qkeras.ternary(),
            bias_quantizer=qkeras.binary(alpha=0.5),
            name="logits",
        ),
        keras2.layers.Activation("softmax", name="softmax"),
    ]
    model = keras2.Sequential(layers, name="qkeras_dense")
    tensors = {layer.name: layer.output for layer in layers if layer.name != "dropout"}
    save("qkeras_dense", model, tensors, [".h5", ".keras"], keras2, rng)


def qkeras_conv(rng) -> None:
    """A Functional model with branches, and batch norm with quantized parameters."""
    bits = {
        "kernel_quantizer": quantized_bits(5, 1, alpha=1),
        "bias_quantizer": quantized_bits(6, 1, alpha=1),
    }
    t, one = Recorder(), quantized_bits(8, 4, alpha=1)
    image = keras2.layers.Input((8, 6, 3), name="image")
    x = t(qkeras.QActivation("quantized_bits(6,3,alpha=1)", name="input_q"), image)
    x = t(
        qkeras.QConv2D(
            4,
            (2, 3),
            padding="same",
            activation="quantized_relu(6,2)",
            name="even_kernel_same",
            **bits,
        ),
        x,
    )
    y = t(
        qkeras.QDepthwiseConv2D(
            (3, 2),
            padding="same",
            depth_multiplier=2,
            depthwise_quantizer=quantized_bits(4, 0),
            bias_quantizer=quantized_bits(6, 1),
            name="depthwise",
        ),
        x,
    )
    y = t(qkeras.QActivation(one, name="depthwise_q"), y)
    y = t(
        qkeras.QSeparableConv2D(
            4,
            3,
            padding="same",
            depthwise_quantizer=quantized_bits(4, 0, alpha=1),
            pointwise_quantizer=quantized_bits(4, 1),
            bias_quantizer=quantized_bits(6, 1),
            name="separable",
        ),
        y,
    )
    y = t(qkeras.QActivation("quantized_bits(8,4,1,alpha=1)", name="separable_q"), y)
    y = t(keras2.layers.Add(name="residual"), x, y)
    y = t(qkeras.QBatchNormalization(epsilon=3.0, name="batch_norm_po2"), y)
    y = t(qkeras.QActivation("quantized_bits(8,5,alpha=1)", name="batch_norm_q"), y)
    fixed = "quantized_bits(8,2,alpha=1)"
    y = t(
        qkeras.QBatchNormalization(
            epsilon=1.0,
            gamma_quantizer=fixed,
            beta_quantizer=fixed,
            mean_quantizer=fixed,
            variance_quantizer="quantized_bits(8,5,keep_negative=0,alpha=1)",
            name="batch_norm_bits",
        ),
        y,
    )
    y = t(qkeras.QActivation("quantized_relu(8,4)", name="batch_norm_relu"), y)
    y = t(
        qkeras.QAveragePooling2D(
            2,
            average_quantizer="quantized_bits(4,0,alpha=1)",
            activation="quantized_bits(10,5,alpha=1)",
            name="average",
        ),
        y,
    )
    z = t(keras2.layers.MaxPooling2D(2, name="maximum"), x)
    y = t(keras2.layers.Concatenate(name="joined"), y, z)
    y = t(
        qkeras.QGlobalAveragePooling2D(
            average_quantizer="quantized_bits(6,0,alpha=1)", name="global_average"
        ),
        y,
    )
    model = keras2.Model(image, y, name="qkeras_conv")
    save("qkeras_conv", model, t, [".h5", ".keras"], keras2, rng)


def qkeras_folded(rng) -> None:
    """Convolutions that fold a batch norm into their weights."""
    t, bits = Recorder(), "quantized_bits(6,2,alpha=1)"
    image = keras2.layers.Input((6, 5, 3), name="image")
    x = t(
        qkeras.QConv2DBatchnorm(
            4,
            3,
            kernel_quantizer="quantized_bits(5,1,alpha=1)",
            bias_quantizer=bits,
            activation="quantized_relu(6,3)",
            use_bias=False,
            name="folded",
        ),
        image,
    )
    t(
        qkeras.QDepthwiseConv2DBatchnorm(
            2,
            depth_multiplier=2,
            depthwise_quantizer=quantized_bits(4, 0),
            bias_quantizer=bits,
            name="depthwise",
        ),
        x,
    )
    model = keras2.Model(image, t["depthwise"], name="qkeras_folded")
    save("qkeras_folded", model, t, [".h5", ".keras"], keras2, rng)


def keras2_layers(rng) -> None:
    """Layers without quantizers as Keras 2 writes them, some called twice."""
    layers, t = keras2.layers, Recorder()
    image = layers.Input((4, 6, 2), name="image")
    vector = layers.Input((8,), name="vector")
    shared = layers.Dense(8, name="shared")
    a = t(shared, vector)
    b = t(shared, a, name="shared_1")
    c = t(layers.Subtract(name="difference"), a, b)
    d = t(layers.Multiply(name="product"), a, vector)
    c = t(layers.ReLU(max_value=6, name="relu_max_value"), c)
    d = t(layers.ReLU(6.0, 0.25, name="relu_slope_max_value"), d)
    e = t(layers.Concatenate(axis=1, name="joined"), c, d)
    e = t(layers.LeakyReLU(0.25, name="leaky"), e)
    e = t(layers.Reshape((4, -1), name="reshaped"), e)
    e = t(layers.Permute((2, 1), name="permuted"), e)
    f = t(layers.ZeroPadding2D(((1, 0), (2, 1)), name="padded"), image)
    f = t(layers.UpSampling2D((2, 1), name="upsampled"), f)
    f = t(layers.BatchNormalization(epsilon=2**-10, name="batch_norm"), f)
    f = t(layers.Conv2D(3, 3, strides=2, activation="relu", name="conv"), f)
    g = t(layers.GlobalAveragePooling2D(keepdims=True, name="pooled"), f)
    f = t(layers.Add(name="broadcast"), f, g)
    f = t(layers.Flatten(name="flat"), f)
    f = t(layers.Dense(3, activation="linear", name="scores"), f)
    model = keras2.Model([image, vector], [e, f], name="keras2_layers")
    save("keras2_layers", model, t, [".h5"], keras2, rng, steps=4)


def keras3_series(rng) -> None:
    """Windows of one axis, as Keras 3 writes them."""
    layers, t = keras3.layers, Recorder()
    series = layers.Input((12, 4), name="series")
    for layer in (
        layers.Conv1D(3, 3, dilation_rate=2, name="dilation"),
        layers.Conv1D(3, 3, padding="causal", dilation_rate=2, name="causal"),
        layers.Conv1D(3, 4, padding="same", strides=3, name="conv1d_same_even"),
        layers.SeparableConv1D(5, 3, depth_multiplier=2, name="separable1d"),
        layers.DepthwiseConv1D(4, padding="same", strides=2, name="depthwise1d"),
        layers.MaxPooling1D(1, strides=2, name="pool_1_strides_2"),
        layers.AveragePooling1D(2, padding="same", name="average1d"),
        layers.GlobalMaxPooling1D(name="global_max1d"),
        layers.UpSampling1D(3, name="upsampled1d"),
        layers.ZeroPadding1D((1, 2), name="padded1d"),
        layers.BatchNormalization(epsilon=2**-10, scale=False, name="unscaled"),
        layers.BatchNormalization(epsilon=2**-10, center=False, name="uncentred"),
        layers.Dense(3, name="dense_on_steps"),
    ):
        t(layer, series)
    model = keras3.Model(series, list(t.values()), name="keras3_series")
    save("keras3_series", model, t, [".keras", ".h5"], keras3, rng)


def keras3_images(rng) -> None:
    """Windows of two axes, as Keras 3 writes them."""
    layers, t = keras3.layers, Recorder()
    image = layers.Input((7, 8, 4), name="image")
    for layer in (
        layers.Conv2D(4, (4, 2), padding="same", name="conv2d_same_even"),
        layers.Conv2D(4, 3, padding="same", strides=2, name="conv2d_same_strides"),
        layers.Conv2D(4, 2, dilation_rate=(2, 3), padding="same", name="dilation2d"),
        layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2, name="depthwise2d"),
        layers.SeparableConv2D(
            3, 3, padding="same", activation=layers.ReLU(6), name="separable2d"
        ),
        layers.MaxPooling2D(2, padding="same", name="max_uneven"),
        layers.MaxPooling2D(3, padding="same", strides=1, name="max_even"),
        layers.MaxPooling2D(1, strides=2, name="max_1_strides_2"),
        layers.AveragePooling2D((1, 2), strides=(2, 1), padding="same", name="average"),
        layers.BatchNormalization(axis=1, epsilon=2**-10, name="first_axis"),
    ):
        t(layer, image)
    model = keras3.Model(image, list(t.values()), name="keras3_images")
    save("keras3_images", model, t, [".keras", ".h5"], keras3, rng)


def keras3_operations(rng) -> None:
    """Operators on tensors, also with the number first, and a layer called twice."""
    layers, t = keras3.layers, Recorder()
    vector = layers.Input((6,), name="vector")
    shared = layers.Dense(6, activation=layers.LeakyReLU(0.25), name="shared")
    x = t(shared, vector)
    y = t(shared, x, name="shared_1")
    t["add"] = x + y
    t["multiply"] = 2.0 * t["add"]
    t["subtract"] = 3.0 - t["multiply"]
    z = t(layers.Activation("relu6", name="relu6"), t["subtract"])
    z = t(layers.Dropout(0.5, name="dropped"), z)
    del t["dropped"]
    z = t(layers.Dense(3, name="logits"), z)
    t(layers.Softmax(name="softmax"), z)
    model = keras3.Model(vector, t["softmax"], name="keras3_operations")
    save("keras3_operations", model, t, [".keras", ".h5"], keras3, rng)


def qkeras3_conv(rng) -> None:
    """QKeras layers as Keras 3 writes them."""
    bits, layers, t = qkeras.quantized_bits, keras3.layers, Recorder()
    image = layers.Input((6, 6, 3), name="image")
    x = image
    for layer in (
        qkeras.QActivation(bits(8, 3, alpha=1), name="input_q"),
        qkeras.QConv2D(
            4,
            3,
            padding="same",
            kernel_quantizer=bits(4, 0, alpha=1),
            bias_quantizer=qkeras.quantized_linear(6, 2),
            activation=qkeras.quantized_relu(6, 2),
            name="conv",
        ),
        qkeras.QDepthwiseConv2D(
            (3, 3), depthwise_quantizer=bits(4, 0, alpha="auto_po2"), name="depthwise"
        ),
        qkeras.QActivation("quantized_relu(6,3)", name="relu"),
        qkeras.QBatchNormalization(epsilon=3.0, name="batch_norm"),
        qkeras.QActivation("quantized_bits(8,4,alpha=1)", name="batch_norm_q"),
        layers.Flatten(name="flat"),
        qkeras.QDense(
            5,
            kernel_quantizer=bits(4, 0),
            bias_quantizer=qkeras.binary(alpha=0.5),
            name="logits",
        ),
    ):
        x = t(layer, x)
    model = keras3.Model(image, x, name="qkeras3_conv")
    save("qkeras3_conv", model, t, [".h5", ".keras"], keras3, rng)


def main() -> None:
    """Make all files."""
    FOLDER.mkdir(exist_ok=True)
    if hasattr(qkeras, "quantized_linear"):
        qkeras3_conv(np.random.default_rng(2))
        return
    make_quantizers(np.random.default_rng(1))
    for build in (
        qkeras_dense,
        qkeras_conv,
        qkeras_folded,
        keras2_layers,
        keras3_series,
        keras3_images,
        keras3_operations,
    ):
        build(np.random.default_rng(2))


if __name__ == "__main__":
    main()
