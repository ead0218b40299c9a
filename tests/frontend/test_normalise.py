"""Files that onnxruntime and Brevitas write, and damaged ones."""

import contextlib
import warnings

import numpy as np
import onnx
import pytest
import torch
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from onnx import TensorProto, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
from qonnx.util.cleanup import cleanup_model

from hawq.errors import HawqError
from hawq.frontend.normalise import normalise
from hawq.frontend.safety import load_onnx, sound_model

RANDOM = np.random.default_rng(0)


def real(file, *shape):
    return file.constant(RANDOM.normal(size=shape) / np.sqrt(np.prod(shape[1:])))


def dense(file):
    hidden = file.node("Gemm", "x", real(file, 16, 6), real(file, 16), transB=1)
    y = file.node("MatMul", file.node("Relu", hidden), real(file, 16, 5))
    return file.node("Add", y, real(file, 5), output="y")


def residual(file):
    a = file.node("Conv", "x", real(file, 4, 2, 3, 3), real(file, 4), pads=[1] * 4)
    b = file.node("Relu", a)
    c = file.node("Conv", b, real(file, 4, 4, 3, 3), real(file, 4), pads=[1] * 4)
    joined = file.node("Concat", file.node("Add", b, c), b, axis=1)
    pooled = file.node("MaxPool", joined, kernel_shape=[2, 2], strides=[2, 2])
    flat = file.node("Flatten", file.node("GlobalAveragePool", pooled))
    return file.node("Gemm", flat, real(file, 8, 3), real(file, 3), output="y")


NETWORKS = {"dense": (dense, (1, 6)), "residual": (residual, (1, 2, 8, 8))}


def samples(shape, count=20):
    return RANDOM.normal(size=(count, *shape)).astype("f4")


class Calibration(CalibrationDataReader):
    def __init__(self, shape):
        self.samples = iter([{"x": x} for x in samples(shape)])

    def get_next(self):
        return next(self.samples, None)


@pytest.fixture(scope="module", params=NETWORKS)
def float_file(request, onnx_file, tmp_path_factory):
    build, shape = NETWORKS[request.param]
    file = onnx_file(*shape)
    path = tmp_path_factory.mktemp("float") / "network.onnx"
    onnx.save(file.model(build(file)), path)
    return path, shape


def powers_of_two(model):
    """Round all scales, so that float32 computes exactly."""
    for tensor in model.graph.initializer:
        if "scale" in tensor.name:
            scale = np.exp2(np.rint(np.log2(numpy_helper.to_array(tensor))))
            tensor.CopyFrom(numpy_helper.from_array(scale, tensor.name))
    return model


def quantizers(model):
    """The integer tensors of a file: name → scale, zero point, name of the values."""
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    values = {n.input[0]: n.output[0] for n in model.graph.node if "Dequ" in n.op_type}
    found = {}
    for node in model.graph.node:
        name = node.output[0]
        at = {"QuantizeLinear": -2, "QLinearConcat": 0}.get(node.op_type)
        if at is None and node.op_type[:2] in ("QL", "QG"):
            at = 6 if node.op_type in ("QLinearConv", "QLinearMatMul") else -2
        if at is not None:
            scale, point = (constants[name] for name in list(node.input)[at:][:2])
            found[name] = scale, point, values.get(name, name)
    return found


@pytest.mark.parametrize("form", list(QuantFormat))
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("activations", [QuantType.QInt8, QuantType.QUInt8])
@pytest.mark.parametrize("rounded", [False, True])
def test_networks_that_onnxruntime_quantized(
    form, per_channel, activations, rounded, float_file, tmp_path, original, rewritten
):
    """hls4ml#1197: every integer, and every value if scales are powers."""
    path, shape = float_file
    quantize_static(
        path,
        tmp_path / "quantized.onnx",
        Calibration(shape),
        quant_format=form,
        per_channel=per_channel,
        activation_type=activations,
        reduce_range=True,  # else older x86 saturates sums of two products
    )
    model = load_onnx(tmp_path / "quantized.onnx")
    model = powers_of_two(model) if rounded else model
    made = normalise(model)
    assert not {n.op_type for n in made.graph.node if "Linear" in n.op_type}
    tensors = quantizers(model)
    assert len(tensors) > 3
    for x in samples(shape, 5):
        before, after = original(model, x, [*tensors, "y"]), rewritten(made, x)
        for name, (scale, point, values) in tensors.items():
            integers = np.rint(after[values] / scale) + point
            assert_array_equal(integers, before[name], err_msg=name)
        if rounded:
            assert_array_equal(after["y"], before["y"])


