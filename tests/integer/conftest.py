"""QONNX files made by hand, and an exact interpreter of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

DOMAIN = "qonnx.custom_op.general"
MODES = ("ROUND", "HALF_EVEN", "HALF_UP", "HALF_DOWN", "CEIL", "FLOOR", "UP", "DOWN")


class NetworkFile:
    """Writes a QONNX model node by node; every method returns the tensor it wrote."""

    def __init__(self, *features: int, batch: int = 1) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.input = helper.make_tensor_value_info(
            "x", TensorProto.FLOAT, [batch, *features]
        )

    def constant(self, values: Any, name: str = "", dtype: str = "f4") -> str:
        name = name or f"constant{len(self.initializers)}"
        array = np.asarray(values, dtype=dtype)
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, *inputs: str, output: str = "", **rest: Any) -> str:
        output = output or f"{operator.lower()}{len(self.nodes)}"
        rest.setdefault("name", f"the_{output}")
        self.nodes.append(helper.make_node(operator, inputs, [output], **rest))
        return output

    def quant(
        self,
        x: str,
        scale: Any,
        bits: Any,
        signed: int = 1,
        narrow: int = 0,
        mode: str = "ROUND",
        zero_point: Any = 0.0,
        **rest: Any,
    ) -> str:
        parameters = [self.constant(v) for v in (scale, zero_point, bits)]
        return self.node(
            "Quant",
            x,
            *parameters,
            signed=signed,
            narrow=narrow,
            rounding_mode=mode,
            **{"domain": DOMAIN, **rest},
        )

    def weights(self, values: Any, scale: Any = 1.0, bits: int = 8, **rest: Any) -> str:
        return self.quant(self.constant(values), scale, bits, **rest)

    def model(self, *outputs: str) -> onnx.ModelProto:
        made = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            for name in outputs
        ]
        graph = helper.make_graph(
            self.nodes, "network", [self.input], made, self.initializers
        )
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)]
        return helper.make_model(graph, opset_imports=opsets)


def interpret(model: onnx.ModelProto, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Run a file in exact rational arithmetic, as the operator specifications say."""
    values = {t.name: _exact(numpy_helper.to_array(t)) for t in model.graph.initializer}
    values[model.graph.input[0].name] = _exact(x)
    for node in model.graph.node:
        inputs = [values[name] for name in node.input]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        values[node.output[0]] = OPERATORS[node.op_type](inputs, attributes)
    return values


def _exact(array: NDArray[Any]) -> NDArray[Any]:
    return np.array([Fraction(v.item()) for v in array.ravel()], dtype=object).reshape(
        array.shape
    )


def _quant(inputs: list[NDArray[Any]], attributes: dict[str, Any]) -> NDArray[Any]:
    x, scale, zero_point, width = inputs
    bits, signed, narrow = int(width.item()), attributes["signed"], attributes["narrow"]
    low = -(2 ** (bits - 1)) + narrow if signed else 0
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
    rounded = ROUNDINGS[attributes["rounding_mode"].decode()]
    quantized = np.vectorize(
        lambda v: Fraction(max(low, min(high, rounded(v)))), otypes=[object]
    )
    return (quantized(x / scale + zero_point) - zero_point) * scale


def _half(value: Fraction, tie_outward: bool) -> int:
    whole, rest = divmod(abs(value), 1)
    up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and tie_outward)
    return int(whole + up) * (1 if value >= 0 else -1)


ROUNDINGS: dict[str, Callable[[Fraction], int]] = {
    "ROUND": round,
    "HALF_EVEN": round,
    "HALF_UP": lambda v: _half(v, tie_outward=True),
    "HALF_DOWN": lambda v: _half(v, tie_outward=False),
    "CEIL": math.ceil,
    "FLOOR": math.floor,
    "UP": lambda v: math.ceil(v) if v >= 0 else math.floor(v),
    "DOWN": math.trunc,
}


def _gemm(inputs: list[NDArray[Any]], attributes: dict[str, Any]) -> NDArray[Any]:
    a, b, *c = inputs
    b = b.T if attributes.get("transB", 0) else b
    y = np.matmul(a, b) * Fraction(attributes.get("alpha", 1.0))
    return y + c[0] * Fraction(attributes.get("beta", 1.0)) if c else y


OPERATORS: dict[str, Callable[..., NDArray[Any]]] = {
    "Quant": _quant,
    "Gemm": _gemm,
    "MatMul": lambda inputs, _: np.matmul(*inputs),
    "Add": lambda inputs, _: inputs[0] + inputs[1],
    "Relu": lambda inputs, _: np.maximum(inputs[0], Fraction(0)),
    "Identity": lambda inputs, _: inputs[0],
    "Flatten": lambda inputs, _: inputs[0].reshape(len(inputs[0]), -1),
    "Transpose": lambda inputs, _: inputs[0].T,
}


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
