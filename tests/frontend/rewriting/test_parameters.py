import numpy as np
import pytest
from onnx import TensorProto

from hawq.errors import FormatError, NetworkError
from hawq.frontend.qdq import qdq_to_qonnx


@pytest.mark.parametrize(
    ("scale", "got"), [(0.0, "0.0"), (-0.5, "-0.5"), (np.nan, "nan"), (np.inf, "inf")]
)
def test_scales_that_do_not_exist(scale, got, onnx_file):
    file = onnx_file(1, 4)
    model = file.model(file.pair("x", scale, name="q"))
    with pytest.raises(
        FormatError,
        match=rf"^node 'q' \(QuantizeLinear\): scale {got}, expected a finite number "
        r"above 0: calibrate again, or take the dead channel out$",
    ):
        qdq_to_qonnx(model)


def refused(file, *outputs, opset=21):
    with pytest.raises(NetworkError) as caught:
        qdq_to_qonnx(file.model(*outputs, opset=opset))
    return str(caught.value)


def test_a_scale_computed_from_data(onnx_file):
    file = onnx_file(1, 1)
    scale = file.node("Squeeze", file.node("Abs", "x"))
    y = file.node("QuantizeLinear", "x", scale, name="q")
    assert refused(file, y) == (
        "node 'q' (QuantizeLinear): scale 'squeeze1' is computed from data: quantize "
        "statically (onnxruntime.quantization.quantize_static)"
    )


def test_scales_in_half_precision(onnx_file):
    file = onnx_file(1, 1)
    scale = file.constant(0.5, "f2")
    w = file.node("DequantizeLinear", file.constant([1], "i1"), scale, name="dq")
    assert refused(file, w) == (
        "node 'dq' (DequantizeLinear): scale 'constant0' is float16, so that values "
        "would be rounded to it: export with float32 scales"
    )


def test_small_floats(onnx_file):
    file = onnx_file(1, 1)
    y = file.pair("x", 1.0, 0, int(TensorProto.FLOAT8E4M3FN), name="q")
    assert refused(file, y) == (
        "node 'q' (QuantizeLinear): quantizes to float8e4m3fn, expected one of int4, "
        "uint4, int8, uint8, int16, uint16, int32: export with integers"
    )


def test_scales_that_fit_no_axis(onnx_file):
    file = onnx_file(1, 4)
    w = file.weights(np.ones((4, 2)), [1, 1, 1], axis=0, name="dq")
    assert refused(file, w) == (
        "node 'dq' (DequantizeLinear): 3 scales along axis 0 of a constant of shape "
        "[4, 2]: export it again"
    )