def brevitas_network(bits, *, is_exact):
    import brevitas.nn as qnn
    from brevitas.quant import (
        Int8ActPerTensorFixedPoint,
        Int8ActPerTensorFloat,
        Int8WeightPerChannelFloat,
        Int8WeightPerTensorFixedPoint,
        Int32Bias,
        Uint8ActPerTensorFixedPoint,
        Uint8ActPerTensorFloat,
    )

    data, weights, positive = (
        (
            Int8ActPerTensorFixedPoint,
            Int8WeightPerTensorFixedPoint,
            Uint8ActPerTensorFixedPoint,
        )
        if is_exact
        else (Int8ActPerTensorFloat, Int8WeightPerChannelFloat, Uint8ActPerTensorFloat)
    )
    layer = {"weight_quant": weights, "weight_bit_width": bits, "bias_quant": Int32Bias}
    torch.manual_seed(0)
    return torch.nn.Sequential(
        qnn.QuantIdentity(act_quant=data, bit_width=bits, return_quant_tensor=True),
        qnn.QuantConv2d(2, 4, 3, bias=True, return_quant_tensor=True, **layer),
        qnn.QuantReLU(act_quant=positive, bit_width=bits, return_quant_tensor=True),
        torch.nn.Flatten(),
        qnn.QuantLinear(4 * 36, 5, bias=True, return_quant_tensor=True, **layer),
        qnn.QuantIdentity(act_quant=data, bit_width=bits),
    )


