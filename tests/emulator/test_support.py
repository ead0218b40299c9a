from fractions import Fraction

import numpy as np

from hawq.emulator.support import unsupported
from hawq.fixed import Overflow
from hawq.integer.graph import build
from hawq.integer.grid import Grid
from hawq.integer.nodes import Multiply, Quantize, Requantize, Select
from hawq.integer.tensor import RealInput

INPUT = RealInput("x", (2,))
BYTE = Quantize(("x",), "q", Grid(-128, 127, Fraction(1)))


def test_what_is_carried_has_no_reasons(every_node):
    assert unsupported(every_node) == []


def test_wide_integers_are_named():
    wide = Quantize(("x",), "w", Grid(-(2**62), 2**62 - 1, Fraction(1)))
    nodes = [wide, Multiply(("w", "w"), "y"), Multiply(("y", "y"), "z")]
    assert unsupported(build([INPUT], nodes, ["z"])) == [
        "tensor 'z': integers of 250 bits, expected at most 127: use fewer bits "
        "upstream, or scales that are powers of two"
    ]


def test_a_requantizer_beyond_all_types_is_named():
    grid = Grid(-8, 7, Fraction(3, 2**130 + 1), overflow=Overflow.WRAP)
    nodes = [BYTE, Requantize(("q",), "y", grid)]
    assert unsupported(build([INPUT], nodes, ["y"])) == [
        "tensor 'y': integers of 140 bits, expected at most 127: use fewer bits "
        "upstream, or scales that are powers of two"
    ]


def test_a_quantizer_of_endless_fractions_is_named():
    grid = Grid(-8, 7, Fraction(3**1000, 5**700))
    graph = build([INPUT], [Quantize(("x",), "y", grid)], ["y"])
    assert unsupported(graph) == [
        "tensor 'y': its scale, gain and offset need fractions of 1626 bits, expected "
        "at most 1500: use fewer bits upstream, or scales that are powers of two"
    ]


def test_empty_tensors_are_named():
    empty = Select(("q",), "y", np.zeros((0, 3), dtype=np.int64))
    assert unsupported(build([INPUT], [BYTE, empty], ["y"])) == [
        "tensor 'y': no elements, as its shape is (0, 3): remove it from the network"
    ]


def test_an_output_that_stands_twice_is_named():
    assert unsupported(build([INPUT], [BYTE], ["q", "q"])) == [
        "output 'q' stands 2 times among the outputs: name it once"
    ]
