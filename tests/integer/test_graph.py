from fractions import Fraction

import numpy as np
import pytest

from hawq.errors import NetworkError
from hawq.fixed import FixedPoint
from hawq.integer.graph import build
from hawq.integer.grid import Grid
from hawq.integer.nodes import Dense, Quantize, Relu, Reshape
from hawq.integer.tensor import RealInput

INPUT = RealInput("x", (2,))
QUANTIZE = Quantize(("x",), "q", Grid.of(FixedPoint(True, 4, 2)))
DENSE = Dense(("q",), "y", np.array([[1], [-2]]), Fraction(1, 2))
RELU = Relu(("y",), "r")


def test_nodes_are_sorted_and_tensors_derived():
    graph = build([INPUT], [RELU, DENSE, QUANTIZE], ["r"])
    assert graph.nodes == (QUANTIZE, DENSE, RELU)
    assert list(graph.tensors) == ["q", "y", "r"]
    assert graph.inputs == (INPUT,)
    assert graph.outputs == ("r",)
    assert graph.tensors["y"].scale == Fraction(1, 8)
    assert (graph.tensors["y"].low, graph.tensors["y"].high) == (-22, 23)
    assert graph.tensors["r"].low == 0


def test_branches_keep_the_given_order():
    other = Reshape(("q",), "s", (1, 2))
    graph = build([INPUT], [QUANTIZE, other, DENSE], ["s", "y"])
    assert list(graph.tensors) == ["q", "s", "y"]


def test_tensors_cannot_be_replaced():
    graph = build([INPUT], [QUANTIZE], ["q"])
    with pytest.raises(TypeError, match=r"does not support item assignment$"):
        graph.tensors["q"] = None


@pytest.mark.parametrize(
    ("nodes", "outputs", "message"),
    [
        ([QUANTIZE, QUANTIZE], ["q"], r"^tensors written more than once: q$"),
        ([QUANTIZE, RELU], ["r"], r"^tensors read but never written: y$"),
        (
            [QUANTIZE, Relu(("b",), "a"), Relu(("a",), "b")],
            ["q"],
            r"^nodes form a cycle through: a, b$",
        ),
        ([QUANTIZE], ["x"], r"^output 'x' is not an integer tensor of the graph$"),
        ([QUANTIZE], ["z"], r"^output 'z' is not an integer tensor of the graph$"),
    ],
)
def test_graphs_that_do_not_hang_together_are_refused(nodes, outputs, message):
    with pytest.raises(NetworkError, match=message):
        build([INPUT], nodes, outputs)
