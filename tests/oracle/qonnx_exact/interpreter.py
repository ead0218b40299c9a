"""Run a QONNX file in exact rational arithmetic, node by node.

Written from the operator specifications of ONNX and QONNX alone, in naive loops, so
that it can bear witness against anything that computes the same file. Constants that
no quantizer touched are computed in the file's types, as ONNX has it; data, and all
that a quantizer made, are Fractions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from qonnx_exact import linear, movement, pointwise, quantizers, windows
from qonnx_exact.values import Array, exact

CHANNELS_LAST = "qonnx.custom_op.channels_last"


def interpret(
    model: onnx.ModelProto, inputs: Array | Mapping[str, Array]
) -> dict[str, Array]:
    """Give every tensor of a file for every sample.

    Args:
        model: The file; its batch size decides how many samples are run at once.
        inputs: Real numbers, shape (samples, *input shape); with several inputs, by
            name.

    Returns:
        Tensor name → Fractions, shape (samples, *tensor shape), of all that depends on
        data.
    """
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    given = [i for i in model.graph.input if i.name not in constants]
    data = inputs if isinstance(inputs, Mapping) else {given[0].name: inputs}
    batch = given[0].type.tensor_type.shape.dim[0].dim_value or 1
    nodes = []
    for node in model.graph.node:
        if _fixed(node, constants):
            constants.update(_run(node, constants))
        else:
            nodes.append(node)
    chunks: dict[str, list[Array]] = {}
    for start in range(0, len(next(iter(data.values()))), batch):
        values = {n: exact(x[start : start + batch]) for n, x in data.items()}
        known = {**constants, **values}
        for node in nodes:
            made = _run(node, known)
            known.update(made)
            values.update(made)
        for name, value in values.items():
            if value.dtype != object:  # a shape
                continue
            chunks.setdefault(name, []).append(value)
    return {name: np.concatenate(v) for name, v in chunks.items()}


def _fixed(node: onnx.NodeProto, constants: Mapping[str, Array]) -> bool:
    return all(not name or name in constants for name in node.input)


def _run(node: onnx.NodeProto, values: Mapping[str, Array]) -> dict[str, Array]:
    inputs = [values[name] if name else None for name in node.input]
    attributes = {a.name: _attribute(a) for a in node.attribute}
    attributes["outputs"] = len(node.output)
    last = node.domain == CHANNELS_LAST
    if last:
        turned = 2 if node.op_type == "Conv" else 1
        inputs[:turned] = [np.moveaxis(x, -1, 1) for x in inputs[:turned]]
    made = OPERATORS[node.op_type](inputs, attributes)
    results = made if isinstance(made, tuple) else (made,)
    if last:
        results = tuple(np.moveaxis(y, 1, -1) for y in results)
    return {n: np.asarray(y) for n, y in zip(node.output, results, strict=False) if n}


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    return value.decode() if isinstance(value, bytes) else value


def _same(inputs: list[Array], _: Any) -> Array:
    return inputs[0]


OPERATORS: dict[str, Callable[[list[Any], dict[str, Any]], Any]] = {
    "Abs": pointwise.unary(np.abs),
    "Add": pointwise.binary(np.add),
    "ArgMax": pointwise.argmax,
    "AveragePool": windows.average_pool,
    "BatchNormalization": pointwise.batch_normalization,
    "BipolarQuant": quantizers.bipolar_quant,
    "Cast": pointwise.cast,
    "Clip": pointwise.clip,
    "Concat": movement.concat,
    "Constant": lambda _, a: numpy_helper.to_array(a["value"]),
    "ConstantOfShape": movement.constant_of_shape,
    "Conv": linear.conv,
    "DepthToSpace": movement.depth_to_space,
    "Div": pointwise.binary(pointwise.divide),
    "Dropout": _same,
    "Flatten": movement.flatten,
    "Gather": movement.gather,
    "Gemm": linear.gemm,
    "GlobalAveragePool": windows.global_average_pool,
    "GlobalMaxPool": windows.global_max_pool,
    "Identity": _same,
    "IntQuant": quantizers.quant,
    "LeakyRelu": pointwise.leaky_relu,
    "LogSoftmax": _same,  # left to the host: the logits
    "MatMul": linear.matmul,
    "MaxPool": windows.max_pool,
    "Mul": pointwise.binary(np.multiply),
    "MultiThreshold": quantizers.multi_threshold,
    "Neg": pointwise.unary(np.negative),
    "PRelu": pointwise.prelu,
    "Pad": movement.pad,
    "Quant": quantizers.quant,
    "ReduceMean": windows.reduce_mean,
    "Relu": pointwise.relu,
    "Reshape": movement.reshape,
    "Resize": movement.resize,
    "Shape": movement.shape,
    "Sigmoid": pointwise.sigmoid,
    "Slice": movement.slice_,
    "Softmax": _same,  # left to the host: the logits
    "SpaceToDepth": movement.space_to_depth,
    "Split": movement.split,
    "Sqrt": pointwise.unary(np.sqrt),
    "Squeeze": movement.squeeze,
    "Sub": pointwise.binary(np.subtract),
    "Tanh": pointwise.tanh,
    "TopK": pointwise.top_k,
    "Transpose": movement.transpose,
    "Trunc": quantizers.trunc,
    "Unsqueeze": movement.unsqueeze,
    "Upsample": movement.upsample,
}
