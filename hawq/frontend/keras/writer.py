"""Write a QONNX graph whose tensors keep Keras's order of axes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

from hawq.errors import NetworkError
from hawq.frontend.safety import MAX_ELEMENTS

QUANT = "qonnx.custom_op.general"
CHANNELS_LAST = "qonnx.custom_op.channels_last"
OPSET = 17

Shape = tuple[int, ...]


class Writer:
    """A graph that grows node by node, with batch size 1.

    Attributes:
        shapes: Tensor → shape of one sample; constants are not among them.
        prefix: Begins the names of what is added.
    """

    def __init__(self) -> None:
        self.shapes: dict[str, Shape] = {}
        self.prefix = ""
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, NDArray[Any]] = {}
        self._used: Counter[str] = Counter()

    def _name(self, what: str) -> str:
        base = f"{self.prefix}/{what}"
        self._used[base] += 1
        return base if self._used[base] == 1 else f"{base}_{self._used[base]}"

    def constant(self, what: str, value: ArrayLike, dtype: Any = np.float32) -> str:
        """Add a constant.

        Args:
            what: Ends its name.
            value: Its numbers.
            dtype: Their type.

        Returns:
            Its name.
        """
        name = self._name(what)
        self._constants[name] = np.asarray(value, dtype=dtype)
        return name

    def add(
        self,
        operator: str,
        inputs: Sequence[str],
        shape: Shape,
        *,
        domain: str = "",
        what: str = "",
        **attributes: Any,
    ) -> str:
        """Add a node.

        Args:
            operator: What it does.
            inputs: Tensors it reads.
            shape: Of a sample of its result.
            domain: Of the operator.
            what: Ends its name; default: the operator.
            attributes: Of the operator.

        Returns:
            Name of its result.

        Raises:
            NetworkError: if the result is larger than any network's.
        """
        name = self._name(what or operator.lower())
        if math.prod(shape) > MAX_ELEMENTS or min(shape, default=1) < 1:
            raise NetworkError(
                f"tensor {name!r} has shape {shape}, expected sizes of 1 or more and "
                f"at most {MAX_ELEMENTS} elements: check the sizes of this layer"
            )
        node = helper.make_node(
            operator, inputs, [name], name, domain=domain, **attributes
        )
        self._nodes.append(node)
        self.shapes[name] = shape
        return name

    def quant(
        self,
        x: str,
        scale: ArrayLike,
        bits: int,
        *,
        is_signed: bool = True,
        is_narrow: bool = False,
        rounding: str = "ROUND",
        shape: Shape | None = None,
        what: str = "quant",
    ) -> str:
        """Add a ``Quant``, or a ``BipolarQuant`` for one signed bit.

        Args:
            x: Tensor or constant.
            scale: What one integer is worth; broadcasts to the tensor.
            bits: Width.
            is_signed: Whether integers may be below 0.
            is_narrow: Whether the lowest one is left out.
            rounding: Mode.
            shape: Of the result, if ``x`` is a constant.
            what: Ends its name.

        Returns:
            Name of its result.
        """
        shape = self.shapes[x] if shape is None else shape
        inputs = [x, self.constant(f"{what}/scale", scale)]
        if bits == 1 and is_signed:
            return self.add("BipolarQuant", inputs, shape, domain=QUANT, what=what)
        inputs.append(self.constant(f"{what}/zero_point", 0.0))
        inputs.append(self.constant(f"{what}/bits", bits))
        return self.add(
            "Quant",
            inputs,
            shape,
            domain=QUANT,
            what=what,
            signed=int(is_signed),
            narrow=int(is_narrow),
            rounding_mode=rounding,
        )

    def clip(self, x: str, low: float | None, high: float | None) -> str:
        """Add a ``Clip``.

        Args:
            x: Tensor.
            low: Least value, or None.
            high: Largest value, or None.

        Returns:
            Name of its result.
        """
        most = float(np.finfo(np.float32).max)
        inputs = [
            x,
            self.constant("clip/low", -most if low is None else low),
            self.constant("clip/high", most if high is None else high),
        ]
        return self.add("Clip", inputs, self.shapes[x])

    def rename(self, old: str, new: str) -> None:
        """Rename the result of the node that was added last.

        Args:
            old: Its name.
            new: Its new name.

        Raises:
            NetworkError: if the new name is taken.
        """
        if new in self.shapes:
            raise NetworkError(f"two tensors are called {new!r}: rename a layer")
        node = self._nodes[-1]
        node.output[0] = node.name = new
        self.shapes[new] = self.shapes.pop(old)

    def until(self, x: str) -> onnx.ModelProto:
        """Give the model so far.

        Args:
            x: Tensor it ends in.

        Returns:
            The model of all inputs and of the nodes that were added.
        """
        made = {node.output[0] for node in self._nodes}
        return self.model("part", [n for n in self.shapes if n not in made], [x])

    def model(
        self, name: str, inputs: Sequence[str], outputs: Sequence[str]
    ) -> onnx.ModelProto:
        """Finish the model.

        Args:
            name: Of the graph.
            inputs: Names of its inputs.
            outputs: Names of its outputs.

        Returns:
            The model; every tensor has its shape.
        """
        ends = {*inputs, *outputs}
        made = [node.output[0] for node in self._nodes]
        shapes: Mapping[str, Shape] = {n: (1, *s) for n, s in self.shapes.items()}
        weights = {
            node.output[0]: self.shapes[node.output[0]]
            for node in self._nodes
            if node.input[0] in self._constants and node.domain == QUANT
        }
        shapes = {**shapes, **weights}

        def info(tensor: str) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(
                tensor, TensorProto.FLOAT, shapes[tensor]
            )

        graph = helper.make_graph(
            self._nodes,
            name or "network",
            [info(n) for n in inputs],
            [info(n) for n in outputs],
            [numpy_helper.from_array(a, n) for n, a in self._constants.items()],
            value_info=[info(n) for n in made if n not in ends],
        )
        opsets = [
            helper.make_opsetid("", OPSET),
            helper.make_opsetid(QUANT, 1),
            helper.make_opsetid(CHANNELS_LAST, OPSET),
        ]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=8, producer_name="hawq"
        )
