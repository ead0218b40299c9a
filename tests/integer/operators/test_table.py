import numpy as np
import onnx
import pytest
from network_file import CHANNELS_LAST, DOMAIN, NetworkFile
from qonnx_exact.interpreter import OPERATORS as WITNESSED
from witness import assert_exact, samples

from hawq.errors import NetworkError
from hawq.integer.lower import lower_model
from hawq.integer.operators.table import OPERATORS, QUANTIZERS, REMEDIES, STANDARD


def test_every_operator_has_a_witness():
    assert set(STANDARD) | set(QUANTIZERS) <= set(WITNESSED)


def test_no_operator_is_carried_and_refused():
    assert not set(REMEDIES) & {*STANDARD, *QUANTIZERS}


def test_names_with_a_domain_mean_the_same():
    assert OPERATORS["ai.onnx::Relu"] is OPERATORS["Relu"]
    assert OPERATORS[f"{DOMAIN}::Quant"] is OPERATORS["onnx.brevitas::Quant"]
    assert OPERATORS[f"{CHANNELS_LAST}::Conv"] is OPERATORS["Conv"]
    assert "Quant" not in OPERATORS


def test_constant_nodes_of_tensors_are_read():
    file = NetworkFile(2)
    value = onnx.numpy_helper.from_array(np.float32([0.5, -1.0]))
    constant = file.node("Constant", value=value)
    y = file.node("Add", file.quant("x", 0.25, 6), constant)
    assert_exact(file.model(y), samples(2))


def test_other_kinds_of_constant_are_refused():
    file = NetworkFile(2)
    file.quant("x", 0.25, 6)
    y = file.node("Constant", output="y", value_float=1.0)
    message = (
        r"^node 'the_y' \(Constant\): attribute 'value_float', expected a tensor "
        r"'value': fold constants first \(qonnx-cleanup\)$"
    )
    with pytest.raises(NetworkError, match=message):
        lower_model(file.model(y))
