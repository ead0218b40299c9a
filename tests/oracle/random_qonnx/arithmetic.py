"""Operators that compute: each takes a builder and data, and gives new data."""

from __future__ import annotations

import math

import numpy as np
from network_file import CHANNELS_LAST, DOMAIN, MODES
from onnx import helper
from random_qonnx.builder import Builder, Data


def matmul(b: Builder, x: Data) -> Data:
    outputs = b.choose.integer(1, 4)
    weights = b.weights(x.shape[-1], outputs, axis=1)
    y = b.file.node("MatMul", x.name, weights)
    return Data(y, (*x.shape[:-1], outputs), _sum(x, x.shape[-1]))


def constant_first(b: Builder, x: Data) -> Data:
    outputs = b.choose.integer(1, 4)
    weights = b.weights(outputs, x.shape[-2], axis=0)
    y = b.file.node("MatMul", weights, x.name)
    return Data(y, (*x.shape[:-2], outputs, x.shape[-1]), _sum(x, x.shape[-2]))


def gemm(b: Builder, x: Data) -> Data:
    inputs, outputs = x.shape[0], b.choose.integer(1, 4)
    turned = b.choose.integer(0, 1)
    sizes = (outputs, inputs) if turned else (inputs, outputs)
    weights = b.weights(*sizes, axis=1 - turned)
    factors = {"alpha": -0.75, "beta": 0.3} if b.choose.chance(20) else {}
    bias = _bias(b, b.choose.pick(((outputs,), (1,), (), (1, outputs))), x)
    y = b.file.node("Gemm", x.name, weights, *bias, transB=turned, **factors)
    return Data(y, (outputs,), _sum(x, inputs))


def _bias(b: Builder, shape: tuple[int, ...], x: Data) -> list[str]:
    match b.choose.integer(0, 2):
        case 0:
            return []
        case 1:
            return [b.plain(shape, x.reach)]
        case _:
            bits = b.choose.integer(2, 12)
            scale = b.scale(x.reach * 4.0 / 2.0**bits)
            values = b.real(*shape) * x.reach
            return [b.file.weights(values, scale, bits, **b.attributes(bits))]


def _sum(x: Data, terms: int) -> float:
    return x.reach * math.sqrt(terms)


