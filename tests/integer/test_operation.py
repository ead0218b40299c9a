import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hawq.errors import NetworkError
from hawq.integer.operation import read_tensor


def test_tensors_in_another_file_are_not_followed():
    tensor = numpy_helper.from_array(np.ones(3, dtype=np.float32), "w")
    tensor.data_location = TensorProto.EXTERNAL
    message = (
        r"^constant 'w': its data are in another file: save the model with data inside$"
    )
    with pytest.raises(NetworkError, match=message):
        read_tensor(tensor, "constant 'w'")


def test_tensors_whose_data_do_not_fit_their_shape_are_refused():
    tensor = numpy_helper.from_array(np.ones(3, dtype=np.float32), "w")
    tensor.dims[0] = 2**31
    message = (
        r"^constant 'w': damaged tensor \(cannot reshape array of size 3 into shape "
        r"\(2147483648,\)\): export it again$"
    )
    with pytest.raises(NetworkError, match=message):
        read_tensor(tensor, "constant 'w'")


def test_tensors_of_text_are_refused():
    tensor = helper.make_tensor("w", onnx.TensorProto.STRING, [1], [b"text"])
    message = (
        r"^constant 'w': type object, expected floats or integers: export in float32$"
    )
    with pytest.raises(NetworkError, match=message):
        read_tensor(tensor, "constant 'w'")
