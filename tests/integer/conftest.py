"""Networks of dense layers, and inputs for them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import strategies as st
from network_file import MODES, NetworkFile
from numpy.typing import NDArray
from onnx import numpy_helper
from qonnx_exact.interpreter import interpret


def power(value: float) -> float:
    return float(2.0 ** math.frexp(value)[1])


@st.composite
def dense_networks(
    draw: st.DrawFn, bits: int, depth: int = 4, batch: int = 1
) -> onnx.ModelProto:
    """Draw a chain of dense layers whose quantizers have up to ``bits`` bits."""
    features = draw(st.integers(1, 5))
    file = NetworkFile(features, batch=batch)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    exponents = st.integers(-bits, 2)
    widths = st.integers(2, bits)

    def quantizer() -> dict[str, Any]:
        return {"bits": draw(widths), "mode": draw(st.sampled_from(MODES))}

    first, scale = quantizer(), 2.0 ** draw(exponents)
    x, reach = file.quant("x", scale, **first), scale * 2.0 ** first["bits"]
    layers = draw(st.integers(1, depth))
    for layer in range(layers):
        outputs = draw(st.integers(1, 5))
        scales = 2.0 ** np.array(
            [draw(exponents)] + [draw(st.integers(-2, 0)) for _ in range(outputs)]
        )
        channels = scales[0] * scales[1:] if draw(st.booleans()) else scales[0]
        parameters = {"narrow": draw(st.integers(0, 1)), **quantizer()}
        size = scales[0] * 2.0 ** (parameters["bits"] - 2)
        real = random.normal(size=(features, outputs)) * size
        reach *= np.abs(real).sum(axis=0).max()
        bias = None
        if draw(st.booleans()):
            offset, chosen = random.normal(size=outputs) * reach / 8, quantizer()
            scale = power(reach) / 2.0 ** (chosen["bits"] + draw(st.integers(-1, 3)))
            bias = file.weights(offset, scale, **chosen)
        form = draw(st.sampled_from(["MatMul", "Gemm", "transB", "Transpose", "alpha"]))
        if form == "transB":
            per_row = np.reshape(channels, (-1, 1)) if np.ndim(channels) else channels
            w = file.weights(real.T, per_row, **parameters)
            x = file.node("Gemm", x, w, *([bias] if bias else []), transB=1)
        else:
            w = file.weights(real, channels, **parameters)
            if form == "Transpose":
                w = file.node("Transpose", file.node("Transpose", w))
            if form in ("MatMul", "Transpose"):
                x = file.node("MatMul", x, w)
                if bias:
                    pair = [x, bias] if draw(st.booleans()) else [bias, x]
                    x = file.node("Add", *pair)
            else:
                factors = {"alpha": -0.75, "beta": 0.5} if form == "alpha" else {}
                x = file.node("Gemm", x, w, *([bias] if bias else []), **factors)
        if draw(st.booleans()):
            x = file.node("Relu", x)
        if draw(st.booleans()) and layer < layers - 1:
            x = file.node("Identity", x)
        if layer < layers - 1 or draw(st.booleans()):
            signed = draw(st.integers(0, 1))
            narrow = signed and draw(st.integers(0, 1))
            chosen = quantizer()
            reach = power(reach) * 2.0 ** draw(st.integers(-4, 0))
            scale = reach / 2.0 ** chosen["bits"]
            x = file.quant(x, scale, signed=signed, narrow=narrow, **chosen)
        features = outputs
    return file.model(x)


def real_inputs(model: onnx.ModelProto, samples: int, dtype: str) -> NDArray[Any]:
    """Make inputs on, between and beyond the steps of the input quantizer."""
    parameters = {
        t.name: numpy_helper.to_array(t).item()
        for t in model.graph.initializer
        if not t.dims
    }
    quant = model.graph.node[0]
    scale, bits = parameters[quant.input[1]], parameters[quant.input[3]]
    features = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    reach = 2 ** min(int(bits) + 2, 50 if dtype == "f8" else 22)
    quarters = np.random.default_rng(0).integers(-reach, reach, (samples, features))
    return (quarters * scale / 4).astype(dtype)


@pytest.fixture(scope="session")
def network_file() -> type[NetworkFile]:
    return NetworkFile


@pytest.fixture(scope="session")
def exact() -> Callable[..., dict[str, NDArray[Any]]]:
    return interpret


@pytest.fixture(scope="session")
def networks() -> Callable[..., st.SearchStrategy[onnx.ModelProto]]:
    return dense_networks


@pytest.fixture(scope="session")
def inputs_for() -> Callable[..., NDArray[Any]]:
    return real_inputs
