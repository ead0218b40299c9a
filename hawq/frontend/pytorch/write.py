"""Write a traced network and its formats as QONNX.

Tensors bear the names of the layers: a linear layer ``fc1`` gives ``fc1_product``
before the bias and ``fc1``; what is rounded is ``relu1_real`` before and ``relu1``
after.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from hawq import __version__
from hawq.export.naming import FEATURES
from hawq.fixed import FixedPoint, Overflow, smallest_width
from hawq.frontend.network import QUANT_DOMAIN
from hawq.frontend.pytorch.calibration import exponents
from hawq.frontend.pytorch.layers import (
    Add,
    Concat,
    GlobalAverage,
    Permute,
    Rearrange,
)
from hawq.frontend.pytorch.trace import INPUT, Step

_OPSET = 13
_IR_VERSION = 8
_BIAS_BITS = 32


@dataclass
class _Writer:
    """A graph under construction.

    Attributes:
        formats: Of tensors and weights.
        grids: Tensor → exponent of its step.
    """

    formats: Mapping[str, FixedPoint]
    grids: Mapping[str, int]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    shapes: list[onnx.ValueInfoProto] = field(default_factory=list)

    def constant(self, name: str, values: ArrayLike, dtype: Any = np.float32) -> str:
        array = np.asarray(values, dtype=dtype)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(
        self,
        operator: str,
        inputs: Sequence[str],
        output: str,
        shape: Sequence[int],
        **attributes: Any,
    ) -> str:
        name = f"{output}_{operator.lower()}"
        self.nodes.append(
            helper.make_node(operator, inputs, [output], name, **attributes)
        )
        self.shapes.append(_described(output, shape))
        return output

    def quant(
        self, source: str, output: str, shape: Sequence[int], form: FixedPoint
    ) -> str:
        parameters = {"scale": float(form.step), "zero_point": 0, "bits": form.width}
        names = [self.constant(f"{output}_{k}", v) for k, v in parameters.items()]
        return self.node(
            "Quant",
            [source, *names],
            output,
            shape,
            domain=QUANT_DOMAIN,
            signed=int(form.signed),
            narrow=int(form.overflow is Overflow.SATURATE_SYMMETRIC),
            rounding_mode="ROUND",
        )

    def fixed(self, name: str, values: Tensor, form: FixedPoint) -> str:
        """Write a constant and its quantizer."""
        array = values.detach().double().numpy()
        constant = self.constant(f"{name}_value", form.dequantize(form.quantize(array)))
        return self.quant(constant, name, array.shape, form)

    def bias(self, step: Step, values: Tensor) -> str:
        """Write a bias on the grid of the sums, no wider than its integers need."""
        # Where 32 bits would not hold it: on a coarser grid, whose steps are multiples.
        weights = self.formats[f"{step.name}.weight"]
        _, size = math.frexp(float(values.detach().abs().max()))
        exponent = self.grids[step.inputs[0]] - weights.fraction
        exponent = max(exponent, size + 2 - _BIAS_BITS)
        wide = FixedPoint(True, _BIAS_BITS, _BIAS_BITS + exponent)
        stored = wide.dequantize(wide.quantize(values.detach().double().numpy()))
        integers = wide.quantize(stored.astype(np.float32).astype(np.float64))
        low, high = min(int(integers.min()), -1), int(integers.max())
        width = max(2, smallest_width(low, high)[1])
        form = FixedPoint(True, width, width + exponent)
        return self.fixed(f"{step.name}_bias", values, form)


def write_qonnx(
    steps: Sequence[Step], formats: Mapping[str, FixedPoint], shape: Sequence[int]
) -> onnx.ModelProto:
    """Write a network.

    Args:
        steps: From ``trace_network``.
        formats: From ``choose_formats``.
        shape: Of one input sample.

    Returns:
        The model: batch 1, the shape of every tensor known, all constants read.
    """
    writer = _Writer(formats, exponents(steps, formats))
    writer.quant(FEATURES, INPUT, (1, *shape), formats[INPUT])
    for step in steps:
        sizes = (1, *step.shape)
        is_rounded = step.name in formats
        real = f"{step.name}_real" if is_rounded else step.name
        _WRITERS[type(step.module)](writer, step, real, sizes)
        if is_rounded:
            writer.quant(real, step.name, sizes, formats[step.name])
    output = _described(steps[-1].name, (1, *steps[-1].shape))
    graph = helper.make_graph(
        writer.nodes,
        "network",
        [_described(FEATURES, (1, *shape))],
        [output],
        writer.constants,
        value_info=[value for value in writer.shapes if value.name != output.name],
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(QUANT_DOMAIN, 1)]
    return helper.make_model(
        graph,
        opset_imports=opsets,
        ir_version=_IR_VERSION,
        producer_name="hawq",
        producer_version=__version__,
    )


def _described(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


Sizes = tuple[int, ...]


def _linear(writer: _Writer, step: Step, output: str, sizes: Sizes) -> None:
    layer: Any = step.module
    form = writer.formats[f"{step.name}.weight"]
    weights = writer.fixed(f"{step.name}_weight", layer.weight.T, form)
    product = output if layer.bias is None else f"{step.name}_product"
    writer.node("MatMul", [*step.inputs, weights], product, sizes)
    if layer.bias is not None:
        bias = writer.bias(step, layer.bias)
        writer.node("Add", [product, bias], output, sizes)


def _convolution(writer: _Writer, step: Step, output: str, sizes: Sizes) -> None:
    layer: Any = step.module
    form = writer.formats[f"{step.name}.weight"]
    inputs = [*step.inputs, writer.fixed(f"{step.name}_weight", layer.weight, form)]
    if layer.bias is not None:
        inputs.append(writer.bias(step, layer.bias))
    spans = [
        dilation * (size - 1)
        for dilation, size in zip(layer.dilation, layer.kernel_size, strict=True)
    ]
    pads = {
        "same": [*(s // 2 for s in spans), *(s - s // 2 for s in spans)],
        "valid": [0] * (2 * len(spans)),
    }
    own = layer.padding
    writer.node(
        "Conv",
        inputs,
        output,
        sizes,
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.stride),
        dilations=list(layer.dilation),
        pads=pads[own] if isinstance(own, str) else [*own, *own],
        group=layer.groups,
    )


def _pool(writer: _Writer, step: Step, output: str, sizes: Sizes) -> None:
    layer: Any = step.module
    rank = len(sizes) - 2

    def each(value: int | tuple[int, ...]) -> list[int]:
        return list(value) if isinstance(value, tuple | list) else [value] * rank

    is_maximum = isinstance(layer, nn.MaxPool1d | nn.MaxPool2d)
    attributes: dict[str, Any] = {"count_include_pad": 1}
    if is_maximum:
        attributes = {"dilations": each(layer.dilation)}
    elif getattr(layer, "count_include_pad", True) is False:
        attributes = {"count_include_pad": 0}
    writer.node(
        "MaxPool" if is_maximum else "AveragePool",
        step.inputs,
        output,
        sizes,
        kernel_shape=each(layer.kernel_size),
        strides=each(layer.stride),
        pads=each(layer.padding) * 2,
        **attributes,
    )


def _global_pool(writer: _Writer, step: Step, output: str, sizes: Sizes) -> None:
    writer.node("GlobalAveragePool", step.inputs, output, sizes)


def _global_average(writer: _Writer, step: Step, output: str, sizes: Sizes) -> None:
    pooled = f"{step.name}_pooled"
    ones = [1] * int(step.module.axes)  # type: ignore[arg-type]
    writer.node("GlobalAveragePool", step.inputs, pooled, (*sizes, *ones))
    shape = writer.constant(f"{step.name}_shape", sizes, np.int64)
    writer.node("Reshape", [pooled, shape], output, sizes)


def _rearrange(writer: _Writer, step: Step, output: str, sizes: Sizes) -> None:
    shape = writer.constant(f"{step.name}_shape", sizes, np.int64)
    writer.node("Reshape", [*step.inputs, shape], output, sizes)


def _permute(writer: _Writer, step: Step, output: str, sizes: Sizes) -> None:
    order = list(step.module.order)  # type: ignore[arg-type]
    writer.node("Transpose", step.inputs, output, sizes, perm=order)


def _concat(writer: _Writer, step: Step, output: str, sizes: Sizes) -> None:
    writer.node("Concat", step.inputs, output, sizes, axis=step.module.axis)


def _add(writer: _Writer, step: Step, output: str, sizes: Sizes) -> None:
    writer.node("Add", step.inputs, output, sizes)


def _relu(writer: _Writer, step: Step, output: str, sizes: Sizes) -> None:
    writer.node("Relu", step.inputs, output, sizes)


def _softmax(writer: _Writer, step: Step, output: str, sizes: Sizes) -> None:
    writer.node("Softmax", step.inputs, output, sizes, axis=step.module.dim)


def _leaky_relu(writer: _Writer, step: Step, output: str, sizes: Sizes) -> None:
    slope = step.module.negative_slope
    writer.node("LeakyRelu", step.inputs, output, sizes, alpha=slope)


def _clip(writer: _Writer, step: Step, output: str, sizes: Sizes) -> None:
    limits = {"low": step.module.min_val, "high": step.module.max_val}
    names = [
        writer.constant(f"{step.name}_{k}", np.float32(v))  # type: ignore[arg-type]
        for k, v in limits.items()
    ]
    writer.node("Clip", [*step.inputs, *names], output, sizes)


_WRITERS: dict[type, Callable[[_Writer, Step, str, Sizes], None]] = {
    nn.Linear: _linear,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.ReLU: _relu,
    nn.ReLU6: _clip,
    nn.Hardtanh: _clip,
    nn.LeakyReLU: _leaky_relu,
    nn.Softmax: _softmax,
    nn.MaxPool1d: _pool,
    nn.MaxPool2d: _pool,
    nn.AvgPool1d: _pool,
    nn.AvgPool2d: _pool,
    nn.AdaptiveAvgPool1d: _global_pool,
    nn.AdaptiveAvgPool2d: _global_pool,
    GlobalAverage: _global_average,
    Rearrange: _rearrange,
    Permute: _permute,
    Concat: _concat,
    Add: _add,
}
