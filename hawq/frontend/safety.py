"""Read an ONNX file that anybody may have written: refused early, nothing executed.

Only the bytes of the file itself are read. After ``load_onnx`` every name is text,
written once, and known where it is read; every tensor is as large as its data; the
nodes are in order and named; no graph lies inside another.
"""

from __future__ import annotations

import graphlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, TensorProto

from hawq.errors import NetworkError
from hawq.frontend.functions import MAX_NODES, inline_functions

MAX_BYTES = 2**31 - 1
"""Largest file: protobuf's own limit."""

MAX_ELEMENTS = 2**24
"""Elements of one sample of an input; a file cannot claim any amount of memory."""

BITS: dict[int, int] = {
    TensorProto.FLOAT: 32,
    TensorProto.DOUBLE: 64,
    TensorProto.FLOAT16: 16,
    TensorProto.BFLOAT16: 16,
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.INT8: 8,
    TensorProto.UINT8: 8,
    TensorProto.INT16: 16,
    TensorProto.UINT16: 16,
    TensorProto.INT32: 32,
    TensorProto.UINT32: 32,
    TensorProto.INT64: 64,
    TensorProto.UINT64: 64,
    TensorProto.BOOL: 8,
}
"""Bits of one element in ``raw_data``, of the types that a network may hold."""

_FIELDS: dict[int, str] = {
    TensorProto.FLOAT: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.INT64: "int64_data",
    TensorProto.UINT64: "uint64_data",
    TensorProto.UINT32: "uint64_data",
}  # all other types lie in int32_data


