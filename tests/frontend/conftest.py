"""ONNX files made by hand, and two executors to compare them with."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

Values = dict[str, NDArray[Any]]


class OnnxFile:
    """Writes a model node by node; every method returns the tensor it wrote."""

    def __init__(self, *shape: int | str, dtype: int = TensorProto.FLOAT) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.inputs = [helper.make_tensor_value_info("x", dtype, shape)]

    def constant(self, values: Any, dtype: Any = "f4", name: str = "") -> str:
        name = name or f"constant{len(self.initializers)}"
        array = (
            np.asarray(values).astype(helper.tensor_dtype_to_np_dtype(dtype))
            if (isinstance(dtype, int))
            else np.asarray(values, dtype=dtype)
        )
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, *inputs: str, output: str = "", **rest: Any) -> str:
        output = output or f"{operator.lower()}{len(self.nodes)}"
        rest.setdefault("name", f"the_{output}")
        self.nodes.append(helper.make_node(operator, inputs, [output], **rest))
        return output

    def parameters(self, scale: Any, point: Any = None, dtype: Any = "i1") -> list[str]:
        names = [self.constant(scale)]
        return names if point is None else [*names, self.constant(point, dtype)]

    def pair(
        self, x: str, scale: Any, point: Any = 0, dtype: Any = "i1", **rest: Any
    ) -> str:
        parameters = self.parameters(scale, point, dtype)
        q = self.node("QuantizeLinear", x, *parameters, **rest)
        return self.node("DequantizeLinear", q, *parameters, **rest)

    def weights(self, values: Any, scale: Any, dtype: Any = "i1", **rest: Any) -> str:
        points = np.zeros(np.shape(scale))
        parameters = self.parameters(scale, points, dtype)
        integers = self.constant(values, dtype)
        return self.node("DequantizeLinear", integers, *parameters, **rest)

    def model(
        self,
        *outputs: str,
        opset: int = 13,
        dtype: int = TensorProto.FLOAT,
        domains: Sequence[str] = ("com.microsoft",),
        shape: Sequence[int] | None = None,
    ) -> onnx.ModelProto:
        made = [helper.make_tensor_value_info(n, dtype, shape) for n in outputs]
        graph = helper.make_graph(
            self.nodes, "network", self.inputs, made, self.initializers
        )
        opsets = [helper.make_opsetid("", opset)]
        opsets += [helper.make_opsetid(domain, 1) for domain in domains]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        inferred = (
            [] if shape else onnx.shape_inference.infer_shapes(model).graph.output
        )
        for value in inferred:
            made[outputs.index(value.name)].CopyFrom(value)
        del model.graph.output[:]
        model.graph.output.extend(made)
        return model


def run_original(
    model: onnx.ModelProto, x: NDArray[Any], names: Sequence[str] = ()
) -> Values:
    """Run a file with onnxruntime, nothing fused, and give tensors by name."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    present = {value.name for value in watched.graph.output}
    for name in names:
        if name not in present:
            watched.graph.output.append(onnx.ValueInfoProto(name=name))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = (
        onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    )
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options)
    given = [output.name for output in session.get_outputs()]
    results = session.run(given, {model.graph.input[0].name: x})
    return dict(zip(given, results, strict=True))


def run_rewritten(model: onnx.ModelProto, x: NDArray[Any]) -> Values:
    """Run a file with the QONNX executor and give all tensors by name."""
    onnx.checker.check_model(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the executor, not of ours
        wrapper = ModelWrapper(model).transform(InferShapes())
        context: Values = execute_onnx(wrapper, {model.graph.input[0].name: x}, True)
    return context


@pytest.fixture(scope="session")
def onnx_file() -> type[OnnxFile]:
    return OnnxFile


@pytest.fixture(scope="session")
def original() -> Callable[..., Values]:
    return run_original


@pytest.fixture(scope="session")
def rewritten() -> Callable[..., Values]:
    return run_rewritten
