"""Small networks that go through every kind of layer hls4ml carries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

QONNX = "qonnx.custom_op.general"


class _Writer:
    """Writes nodes one after the other; every method returns the tensor it wrote."""

    def __init__(self, *shape: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.arrays: list[onnx.TensorProto] = []
        self.shape = shape
        self.random = np.random.default_rng(7)

    def array(self, values: ArrayLike) -> str:
        name = f"c{len(self.arrays)}"
        array = np.asarray(values, dtype=np.float32)
        self.arrays.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, *inputs: str, **rest: Any) -> str:
        output = f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **rest))
        return output

    def quant(self, x: str, scale: float, bits: int, signed: bool = True) -> str:
        numbers = [self.array(v) for v in (scale, 0.0, bits)]
        rest = {"signed": int(signed), "narrow": 0, "rounding_mode": "ROUND"}
        return self.node("Quant", x, *numbers, domain=QONNX, **rest)

    def weights(self, *shape: int) -> str:
        return self.quant(self.array(self.random.normal(size=shape)), 0.25, 4)

    def model(self, output: str) -> onnx.ModelProto:
        shape = [1, *self.shape]
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            self.arrays,
        )
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid(QONNX, 1)]
        return helper.make_model(graph, opset_imports=opsets)


def dense() -> onnx.ModelProto:
    """Make a network of dense layers: bias, batch norm, ReLU, leaky ReLU.

    Returns:
        The QONNX model: 4 inputs, 3 outputs.
    """
    w = _Writer(4)
    x = w.quant("x", 0.25, 6)
    x = w.node("Gemm", x, w.weights(5, 4), w.weights(5), transB=1)
    x = w.quant(w.node("Relu", x), 0.25, 5, signed=False)
    x = w.node("Mul", w.node("MatMul", x, w.weights(5, 4)), w.array([2, 1, 0.5, -1]))
    x = w.quant(w.node("LeakyRelu", x, alpha=0.125), 0.5, 6)
    return w.model(w.node("MatMul", x, w.weights(4, 3)))


def conv() -> onnx.ModelProto:
    """Make a network of convolutions: padding, pools, a residual sum, a joint.

    Returns:
        The QONNX model: images of 2 channels, 3 outputs.
    """
    w = _Writer(2, 6, 6)
    x = w.quant("x", 0.25, 6)
    y = w.node("Conv", x, w.weights(2, 2, 3, 3), w.weights(2), pads=[1, 1, 1, 1])
    y = w.quant(w.node("Relu", y), 0.25, 5, signed=False)
    y = w.quant(w.node("Add", y, x), 0.25, 6)
    y = w.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    z = w.quant(w.node("Conv", y, w.weights(2, 2, 1, 1)), 0.25, 6)
    y = w.node("Concat", y, z, axis=1)
    y = w.quant(w.node("Conv", y, w.weights(4, 4, 2, 2)), 0.25, 6)
    y = w.node("Flatten", w.node("GlobalMaxPool", y))
    return w.model(w.node("MatMul", y, w.weights(4, 3)))


def mean() -> onnx.ModelProto:
    """Make a network of one axis, with an average pool and depthwise filters.

    Returns:
        The QONNX model: sequences of 2 channels, 2 outputs.
    """
    w = _Writer(2, 8)
    y = w.node("Conv", w.quant("x", 0.25, 6), w.weights(2, 1, 3), group=2, pads=[1, 1])
    y = w.quant(w.node("Relu", y), 0.25, 5, signed=False)
    y = w.node("AveragePool", y, kernel_shape=[2], strides=[2])
    return w.model(w.node("MatMul", w.node("Flatten", y), w.weights(8, 2)))


NETWORKS: dict[str, Callable[[], onnx.ModelProto]] = {
    "dense": dense,
    "conv": conv,
    "mean": mean,
}
"""Name → what makes the model."""
