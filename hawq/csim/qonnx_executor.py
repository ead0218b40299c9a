"""Run a QONNX file with the QONNX executor on a batch of any size."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.change_batchsize import ChangeBatchSize
from qonnx.transformation.infer_shapes import InferShapes

from hawq.csim.channels_first import channels_first
from hawq.errors import InexactError
from hawq.integer.graph import Graph

FLOAT32_BITS = 24

onnxruntime.set_default_logger_severity(3)  # errors; they are raised as well


def run_qonnx(
    model: ModelWrapper, features: NDArray[np.float32], widest: int
) -> dict[str, Any]:
    """Execute every node of the file.

    Args:
        model: The file, with batch size 1.
        features: Shape (samples, *input shape).
        widest: Bits of the widest tensor. Sums of up to 24 bits are exact in the file's
            own float32; above that the same file is run in float64.

    Returns:
        Tensor name → values, for every tensor of the file.
    """
    batched = model.transform(ChangeBatchSize(len(features))).transform(InferShapes())
    if widest > FLOAT32_BITS:
        batched = in_float64(batched)
    name = batched.graph.input[0].name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context: dict[str, Any] = execute_onnx(batched, {name: features}, True)
    return context


def run_samples(
    model: onnx.ModelProto, graph: Graph, inputs: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Execute a file of any shape sample by sample, at the batch size it has.

    Args:
        model: A QONNX model whose batch size is 1.
        graph: The same, lowered: its tensors are returned.
        inputs: Input name → values, shape (samples, *shape).

    Returns:
        Tensor name → floats, shape (samples, *tensor shape), for every tensor of the
        graph that is in the file.
    """
    wrapped = _executable(model, graph)
    written = {name for node in model.graph.node for name in node.output}
    wanted = [name for name in graph.tensors if name in written]
    rows: dict[str, list[NDArray[Any]]] = {}
    for i in range(len(next(iter(inputs.values())))):
        one = {name: x[i : i + 1].astype(np.float32) for name, x in inputs.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            context = execute_onnx(wrapped, one, True)
        for name in wanted:
            rows.setdefault(name, []).append(np.asarray(context[name]))
    return {name: np.stack(values) for name, values in rows.items()}


def _executable(model: onnx.ModelProto, graph: Graph) -> ModelWrapper:
    """Give shapes, and write channels-last operators as the executor can run them."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    # With annotations the executor refuses inputs that do not have their datatype, and
    # corner inputs are there to be of any value.
    del copy.graph.quantization_annotation[:]
    for node in copy.graph.node:
        if node.op_type in ("Quant", "IntQuant"):
            _fill_in(node)
    ranks = {name: len(t.shape) + 1 for name, t in graph.tensors.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ModelWrapper(channels_first(copy, ranks)).transform(InferShapes())


def _fill_in(node: onnx.NodeProto) -> None:
    """Spell the attributes out that have defaults; the executor wants them all."""
    given = {attribute.name for attribute in node.attribute}
    for name, value in (("signed", 1), ("narrow", 0), ("rounding_mode", "ROUND")):
        if name not in given:
            node.attribute.append(helper.make_attribute(name, value))


def in_float64(model: ModelWrapper) -> ModelWrapper:
    """Let the products and sums of a file be computed in float64.

    The executor's ``Quant`` always returns float32, which holds its up to 24 bits; a
    cast behind each one widens what follows.

    Args:
        model: Left as it is.

    Returns:
        A copy in which every tensor but those of ``Quant`` is float64.

    Raises:
        InexactError: if a ``Quant`` has more than 24 bits.
    """
    proto = onnx.ModelProto()
    proto.CopyFrom(model.model)
    graph = proto.graph
    nodes = list(graph.node)
    parameters = {name for n in nodes if n.op_type == "Quant" for name in n.input}
    for initializer in graph.initializer:
        if initializer.name not in parameters:
            wide = numpy_helper.to_array(initializer).astype(np.float64)
            initializer.CopyFrom(numpy_helper.from_array(wide, initializer.name))
    for value in (*graph.output, *graph.value_info):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    del graph.node[:]
    for node in nodes:
        graph.node.append(node)
        if node.op_type == "Quant":
            _check_quant(model, node)
            name, narrow = node.output[0], f"{node.output[0]}_float32"
            graph.node[-1].output[0] = narrow
            cast = helper.make_node("Cast", [narrow], [name], to=TensorProto.DOUBLE)
            graph.node.append(cast)
            shape = model.get_tensor_shape(name)
            graph.value_info.append(
                helper.make_tensor_value_info(narrow, TensorProto.FLOAT, shape)
            )
    return ModelWrapper(proto)


def _check_quant(model: ModelWrapper, node: Any) -> None:
    bits = int(model.get_initializer(node.input[3]).item())
    if bits > FLOAT32_BITS:
        raise InexactError(
            f"node {node.name!r} quantizes to {bits} bits, but the QONNX executor "
            f"returns float32, which holds {FLOAT32_BITS}: allocate fewer bits"
        )
