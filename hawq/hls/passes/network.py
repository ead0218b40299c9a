"""A QONNX model opened for editing: its nodes, and its constants as exact values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hawq.errors import NetworkError
from hawq.fixed import power_of_two_exponent, smallest_width
from hawq.integer.graph import Graph, in_order
from hawq.integer.lower import lower_model
from hawq.integer.quantizer import IntegerConstant

QONNX = "qonnx.custom_op.general"
CHANNELS_LAST = "qonnx.custom_op.channels_last"

FLOAT64_BITS = 53

Constant = IntegerConstant | NDArray[Any]


@dataclass(frozen=True)
class Layout:
    """How the firmware stores a tensor that the file stores otherwise.

    Attributes:
        shape: The file's elements, in C order, as an array of this shape ...
        order: ... with its axes in this order, are the firmware's in C order.
    """

    shape: tuple[int, ...]
    order: tuple[int, ...]


@dataclass
class Network:
    """A model whose nodes and constants may be changed.

    Attributes:
        nodes: In topological order.
        constants: Name → a plain array (a shape, a scale) or integers on a grid.
        input: Name of the input.
        outputs: Names of the outputs.
        shapes: Name of a tensor of data → shape of one sample, in the file's order.
        orders: Tensors whose axes the passes have moved → axis ``i`` of the firmware is
            axis ``order[i]`` of the file.
        layouts: Tensors whose elements the passes have moved.
        aliases: Tensor that is no more → the one that holds its values.
        opset: Version of the ONNX operators.
    """

    nodes: list[onnx.NodeProto]
    constants: dict[str, Constant]
    input: str
    outputs: list[str]
    shapes: dict[str, tuple[int, ...]]
    orders: dict[str, tuple[int, ...]] = field(default_factory=dict)
    layouts: dict[str, Layout] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    opset: int = 13

    @classmethod
    def read(cls, model: onnx.ModelProto, graph: Graph) -> Network:
        """Open a model.

        Args:
            model: Left as it is.
            graph: The same model, lowered.

        Returns:
            The network, without nodes that no output needs.
        """
        constants: dict[str, Constant] = {
            t.name: numpy_helper.to_array(t) for t in model.graph.initializer
        }
        source = graph.inputs[0]
        copies = [
            onnx.NodeProto.FromString(n.SerializeToString()) for n in model.graph.node
        ]
        nodes, _ = in_order(
            copies,
            lambda node: [name for name in node.input if name],
            lambda node: node.output,
            [*constants, *(i.name for i in graph.inputs)],
        )
        shapes = {name: t.shape for name, t in graph.tensors.items()}
        shapes[source.name] = source.shape
        opset = next(
            (int(o.version) for o in model.opset_import if o.domain in ("", "ai.onnx")),
            13,
        )
        network = cls(
            list(nodes),
            constants,
            source.name,
            list(graph.outputs),
            shapes,
            opset=opset,
        )
        network.drop_unused()
        return network

    def producer(self, name: str) -> onnx.NodeProto | None:
        """Find the node that writes a tensor.

        Args:
            name: Of the tensor.

        Returns:
            The node, or None for an input or a constant.
        """
        return next((n for n in self.nodes if name in n.output), None)

    def consumers(self, name: str) -> list[onnx.NodeProto]:
        """Find the nodes that read a tensor.

        Args:
            name: Of the tensor.

        Returns:
            The nodes, in order.
        """
        return [n for n in self.nodes if name in n.input]

    def only_consumer(self, name: str) -> onnx.NodeProto | None:
        """Find the node that alone reads a tensor.

        Args:
            name: Of the tensor.

        Returns:
            The node; None if there are others, or if the tensor is an output.
        """
        found = self.consumers(name)
        return found[0] if len(found) == 1 and name not in self.outputs else None

    def free(self, name: str) -> bool:
        """Tell whether a tensor may take another name.

        Args:
            name: Of the tensor.

        Returns:
            Whether it is neither input nor output.
        """
        return name not in (self.input, *self.outputs)

    def data_inputs(self, node: onnx.NodeProto) -> list[str]:
        """Give the inputs of a node that are computed from the network's input.

        Args:
            node: A node.

        Returns:
            Their names.
        """
        return [name for name in node.input if name and name not in self.constants]

    def bypass(self, node: onnx.NodeProto) -> None:
        """Remove a node; its readers read its first input instead.

        Args:
            node: Changes no value; if it writes an output, it reads a ``free`` tensor.
        """
        source, target = node.input[0], node.output[0]
        self.nodes.remove(node)
        if target in self.outputs:  # outputs keep their names
            source, target = target, source
            writer = self.producer(target)
            assert writer is not None
            writer.output[0] = source
        self.aliases[target] = source
        for reader in self.nodes:
            for i, name in enumerate(reader.input):
                if name == target:
                    reader.input[i] = source

    def alive(self, name: str) -> str:
        """Give the tensor that holds a tensor's values.

        Args:
            name: Of a tensor of the file.

        Returns:
            The same, or what it was removed in favour of.
        """
        while name in self.aliases:
            name = self.aliases[name]
        return name

    def drop_unused(self) -> None:
        """Remove nodes and constants that no output needs."""
        needed = set(self.outputs)
        kept = []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                kept.append(node)
        self.nodes = kept[::-1]
        self.constants = {n: v for n, v in self.constants.items() if n in needed}

    def fresh(self, stem: str) -> str:
        """Make a name that nothing has.

        Args:
            stem: What it begins with.

        Returns:
            ``stem``, with a number behind it if need be.
        """
        used = {self.input, *self.constants, *self.shapes}
        for node in self.nodes:
            used.update((node.name, *node.input, *node.output))
        if stem not in used:
            return stem
        return next(n for i in range(len(used) + 1) if (n := f"{stem}_{i}") not in used)

    def constant(self, stem: str, value: Constant) -> str:
        """Add a constant.

        Args:
            stem: What its name begins with.
            value: Its value.

        Returns:
            Its name.
        """
        name = self.fresh(stem)
        self.constants[name] = value
        return name

    def replace(self, node: onnx.NodeProto, *others: onnx.NodeProto) -> None:
        """Put nodes in the place of one.

        Args:
            node: To be removed.
            others: What takes its place.
        """
        place = self.nodes.index(node)
        self.nodes[place : place + 1] = others

    def write(self) -> tuple[onnx.ModelProto, Graph]:
        """Make the model, each quantized constant behind a ``Quant`` of its own.

        Returns:
            The model, with every shape stated as hls4ml needs it, and the integer
            graph it lowers to.
        """
        nodes: list[onnx.NodeProto] = []
        initializers = []
        for node in self.nodes:
            copy = onnx.NodeProto.FromString(node.SerializeToString())
            for i, name in enumerate(copy.input):
                value = self.constants.get(name)
                if value is None:
                    continue
                own = f"{copy.name}_c{i}"
                if isinstance(value, IntegerConstant):
                    made, quant = _quant(own, value)
                    initializers += made
                    nodes.append(quant)
                    copy.input[i] = quant.output[0]
                else:
                    initializers.append(numpy_helper.from_array(value, own))
                    copy.input[i] = own
            nodes.append(copy)
        shape = [1, *ordered(self.shapes[self.input], self.orders.get(self.input))]
        graph = helper.make_graph(
            nodes,
            "network",
            [helper.make_tensor_value_info(self.input, TensorProto.FLOAT, shape)],
            [
                helper.make_tensor_value_info(n, TensorProto.FLOAT, None)
                for n in self.outputs
            ],
            initializers,
        )
        opsets = [
            helper.make_opsetid(domain, version)
            for domain, version in (("", self.opset), (QONNX, 1), (CHANNELS_LAST, 1))
        ]
        model = helper.make_model(graph, opset_imports=opsets)
        lowered = lower_model(model)
        _state_shapes(model, lowered)
        return model, lowered


def ordered(shape: Sequence[int], order: Sequence[int] | None) -> tuple[int, ...]:
    """Put a shape's axes in another order.

    Args:
        shape: Sizes.
        order: Axis ``i`` of the result is axis ``order[i]``; None leaves them.

    Returns:
        The sizes.
    """
    return tuple(shape) if order is None else tuple(shape[i] for i in order)


def _quant(
    name: str, constant: IntegerConstant
) -> tuple[list[onnx.TensorProto], onnx.NodeProto]:
    exponent = power_of_two_exponent(constant.scale)
    if exponent is None:
        raise NetworkError(
            f"constant {name!r} has a scale of {constant.scale}, which is not a power "
            "of two: use power-of-two scales, or the emulator"
        )
    integers = constant.integers
    low, high = (int(f()) if integers.size else 0 for f in (integers.min, integers.max))
    _, width = smallest_width(min(low, -1), high)
    if width > FLOAT64_BITS:
        raise NetworkError(
            f"constant {name!r} needs {width} bits, expected at most {FLOAT64_BITS}: "
            "use fewer bits, or the emulator"
        )
    values = np.ldexp(integers.astype(np.float64), exponent)
    narrow = values.astype(np.float32)
    exact = narrow if np.array_equal(narrow, values) else values
    parameters = (exact, 2.0**exponent, 0.0, float(max(2, width)))
    made = [
        numpy_helper.from_array(
            np.asarray(value, dtype=exact.dtype if i == 0 else np.float32),
            f"{name}_{i}",
        )
        for i, value in enumerate(parameters)
    ]
    quant = helper.make_node(
        "Quant",
        [t.name for t in made],
        [f"{name}_out"],
        name=f"{name}_quant",
        domain=QONNX,
        signed=1,
        narrow=0,
        rounding_mode="ROUND",
    )
    return made, quant


def _state_shapes(model: onnx.ModelProto, lowered: Graph) -> None:
    graph = model.graph
    sizes = {name: (1, *t.shape) for name, t in lowered.tensors.items()}
    arrays = {t.name: tuple(t.dims) for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Quant" and node.input[0] in arrays:
            sizes[node.output[0]] = arrays[node.input[0]]
    given = {value.name for value in graph.input}
    del graph.output[:]
    for name in lowered.outputs:
        graph.output.append(_float(name, sizes.pop(name)))
    for name, shape in {**arrays, **sizes}.items():
        if name not in given:
            graph.value_info.append(_float(name, shape))


def _float(name: str, shape: Iterable[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
