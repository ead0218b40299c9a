"""Evaluate the nodes of a graph that depend on constants alone.

Exporters compute scales and zero points by small subgraphs. Only the operators listed
here are evaluated, and none makes more elements than ``MAX_ELEMENTS``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from hawq.errors import NetworkError
from hawq.frontend.safety import MAX_ELEMENTS, label

Array = NDArray[Any]


def fold_constants(graph: onnx.GraphProto) -> dict[str, Array]:
    """Find the values of all names that are constant.

    Args:
        graph: Its nodes are in order.

    Returns:
        Name → values, of initializers and of what is computed from them.

    Raises:
        NetworkError: if the shapes of a constant subgraph do not fit.
    """
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    for node in graph.node:
        operator = _OPERATORS.get(node.op_type)
        if operator is None or node.domain not in ("", "ai.onnx"):
            continue
        if not all(name in constants for name in node.input if name):
            continue
        inputs = [constants[name] for name in node.input if name]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        try:
            with np.errstate(all="ignore"):
                value = operator(inputs, attributes)
        except (ValueError, IndexError, TypeError, KeyError) as error:
            raise NetworkError(
                f"{label(node)}: its constants do not fit together ({error}): export "
                "it again"
            ) from error
        if value is not None:
            constants[node.output[0]] = value
    return constants


Attributes = dict[str, Any]
Evaluation = Callable[[list[Array], Attributes], Array | None]


def _elementwise(function: Callable[..., Any]) -> Evaluation:
    def evaluate(inputs: list[Array], _: Attributes) -> Array | None:
        if any(x.dtype not in (np.float32, np.float64) for x in inputs):
            return None  # integers divide and wrap in their own ways
        shape = np.broadcast_shapes(*(x.shape for x in inputs))
        return np.asarray(function(*inputs)) if _fits(shape) else None

    return evaluate


def _constant(_: list[Array], attributes: Attributes) -> Array | None:
    if "value" in attributes:
        return numpy_helper.to_array(attributes["value"])
    for name, dtype in (("value_float", np.float32), ("value_int", np.int64)):
        for key in (name, f"{name}s"):
            if key in attributes:
                return np.asarray(attributes[key], dtype=dtype)
    return None


def _constant_of_shape(inputs: list[Array], attributes: Attributes) -> Array | None:
    shape = tuple(inputs[0].tolist())
    fill = np.zeros(1, dtype=np.float32)
    if "value" in attributes:
        fill = numpy_helper.to_array(attributes["value"])
    return np.full(shape, fill.item(), dtype=fill.dtype) if _fits(shape) else None


def _cast(inputs: list[Array], attributes: Attributes) -> Array:
    return inputs[0].astype(helper.tensor_dtype_to_np_dtype(attributes["to"]))


def _reshape(inputs: list[Array], attributes: Attributes) -> Array:
    (x, *rest) = inputs
    shape = rest[0].tolist() if rest else list(attributes["shape"])
    if not attributes.get("allowzero", 0):
        shape = [x.shape[i] if size == 0 else size for i, size in enumerate(shape)]
    return x.reshape(shape)


def _transpose(inputs: list[Array], attributes: Attributes) -> Array:
    return inputs[0].transpose(attributes.get("perm"))


def _axes(inputs: list[Array], attributes: Attributes) -> tuple[int, ...] | None:
    if len(inputs) > 1:
        return tuple(inputs[1].ravel().tolist())
    axes = attributes.get("axes")
    return None if axes is None else tuple(axes)


def _squeeze(inputs: list[Array], attributes: Attributes) -> Array:
    return inputs[0].squeeze(_axes(inputs, attributes))


def _unsqueeze(inputs: list[Array], attributes: Attributes) -> Array:
    return np.expand_dims(inputs[0], _axes(inputs, attributes) or ())


def _fits(shape: tuple[int, ...]) -> bool:
    return math.prod(shape) <= MAX_ELEMENTS


_OPERATORS: dict[str, Evaluation] = {
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Identity": lambda inputs, _: inputs[0],
    "Cast": _cast,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Add": _elementwise(np.add),
    "Sub": _elementwise(np.subtract),
    "Mul": _elementwise(np.multiply),
    "Div": _elementwise(np.divide),
    "Neg": _elementwise(np.negative),
    "Abs": _elementwise(np.abs),
    "Sqrt": _elementwise(np.sqrt),
}
