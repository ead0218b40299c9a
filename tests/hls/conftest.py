from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from network_file import DOMAIN, NetworkFile
from qonnx_exact.interpreter import interpret

from hawq.csim.firmware import from_firmware, to_firmware
from hawq.hls.prepare import Prepared, prepare
from hawq.integer.lower import lower_model


class Net(NetworkFile):
    """A file with short names for what these tests write often."""

    def __init__(self, *features: int) -> None:
        super().__init__(*features)
        self.random = np.random.default_rng(5)

    def start(self) -> str:
        return self.quant("x", 0.25, 6)

    def drawn(self, *shape: int) -> str:
        return self.weights(self.random.normal(size=shape), 0.25, 4)

    def bipolar(self, x: str, scale: Any) -> str:
        return self.node("BipolarQuant", x, self.constant(scale), domain=DOMAIN)


@pytest.fixture
def net() -> type[Net]:
    return Net


@pytest.fixture
def same_values() -> Callable[[onnx.ModelProto], Prepared]:
    """Prepare a file; check that it still means what it did, tensor by tensor."""

    def check(model: onnx.ModelProto) -> Prepared:
        graph = lower_model(model)
        prepared = prepare(model, graph)
        shape = graph.inputs[0].shape
        x = np.random.default_rng(0).integers(-40, 40, (6, *shape)) / 8
        sizes = prepared.model.graph.input[0].type.tensor_type.shape.dim
        moved = to_firmware(x.reshape(6, -1), prepared.layouts.get(prepared.input))
        moved = moved.reshape(6, *(d.dim_value for d in sizes[1:]))
        expected, found = interpret(model, x), interpret(prepared.model, moved)
        shared = [name for name in graph.tensors if name in expected and name in found]
        assert set(graph.outputs) <= set(shared)
        for name in shared:
            layout = prepared.layouts.get(name)
            got = from_firmware(found[name].reshape(6, -1), layout)
            np.testing.assert_array_equal(got, expected[name].reshape(6, -1), name)
        return prepared

    return check


def operators(prepared: Prepared) -> list[str]:
    """Name the operators that data passes through."""
    constants = {t.name for t in prepared.model.graph.initializer}
    return [n.op_type for n in prepared.model.graph.node if n.input[0] not in constants]


@pytest.fixture
def kinds() -> Callable[[Prepared], list[str]]:
    return operators
