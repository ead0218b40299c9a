"""Operator → the function that lowers it, and what to do about those without one.

Source: the ONNX operator specification, and QONNX's of its own operators.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from onnx import TensorProto

from hawq.integer.operation import CHANNELS_LAST, Lowering, Operation, read_tensor
from hawq.integer.operators import (
    activations,
    affine,
    linear,
    movement,
    quantizers,
    selection,
    smooth,
    windows,
)

Lower = Callable[[Lowering, Operation], None]

STANDARD_DOMAINS = ("", "ai.onnx")
QUANT_DOMAINS = (
    "qonnx.custom_op.general",
    "onnx.brevitas",
    "finn.custom_op.general",
)
"""Domains in which ``Quant`` means what QONNX says."""


def _lower_constant(state: Lowering, op: Operation) -> None:
    value = op.attributes.get("value")
    if not isinstance(value, TensorProto):
        raise op.refuse(
            f"attribute {next(iter(op.attributes), 'none')!r}, expected a tensor "
            "'value': fold constants first (qonnx-cleanup)"
        )
    state.values[op.output] = read_tensor(value, op.label)


STANDARD: dict[str, Lower] = {
    "Add": affine.lower_add,
    "ArgMax": activations.lower_argmax,
    "AveragePool": windows.lower_average_pool,
    "BatchNormalization": affine.lower_batch_norm,
    "Cast": movement.lower_cast,
    "Clip": activations.lower_clip,
    "Concat": selection.lower_concat,
    "Constant": _lower_constant,
    "Conv": linear.lower_conv,
    "DepthToSpace": selection.lower_depth_to_space,
    "Div": affine.lower_div,
    "Dropout": movement.lower_identity,
    "Flatten": movement.lower_flatten,
    "Gather": selection.lower_gather,
    "Gemm": linear.lower_gemm,
    "GlobalAveragePool": windows.lower_global_pool,
    "GlobalMaxPool": windows.lower_global_max_pool,
    "Identity": movement.lower_identity,
    "LeakyRelu": activations.lower_leaky_relu,
    "MatMul": linear.lower_matmul,
    "MaxPool": windows.lower_max_pool,
    "Mul": affine.lower_mul,
    "Neg": affine.lower_neg,
    "PRelu": activations.lower_prelu,
    "Pad": selection.lower_pad,
    "ReduceMean": windows.lower_reduce_mean,
    "Relu": activations.lower_relu,
    "Reshape": movement.lower_reshape,
    "Resize": selection.lower_upsample,
    "Shape": movement.lower_shape,
    "Sigmoid": partial(smooth.lower_smooth, function="Sigmoid"),
    "Slice": selection.lower_slice,
    "SpaceToDepth": selection.lower_space_to_depth,
    "Split": selection.lower_split,
    "Squeeze": movement.lower_squeeze,
    "Sub": affine.lower_sub,
    "Tanh": partial(smooth.lower_smooth, function="Tanh"),
    "TopK": activations.lower_top_k,
    "Transpose": movement.lower_transpose,
    "Unsqueeze": movement.lower_unsqueeze,
    "Upsample": selection.lower_upsample,
}
"""Of the ONNX domain."""

QUANTIZERS: dict[str, Lower] = {
    "BipolarQuant": quantizers.lower_bipolar,
    "IntQuant": quantizers.lower_quant,
    "MultiThreshold": quantizers.lower_multi_threshold,
    "Quant": quantizers.lower_quant,
    "Trunc": quantizers.lower_trunc,
}
"""Of the QONNX domains."""

OPERATORS: dict[str, Lower] = {
    **{
        (f"{d}::{name}" if d else name): f
        for name, f in STANDARD.items()
        for d in STANDARD_DOMAINS
    },
    **{f"{d}::{name}": f for name, f in QUANTIZERS.items() for d in QUANT_DOMAINS},
    **{
        f"{CHANNELS_LAST}::{name}": STANDARD[name]
        for name in ("AveragePool", "BatchNormalization", "Conv", "MaxPool")
    },
}
"""``domain::operator``, the domain left out if empty → the function that lowers it."""

REMEDIES = {
    "ConvTranspose": "use Resize (nearest) and a Conv",
    "DequantizeLinear": "read the file with hawq.frontend, which rewrites it as Quant",
    "Gelu": "train with Relu, or put a Quant behind a Sigmoid or Tanh",
    "GRU": "unroll it, or use a network without loops",
    "HardSigmoid": "write it as Mul, Add and Clip",
    "LSTM": "unroll it, or use a network without loops",
    "LayerNormalization": "train with batch norm",
    "QuantizeLinear": "read the file with hawq.frontend, which rewrites it as Quant",
    "Softmax": "only at the network's end, where it is left to the host",
}
"""Operator that is not carried → what the user can do instead."""
