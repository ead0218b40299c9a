"""Golden executor against the QONNX executor on convolutional networks.

    python benchmarks/golden_conv.py [FILE.onnx ...]

Networks of trigger size are made here, with scales that are powers of two and with
scales that are none; files are added as they are. Where float32 is exact both must give
the same integers before anything is timed; where it is not, the golden executor must
give those it gives in Python integers. Rates are samples per second, the best of
several rounds in which the contestants take turns. Each may use all cores.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from hawq.csim.channels_first import channels_first
from hawq.frontend.network import read_network
from hawq.integer.execute import execute, run
from hawq.integer.graph import Graph
from hawq.integer.lower import lower_model

DOMAIN = "qonnx.custom_op.general"
SECONDS = 0.5
"""How long a contestant is given in each round."""


@dataclass
class Writer:
    """Writes a QONNX file layer by layer."""

    scale: float
    random: np.random.Generator = field(
        default_factory=lambda: np.random.default_rng(0)
    )
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, values: Any) -> str:
        """Add an initializer."""
        name = f"c{len(self.constants)}"
        array = np.asarray(values, dtype=np.float32)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, *inputs: str, **rest: Any) -> str:
        """Add a node."""
        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **rest))
        return output

    def quant(self, x: str, scale: Any, bits: int, signed: int = 1) -> str:
        """Add a ``Quant``."""
        parts = [self.constant(scale), self.constant(0), self.constant(bits)]
        modes = {"signed": signed, "narrow": 0, "rounding_mode": "ROUND"}
        return self.node("Quant", x, *parts, domain=DOMAIN, **modes)

    def weights(self, *shape: int) -> str:
        """Add quantized weights, 6 bits."""
        values = self.random.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        scales = np.full((shape[0], *[1] * (len(shape) - 1)), self.scale / 16)
        if self.scale != 1:
            scales *= self.random.uniform(0.5, 1, scales.shape)
        return self.quant(self.constant(values), scales, 6)

    def layer(self, x: str, *shape: int, stride: int = 1) -> str:
        """Add a convolution with bias, a ReLU and a quantizer."""
        bias = self.quant(
            self.constant(self.random.normal(size=shape[0]) / 4), self.scale / 64, 8
        )
        pads = [shape[-1] // 2] * 4
        strides = [stride, stride]
        x = self.node("Conv", x, self.weights(*shape), bias, pads=pads, strides=strides)
        return self.quant(self.node("Relu", x), self.scale / 32, 8, signed=0)

    def model(self, x: str, *shape: int) -> onnx.ModelProto:
        """Give the file."""
        value = helper.make_tensor_value_info
        inputs = [value("x", TensorProto.FLOAT, [1, *shape])]
        outputs = [value(x, TensorProto.FLOAT, None)]
        graph = helper.make_graph(
            self.nodes, "network", inputs, outputs, self.constants
        )
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)]
        return helper.make_model(graph, opset_imports=opsets)


def trigger_tower(scale: float) -> onnx.ModelProto:
    """Make 1×8×8 → 8 channels, 3×3, stride 2 → 16."""
    file = Writer(scale)
    x = file.layer(file.quant("x", scale / 32, 8), 8, 1, 3, 3, stride=2)
    x = file.node("Flatten", x)
    x = file.node("Gemm", x, file.weights(16, 128), transB=1)
    return file.model(x, 1, 8, 8)


def three_layers(scale: float) -> onnx.ModelProto:
    """Make 1×16×16 → 8 → 16 (stride 2) → 16 (stride 2) → 10."""
    file = Writer(scale)
    x = file.layer(file.quant("x", scale / 32, 8), 8, 1, 3, 3)
    x = file.layer(x, 16, 8, 3, 3, stride=2)
    x = file.layer(x, 16, 16, 3, 3, stride=2)
    x = file.node("Flatten", x)
    x = file.node("Gemm", x, file.weights(10, 256), transB=1)
    return file.model(x, 1, 16, 16)


def residual(scale: float) -> onnx.ModelProto:
    """Make 1×16×16 → 8, then a block with batch normalization and a sum."""
    file = Writer(scale)
    x = file.layer(file.quant("x", scale / 32, 8), 8, 1, 3, 3)
    y = file.node("Conv", x, file.weights(8, 8, 3, 3), pads=[1] * 4)
    normal = [file.constant(file.random.uniform(0.5, 1.5, 8)) for _ in range(4)]
    y = file.node("Add", x, file.node("BatchNormalization", y, *normal))
    return file.model(file.quant(file.node("Relu", y), scale / 24, 8, 0), 1, 16, 16)


def main() -> None:
    """Time the contestants and print rates and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    networks = {
        "8×8, power of two": trigger_tower(1.0),
        "8×8, any scale": trigger_tower(0.9),
        "16×16, power of two": three_layers(1.0),
        "16×16, any scale": three_layers(0.9),
        "16×16, residual": residual(0.9),
    }
    networks |= {path.stem: read_network(path).model for path in arguments.files}
    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores, load {os.getloadavg()[0]:.1f}, best of {arguments.rounds}")
    heads = ("golden", "QONNX, batch 1", "ratio", "QONNX, batch 64", "ratio")
    print(f"{'samples/s':<24}" + "".join(f"{h:>17}" for h in heads))
    for name, model in networks.items():
        one, *rest = rates(model, arguments.rounds)
        columns = [f"{one:,.0f}"]
        for rate in rest:
            columns += [f"{rate:,.1f}", f"{one / rate:,.0f}×"] if rate else ["—", "—"]
        print(f"{name:<24}" + "".join(f"{c:>17}" for c in columns), flush=True)


