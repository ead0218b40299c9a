"""QONNX files made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DOMAIN = "qonnx.custom_op.general"
CHANNELS_LAST = "qonnx.custom_op.channels_last"
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
        stem = "value" if operator == "Constant" else operator.lower()
        output = output or f"{stem}{len(self.nodes)}"
        rest.setdefault("name", f"the_{output}")
        self.nodes.append(helper.make_node(operator, inputs, [output], **rest))
        return output

    def split(self, operator: str, count: int, *inputs: str, **rest: Any) -> list[str]:
        """Write a node of several outputs."""
        first = f"{operator.lower()}{len(self.nodes)}"
        outputs = [f"{first}.{i}" for i in range(count)]
        self.nodes.append(
            helper.make_node(operator, inputs, outputs, name=f"the_{first}", **rest)
        )
        return outputs

    def quant(
        self,
        x: str,
        scale: Any,
        bits: Any,
        signed: int = 1,
        narrow: int = 0,
        mode: str = "ROUND",
        zero_point: Any = 0.0,
        operator: str = "Quant",
        **rest: Any,
    ) -> str:
        parameters = [self.constant(v) for v in (scale, zero_point, bits)]
        return self.node(
            operator,
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
        domains = {"": 13, DOMAIN: 1, CHANNELS_LAST: 1}
        opsets = [helper.make_opsetid(*pair) for pair in domains.items()]
        return helper.make_model(graph, opset_imports=opsets)