def conv(b: Builder, x: Data) -> Data:
    last = b.choose.chance(20)
    channels, spatial = _layout(x, last)
    groups = b.choose.pick([g for g in (1, 1, 1, channels) if channels % g == 0])
    outputs = groups * b.choose.integer(1, 3 if groups == 1 else 2)
    kernel = tuple(b.choose.integer(1, min(3, n)) for n in spatial)
    given = _window(b, spatial, kernel, pooling=False)
    sizes = (outputs, channels // groups, *kernel)
    if last:
        sizes = (outputs, *kernel, channels // groups)
    weights, bias = b.weights(*sizes, axis=0), _bias(b, (outputs,), x)
    domain = {"domain": CHANNELS_LAST} if last else {}
    names = (x.name, weights, *bias)
    y = b.file.node(
        "Conv", *names, group=groups, kernel_shape=kernel, **given, **domain
    )
    return _windowed(x, y, given, kernel, outputs, last, math.prod(sizes[1:]) ** 0.5)


def _layout(x: Data, last: bool) -> tuple[int, tuple[int, ...]]:
    return (x.shape[-1], x.shape[:-1]) if last else (x.shape[0], x.shape[1:])


def _window(
    b: Builder, spatial: tuple[int, ...], kernel: tuple[int, ...], *, pooling: bool
) -> dict:
    """Choose strides, dilations and pads under which at least one window fits."""
    rank, pick = len(spatial), b.choose.integer
    dilations = [
        pick(1, 2) if 2 * (k - 1) + 1 <= n else 1
        for n, k in zip(spatial, kernel, strict=True)
    ]
    given = {"strides": [pick(1, 2) for _ in range(rank)], "dilations": dilations}
    match pick(0, 3):
        case 0:
            given["auto_pad"] = b.choose.pick(("SAME_UPPER", "SAME_LOWER", "VALID"))
        case 1:
            most = [
                (k - 1) * d if pooling else 2
                for k, d in zip(kernel, dilations, strict=True)
            ]
            given["pads"] = [pick(0, m) for m in most * 2]
    return given


def _windowed(
    x: Data,
    name: str,
    given: dict,
    kernel: tuple[int, ...],
    channels: int,
    last: bool,
    growth: float,
) -> Data:
    _, spatial = _layout(x, last)
    rank = len(kernel)
    pads = given.get("pads", [0] * (2 * rank))
    same = str(given.get("auto_pad", "")).startswith("SAME")
    sizes = []
    for i, (n, k) in enumerate(zip(spatial, kernel, strict=True)):
        stride, span = given["strides"][i], (k - 1) * given["dilations"][i] + 1
        room = n + pads[i] + pads[i + rank] - span
        rounded = -(-room // stride) if given.get("ceil_mode") else room // stride
        sizes.append(-(-n // stride) if same else rounded + 1)
    shape = (*sizes, channels) if last else (channels, *sizes)
    return Data(name, shape, x.reach * growth)


def max_pool(b: Builder, x: Data) -> Data:
    last = b.choose.chance(20)
    channels, spatial = _layout(x, last)
    kernel = tuple(b.choose.integer(1, min(3, n)) for n in spatial)
    given = _window(b, spatial, kernel, pooling=True)
    if (
        "auto_pad" not in given
        and b.choose.chance(30)
        and _ceil_fits(given, spatial, kernel)
    ):
        given["ceil_mode"] = 1
    domain = {"domain": CHANNELS_LAST} if last else {}
    y = b.file.node("MaxPool", x.name, kernel_shape=kernel, **given, **domain)
    return _windowed(x, y, given, kernel, channels, last, 1.0)


def _ceil_fits(given: dict, spatial: tuple[int, ...], kernel: tuple[int, ...]) -> bool:
    """Tell whether every window of ``ceil_mode`` sees more than padding."""
    rank = len(spatial)
    pads = given.get("pads", [0] * (2 * rank))
    for i, (n, k) in enumerate(zip(spatial, kernel, strict=True)):
        stride, reach = given["strides"][i], (k - 1) * given["dilations"][i]
        room = n + pads[i] + pads[i + rank] - reach - 1
        if pads[i + rank] + -room % stride > reach:
            return False
    return True


def average_pool(b: Builder, x: Data) -> Data:
    channels, spatial = _layout(x, last=False)
    kernel = tuple(b.choose.integer(1, min(3, n)) for n in spatial)
    given = _window(b, spatial, kernel, pooling=True)
    given["dilations"] = [1] * len(kernel)
    if "pads" in given:
        given["pads"] = [
            min(p, k - 1) for p, k in zip(given["pads"], kernel * 2, strict=True)
        ]
    rest = {k: v for k, v in given.items() if k != "dilations"}
    count = b.choose.integer(0, 1)
    y = b.file.node(
        "AveragePool", x.name, kernel_shape=kernel, count_include_pad=count, **rest
    )
    z = _windowed(x, y, given, kernel, channels, False, 1.0)
    return trunc(b, z) if b.choose.chance(30) else z


def global_pool(b: Builder, x: Data) -> Data:
    operator = b.choose.pick(("GlobalAveragePool", "GlobalMaxPool"))
    y = b.file.node(operator, x.name)
    return Data(y, (x.shape[0], *[1] * (len(x.shape) - 1)), x.reach)


def reduce_mean(b: Builder, x: Data) -> Data:
    rank = len(x.shape)
    if b.choose.chance(50):
        axes, shape = [*range(2, rank + 1)], (x.shape[0], *[1] * (rank - 1))
    else:
        axes, shape = [*range(1, rank)], (*[1] * (rank - 1), x.shape[-1])
    return Data(b.file.node("ReduceMean", x.name, axes=axes), shape, x.reach)


def trunc(b: Builder, x: Data) -> Data:
    """Drop bits of a tensor at a scale that need not be its own."""
    scale, mode = b.scale(x.reach / 64.0), b.choose.pick(MODES)
    drop = b.choose.integer(0, 3)
    zero = float(b.choose.integer(-2, 2)) if b.choose.chance(30) else 0.0
    if b.choose.chance(50):
        numbers = [scale, zero, 8.0, 8.0 - drop]
        given = {}
    else:
        numbers = [scale, zero * 2.0**drop, 8.0, scale * 2.0**drop, 8.0 - drop]
        given = {"signed": b.choose.integer(0, 1), "narrow": b.choose.integer(0, 1)}
    names = [b.file.constant(v) for v in numbers]
    y = b.file.node("Trunc", x.name, *names, rounding_mode=mode, domain=DOMAIN, **given)
    return Data(y, x.shape, x.reach)


def multi_threshold(b: Builder, x: Data) -> Data:
    full = len(x.shape) + 1
    channel = {2: 1, 3: 2, 4: 1}.get(full, 1) - 1
    layouts = {2: ("", "NC"), 3: ("", "NWC", "NCW"), 4: ("", "NCHW", "NHWC")}
    layout = b.choose.pick(layouts.get(full, ("",)))
    if layout:
        channel = layout.index("C") - 1
    rows = b.choose.pick((1, x.shape[channel]))
    count = b.choose.integer(1, 7)
    values = np.sort(b.real(rows, count) * x.reach / 2, axis=1)
    given = {"out_scale": b.scale(0.5), "out_bias": float(b.choose.integer(-4, 4)) / 2}
    y = b.file.node(
        "MultiThreshold",
        x.name,
        b.file.constant(values),
        data_layout=layout,
        domain=DOMAIN,
        **(given if b.choose.chance(60) else {}),
    )
    return Data(y, x.shape, float(count))


def batch_norm(b: Builder, x: Data) -> Data:
    last = len(x.shape) > 1 and b.choose.chance(20)
    channels = x.shape[-1] if last else x.shape[0]
    gamma, beta, mean = b.real(3, channels)
    variance = b.numbers.uniform(0.1, 4, channels)
    parts = [gamma, beta * x.reach, mean * x.reach, variance]
    names = [b.file.constant(v) for v in parts]
    given = {"domain": CHANNELS_LAST} if last else {}
    if b.choose.chance(50):
        given["epsilon"] = 1e-3
    y = b.file.node("BatchNormalization", x.name, *names, **given)
    return Data(y, x.shape, x.reach)


def affine(b: Builder, x: Data) -> Data:
    operator = b.choose.pick(("Add", "Sub", "Mul", "Div"))
    shape = b.broadcast(x.shape)
    if operator == "Div":
        values = b.numbers.choice([0.5, -2.0, 3.0, 0.3, 1.25], shape)
        return Data(
            b.file.node("Div", x.name, b.file.constant(values)), x.shape, x.reach * 2
        )
    constant = b.plain(shape, x.reach if operator != "Mul" else 1.0)
    pair = [x.name, constant] if b.choose.chance(60) else [constant, x.name]
    return Data(b.file.node(operator, *pair), x.shape, x.reach)


def negate(b: Builder, x: Data) -> Data:
    return Data(b.file.node("Neg", x.name), x.shape, x.reach)


def combine(b: Builder, x: Data) -> Data:
    """Add, subtract or multiply another tensor whose shape broadcasts."""
    others = [x, *(o for o in b.made if _broadcasts(o.shape, x.shape))]
    other = b.choose.pick(others[-3:])
    operator = b.choose.pick(("Add", "Add", "Sub", "Mul"))
    pair = [x.name, other.name] if b.choose.chance(50) else [other.name, x.name]
    reach = x.reach * other.reach if operator == "Mul" else x.reach + other.reach
    return Data(b.file.node(operator, *pair), x.shape, reach)


def _broadcasts(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    pairs = list(zip(reversed(small), reversed(large), strict=False))
    return len(small) <= len(large) and all(n in (1, m) for n, m in pairs)


def relu(b: Builder, x: Data) -> Data:
    return Data(b.file.node("Relu", x.name), x.shape, x.reach)


def leaky(b: Builder, x: Data) -> Data:
    if b.choose.chance(50):
        given = b.choose.pick(({}, {"alpha": 0.125}, {"alpha": 0.3}, {"alpha": -0.5}))
        return Data(b.file.node("LeakyRelu", x.name, **given), x.shape, x.reach)
    slope = b.file.constant(np.full(b.choose.pick(((1,), ())), b.scale(0.5)))
    return Data(b.file.node("PRelu", x.name, slope), x.shape, x.reach)


def clip(b: Builder, x: Data) -> Data:
    low = b.file.constant(-b.scale(x.reach)) if b.choose.chance(70) else ""
    high = [b.file.constant(b.scale(x.reach / 2))] if b.choose.chance(70) else []
    return Data(b.file.node("Clip", x.name, low, *high), x.shape, x.reach)


def smooth(b: Builder, x: Data) -> Data:
    """Quantize, apply a smooth function, quantize."""
    x = b.quantize(x, b.scale(4.0 / 2.0**5), b.choose.integer(2, 6))
    y = b.file.node(b.choose.pick(("Sigmoid", "Tanh")), x.name)
    bits = b.choose.integer(1, 8)
    return b.quantize(Data(y, x.shape, 1.0), b.scale(2.0 / 2.0**bits), bits)


def same(b: Builder, x: Data) -> Data:
    match b.choose.pick(("Identity", "Dropout", "Cast")):
        case "Cast":
            y = b.file.node("Cast", x.name, to=helper.TensorProto.FLOAT)
        case operator:
            y = b.file.node(operator, x.name)
    return Data(y, x.shape, x.reach)
