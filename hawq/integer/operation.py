"""One ONNX node with its inputs looked up, ready to be lowered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from hawq.errors import NetworkError
from hawq.frontend.safety import label
from hawq.integer.bounds import output_tensor
from hawq.integer.grid import common_scale
from hawq.integer.nodes import Node, Reshape, Select, Transpose
from hawq.integer.quantizer import IntegerConstant, exact
from hawq.integer.tensor import RealInput, Tensor

RealConstant = NDArray[Any]


@dataclass(frozen=True, eq=False)
class RealView:
    """A real input, possibly scaled, shifted and rearranged, before its quantizer.

    Attributes:
        source: The input.
        shape: Of one sample.
        gain: Fractions that broadcast to the source, or None for 1.
        offset: Fractions that broadcast to the source, or None for 0.
        moves: Rearrangements that follow, with nameless inputs and outputs.
    """

    source: RealInput
    shape: tuple[int, ...]
    gain: NDArray[Any] | None = None
    offset: NDArray[Any] | None = None
    moves: tuple[Reshape | Transpose | Select, ...] = ()


@dataclass(frozen=True)
class Smooth:
    """A smooth function of a tensor; only a quantizer may read it.

    Attributes:
        function: Name of the ONNX operator.
        source: Name of the tensor.
    """

    function: str
    source: str


CHANNELS_LAST = "qonnx.custom_op.channels_last"
"""Domain of operators whose channels are the last axis."""

Value = RealView | Tensor | IntegerConstant | RealConstant | Smooth
"""What a name in the file stands for."""

Attribute = TypeVar("Attribute", int, float, str, list[int])


@dataclass
class Lowering:
    """What has been lowered so far.

    Attributes:
        batch: Size of the batch axis in the file.
        opset: Version of the ONNX operators.
        values: What each name stands for.
        nodes: In topological order.
    """

    batch: int
    opset: int
    values: dict[str, Value] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    def emit(self, node: Node) -> None:
        """Append a node and derive its output.

        Args:
            node: Its inputs are known.
        """
        known: dict[str, RealInput | Tensor] = {}
        for name in node.inputs:
            value = self.values[name]
            if isinstance(value, RealView):
                known[name] = value.source
            elif isinstance(value, Tensor):
                known[name] = value
        self.values[node.output] = output_tensor(node, known)
        self.nodes.append(node)


@dataclass(frozen=True, eq=False)
class Operation:
    """An ONNX node.

    Attributes:
        label: How messages call it.
        attributes: Strings decoded.
        names: Of the inputs, empty for those left out.
        values: What the inputs stand for, None for those left out.
        output: Name of the first output.
        outputs: Names of all outputs, empty for those left out.
        channels_last: Whether channels are the last axis, else the first after the
            batch.
    """

    label: str
    attributes: dict[str, Any]
    names: tuple[str, ...]
    values: tuple[Value | None, ...]
    output: str
    outputs: tuple[str, ...]
    channels_last: bool = False

    def refuse(self, why: str) -> NetworkError:
        """Make the error that refuses this node.

        Args:
            why: What is wrong and what to do.

        Returns:
            The error, to be raised.
        """
        return NetworkError(f"{self.label}: {why}")

    def attribute(self, name: str, default: Attribute) -> Attribute:
        """Give an attribute.

        Args:
            name: As in the operator's specification.
            default: What it is if absent; also decides its type.

        Returns:
            Its value.

        Raises:
            NetworkError: if it has another type.
        """
        value = self.attributes.get(name, default)
        if not isinstance(value, type(default)):
            raise self.refuse(
                f"attribute {name!r} is {value!r}, expected a value like {default!r}: "
                "the file is damaged, export it again"
            )
        return value

    def value(self, position: int) -> Value:
        """Give an input.

        Args:
            position: Which.

        Returns:
            What it stands for.

        Raises:
            NetworkError: if the node has too few inputs.
        """
        value = self.values[position] if position < len(self.values) else None
        if value is None:
            raise self.refuse(
                f"has {len(self.values)} inputs, expected at least {position + 1}: the "
                "file is damaged, export it again"
            )
        return value

    def has(self, position: int) -> bool:
        """Tell whether an optional input is there.

        Args:
            position: Which.

        Returns:
            Whether it is.
        """
        return position < len(self.values) and self.values[position] is not None

    def data(self, position: int) -> Tensor:
        """Give an input that must be an integer tensor.

        Args:
            position: Which.

        Returns:
            The tensor.

        Raises:
            NetworkError: if it is real-valued or a constant.
        """
        value = self.value(position)
        if isinstance(value, Tensor):
            return value
        name = self.names[position]
        if isinstance(value, Smooth):
            raise self.refuse(
                f"input {name!r} is a {value.function} that nothing quantizes: put a "
                "Quant behind it, so that it becomes a table"
            )
        if isinstance(value, RealView):
            raise self.refuse(
                f"input {name!r} is real-valued: put a Quant before it "
                "(brevitas.nn.QuantIdentity), or give its format (--input fixed<16,6>)"
            )
        raise self.refuse(
            f"input {name!r} is a constant, expected the network's data: put the data "
            "first"
        )

    def constant(self, position: int) -> IntegerConstant:
        """Give an input that must be a quantized constant.

        Args:
            position: Which.

        Returns:
            The constant.

        Raises:
            NetworkError: if it is not quantized, or not a constant.
        """
        value = self.value(position)
        if isinstance(value, IntegerConstant):
            return value
        name = self.names[position]
        if isinstance(value, np.ndarray):
            found = _few_bits(value)
            if found is not None:
                return found
            raise self.refuse(
                f"constant {name!r} is not quantized: put a Quant on it (weight_quant "
                "in Brevitas), or quantize the network without training (docs: your "
                "own network)"
            )
        raise self.refuse(
            f"input {name!r} is computed by the network, expected a quantized "
            "constant: two tensors of data cannot be combined"
        )

    def is_constant(self, position: int) -> bool:
        """Tell whether an input is a constant.

        Args:
            position: Which.

        Returns:
            Whether it is, quantized or not.
        """
        return isinstance(self.value(position), IntegerConstant | np.ndarray)

    def rational(self, position: int) -> NDArray[Any]:
        """Give an input that must be a constant, quantized or not, exactly.

        Args:
            position: Which.

        Returns:
            Fractions.

        Raises:
            NetworkError: if it is computed from data, or not finite.
        """
        value = self.value(position)
        if isinstance(value, IntegerConstant):
            return value.exact()
        if not isinstance(value, np.ndarray):
            raise self.refuse(
                f"input {self.names[position]!r} is computed by the network, expected "
                "a constant"
            )
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise self.refuse(
                f"constant {self.names[position]!r} has NaN or infinity: export again"
            )
        return exact(value)

    def parameter(self, position: int) -> RealConstant:
        """Give an input that must be a plain constant of the file.

        Args:
            position: Which.

        Returns:
            Its values.

        Raises:
            NetworkError: if it is computed.
        """
        value = self.value(position)
        if not isinstance(value, np.ndarray):
            raise self.refuse(
                f"input {self.names[position]!r} is not an initializer: fold constants "
                "first (qonnx-cleanup)"
            )
        return value


_FEW_BITS = 16


def _few_bits(values: RealConstant) -> IntegerConstant | None:
    """Take a constant whose values are integers of few bits on some grid."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return None
    fractions = exact(values)
    sizes = {abs(v) for v in fractions.flat if v}
    if not sizes:
        return IntegerConstant(np.zeros(values.shape, dtype=np.int64), Fraction(1))
    scale = common_scale(*sizes)
    if max(sizes) / scale >= 2**_FEW_BITS:
        return None
    return IntegerConstant((fractions / scale).astype(np.int64), scale)