def rates(model: onnx.ModelProto, rounds: int) -> list[float]:
    """Give samples a second: golden, QONNX executor at batch 1, and at batch 64."""
    graph = lower_model(model)
    shape = graph.inputs[0].shape
    large = int(np.prod(shape)) > 10_000
    random = np.random.default_rng(1)
    x = random.normal(size=(64 if large else 8192, *shape)).astype(np.float32)
    agree(graph, model, x[:2])
    contestants: list[tuple[Callable[..., Any], int]] = [
        (lambda part: run(graph, part), 2 if large else len(x)),
        (qonnx(graph, model, 1), 1),
    ]
    if not large:
        contestants.append((qonnx(graph, model, 64), 64))
    best = [0.0] * 3
    for _ in range(rounds):
        for i, (compute, samples) in enumerate(contestants):
            start, count = time.perf_counter(), 0
            while (spent := time.perf_counter() - start) < SECONDS or not count:
                compute(x[:samples])
                count += samples
            best[i] = max(best[i], count / spent)
    return best


def agree(graph: Graph, model: onnx.ModelProto, x: NDArray[np.float32]) -> None:
    """Stop unless integers are equal."""
    name = graph.outputs[0]
    got = run(graph, x)[name]
    exact = all(
        t.scale.denominator & (t.scale.denominator - 1) == 0 and t.width <= 24
        for t in graph.tensors.values()
    )
    if exact and got.size:
        expected = np.concatenate([qonnx(graph, model, 1)(part[None]) for part in x])
        if not np.array_equal(got * float(graph.tensors[name].scale), expected):
            raise SystemExit(f"output {name!r} differs from the QONNX executor's")
    elif not np.array_equal(
        got, execute(graph, x, (name,), carriers=("object",))[name]
    ):
        raise SystemExit(f"output {name!r} differs from that in Python integers")


def qonnx(graph: Graph, model: onnx.ModelProto, batch: int) -> Callable[..., Any]:
    """Make the QONNX executor for one batch size."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.quantization_annotation[:]
    name, output = copy.graph.input[0].name, copy.graph.output[0].name
    copy.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    ranks = {name: len(t.shape) + 1 for name, t in graph.tensors.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = ModelWrapper(channels_first(copy, ranks)).transform(InferShapes())

    def compute(x: NDArray[np.float32]) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return execute_onnx(wrapped, {name: x})[output]

    return compute


if __name__ == "__main__":
    main()
