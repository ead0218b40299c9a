"""Read a Keras, QKeras or HGQ2 file and write it as QONNX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import onnx

from hawq.errors import NetworkError
from hawq.frontend.keras import (
    activations,
    folded,
    hgq,
    hgq_norm,
    linear,
    moves,
    windows,
)
from hawq.frontend.keras.archive import Archive, read_archive
from hawq.frontend.keras.layer import Layer
from hawq.frontend.keras.topology import Call, Key, read_layers, read_topology
from hawq.frontend.keras.writer import Writer

Write = Callable[[Writer, Layer, Sequence[str]], str]

_PLAIN: dict[str, Write] = {
    "Activation": activations.write_activation,
    "Add": moves.write_merge,
    "BatchNormalization": linear.write_batch_norm,
    "Concatenate": moves.write_concatenate,
    "Conv1D": linear.write_conv,
    "Conv2D": linear.write_conv,
    "Dense": linear.write_dense,
    "DepthwiseConv1D": linear.write_depthwise,
    "DepthwiseConv2D": linear.write_depthwise,
    "Dropout": moves.write_nothing,
    "Flatten": moves.write_flatten,
    "LeakyReLU": activations.write_leaky_relu,
    "Multiply": moves.write_merge,
    "Permute": moves.write_permute,
    "ReLU": activations.write_relu,
    "Reshape": moves.write_reshape,
    "SeparableConv1D": linear.write_separable,
    "SeparableConv2D": linear.write_separable,
    "Softmax": activations.write_softmax,
    "Subtract": moves.write_merge,
    **{
        f"{name}{rank}D": write
        for rank in (1, 2)
        for name, write in {
            "AveragePooling": windows.write_pool,
            "GlobalAveragePooling": windows.write_global_pool,
            "GlobalMaxPooling": windows.write_global_pool,
            "MaxPooling": windows.write_pool,
            "SpatialDropout": moves.write_nothing,
            "UpSampling": moves.write_upsampling,
            "ZeroPadding": moves.write_zero_padding,
        }.items()
    },
}
LAYERS: dict[str, Write] = {
    **_PLAIN,
    "QActivation": activations.write_activation,
    "QAveragePooling2D": windows.write_pool,
    "QBatchNormalization": linear.write_batch_norm,
    "QConv1D": linear.write_conv,
    "QConv2D": linear.write_conv,
    "QConv2DBatchnorm": folded.write_folded,
    "QDense": linear.write_dense,
    "QDepthwiseConv2D": linear.write_depthwise,
    "QDepthwiseConv2DBatchnorm": folded.write_folded,
    "QGlobalAveragePooling2D": windows.write_global_pool,
    "QSeparableConv1D": linear.write_separable,
    "QSeparableConv2D": linear.write_separable,
}
"""Class of a layer → what writes it."""

REMEDIES = {
    "Lambda": "it holds code, which is never run: use layers",
    "TFOpLambda": "use layers (Add, Multiply, ...) in place of operators on tensors",
    "SlicingOpLambda": "use layers in place of slices of tensors",
    "QAdaptiveActivation": "its range moves with the data: use QActivation",
    "QDenseBatchnorm": "use QDense and QBatchNormalization",
    "Functional": "a model inside a model: call its layers one by one",
    "Model": "a model inside a model: call its layers one by one",
    "Sequential": "a model inside a model: add its layers one by one",
    "LayerNormalization": "use BatchNormalization",
    "Conv2DTranspose": "use UpSampling2D and Conv2D",
    "QConv2DTranspose": "use UpSampling2D and QConv2D",
}
"""Class of a layer that is not carried → what the user can do instead."""

HGQ_LAYERS: dict[str, Write] = {
    "QBatchNormDense": hgq_norm.write_dense,
    "QBatchNormalization": hgq_norm.write_batch_norm,
    "QConv1D": hgq.write_conv,
    "QConv2D": hgq.write_conv,
    "QDense": hgq.write_dense,
    "Quantizer": hgq.write_quantizer,
}
"""Class of a layer of HGQ2 → what writes it."""

_PACKAGES = ("keras", "tf_keras", "qkeras")


def read_keras(path: Path) -> onnx.ModelProto:
    """Read a model that Keras 2, Keras 3, tf-keras, QKeras or HGQ2 saved.

    Only the configuration and the arrays are read; nothing is executed and Keras is not
    needed. Tensors keep Keras's names and order of axes.

    Args:
        path: A ``.h5`` or ``.keras`` file of a whole model, Sequential or Functional.

    Returns:
        A QONNX model with batch size 1 in which each quantizer is a node.

    Raises:
        NetworkError: if the file is damaged, or holds what cannot be carried; the
            message names the layer.
    """
    archive = read_archive(path)
    try:
        return write_archive(archive)
    except NetworkError as error:
        raise NetworkError(f"{path}: {error}") from error


def write_archive(archive: Archive) -> onnx.ModelProto:
    """Write the model of a file that is read; see ``read_keras``.

    Args:
        archive: The file.

    Returns:
        The model.

    Raises:
        NetworkError: if it holds what cannot be carried.
    """
    layers = read_layers(archive)
    for layer in layers:
        _require_carried(layer)
    try:
        topology = read_topology(archive, layers)
    except RecursionError as error:
        raise NetworkError(
            "its configuration is nested too deeply: the file is damaged"
        ) from error
    out, names = Writer(), {}
    for key, shape in topology.inputs.items():
        names[key] = key[0]
        out.shapes[key[0]] = shape
    for call in topology.calls:
        names[call.key] = _write(out, call, names)
    outputs = [names[key] for key in topology.outputs]
    inputs = [key[0] for key in topology.inputs]
    _require_results(inputs, outputs)
    model = out.model(str(archive.config["config"].get("name")), inputs, outputs)
    _require_last_softmax(model)
    return model


def _require_carried(layer: Layer) -> None:
    if layer.kind == "InputLayer":
        return
    package = layer.module.split(".")[0]
    if package == "hgq":
        if layer.kind not in HGQ_LAYERS:
            raise layer.refuse(
                "this layer of HGQ2 is not carried (carried: "
                f"{', '.join(HGQ_LAYERS)}, and layers of Keras): replace it, or give "
                "the model to alkaid or hls4ml directly"
            )
        return
    if package not in ("", *_PACKAGES):
        raise layer.refuse(
            f"its class is of {layer.module!r}, expected one of "
            f"{', '.join(_PACKAGES)}: what it does is not in the file, replace it by "
            "their layers"
        )
    if layer.kind not in LAYERS:
        carried = ", ".join(sorted(LAYERS))
        remedy = REMEDIES.get(layer.kind, "replace it by layers of this list")
        raise layer.refuse(f"this layer is not carried (carried: {carried}): {remedy}")


def _write(out: Writer, call: Call, names: dict[Key, str]) -> str:
    layer = call.layer
    out.prefix = layer.name if call.index == 0 else f"{layer.name}_{call.index}"
    xs = [
        names[o] if isinstance(o, tuple) else out.constant("number", o)
        for o in call.operands
    ]
    if not any(x in out.shapes for x in xs):
        raise layer.refuse("it reads no tensor: the file is damaged, save it again")
    if len(xs) > 1 and layer.kind not in ("Add", "Subtract", "Multiply", "Concatenate"):
        raise layer.refuse(f"it reads {len(xs)} tensors, expected 1: save it again")
    if layer.kind == "Concatenate" and not all(x in out.shapes for x in xs):
        raise layer.refuse("it joins a number, expected tensors: save it again")
    layers = HGQ_LAYERS if layer.module.split(".")[0] == "hgq" else LAYERS
    result = layers[layer.kind](out, layer, xs)
    if result in xs:
        return result
    out.rename(result, out.prefix)
    return out.prefix


def _require_results(inputs: list[str], outputs: list[str]) -> None:
    if not inputs or not outputs or len({*inputs, *outputs}) < len(inputs + outputs):
        raise NetworkError(
            f"the model has inputs {inputs} and outputs {outputs}, expected different "
            "tensors, at least one of each: build it again"
        )


def _require_last_softmax(model: onnx.ModelProto) -> None:
    read = {name for node in model.graph.node for name in node.input}
    for node in model.graph.node:
        if node.op_type == "Softmax" and node.output[0] in read:
            raise NetworkError(
                f"layer {node.name!r}: a softmax inside the network is not "
                "carried: use it at the end only, where it is left to the host"
            )
