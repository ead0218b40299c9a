"""A QONNX graph in the making, written node by node beside the graph it replaces.

Integer tensors of the old graph become real tensors of the new one, which hold the
values that the integers stand for.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, shape_inference

from hawq.errors import NetworkError
from hawq.frontend.rewriting.affine import RANGES, Affine, Range, covering
from hawq.frontend.rewriting.constants import fold_constants
from hawq.frontend.safety import label

QONNX_DOMAIN = "qonnx.custom_op.general"


@dataclass
class Integers:
    """An integer tensor of the old graph.

    Attributes:
        name: Its name, which its values take in the new graph.
        source: What is quantized; the name itself if its values are written already.
        affine: What the integers stand for.
        written: Whether the new graph holds the values.
    """

    name: str
    source: str
    affine: Affine
    written: bool = False


@dataclass
class Rewriting:
    """The new graph and what is known of the old one.

    Attributes:
        model: A copy of the old model, whose graph is replaced at the end.
        constants: Values of all constant names.
        readers: Name → nodes that read it.
        writers: Name → node that writes it.
        integers: The integer tensors met so far.
        clipped: Ranges of constants that passed a ``Clip``.
        nodes: The new graph.
        initializers: New constants.
        aliases: Name of the old graph → name in the new one that holds its values.
        taken: All names in use.
    """

    model: onnx.ModelProto
    constants: dict[str, NDArray[Any]]
    readers: dict[str, list[onnx.NodeProto]]
    writers: dict[str, onnx.NodeProto]
    integers: dict[str, Integers] = field(default_factory=dict)
    clipped: dict[str, tuple[int, int]] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, model: onnx.ModelProto) -> Rewriting:
        """Begin.

        Args:
            model: Its nodes are in order and named; left as it is.

        Returns:
            An empty new graph.
        """
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        graph = copy.graph
        readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in filter(None, node.input):
                readers[name].append(node)
        writers = {name: node for node in graph.node for name in node.output}
        constants = fold_constants(graph)
        state = cls(copy, constants, readers, writers)
        values = (*graph.input, *graph.output, *graph.initializer)
        state.taken = {value.name for value in values}.union(readers, writers)
        state.taken.update(node.name for node in graph.node)
        for value in graph.input:
            kind = value.type.tensor_type.elem_type
            if kind in RANGES and value.name not in constants:
                one = Affine(np.array(1, "f4"), np.array(0), *RANGES[kind])
                fresh = state.fresh(f"{value.name}_quantized")
                state.integers[value.name] = Integers(fresh, value.name, one)
                value.type.tensor_type.elem_type = TensorProto.FLOAT
        return state

    def fresh(self, wanted: str) -> str:
        """Take a name that nothing has.

        Args:
            wanted: The name, if it is free.

        Returns:
            The name taken.
        """
        tails = (f"{wanted}_{i}" for i in itertools.count(1))
        name = next(n for n in itertools.chain([wanted], tails) if n not in self.taken)
        self.taken.add(name)
        return name

    def constant(self, values: Any, wanted: str) -> str:
        """Add a constant.

        Args:
            values: An array.
            wanted: Its name, if free.

        Returns:
            Its name.
        """
        name = self.fresh(wanted)
        self.initializers.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def emit(
        self, operator: str, inputs: Iterable[str], output: str, **rest: Any
    ) -> str:
        """Add a node.

        Args:
            operator: The type.
            inputs: Names in the new graph.
            output: Name of the output.
            rest: Attributes, and ``name`` or ``domain``.

        Returns:
            ``output``.
        """
        rest.setdefault("name", self.fresh(f"{output}_{operator.lower()}"))
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **rest))
        return output

    def quant(
        self, source: str, output: str, scale: Any, zero_point: Any, span: Range
    ) -> str:
        """Add a ``Quant`` node, which rounds half to even.

        Args:
            source: What it quantizes.
            output: Name of the output.
            scale: Broadcasts to the source.
            zero_point: Broadcasts to the source.
            span: Its integers.

        Returns:
            ``output``.
        """
        point, bits = np.asarray(zero_point, "f4"), np.array(span.bits, "f4")
        parameters = (
            self.constant(scale, f"{output}_scale"),
            self.constant(point, f"{output}_zero_point"),
            self.constant(bits, f"{output}_bits"),
        )
        return self.emit(
            "Quant",
            (source, *parameters),
            output,
            domain=QONNX_DOMAIN,
            signed=int(span.is_signed),
            narrow=int(span.is_narrow),
            rounding_mode="ROUND",
        )

    def quantize(
        self, node: onnx.NodeProto, source: str, output: str, affine: Affine
    ) -> str:
        """Round and saturate data as integers would be, and give their values.

        Args:
            node: Of the old graph, for messages.
            source: Real data.
            output: Name of the output.
            affine: The integers.

        Returns:
            ``output``.

        Raises:
            NetworkError: if no quantizer has the range.
        """
        stages = affine.stages()
        if not stages:
            raise NetworkError(
                f"{label(node)}: integers from {affine.low} to {affine.high} with zero "
                f"point {np.unique(affine.zero_point).tolist()} are the range of no "
                "bit width (such as -8 to 7, -7 to 7 or 0 to 15; one signed bit would "
                "mean -1 and +1): export with such a range"
            )
        shape = self._channel_shape(node, source, affine)
        scale = affine.scale.reshape(shape)
        for i, (span, point) in enumerate(stages):
            is_last = i == len(stages) - 1
            name = output if is_last else self.fresh(f"{output}_rounded")
            point = point.reshape(shape) if point.size > 1 else point
            source = self.quant(source, name, scale, point, span)
        return output

    def _channel_shape(
        self, node: onnx.NodeProto, source: str, affine: Affine
    ) -> tuple[int, ...]:
        if affine.axis is None:
            return ()
        rank = self._rank(source)
        if rank is None:
            raise NetworkError(
                f"{label(node)}: one scale a channel of data of unknown shape: run "
                "onnx.shape_inference, or use one scale a tensor"
            )
        if not -rank <= affine.axis < rank:
            raise NetworkError(
                f"{label(node)}: axis {affine.axis} of {rank} axes: export it again"
            )
        return channel_shape(rank, affine)

    def _rank(self, name: str) -> int | None:
        if name in self.constants:
            return self.constants[name].ndim
        graph = shape_inference.infer_shapes(self.model).graph
        for value in (*graph.input, *graph.value_info, *graph.output):
            if value.name == name and value.type.tensor_type.HasField("shape"):
                return len(value.type.tensor_type.shape.dim)
        return None

    def quantized_constant(
        self, node: onnx.NodeProto, name: str, affine: Affine, output: str
    ) -> str:
        """Add a ``Quant`` of the values that a constant of integers stands for.

        Args:
            node: Of the old graph, for messages.
            name: The constant.
            affine: What its integers stand for.
            output: Name of the output.

        Returns:
            ``output``. Zero points are taken off the integers, which need no range of
            their own then.

        Raises:
            NetworkError: if the scales do not fit the constant.
        """
        integers = self.constants[name].astype(np.int64)
        shape = channel_shape(integers.ndim, affine)
        if not _fits(integers.shape, shape, affine.scale.size):
            raise NetworkError(
                f"{label(node)}: {affine.scale.size} scales along axis {affine.axis} "
                f"of a constant of shape {list(integers.shape)}: export it again"
            )
        integers = integers - affine.zero_point.reshape(shape)
        scale = affine.scale.reshape(shape)
        span = self._constant_range(affine, integers)
        exact: NDArray[Any] = integers * scale.astype(np.float64)
        with np.errstate(over="ignore"):
            values: NDArray[Any] = exact.astype(np.float32)
        if not gives_back(values, scale, integers):
            values = exact  # 53 bits are enough for integers of 33
        real = self.constant(values, f"{output}_value")
        return self.quant(real, output, scale, 0, span)

    def _constant_range(self, affine: Affine, integers: NDArray[np.int64]) -> Range:
        stages = affine.stages()
        if len(stages) == 1 and not stages[0][1].any():
            return stages[0][0]
        bits = (affine.high - affine.low).bit_length()
        if not integers.size:
            return covering(0, 0, bits)
        return covering(int(integers.min()), int(integers.max()), bits)

    def values_of(self, node: onnx.NodeProto, integers: Integers) -> str:
        """Give the tensor that holds what an integer tensor stands for.

        Args:
            node: Of the old graph, that reads it, for messages.
            integers: The tensor.

        Returns:
            Its name in the new graph.
        """
        if not integers.written:
            writer = self.writers.get(integers.name, node)
            self.quantize(writer, integers.source, integers.name, integers.affine)
            integers.written = True
        return integers.name

    def read(self, name: str) -> str:
        """Give the name in the new graph of a real tensor.

        Args:
            name: In the old graph.

        Returns:
            Itself, or what took its place.
        """
        return self.aliases.get(name, name)

    def keep(
        self, node: onnx.NodeProto, inputs: Mapping[int, str] | None = None
    ) -> None:
        """Take over a node of the old graph.

        Args:
            node: The node.
            inputs: Position → name in the new graph, of inputs that change.
        """
        kept = onnx.NodeProto()
        kept.CopyFrom(node)
        for i, name in enumerate(node.input):
            kept.input[i] = (inputs or {}).get(i, self.read(name))
        self.nodes.append(kept)


Handler = Callable[[Rewriting, onnx.NodeProto], None]


def channel_shape(rank: int, affine: Affine) -> tuple[int, ...]:
    """Give the shape in which scales broadcast to their tensor.

    Args:
        rank: Axes of the tensor.
        affine: Its scales and their axis.

    Returns:
        ``()`` for one scale.
    """
    if affine.axis is None:
        return ()
    shape = [1] * rank
    if -rank <= affine.axis < rank:
        shape[affine.axis] = affine.scale.size
    return tuple(shape)


def _fits(shape: tuple[int, ...], channels: tuple[int, ...], scales: int) -> bool:
    if not channels:
        return scales == 1
    pairs = zip(shape, channels, strict=True)
    return math.prod(channels) == scales and all(c in (1, n) for n, c in pairs)


def gives_back(
    values: NDArray[Any], scale: NDArray[Any], integers: NDArray[np.int64]
) -> bool:
    """Prove that quantizing values gives integers, exactly and as executors do it.

    Args:
        values: float32 or float64.
        scale: Broadcasts to the values.
        integers: At most 33 bits.

    Returns:
        Whether each value divided by its scale is within a quarter of the integer. The
        float64 quotient is off by 2**-53 of 33 bits, so rounding the exact one gives
        the integer; the quotient in the values' own type is rounded itself.
    """
    with np.errstate(all="ignore"):
        exactly = values.astype(np.float64) / scale.astype(np.float64)
        executed = values / scale
    close = np.abs(exactly - integers) <= 1 / 4
    return bool(close.all() and np.array_equal(np.rint(executed), integers))
