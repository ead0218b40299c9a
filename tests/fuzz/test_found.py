"""What the emulator once got wrong on random networks, each by its cause."""

import numpy as np
import pytest
from merged import merged
from network_file import NetworkFile
from numpy.testing import assert_array_equal
from witness import assert_exact

from hawq.emulator.library import Emulator, compile_emulator
from hawq.emulator.write import write_emulator
from hawq.integer.execute import execute


def limits_beyond_the_type_of_what_they_limit():
    """A level that 16-bit integers never reach: the clip before it wrapped around."""
    file = NetworkFile(1)
    q = file.quant("x", 0.25, 4)
    none = file.node("Sub", q, q)
    fine = file.node("Mul", none, file.constant(2.0**-24))
    y = file.quant(fine, 0.0018743386, 12, signed=0)
    return file.model(y), np.array([[-2.0], [0.0], [1.5]], dtype=np.float32)


FOUND = [limits_beyond_the_type_of_what_they_limit]


@pytest.fixture(scope="module")
def emulated(require, tmp_path_factory):
    """Name → graph, inputs and the emulator's integers, from one compilation."""
    require("g++", "make")
    cases = {case.__name__: case() for case in FOUND}
    graphs = {name: assert_exact(*case) for name, case in cases.items()}
    folder = tmp_path_factory.mktemp("found")
    write_emulator(merged(graphs), folder, name="found", version="1")
    inputs = {f"{name}.x": x for name, (_, x) in cases.items()}
    got = Emulator(compile_emulator(folder)).trace(inputs)
    return {name: (graphs[name], x, got) for name, (_, x) in cases.items()}


@pytest.mark.parametrize("name", [case.__name__ for case in FOUND])
def test_the_emulator_gives_equal_integers(name, emulated):
    graph, x, got = emulated[name]
    for tensor, integers in execute(graph, x, tuple(graph.tensors)).items():
        assert_array_equal(got[f"{name}.{tensor}"], integers, tensor)
