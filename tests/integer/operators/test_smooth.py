import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_file import MODES, NetworkFile
from numpy.testing import assert_array_equal
from witness import assert_exact, samples, worth

from hawq.errors import NetworkError
from hawq.integer.lower import lower_model
from hawq.integer.nodes import Table

FUNCTIONS = {"Sigmoid": lambda v: 1 / (1 + math.exp(-v)), "Tanh": math.tanh}


def smooth(function, bits=6, scale=0.125, source_bits=5, **attributes):
    file = NetworkFile(4)
    q = file.quant("x", 0.25, source_bits, output="q")
    y = file.node(function, q, output="s")
    return file, file.quant(y, scale, bits, output="y", **attributes)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_entry_is_the_rounded_function(function):
    file, y = smooth(function)
    graph = assert_exact(file.model(y), samples(4))
    table = graph.nodes[-1]
    assert isinstance(table, Table)
    inputs = range(table.low, table.low + len(table.entries))
    closed_form = [round(FUNCTIONS[function](n / 4) * 8) for n in inputs]
    assert table.entries.tolist() == closed_form


@given(
    function=st.sampled_from(list(FUNCTIONS)),
    mode=st.sampled_from(MODES),
    bits=st.integers(1, 16),
    scale=st.sampled_from([2.0**-15, 2.0**-7, 0.125, 0.5, 0.01]),
    signed=st.integers(0, 1),
)
def test_tables_of_any_quantizer_are_correctly_rounded(
    function, mode, bits, scale, signed
):
    file, y = smooth(function, bits, scale, mode=mode, signed=signed)
    assert_exact(file.model(y), samples(4, count=2))


def test_a_half_is_a_tie():
    file, y = smooth("Sigmoid", scale=1.0, mode="HALF_UP")
    x = np.zeros((1, 4))
    assert_array_equal(worth(assert_exact(file.model(y), x), x, y), [[1.0] * 4])


def test_entries_of_64_bits():
    file, y = smooth("Sigmoid", bits=64, scale=2.0**-64, signed=0)
    assert_exact(file.model(y), samples(4))


def test_large_arguments_saturate():
    file = NetworkFile(4)
    q = file.quant("x", 2.0**12, 8)
    y = file.quant(file.node("Tanh", q), 2.0**-15, 16, mode="FLOOR")
    x = np.array([[-(2.0**18), -(2.0**12), 0.0, 2.0**12]])
    got = worth(assert_exact(file.model(y), x), x, y)
    assert_array_equal(got * 2**15, [[-(2**15), -(2**15), 0, 2**15 - 1]])


def test_two_quantizers_may_read_one_function():
    file, y = smooth("Sigmoid")
    z = file.quant("s", 0.3, 3)
    assert_exact(file.model(y, z), samples(4))


# --- refusals ------------------------------------------------------------------------


def test_a_function_that_nothing_quantizes_is_refused():
    file, _ = smooth("Tanh")
    z = file.node("Relu", "s", output="z")
    message = (
        r"^node 'the_z' \(Relu\): input 's' is a Tanh that nothing quantizes: put a "
        r"Quant behind it, so that it becomes a table$"
    )
    with pytest.raises(NetworkError, match=message):
        lower_model(file.model(z))


def test_a_rearranged_function_is_refused():
    file, _ = smooth("Tanh")
    z = file.node("Flatten", "s", output="z")
    message = (
        r"^node 'the_z' \(Flatten\): input 's' is a Tanh that nothing quantizes: put "
        r"a Quant behind it, so that it becomes a table$"
    )
    with pytest.raises(NetworkError, match=message):
        lower_model(file.model(z))


def test_a_table_beyond_65536_entries_is_refused():
    file, y = smooth("Sigmoid", source_bits=17)
    message = (
        r"^node 'the_y' \(Quant\): a table of Sigmoid over 'q' has 131072 entries, "
        r"expected at most 65536: quantize 'q' to fewer bits$"
    )
    with pytest.raises(NetworkError, match=message):
        lower_model(file.model(y))


def test_channels_of_a_function_are_refused():
    file, _ = smooth("Sigmoid")
    file.quant("s", [0.5, 0.25, 0.5, 0.5], 4, output="z")
    message = (
        r"^node 'the_z' \(Quant\): a zero point a channel, or a scale a channel on the "
        r"network's input, is not carried: use one a tensor$"
    )
    with pytest.raises(NetworkError, match=message):
        lower_model(file.model("z"))
