"""Run a QONNX file with the QONNX executor on a batch of any size."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.change_batchsize import ChangeBatchSize
from qonnx.transformation.infer_shapes import InferShapes

FLOAT32_BITS = 24


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
    x: NDArray[Any] = features
    if widest > FLOAT32_BITS:
        batched, x = in_float64(batched), features.astype(np.float64)
    name = batched.graph.input[0].name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context: dict[str, Any] = execute_onnx(batched, {name: x}, True)
    return context


def in_float64(model: ModelWrapper) -> ModelWrapper:
    """Turn every float32 tensor of a file into float64.

    Args:
        model: Left as it is.

    Returns:
        A copy that computes in double precision.
    """
    proto = onnx.ModelProto()
    proto.CopyFrom(model.model)
    graph = proto.graph
    for initializer in graph.initializer:
        if initializer.data_type == TensorProto.FLOAT:
            wide = numpy_helper.to_array(initializer).astype(np.float64)
            initializer.CopyFrom(numpy_helper.from_array(wide, initializer.name))
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    return ModelWrapper(proto)
