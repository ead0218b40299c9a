from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from hawq.csim.qonnx_executor import run_samples
from hawq.integer.execute import trace
from hawq.integer.lower import lower_model
from hawq.integer.operation import CHANNELS_LAST

QUANT = "qonnx.custom_op.general"


def channels_last_model() -> ModelProto:
    """A strided convolution and a pool with ceil_mode, which opset 1 does not know."""
    random = np.random.default_rng(0)
    constants = {
        "s": np.float32(0.25),
        "z": np.float32(0),
        "b": np.float32(4),
        "w": random.integers(-3, 4, (5, 2, 2, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Quant", ["x", "s", "z", "b"], ["q"], domain=QUANT, signed=1),
        helper.make_node(
            "Conv",
            ["q", "w"],
            ["c"],
            domain=CHANNELS_LAST,
            kernel_shape=[2, 2],
            strides=[1, 2],
            pads=[0, 1, 0, 0],
        ),
        helper.make_node(
            "MaxPool",
            ["c"],
            ["p"],
            domain=CHANNELS_LAST,
            kernel_shape=[2, 2],
            strides=[2, 2],
            ceil_mode=0,
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 6, 7, 3])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    opsets = [helper.make_opsetid(d, v) for d, v in (("", 13), (QUANT, 1))]
    opsets.append(helper.make_opsetid(CHANNELS_LAST, 1))
    return helper.make_model(graph, opset_imports=opsets)


@pytest.mark.parametrize("name", ["q", "c", "p"])
def test_the_executor_gives_the_layout_of_the_file(name: str) -> None:
    model = channels_last_model()
    graph = lower_model(model)
    x = np.random.default_rng(1).normal(size=(3, 6, 7, 3)).astype(np.float32)
    floats = run_samples(model, graph, {"x": x})[name][:, 0]
    integers = trace(graph, x)[name]
    np.testing.assert_array_equal(floats, integers * float(graph.tensors[name].scale))