def load_onnx(path: Path) -> onnx.ModelProto:
    """Read and check an ONNX file.

    Args:
        path: The file.

    Returns:
        The model, with local functions inlined, its nodes in order and named.

    Raises:
        NetworkError: if the file cannot be read, is damaged, or holds what no front
            end can carry.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise NetworkError(
                f"{path}: {size} bytes, expected at most {MAX_BYTES} (2 GB, protobuf's "
                "limit): export a smaller network"
            )
        if not path.is_file():
            raise NetworkError(f"{path}: not a file: give an ONNX file")
        data = path.read_bytes()
    except OSError as error:
        raise NetworkError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise NetworkError(
            f"{path}: not an ONNX file, or a damaged one ({error}): export it again"
        ) from error
    try:
        return sound_model(model)
    except NetworkError as error:
        raise NetworkError(f"{path}: {error}") from error


def sound_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """Check a model in memory and put it in order; see ``load_onnx``.

    Args:
        model: Left as it is.

    Returns:
        A checked copy, with local functions inlined, its nodes in order and named.

    Raises:
        NetworkError: if it is damaged, or holds what no front end can carry.
    """
    count = sum(len(graph.node) for graph in (model.graph, *model.functions))
    if count > MAX_NODES:
        raise NetworkError(
            f"{count} nodes, expected at most {MAX_NODES}: export a smaller network"
        )
    _require_text(model)
    for node in (node for function in model.functions for node in function.node):
        _require_plain(node, in_function=True)
    for node in model.graph.node:
        _require_plain(node, in_function=False)
    if not model.graph.node:
        raise NetworkError("the file has no nodes: give an ONNX file of a network")
    sound = onnx.ModelProto()
    sound.CopyFrom(inline_functions(model))
    _require_sizes(sound.graph)
    sort_nodes(sound.graph)
    name_nodes(sound.graph)
    return sound


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a name of its own: ``Conv_0``, ``Conv_1``, ...

    Args:
        graph: Changed in place; names that are there and unique stay.
    """
    taken = {node.name for node in graph.node}
    used: set[str] = set()
    counts: Counter[str] = Counter()
    for node in graph.node:
        if not node.name or node.name in used:
            stem = node.name or node.op_type
            while f"{stem}_{counts[stem]}" in taken:
                counts[stem] += 1
            node.name = f"{stem}_{counts[stem]}"
            taken.add(node.name)
        used.add(node.name)


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Put every node behind those that write what it reads.

    Args:
        graph: Changed in place; an order that is right stays.

    Raises:
        NetworkError: if names are written twice, never written, or in a cycle.
    """
    writers: dict[str, onnx.NodeProto | None] = {}
    constants = {tensor.name for tensor in graph.initializer}
    if len(constants) < len(graph.initializer):
        (name, _), *_ = Counter(t.name for t in graph.initializer).most_common(1)
        raise NetworkError(f"constant {name!r} stands twice: export it again")
    for value in graph.input:
        if value.name in writers:
            raise NetworkError(f"input {value.name!r} stands twice: export it again")
        writers[value.name] = None
    writers.update(dict.fromkeys(constants))
    for node in graph.node:
        for name in filter(None, node.output):
            if name in writers:
                raise NetworkError(
                    f"tensor {name!r} is written twice, the second time by "
                    f"{label(node)}: export it again"
                )
            writers[name] = node
    for output in graph.output:
        _writer(writers, output.name, "the network's outputs")
    if not _is_sorted(graph.node, writers):
        _sort(graph, writers)


def label(node: onnx.NodeProto) -> str:
    """Name a node for messages.

    Args:
        node: Possibly unnamed.

    Returns:
        Its name and operator, or its operator and first output.
    """
    if node.name:
        return f"node {node.name!r} ({node.op_type})"
    output = node.output[0] if node.output else ""
    return f"unnamed node ({node.op_type}) that writes {output!r}"


def _writer(
    writers: dict[str, onnx.NodeProto | None], name: str, reader: str
) -> onnx.NodeProto | None:
    if name not in writers:
        raise NetworkError(
            f"tensor {name!r}, read by {reader}, is written by nothing: export it again"
        )
    return writers[name]


def _is_sorted(
    nodes: Iterable[onnx.NodeProto], writers: dict[str, onnx.NodeProto | None]
) -> bool:
    seen = {name for name, node in writers.items() if node is None}
    for node in nodes:
        for name in filter(None, node.input):
            if name not in seen:
                _writer(writers, name, label(node))
                return False
        seen.update(node.output)
    return True


def _sort(graph: onnx.GraphProto, writers: dict[str, onnx.NodeProto | None]) -> None:
    nodes = list(graph.node)
    position = {name: i for i, n in enumerate(nodes) for name in n.output if name}
    needs = {
        i: [
            position[name]
            for name in filter(None, node.input)
            if _writer(writers, name, label(node)) is not None
        ]
        for i, node in enumerate(nodes)
    }
    try:
        order = list(graphlib.TopologicalSorter(needs).static_order())
    except graphlib.CycleError as error:
        cycle = [label(nodes[i]) for i in dict.fromkeys(error.args[1])]
        shown = ", ".join(cycle[:5]) + (", ..." if len(cycle) > 5 else "")
        raise NetworkError(
            f"a cycle of {len(cycle)} nodes: {shown}: a network that feeds back cannot "
            "be carried, unroll it"
        ) from error
    del graph.node[:]
    graph.node.extend(nodes[i] for i in order)


def _names(model: onnx.ModelProto) -> Iterator[str]:
    """Yield every name; protobuf gives those that are not UTF-8 as bytes."""
    for opset in model.opset_import:
        yield opset.domain
    for function in model.functions:
        yield from (function.name, function.domain, *function.input, *function.output)
    graph = model.graph
    for item in (*graph.initializer, *graph.input, *graph.output, *graph.value_info):
        yield item.name
    for nodes in (graph.node, *(function.node for function in model.functions)):
        for node in nodes:
            yield from (node.name, node.op_type, node.domain)
            yield from node.input
            yield from node.output
            yield from (attribute.name for attribute in node.attribute)


def _require_text(model: onnx.ModelProto) -> None:
    for name in _names(model):
        if not isinstance(name, str):
            raise NetworkError(
                f"the name {name!r} is not text: the file is damaged, export it again"
            )


def _require_plain(node: onnx.NodeProto, *, in_function: bool) -> None:
    """Refuse nodes without effect, with graphs inside, or with damaged tensors."""
    if not any(node.output):
        raise NetworkError(f"{label(node)} has no output: export it again")
    for attribute in node.attribute:
        if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
            raise NetworkError(
                f"{label(node)}: control flow (a graph in attribute "
                f"{attribute.name!r}) cannot be carried: export without loops and "
                "branches, in evaluation mode and with fixed shapes"
            )
        is_empty = attribute.ref_attr_name or not attribute.type
        if is_empty and not in_function:
            raise NetworkError(
                f"{label(node)}: attribute {attribute.name!r} has no value: the file "
                "is damaged, export it again"
            )
        if attribute.sparse_tensor.ByteSize() or attribute.sparse_tensors:
            raise NetworkError(
                f"{label(node)}: attribute {attribute.name!r} is a sparse tensor: "
                "export it dense"
            )
        where = f"{label(node)}, attribute {attribute.name!r}"
        for tensor in (attribute.t, *attribute.tensors):
            require_whole(tensor, where)


def require_whole(tensor: onnx.TensorProto, where: str) -> None:
    """Refuse a tensor whose shape and data do not agree, or lie elsewhere.

    Args:
        tensor: From a file.
        where: How messages call it.

    Raises:
        NetworkError: if its data are in another file, of no numeric type, or more or
            fewer than its shape says.
    """
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise NetworkError(
            f"{where}: its data are in another file, which is not read: save the model "
            "with data inside (onnx.save_model, save_as_external_data=False)"
        )
    if tensor.data_type == TensorProto.UNDEFINED and not tensor.ByteSize():
        return  # an attribute that holds no tensor
    if tensor.HasField("segment"):
        raise NetworkError(f"{where}: a part of a tensor: save it whole")
    shape = list(tensor.dims)
    if min(shape, default=0) < 0:
        raise NetworkError(f"{where}: shape {shape} has a negative size: export again")
    if tensor.data_type == TensorProto.STRING:
        return  # carried by nothing, but harmless
    bits = BITS.get(tensor.data_type)
    if bits is None:
        raise NetworkError(
            f"{where}: numbers of type {type_name(tensor.data_type)} are not carried: "
            "export in float32 with integers of 4 to 32 bits"
        )
    count = math.prod(shape)
    found, expected, unit = len(tensor.raw_data), -(-count * bits // 8), "bytes"
    if not tensor.HasField("raw_data"):
        field = _FIELDS.get(tensor.data_type, "int32_data")
        found, unit = len(getattr(tensor, field)), "numbers"
        expected = -(-count // 2) if bits == 4 else count
    if found != expected:
        raise NetworkError(
            f"{where}: shape {shape} of {type_name(tensor.data_type)} needs {expected} "
            f"{unit}, but the file holds {found}: it is damaged, export it again"
        )


def _require_sizes(graph: onnx.GraphProto) -> None:
    for sparse in graph.sparse_initializer:
        raise NetworkError(
            f"constant {sparse.values.name!r} is a sparse tensor: export it dense"
        )
    constants = set()
    for tensor in graph.initializer:
        require_whole(tensor, f"constant {tensor.name!r}")
        constants.add(tensor.name)
    for value in (*graph.input, *graph.output, *graph.value_info):
        sizes = [d.dim_value for d in value.type.tensor_type.shape.dim]
        if min(sizes, default=0) < 0:
            raise NetworkError(
                f"tensor {value.name!r}: shape {sizes} has a negative size: export "
                "again"
            )
    for value in graph.input:
        sizes = [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]
        count = math.prod(sizes[1:])
        if value.name not in constants and count > MAX_ELEMENTS:
            raise NetworkError(
                f"input {value.name!r} has {count} elements a sample, expected at most "
                f"{MAX_ELEMENTS}: the file is damaged, or the network too large"
            )


def type_name(number: int) -> str:
    """Name a type of ONNX.

    Args:
        number: As in a file.

    Returns:
        The name in lower case, or the number if there is no such type.
    """
    names: dict[int, str] = {v: k for k, v in TensorProto.DataType.items()}
    return names.get(number, f"number {number}").lower()
