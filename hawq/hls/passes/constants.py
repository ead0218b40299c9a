"""Evaluate what does not depend on data, exactly: hls4ml folds little and rounds it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

from hawq.fixed import as_integers
from hawq.hls.passes.network import Constant, Network
from hawq.integer.grid import common_scale
from hawq.integer.quantizer import IntegerConstant, exact, read_quantizer

_whole = np.frompyfunc(int, 1, 1)

MOVES = ("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast")
"""Operators that leave the integers of a constant as they are."""


def fold_constants(network: Network) -> None:
    """Replace nodes that read constants alone by their values.

    Args:
        network: Changed in place.
    """
    for node in list(network.nodes):
        values = [network.constants.get(name) for name in node.input if name]
        if node.op_type == "Shape" and node.input[0] in network.shapes:
            whole = np.array([1, *network.shapes[node.input[0]]])
            folded: Constant = whole[
                slice(*(_bound(node, b) for b in ("start", "end")))
            ]
        elif any(value is None for value in values):
            continue
        else:
            folded = _evaluate(network, node, [v for v in values if v is not None])
        network.constants[node.output[0]] = folded
        network.nodes.remove(node)
    network.drop_unused()


def _bound(node: onnx.NodeProto, name: str) -> int | None:
    return next((int(a.i) for a in node.attribute if a.name == name), None)


def _evaluate(
    network: Network, node: onnx.NodeProto, values: list[Constant]
) -> Constant:
    if node.op_type in ("Quant", "IntQuant", "BipolarQuant"):
        return quantized(node, values)
    first = values[0] if values else None
    if not isinstance(first, IntegerConstant):
        return _reference(network, node, [plain(v) for v in values])
    if node.op_type not in MOVES:
        return on_grid(_reference(network, node, [plain(v) for v in values]))
    inputs = [first.integers, *(plain(v) for v in values[1:])]
    if node.op_type in ("Identity", "Cast"):
        return first
    return IntegerConstant(_reference(network, node, inputs), first.scale)


def quantized(node: onnx.NodeProto, values: list[Constant]) -> IntegerConstant:
    """Evaluate a quantizer of a constant.

    Args:
        node: ``Quant``, ``IntQuant`` or ``BipolarQuant``.
        values: Of its inputs.

    Returns:
        Its integers, all channels on the finest grid that one of them uses.
    """
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    is_bipolar = node.op_type == "BipolarQuant"
    source, scale, *rest = values
    point, width = (np.zeros(()), np.ones(())) if is_bipolar else map(plain, rest)
    quantizer = read_quantizer(
        node.output[0],
        plain(scale),
        point,
        width,
        is_signed=bool(given.get("signed", 1)),
        is_narrow=bool(given.get("narrow", 0)),
        rounding_mode=given.get("rounding_mode", b"ROUND").decode(),
    )
    return quantizer.constant(source)


def plain(value: Constant) -> NDArray[Any]:
    """Give a constant's values as floats.

    Args:
        value: Plain, or integers on a grid.

    Returns:
        An array; float64 for integers on a grid.
    """
    if isinstance(value, np.ndarray):
        return value
    return np.asarray(value.integers.astype(np.float64) * float(value.scale))


def on_grid(values: NDArray[Any]) -> IntegerConstant:
    """Find the coarsest grid of a power of two on which values lie.

    Args:
        values: Floats, integers or dyadic Fractions, any shape.

    Returns:
        Their integers on that grid.
    """
    fractions = values if values.dtype == object else exact(values)
    sizes = {abs(v) for v in fractions.flat if v}
    scale = power_of_two_part(common_scale(*sizes)) if sizes else Fraction(1)
    whole = np.asarray(_whole(fractions / scale), dtype=object)
    return IntegerConstant(as_integers(whole), scale)


def power_of_two_part(scale: Fraction) -> Fraction:
    """Give the largest power of two that divides a dyadic rational.

    Args:
        scale: Its denominator is a power of two.

    Returns:
        The power.
    """
    return Fraction(scale.numerator & -scale.numerator, scale.denominator)


def dyadic(constant: IntegerConstant) -> IntegerConstant:
    """Put integers on a dyadic grid on one of a power of two.

    Args:
        constant: On any grid.

    Returns:
        The same values; the same grid if it is not dyadic.
    """
    if constant.scale.denominator.bit_count() != 1:
        return constant
    scale = power_of_two_part(constant.scale)
    factor = int(constant.scale / scale)
    return IntegerConstant(
        as_integers(constant.integers.astype(object) * factor), scale
    )


def _reference(
    network: Network, node: onnx.NodeProto, values: list[NDArray[Any]]
) -> NDArray[Any]:
    names = [name for name in node.input if name]
    inputs = [
        helper.make_tensor_value_info(
            n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape
        )
        for n, v in zip(names, values, strict=True)
    ]
    outputs = [onnx.ValueInfoProto(name=node.output[0])]
    graph = helper.make_graph([node], "constant", inputs, outputs)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", network.opset)]
    )
    feed: dict[str, Any] = dict(zip(names, values, strict=True))
    (result,) = ReferenceEvaluator(model).run(None, feed)
    return np.asarray(result)