def look_up(node: onnx.NodeProto, values: Mapping[str, Value]) -> Operation:
    """Look up a node's inputs.

    Args:
        node: As in the file.
        values: What each name stands for.

    Returns:
        The operation.
    """
    attributes = {a.name: _attribute_value(a) for a in node.attribute}
    return Operation(
        label(node),
        attributes,
        tuple(node.input),
        tuple(values[name] if name else None for name in node.input),
        node.output[0],
        tuple(node.output),
        channels_last=node.domain == CHANNELS_LAST,
    )


def _attribute_value(attribute: onnx.AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def read_tensor(tensor: onnx.TensorProto, where: str) -> RealConstant:
    """Read the numbers of a tensor in the file.

    Args:
        tensor: Stored in the file itself.
        where: How messages call it.

    Returns:
        Its values.

    Raises:
        NetworkError: if it is damaged, stored elsewhere, or holds no plain numbers.
    """
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise NetworkError(
            f"{where}: its data are in another file: save the model with data inside"
        )
    try:
        values = numpy_helper.to_array(tensor)
    except (KeyError, TypeError, ValueError) as error:
        raise NetworkError(
            f"{where}: damaged tensor ({error}): export it again"
        ) from error
    if values.dtype.kind not in "fiub":
        raise NetworkError(
            f"{where}: type {values.dtype}, expected floats or integers: export in "
            "float32"
        )
    return values
