"""Annotate a QONNX file with the width of every tensor, and count its cost."""

from __future__ import annotations

from pathlib import Path

from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.inference_cost import inference_cost

from hawq.integer.graph import Graph
from hawq.integer.lower import lower_qonnx
from hawq.paths import atomic_file


def annotate(path: Path) -> Graph:
    """Write a datatype on every tensor that holds scaled integers.

    Without them the QONNX tools take everything for float32 and count costs wrongly.

    Args:
        path: A tidy QONNX file, rewritten atomically.

    Returns:
        The integer graph whose proven widths were written.
    """
    graph = lower_qonnx(path)
    model = ModelWrapper(str(path))
    widths = {name: tensor.format.width for name, tensor in graph.tensors.items()}
    for node in model.get_nodes_by_op_type("Quant"):
        widths[node.output[0]] = int(model.get_initializer(node.input[3]).item())
    for name, width in widths.items():
        model.set_tensor_datatype(name, DataType[f"SCALEDINT<{width}>"])
    with atomic_file(path) as temporary:
        model.save(str(temporary))
    return graph


def count_bops(path: Path) -> float:
    """Count bit operations a sample as the QONNX tools do.

    Args:
        path: An annotated QONNX file.

    Returns:
        The sum over layers of MACs × activation bits × weight bits.
    """
    cost = inference_cost(str(path), preprocess=False, discount_sparsity=False)
    return float(cost["total_cost"]["total_bops"])
