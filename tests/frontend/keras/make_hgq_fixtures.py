"""Make the small HGQ2 files of this folder, and what Keras computes from them.

Run it where HGQ2 is installed (``benchmarks/pareto/requirements-hgq2.txt``):

    KERAS_BACKEND=jax python tests/frontend/keras/make_hgq_fixtures.py

Learned bits are drawn at random, so that every element has a format of its own, some
none at all; inputs lie far beyond what the formats hold. Numbers are dyadic with few
bits, so that every float32 result is exact.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras
import numpy as np
from hgq.config import QuantizerConfig, QuantizerConfigScope
from hgq.layers import QBatchNormalization, QBatchNormDense, QConv1D, QConv2D, QDense
from hgq.quantizer import Quantizer
from hgq.quantizer.internal import FixedPointQuantizerBase
from keras import layers

FOLDER = Path(__file__).parent / "fixtures" / "hgq2"
SAMPLES = 100


def draw(model: keras.Model, rng: np.random.Generator, wide: bool) -> None:
    """Give every quantizer random bits, and every weight a random value."""
    for layer in model._flatten_layers():
        if isinstance(layer, FixedPointQuantizerBase):
            shape = layer._k.shape
            is_last = "_oq/" in layer.path
            layer._k.assign(rng.random(shape) < (1 if is_last else 0.85))
            # Bits are learned as real numbers, and rounded when used.
            bits = {n: rng.integers(1, 4, shape) for n in ("_i", "_f", "_b")}
            bits["_i"] += 3 * is_last
            bits["_b"] = bits["_b"] + bits["_i"]
            is_dead = rng.random(shape) < (0 if is_last else 0.15)
            bits["_f"] = np.where(is_dead, -bits["_i"] - 1, bits["_f"])
            bits["_b"] = np.where(is_dead, 0, bits["_b"])
            if wide and layer.overflow_mode == "WRAP" and "first" not in layer.path:
                layer._k.assign(np.ones(shape))
                bits["_i"] = np.full(shape, 10)
            for name, values in bits.items():
                if hasattr(layer, name):
                    noise = rng.uniform(-0.4, 0.4, shape)
                    getattr(layer, name).assign(values + noise)
    for layer in model.layers:
        for name in ("_kernel", "bias"):
            variable = getattr(layer, name, None)
            if variable is not None:
                variable.assign(rng.integers(-64, 64, variable.shape) / 16)
        for name in ("bn_gamma", "bn_beta", "moving_mean", "moving_variance"):
            variable = getattr(layer, name, None)
            if variable is not None:
                variable.assign(rng.uniform(0.1, 2, variable.shape))


def save(
    name: str, model: keras.Model, rng: np.random.Generator, *, wide: bool = False
) -> None:
    """Write the file, 100 inputs, and what every layer makes of them."""
    draw(model, rng, wide)
    shape = (SAMPLES, *model.input.shape[1:])
    x = np.float32(rng.integers(-512, 512, shape) / 32)
    x[:4] *= 1024  # far out
    tensors = {layer.name: layer.output for layer in model.layers[1:]}
    values = keras.Model(model.input, list(tensors.values())).predict(
        x, verbose=0, batch_size=SAMPLES
    )
    path = FOLDER / f"{name}.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, content in parts.items():
            archive.writestr(part, content)
    stored = dict(zip(tensors, map(np.asarray, values), strict=True))
    np.savez_compressed(path.with_suffix(".npz"), **{"input/x": x, **stored})


def dense(overflow: str, rounding: str, kind: str) -> keras.Model:
    """Three dense layers whose quantizers overflow and round alike."""
    modes = {"overflow_mode": overflow, "round_mode": rounding}
    with QuantizerConfigScope(place="datalane", default_q_type=kind, **modes):
        x = inputs = keras.Input((5,), name="x")
        x = QDense(6, activation="relu", name="first")(x)
        x = QDense(4, name="second", use_bias=False)(x)
        x = QDense(3, name="last", enable_oq=True)(x)
    return keras.Model(inputs, x, name=f"{overflow}_{rounding}_{kind}")


def images() -> keras.Model:
    """Convolutions, with formats a channel, and a quantizer of its own."""
    channels = {"heterogeneous_axis": (-1,)}
    with QuantizerConfigScope(place="datalane", default_q_type="kif", **channels):
        x = inputs = keras.Input((4, 5, 2), name="x")
        x = Quantizer(QuantizerConfig("kif", "datalane"), name="alone")(x)
        x = QConv2D(3, 3, padding="same", activation="relu", name="two")(x)
        x = layers.MaxPooling2D(2, padding="same", name="pool")(x)
        x = layers.Reshape((6, 3), name="row")(x)
        with QuantizerConfigScope(place="weight", overflow_mode="WRAP"):
            x = QConv1D(2, 2, strides=2, name="one")(x)
        x = layers.Flatten(name="flat")(x)
        x = QDense(3, name="last", iq_conf=QuantizerConfig("kif", "datalane"))(x)
    return keras.Model(inputs, x, name="images")


def normalized() -> keras.Model:
    """Batch normalization, alone and inside a dense layer."""
    with QuantizerConfigScope(place="datalane", overflow_mode="SAT"):
        x = inputs = keras.Input((5,), name="x")
        x = QBatchNormalization(name="norm")(x)
        x = QBatchNormalization(name="bare", center=False, scale=False)(x)
        x = QBatchNormDense(4, activation="relu", name="dense")(x)
        x = QBatchNormDense(3, name="last", scale=False, enable_oq=True)(x)
    return keras.Model(inputs, x, name="normalized")


def main() -> None:
    """Write all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    for overflow, rounding, kind in (
        ("WRAP", "RND", "kif"),
        ("WRAP", "TRN", "kbi"),
        ("SAT", "RND", "kif"),
        ("SAT", "RND_CONV", "kbi"),
        ("SAT_SYM", "RND_INF", "kif"),
        ("SAT_SYM", "RND_ZERO", "kbi"),
        ("SAT", "RND_MIN_INF", "kif"),
        ("SAT", "TRN_ZERO", "kif"),
    ):
        model = dense(overflow, rounding, kind)
        save(f"{overflow}_{rounding}_{kind}".lower(), model, rng)
    save("images", images(), rng)
    save("normalized", normalized(), rng)
    model = dense("WRAP", "RND", "kif")
    model.name = "wrap_that_fits"
    save(model.name, model, rng, wide=True)


if __name__ == "__main__":
    main()
