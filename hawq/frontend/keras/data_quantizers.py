"""QKeras quantizers as nodes on data.

Source: the behaviour of qkeras 0.9.0 in inference, found by experiment.
"""

from __future__ import annotations

import math

import numpy as np

from hawq.frontend.keras.quantizers import Quantizer, fixed_step, ternary_threshold
from hawq.frontend.keras.writer import QUANT, Writer


def write_quantizer(out: Writer, quantizer: Quantizer, x: str) -> str:
    """Quantize data.

    Args:
        out: The graph.
        quantizer: How.
        x: Name of the tensor.

    Returns:
        Name of the quantized tensor.

    Raises:
        NetworkError: if it cannot be carried on data.
    """
    if "alpha" in quantizer.settings and isinstance(quantizer.alpha, str):
        raise quantizer.refuse(
            f"alpha={quantizer.alpha!r} makes a scale of each batch of data: give "
            "alpha a number"
        )
    if quantizer.kind not in _ON_DATA:
        raise quantizer.refuse(
            "powers of two are carried for weights only: use quantized_bits or "
            "quantized_relu on data"
        )
    return _ON_DATA[quantizer.kind](out, quantizer, x)


def _write_bits(out: Writer, q: Quantizer, x: str) -> str:
    alpha = np.asarray(q.alpha)
    is_signed, step = q.flag("keep_negative"), fixed_step(q)
    if q.bits == 1 and is_signed:
        return out.quant(x, alpha * np.float32(step), 1)
    scale = alpha * np.float32(step) if q.kind == "quantized_linear" else step
    is_narrow = is_signed and q.flag("symmetric")
    y = out.quant(x, scale, q.bits, is_signed=is_signed, is_narrow=is_narrow)
    if q.kind == "quantized_linear" or (alpha == 1).all():
        return y
    return out.add("Mul", [y, out.constant("alpha", alpha)], out.shapes[x])


def _write_relu(out: Writer, q: Quantizer, x: str) -> str:
    slope, bound = q.number("negative_slope") or 0.0, q.number("relu_upper_bound")
    is_signed = slope != 0.0
    if slope < 0 or (is_signed and math.frexp(slope)[0] != 0.5):
        raise q.refuse(f"negative_slope is {slope}, expected a power of two")
    if is_signed and q.bits == 1:
        raise q.refuse("one bit holds no negative values: use 2 bits or more")
    step = 2.0 ** (q.whole("integer") - q.bits + is_signed)
    if q.flag("use_sigmoid"):
        return _write_centred_relu(out, q, x, step, is_signed)
    if is_signed:
        x = out.add("LeakyRelu", [x], out.shapes[x], alpha=slope)
    y = out.quant(x, step, q.bits, is_signed=is_signed)
    low = -slope * 2.0 ** q.whole("integer") if is_signed else 0.0
    limits = bound if bound and not q.flag("is_quantized_clip") else None
    if limits is None and (not is_signed or slope == 1):
        return y
    return out.clip(y, low, limits)


def _write_centred_relu(
    out: Writer, q: Quantizer, x: str, step: float, is_signed: bool
) -> str:
    """With ``use_sigmoid``, steps are twice as wide, but for the last one."""
    if is_signed or q.bits == 1:
        raise q.refuse(
            "use_sigmoid with one bit or a negative slope is not carried: leave it out"
        )
    y = out.quant(x, 2 * step, q.bits, is_signed=False)
    return out.clip(y, None, 2.0 ** q.whole("integer") - step)


def _write_tanh(out: Writer, q: Quantizer, x: str) -> str:
    """Without ``use_real_tanh``, QKeras's tanh is the identity between -1 and 1."""
    if q.bits == 1:
        raise q.refuse("one bit gives -1 and 0 only: use 2 bits or more")
    if q.flag("use_real_tanh"):
        x = out.add("Tanh", [x], out.shapes[x])
    return out.quant(x, 2.0 ** (1 - q.bits), q.bits, is_narrow=q.flag("symmetric"))


def _write_sigmoid(out: Writer, q: Quantizer, x: str) -> str:
    """Without ``use_real_sigmoid``, QKeras's sigmoid is ``x/2 + 1/2``, clipped."""
    shape, step = out.shapes[x], 2.0**-q.bits
    if q.flag("use_real_sigmoid"):
        x = out.add("Sigmoid", [x], shape)
    else:
        x = out.add("Mul", [x, out.constant("half", 0.5)], shape)
        x = out.add("Add", [x, out.constant("half", 0.5)], shape)
    y = out.quant(x, step, q.bits, is_signed=False)
    return out.clip(y, step, None) if q.flag("symmetric") else y


def _write_binary(out: Writer, q: Quantizer, x: str) -> str:
    alpha = np.asarray(q.alpha)
    if not q.flag("use_01"):
        return out.quant(x, alpha, 1)
    half = alpha / np.float32(2)
    y = out.quant(x, half, 1)
    return out.add("Add", [y, out.constant("half", half)], out.shapes[x])


def _write_ternary(out: Writer, q: Quantizer, x: str) -> str:
    alpha, threshold = np.asarray(q.alpha), ternary_threshold(q)
    if alpha.size != 1:
        raise q.refuse("alpha is a list, expected one number on data")
    # Minus the threshold itself gives -1: the lower step lies just above it.
    above = np.nextafter(np.float32(-threshold), np.float32(1))
    steps = out.constant("thresholds", [[above, threshold]])
    shape = out.shapes[x]
    return out.add(
        "MultiThreshold",
        [x, steps],
        shape,
        domain=QUANT,
        out_scale=alpha.item(),
        out_bias=-alpha.item(),
        out_dtype="FLOAT32",
        data_layout={1: "NC", 2: "NWC", 3: "NHWC"}[len(shape)],
    )


_ON_DATA = {
    "quantized_bits": _write_bits,
    "quantized_linear": _write_bits,
    "quantized_relu": _write_relu,
    "quantized_tanh": _write_tanh,
    "quantized_sigmoid": _write_sigmoid,
    "binary": _write_binary,
    "ternary": _write_ternary,
}
