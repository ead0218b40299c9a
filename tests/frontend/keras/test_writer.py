from __future__ import annotations

import pytest

from hawq.errors import NetworkError
from hawq.frontend.keras.writer import Writer


@pytest.fixture
def out() -> Writer:
    writer = Writer()
    writer.prefix, writer.shapes["x"] = "l", (3,)
    return writer


@pytest.mark.parametrize("shape", [(2**30,), (2**13, 2**13), (0,)])
def test_sizes_beyond_reason_are_refused(out, shape):
    with pytest.raises(NetworkError, match=r"^tensor 'l/relu' has shape \(.*expected "):
        out.add("Relu", ["x"], shape)


def test_names_are_not_used_twice(out):
    assert out.add("Relu", ["x"], (3,)) == "l/relu"
    assert out.add("Relu", ["x"], (3,)) == "l/relu_2"


def test_name_that_is_taken_is_refused(out):
    name = out.add("Relu", ["x"], (3,))

    with pytest.raises(
        NetworkError, match=r"^two tensors are called 'x': rename a layer$"
    ):
        out.rename(name, "x")


def test_one_signed_bit_is_bipolar(out):
    model = out.model("m", ["x"], [out.quant("x", 0.5, 1)])

    assert [node.op_type for node in model.graph.node] == ["BipolarQuant"]