@pytest.mark.parametrize(
    ("bits", "is_exact"), [(2, False), (4, False), (4, True), (8, True)]
)
def test_networks_of_brevitas(bits, is_exact, tmp_path, original, rewritten):
    """hls4ml#1197, brevitas#515: Clip between, weights behind it, 32-bit bias."""
    shape = (1, 2, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Brevitas and of PyTorch
        from brevitas.export import export_onnx_qcdq

        network = brevitas_network(bits, is_exact=is_exact)
        for x in samples(shape):
            network(torch.from_numpy(x))
        network.eval()
        export_onnx_qcdq(network, torch.zeros(shape), tmp_path / "n.onnx", dynamo=False)
    model = load_onnx(tmp_path / "n.onnx")
    made = normalise(model)
    assert {n.op_type for n in made.graph.node} <= {
        "Quant",
        "Conv",
        "Relu",
        "Flatten",
        "Gemm",
    }
    constants = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
    quants = [n for n in made.graph.node if n.op_type == "Quant"]
    widths = sorted(constants[n.input[3]].item() for n in quants)
    assert widths == [bits] * 5 + [32] * 2
    data = {n.output[0]: n.input[1] for n in quants if n.input[0] not in constants}
    for x in samples(shape):
        before, after = original(model, x, [*data]), rewritten(made, x)
        for name, scale in data.items():
            step = constants[scale]
            integers = np.rint(after[name] / step)
            assert_array_equal(integers, np.rint(before[name] / step), err_msg=name)
            assert not is_exact or (after[name] == before[name]).all()


class Eager(torch.nn.Module):
    """A network for PyTorch's own quantization."""

    def __init__(self):
        super().__init__()
        self.quantize = torch.ao.quantization.QuantStub()
        self.conv, self.relu = torch.nn.Conv2d(2, 4, 3), torch.nn.ReLU()
        self.pool, self.flatten = torch.nn.MaxPool2d(2), torch.nn.Flatten()
        self.dense = torch.nn.Linear(36, 5)
        self.dequantize = torch.ao.quantization.DeQuantStub()

    def forward(self, x):
        x = self.pool(self.relu(self.conv(self.quantize(x))))
        return self.dequantize(self.dense(self.flatten(x)))


def test_networks_that_pytorch_quantized(tmp_path, monkeypatch, original, rewritten):
    """hls4ml#1197: casts between the two, scales and zero points computed by nodes."""
    shape = (1, 2, 8, 8)
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch: "will be removed"
        network = Eager().eval()
        network.qconfig = torch.ao.quantization.default_qconfig
        monkeypatch.setattr(torch.backends.quantized, "engine", "qnnpack")
        network = torch.ao.quantization.prepare(network)
        for x in samples(shape):
            network(torch.from_numpy(x))
        network = torch.ao.quantization.convert(network)
        path = tmp_path / "network.onnx"
        torch.onnx.export(
            network, (torch.zeros(shape),), path, dynamo=False, input_names=["x"]
        )
    model = load_onnx(path)
    made = normalise(model)
    last = made.graph.output[0].name
    scale = model.graph.node[-1].input[1]
    for x in samples(shape):
        before, after = original(model, x, [scale]), rewritten(made, x)
        step = before[scale]
        integers = np.rint(after[last] / step)
        assert len(np.unique(integers)) > 2
        assert_array_equal(integers, np.rint(before[last] / step))


def test_qonnx_turns_the_result_to_channels_last(onnx_file, rewritten):
    """qonnx#32, finn#993: biases of one axis, and no assumption on layout or opset."""
    file = onnx_file(1, 2, 6, 6)
    w = file.weights(np.arange(-27, 27).reshape(3, 2, 3, 3), [0.5, 1, 2], axis=0)
    b = file.weights([100, -200, 300], [0.25, 0.5, 1], "i4", axis=0)
    whole = {"strides": [1, 1], "pads": [0] * 4}  # qonnx wants every attribute
    sizes = {"kernel_shape": [3, 3], "dilations": [1, 1], "group": 1, **whole}
    conv = file.node("Conv", file.pair("x", 0.5, 5), w, b, **sizes)
    pooled = file.node("MaxPool", file.pair(conv, 64.0), kernel_shape=[2, 2], **whole)
    flat = file.node("Flatten", pooled)
    y = file.node("Gemm", flat, file.weights(np.ones((4, 27)), 0.5), transB=1)
    made = normalise(sound_model(file.model(y)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of qonnx
        turned = cleanup_model(ModelWrapper(made, make_deepcopy=True))
        turned = turned.transform(ConvertToChannelsLastAndClean())
    x = RANDOM.integers(-99, 99, (1, 2, 6, 6)).astype("f4") / 4
    after = rewritten(turned.model, x)
    assert_array_equal(after[turned.graph.output[0].name], rewritten(made, x)[y])


# --- the rest ------------------------------------------------------------------------


def test_other_networks_stay_but_for_what_nothing_reads(onnx_file):
    file = onnx_file(1, 4)
    parameters = [file.constant(v) for v in (0.5, 0.0, 8.0)]
    file.constant([1.0, 2.0], name="unused")
    y = file.node(
        "Quant",
        "x",
        *parameters,
        signed=1,
        narrow=0,
        rounding_mode="FLOOR",
        domain="qonnx.custom_op.general",
    )
    file.node("Neg", y, output="dead")
    model = file.model(y, domains=[], shape=(1, 4))
    before = model.SerializeToString()
    made = normalise(model)
    assert model.SerializeToString() == before
    assert [t.name for t in made.graph.initializer] == parameters
    assert list(made.graph.node) == list(model.graph.node[:1])
    assert [(o.domain, o.version) for o in made.opset_import] == [
        ("", 13),
        ("qonnx.custom_op.general", 1),
    ]


def test_the_kind_is_found_by_the_operators(onnx_file):
    file = onnx_file(1, 4)
    parameters = file.parameters(0.5, 3, "u1")
    q = file.node("QuantizeLinear", "x", *parameters)
    w = [file.constant(np.ones((4, 2)), "i1"), *file.parameters(0.25, 0)]
    y = file.node("QLinearMatMul", q, *parameters, *w, *parameters)
    made = normalise(file.model(y, dtype=TensorProto.UINT8))
    assert {node.op_type for node in made.graph.node} == {"Quant", "MatMul"}


@pytest.fixture(scope="module")
def small_files(onnx_file):
    qdq = onnx_file(1, 2)
    w = qdq.weights([[1, 2], [3, 4]], [0.5, 0.25], axis=1)
    bounds = [qdq.constant(b, "i1") for b in (-8, 7)]
    parameters = qdq.parameters(0.5, 0)
    q = qdq.node("Clip", qdq.node("QuantizeLinear", "x", *parameters), *bounds)
    y = qdq.node("MatMul", qdq.node("DequantizeLinear", q, *parameters), w)
    integers = onnx_file(1, 2)
    p = integers.parameters(0.5, 3, "u1")
    q = integers.node("QuantizeLinear", "x", *p)
    w = [integers.constant([[1, 2], [3, 4]], "i1"), *integers.parameters(0.25, 0)]
    z = integers.node("QGemm", q, *p, *w, "", *p, domain="com.microsoft", alpha=1.0)
    z = integers.node("QLinearAdd", z, *p, z, *p, *p, domain="com.microsoft")
    z = integers.node("DequantizeLinear", integers.node("Flatten", z, axis=1), *p)
    files = (qdq.model(y), integers.model(z, shape=(1, 2)))
    return [file.SerializeToString() for file in files]


@settings(max_examples=500)
@given(data=st.data())
def test_damaged_files_are_refused_or_read(data, small_files):
    damaged = bytearray(data.draw(st.sampled_from(small_files)))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(HawqError, DecodeError):
        normalise(sound_model(onnx.ModelProto.FromString(bytes(damaged))))


def test_inputs_that_are_missing(onnx_file):
    file = onnx_file(1, 2)
    file.node("QuantizeLinear", "x", output="y", name="q")
    with pytest.raises(
        HawqError,
        match=r"^node 'q' \(QuantizeLinear\): input 1 is absent: the file is damaged, "
        r"export it again$",
    ):
        normalise(file.model("y", shape=(1, 2)))
