"""What hls4ml 1.3 cannot carry exactly, said before anything is converted.

Some constructs it does not know; others it reads as something else. Each is refused
with the node's name and the way out. Numbers in comments are those of the complaints in
``docs/backends.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx

from hawq.errors import HawqError
from hawq.fixed import AP_ROUNDING
from hawq.frontend.safety import label
from hawq.hls.passes.network import Network
from hawq.hls.prepare import prepare
from hawq.hls.prepared import against_prepared
from hawq.hls.targets import find_target, reasons_against
from hawq.hls.types import layer_types
from hawq.integer.graph import Graph
from hawq.integer.nodes import (
    Affine,
    Concat,
    Conv,
    Dense,
    LeakyRelu,
    MaxPool,
    Multiply,
    Node,
    Quantize,
    Requantize,
    Select,
    Sum,
    SumPool,
    Window,
)

if TYPE_CHECKING:
    from hawq.hls.stage import Settings

ELSEWHERE = "use the emulator"

MAX_PARALLEL = 2**20
"""Multiplications that ``io_parallel`` may unroll: hls4ml writes them all out."""

MAX_STREAMED = 2**23
"""Multiplications a sample, for which C-simulation takes about a second."""

_OTHER = {
    "ArgMax": "leave it to the host",
    "Clip": "let the quantizer behind it limit",
    "Sigmoid": ELSEWHERE,  # 26-32: hls4ml's tables round their own way
    "Softmax": "end the network at its logits",  # 26-32
    "Tanh": ELSEWHERE,  # 26-32
    "TopK": "leave it to the host",
}
_CARRIED = {
    "Add", "AveragePool", "BatchNormalization", "BipolarQuant", "Cast", "Concat",
    "Conv", "Div", "Dropout", "Flatten", "Gemm", "GlobalAveragePool", "GlobalMaxPool",
    "Identity", "IntQuant", "LeakyRelu", "MatMul", "MaxPool", "Mul", "Neg", "Quant",
    "ReduceMean", "Relu", "Reshape", "Resize", "Squeeze", "Sub", "Transpose", "Trunc",
    "Unsqueeze", "Upsample",
}  # fmt: skip


@dataclass(frozen=True)
class _Case:
    """One node of the file, what it became, and where it is to go."""

    file: onnx.NodeProto
    node: Node
    graph: Graph
    settings: Settings

    @property
    def is_stream(self) -> bool:
        return self.settings.io_type == "io_stream"


def unsupported(model: onnx.ModelProto, graph: Graph, settings: Settings) -> list[str]:
    """Say why hls4ml cannot carry a network exactly.

    Args:
        model: The QONNX model.
        graph: The same model, lowered.
        settings: Target and interface.

    Returns:
        Reasons, each naming a node and what to do; none if it can.
    """
    reasons = reasons_against(settings.target)
    if reasons:
        return reasons
    if len(graph.inputs) != 1:
        names = ", ".join(i.name for i in graph.inputs)
        return [f"inputs {names}: the bridge to C-simulation has one input: join them"]
    network = Network.read(model, graph)
    reasons = _against_input(network, graph)
    reasons += _against_nodes(network, graph, settings)
    reasons += _against_size(network, graph, settings.io_type)
    if reasons:
        return reasons
    try:  # types, and what only the finished file shows
        prepared = prepare(model, graph)
        layer_types(prepared.model, prepared.graph)
    except HawqError as error:
        return [str(error)]
    return against_prepared(prepared, settings)


def _against_input(network: Network, graph: Graph) -> list[str]:
    readers = [n for n in graph.nodes if isinstance(n, Quantize)]
    reasons = [
        f"tensor {n.output!r}: the input is scaled or shifted before its quantizer: "
        "let the host do that and cut it off the file"
        for n in readers
        if n.gain is not None or n.offset is not None
    ]
    reasons += [
        f"{label(node)}: stands between the input and its quantizer: put Quant first"
        for node in network.consumers(graph.inputs[0].name)
        if node.op_type not in ("Quant", "IntQuant", "BipolarQuant") and not reasons
    ]
    if len({(n.grid, _sign(n)) for n in readers}) > 1:
        names = ", ".join(n.output for n in readers)
        reasons.append(
            f"tensors {names} quantize the input differently, but firmware has one "
            "input type: quantize it once"
        )
    return reasons


def _sign(node: Quantize) -> bool:
    return node.output.endswith(".sign")


def _against_nodes(network: Network, graph: Graph, settings: Settings) -> list[str]:
    files = {name: n for n in network.nodes for name in n.output if name}
    reasons = [_operator(n) for n in _data_nodes(network)]
    for node in graph.nodes:
        file = files.get(node.output) or files.get(node.output.rsplit(".", 1)[0])
        rule = RULES.get(type(node))
        if file is not None and rule is not None:
            why = rule(_Case(file, node, graph, settings))
            reasons.append(f"{label(file)}: {why}" if why else "")
    return list(dict.fromkeys(filter(None, reasons)))


def _data_nodes(network: Network) -> list[onnx.NodeProto]:
    """Find the nodes that data passes through."""
    data, found = {network.input}, []
    for node in network.nodes:
        if data.intersection(node.input) and node.op_type != "Shape":
            data.update(node.output)
            found.append(node)
    return found


def _operator(node: onnx.NodeProto) -> str:
    if node.op_type in _CARRIED:
        return ""
    remedy = _OTHER.get(node.op_type, ELSEWHERE)
    return f"{label(node)}: hls4ml does not carry this operator exactly: {remedy}"


def _against_size(network: Network, graph: Graph, io_type: str) -> list[str]:
    counts = {node.output: multiplications(node, graph) for node in graph.nodes}
    count, most = sum(counts.values()), max(counts, key=lambda name: counts[name])
    what = f"the network has {count} multiplications, most of them for {most!r}"
    if io_type == "io_parallel" and count > MAX_PARALLEL:
        hint = "set io_stream" if count <= MAX_STREAMED else ELSEWHERE
        return [
            f"{what}, which io_parallel would write out side by side, expected at most "
            f"{MAX_PARALLEL}: {hint}"
        ]
    if count > MAX_STREAMED:
        return [
            f"{what}, more a sample than the {MAX_STREAMED} that C-simulation does "
            f"in a second: {ELSEWHERE}"
        ]
    return []


def multiplications(node: Node, graph: Graph) -> int:
    """Count the multiplications of a node for one sample.

    Args:
        node: Of the graph.
        graph: The graph.

    Returns:
        The number; 0 for nodes that are no sums of products.
    """
    size = graph.tensors[node.output].lows.size
    if isinstance(node, Dense):
        return size * len(node.weights)
    if isinstance(node, Conv):
        return size * math.prod(node.weights.shape[1:])
    return 0


def _quantizer(case: _Case) -> str:
    assert isinstance(case.node, Quantize | Requantize)
    grid = case.node.grid
    form = grid.fixed_point
    inner = case.node.output.removeprefix(case.file.output[0]).split(".")[1:]
    if inner and inner[0] not in ("sign", "move0"):
        return f"has a scale a channel, or a zero point, which types lack: {ELSEWHERE}"
    if form is None and case.file.op_type != "BipolarQuant":
        return (
            f"a scale of {float(grid.scale):g} with integers from {grid.low} to "
            f"{grid.high} is no ap_fixed type: use a power-of-two scale and no zero "
            f"point, or {ELSEWHERE}"
        )
    if isinstance(case.node, Requantize) and _is_lost(case.node, case.graph):
        return (
            f"no value reaches its step of {float(grid.scale):g}, on which ap_fixed's "
            "headers fail: use a finer scale"
        )
    widens = find_target(case.settings.target).widens_bits
    if form is not None and form.width == 1 and widens and not inner:
        return (
            f"hls4ml makes 2 bits of 1 for {case.settings.target}: use 2 bits, or "
            "Vitis or Vivado"
        )
    if form is not None and form.rounding not in AP_ROUNDING:
        return f"rounding {form.rounding.value} has no ap_fixed mode: use ROUND"
    return ""


def _is_lost(node: Requantize, graph: Graph) -> bool:
    x = graph.tensors[node.inputs[0]]
    return max(-x.low, x.high) * x.scale < node.grid.scale


def _conv(case: _Case) -> str:
    assert isinstance(case.node, Conv)
    node = case.node
    rank = len(node.window.kernel)
    if rank > 2:
        return f"convolves over {rank} axes, hls4ml over 1 or 2: {ELSEWHERE}"
    if max(node.window.dilations) > 1:  # 42
        return (
            f"hls4ml 1.3 ignores dilations {list(node.window.dilations)} and computes "
            f"another convolution: put zeros into the kernel, or {ELSEWHERE}"
        )
    channels = node.weights.shape[0]
    if node.groups > 1 and not node.groups == channels == _channels(case):
        return (
            f"has {node.groups} groups; hls4ml carries 1, or one filter a channel: "
            "put zeros into a kernel of one group"
        )
    target = find_target(case.settings.target)
    if node.groups > 1 and case.settings.io_type in target.spoils_depthwise:
        return (
            f"hls4ml 1.3 gets depthwise convolutions wrong for {target.name} with "
            f"{case.settings.io_type}: put zeros into a kernel of one group, or use "
            "Vitis or Vivado"
        )
    return ""


def _leaky(case: _Case) -> str:
    assert isinstance(case.node, LeakyRelu)
    slope = case.node.slope
    if "alpha" in {a.name for a in case.file.attribute} and slope > 0:
        return ""
    return f"slope {float(slope):g}: write one above 0 as its attribute alpha"


def _affine(case: _Case) -> str:
    assert isinstance(case.node, Affine)
    signs = ("BipolarQuant", "IntQuant", "Quant")  # 13: a signed bit is a sign too
    if case.file.op_type in signs and np.unique(case.node.multiplier).size > 1:
        return f"has a scale a channel, which types lack: {ELSEWHERE}"
    return ""


def _channels(case: _Case) -> int:
    x = case.graph.tensors[case.node.inputs[0]]
    window = getattr(case.node, "window", None)
    assert isinstance(window, Window)
    return x.shape[-1 if window.channels_last else 0]


def _pool(case: _Case) -> str:
    window = getattr(case.node, "window", None)
    assert isinstance(window, Window)
    x = case.graph.tensors[case.node.inputs[0]]
    spatial = x.shape[:-1] if window.channels_last else x.shape[1:]
    places = window.output_sizes(spatial)
    touching = all(
        n == 1 or k == s
        for k, s, n in zip(window.kernel, window.strides, places, strict=True)
    )
    if max(window.dilations) > 1:  # 42
        return f"hls4ml 1.3 ignores its dilations {list(window.dilations)}: {ELSEWHERE}"
    if any(s > k for k, s in zip(window.kernel, window.strides, strict=True)):  # 41
        return (
            f"steps of {list(window.strides)} leave out elements between windows of "
            f"{list(window.kernel)}, which hls4ml gets wrong: use a Conv of that stride"
        )
    if case.is_stream and not touching:
        return (
            f"windows of {list(window.kernel)} step by {list(window.strides)}; hls4ml "
            "streams only those that touch: set io_parallel, or equal strides"
        )
    return _pool_padding(case, window, x.signed)


def _pool_padding(case: _Case, window: Window, is_signed: bool) -> str:
    if isinstance(case.node, SumPool):
        count = math.prod(window.kernel)
        target = find_target(case.settings.target)
        if target.cuts_means:
            return (
                f"hls4ml cuts means off at their input's last bit for {target.name}: "
                "use a Conv of constant weights, or Vitis or Vivado"
            )
        if any(window.pads):
            return f"hls4ml divides padded averages differently: {ELSEWHERE}"
        if count.bit_count() != 1:
            return (
                f"a mean of {count} is no multiple of a power of two, and hls4ml would "
                f"cut it off: average 2, 4, 8, ... elements, or {ELSEWHERE}"
            )
    elif any(window.pads) and (case.is_stream or not is_signed):
        return (
            "hls4ml pads unsigned data with half its range, and streams without "
            "padding: pad before the ReLU, or set pads to 0"
        )
    return ""


def _two(case: _Case) -> str:
    shapes = [case.graph.tensors[name].shape for name in case.node.inputs]
    if len(shapes) == 2 and shapes[0] == shapes[1]:
        return ""
    return (
        f"combines shapes {', '.join(map(str, shapes))}; hls4ml combines two of one "
        f"shape: {ELSEWHERE}"
    )


def _concat(case: _Case) -> str:
    if len(case.node.inputs) == 2:
        return ""
    return f"joins {len(case.node.inputs)} tensors, hls4ml two: join them two by two"


def _resize(case: _Case) -> str:
    if case.file.op_type not in ("Resize", "Upsample"):
        return ""
    names = (case.node.inputs[0], case.node.output)
    before, after = (case.graph.tensors[name].shape for name in names)
    sides = [(a, b) for a, b in zip(before, after, strict=True)]
    grown = {b // a for a, b in sides if a != b}
    lengths = {a for a, b in sides if a != b}
    if len(before) == 3 and len(grown) <= 1 and len(lengths) <= 1:
        return ""
    return (
        f"makes {after} of {before}; hls4ml 1.3 swaps height and width: use square "
        f"images, or {ELSEWHERE}"
    )


def _product(case: _Case) -> str:
    if case.node.output.endswith(".product"):
        return "the constant stands first: put data first"
    return ""


RULES: dict[type, Callable[[_Case], str]] = {
    Affine: _affine,
    Concat: _concat,
    Conv: _conv,
    Dense: _product,
    LeakyRelu: _leaky,
    MaxPool: _pool,
    Multiply: _two,
    Quantize: _quantizer,
    Requantize: _quantizer,
    Select: _resize,
    Sum: _two,
    SumPool: _pool,
}
"""Kind of node → why hls4ml cannot carry one, or nothing."""
