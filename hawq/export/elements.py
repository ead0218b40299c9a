"""Write a network whose every weight and channel has its own format as QONNX.

Channels of one format pass through one ``Quant``; ``Gather`` and ``Concat`` around it
only name wires. Weights are constants on the finest grid that one of them needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from hawq.fixed import smallest_width
from hawq.paths import atomic_file

Floats = NDArray[np.float64]
OPSET = 13
QUANT_DOMAIN = "qonnx.custom_op.general"
FINEST = 24
"""Fractional bits beyond which no constant is looked for."""


@dataclass(frozen=True, eq=False)
class ElementNetwork:
    """A dense ReLU network on grids.

    Attributes:
        weights: Of each layer, shape (inputs, units).
        biases: Of each layer, shape (units,); hidden sums are truncated after them.
        fraction: Fractional bits of what each layer reads, shape (inputs,).
        integer: Integer bits of it without sign, shape (inputs,).
        inputs: Which features the first layer reads, shape (inputs,).
        features: Features that the network is given.
    """

    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    fraction: tuple[NDArray[np.int64], ...]
    integer: tuple[NDArray[np.int64], ...]
    inputs: NDArray[np.int64]
    features: int


def fractional_bits(values: Floats) -> NDArray[np.int64]:
    """Count the fractional bits that each value needs; 0 for whole numbers."""
    bits = np.full(values.shape, FINEST, dtype=np.int64)
    for f in range(FINEST, -1, -1):
        scaled = np.ldexp(values, f)
        bits[scaled == np.rint(scaled)] = f
    return bits


def without_dead(network: ElementNetwork) -> ElementNetwork:
    """Remove units that nobody reads or that are constant, and unused inputs.

    A constant unit moves into the biases of the next layer, so that every output stays
    what it was.

    Args:
        network: Any.

    Returns:
        The smaller network.
    """
    weights, biases = list(network.weights), list(network.biases)
    fraction, integer = list(network.fraction), list(network.integer)
    for layer in range(len(weights) - 1):
        is_fixed = np.asarray(~weights[layer].any(axis=0))
        scale = np.exp2(fraction[layer + 1])
        top = np.exp2(integer[layer + 1]) - 1 / scale
        value = np.floor(np.clip(biases[layer], 0, top) * scale) / scale
        biases[layer + 1] = biases[layer + 1] + (value * is_fixed) @ weights[layer + 1]
        weights[layer + 1] = np.where(is_fixed[:, None], 0, weights[layer + 1])
    inputs = network.inputs
    for layer in range(len(weights) - 1, -1, -1):
        is_read = np.asarray(weights[layer].any(axis=1))
        if not is_read.any():
            is_read[0] = True  # a layer reads something
        weights[layer] = weights[layer][is_read]
        fraction[layer] = fraction[layer][is_read]
        integer[layer] = integer[layer][is_read]
        if layer:
            weights[layer - 1] = weights[layer - 1][:, is_read]
            biases[layer - 1] = biases[layer - 1][is_read]
        else:
            inputs = inputs[is_read]
    for layer in range(len(weights) - 1):
        finest = np.where(
            weights[layer] != 0,
            fractional_bits(weights[layer]) + fraction[layer][:, None],
            fraction[layer + 1],
        ).max(axis=0, initial=-FINEST)
        finest = np.maximum(finest, fraction[layer + 1])
        biases[layer] = np.ldexp(np.floor(np.ldexp(biases[layer], finest)), -finest)
    return ElementNetwork(
        tuple(weights),
        tuple(biases),
        tuple(fraction),
        tuple(integer),
        inputs,
        network.features,
    )


@dataclass(eq=False)
class _Writer:
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)

    def constant(self, name: str, value: Any, kind: Any = np.float32) -> str:
        self.constants[name] = np.asarray(value, dtype=kind)
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(
            helper.make_node(
                kind, inputs, [output], name=f"{output}_node", **attributes
            )
        )
        return output

    def quant(
        self, x: str, output: str, step: int, width: int, signed: bool, rounding: str
    ) -> str:
        # QONNX takes one signed bit for -1 and +1; -1 and 0 are one unsigned bit with
        # a zero point.
        is_lone = signed and width == 1
        given = [
            x,
            self.constant(f"{output}_scale", 2.0**-step),
            self.constant(f"{output}_zero", int(is_lone)),
            self.constant(f"{output}_bits", width),
        ]
        return self.node(
            "Quant",
            given,
            output,
            domain=QUANT_DOMAIN,
            signed=int(signed and not is_lone),
            narrow=0,
            rounding_mode=rounding,
        )

    def fixed(self, name: str, values: Floats) -> str:
        step = int(fractional_bits(values).max())
        integers = np.ldexp(values, step)
        _, width = smallest_width(int(min(integers.min(), -1)), int(integers.max()))
        raw = self.constant(f"{name}_values", values)
        return self.quant(raw, name, step, max(2, width), True, "ROUND")

    def channels(
        self,
        x: str,
        name: str,
        source: NDArray[np.int64],
        formats: list[tuple[int, int]],
        is_input: bool,
    ) -> tuple[str, list[int]]:
        """Quantize channels, those of one format together.

        Returns:
            The tensor's name, and which channel stands where.
        """
        parts: list[str] = []
        order: list[int] = []
        for number, (i, f) in enumerate(sorted(set(formats))):
            mine = [c for c, chosen in enumerate(formats) if chosen == (i, f)]
            part = f"{name}_{number}"
            index = self.constant(f"{part}_index", source[mine], np.int64)
            taken = self.node("Gather", [x, index], f"{part}_taken", axis=1)
            rounding = "ROUND" if is_input else "FLOOR"
            width = i + f + int(is_input)
            parts.append(self.quant(taken, part, f, width, is_input, rounding))
            order += mine
        if len(parts) == 1:
            return parts[0], order
        return self.node("Concat", parts, name, axis=1), order


def write_elements(network: ElementNetwork, path: Path) -> None:
    """Write the network as a QONNX file of batch size 1.

    Args:
        network: Any; remove what is dead before.
        path: The ``.onnx`` file, written atomically.
    """
    writer = _Writer()
    x, last = "x", len(network.weights) - 1
    for layer, weight in enumerate(network.weights):
        formats = [
            (int(i), int(f))
            for i, f in zip(
                network.integer[layer], network.fraction[layer], strict=True
            )
        ]
        source = network.inputs if layer == 0 else np.arange(len(weight))
        x, order = writer.channels(x, f"read{layer + 1}", source, formats, layer == 0)
        w = writer.fixed(f"fc{layer + 1}_weight", weight[order])
        b = writer.fixed(f"fc{layer + 1}_bias", network.biases[layer])
        x = writer.node("MatMul", [x, w], f"fc{layer + 1}_product")
        x = writer.node("Add", [x, b], "logits" if layer == last else f"fc{layer + 1}")
        if layer < last:
            x = writer.node("Relu", [x], f"relu{layer + 1}")
    graph = helper.make_graph(
        writer.nodes,
        "network",
        [
            helper.make_tensor_value_info(
                "x", onnx.TensorProto.FLOAT, [1, network.features]
            )
        ],
        [
            helper.make_tensor_value_info(
                "logits", onnx.TensorProto.FLOAT, [1, len(network.biases[-1])]
            )
        ],
        [numpy_helper.from_array(v, k) for k, v in writer.constants.items()],
    )
    model = helper.make_model(
        graph,
        producer_name="hawq",
        opset_imports=[
            helper.make_opsetid("", OPSET),
            helper.make_opsetid(QUANT_DOMAIN, 1),
        ],
    )
    with atomic_file(path) as temporary:
        onnx.save(model, str(temporary))
