"""Activations: functions, layers, and QKeras quantizers, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hawq.frontend.keras.data_quantizers import write_quantizer
from hawq.frontend.keras.layer import Layer
from hawq.frontend.keras.quantizers import (
    PARAMETERS,
    make_quantizer,
    split,
)
from hawq.frontend.keras.writer import Writer

_REMEDY = "use relu, leaky_relu, a QKeras quantizer, or softmax at the end"


def activate(out: Writer, layer: Layer, x: str, role: str = "activation") -> str:
    """Apply the activation that a layer's settings name.

    Args:
        out: The graph.
        layer: The layer.
        x: Name of the tensor.
        role: Setting that holds the activation.

    Returns:
        Name of the result; ``x`` itself if there is no activation.

    Raises:
        NetworkError: if it is not carried.
    """
    given = layer.config.get(role)
    if given is None:
        return x
    kind, settings = split(layer, role, given)
    if kind in PARAMETERS:
        quantizer = make_quantizer(layer, role, kind, settings)
        return write_quantizer(out, quantizer, x)
    if kind in _FUNCTIONS:
        return _FUNCTIONS[kind](out, x)
    if kind in _LAYERS:
        inner = Layer(layer.name, kind, dict(settings))
        return _LAYERS[kind](out, inner, [x])
    known = ", ".join([*_FUNCTIONS, *_LAYERS, *PARAMETERS])
    raise layer.refuse(
        f"{role} {kind!r} is not carried (carried: {known}): {_remedy(kind)}"
    )


def _remedy(kind: str) -> str:
    if kind in ("bernoulli", "stochastic_binary", "stochastic_ternary"):
        return "it draws random numbers, use binary or ternary"
    return _REMEDY


def write_activation(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``Activation`` or ``QActivation``."""
    return activate(out, layer, xs[0])


def write_relu(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``ReLU``: a slope below 0, a limit above."""
    if layer.number("threshold", default=0.0):
        raise layer.refuse(
            "a threshold other than 0 makes a jump, which is not carried: set it to 0"
        )
    slope = layer.number("negative_slope", default=0.0)
    high = None
    if layer.config.get("max_value") is not None:
        high = layer.number("max_value", default=0.0)
    if slope:
        x = out.add("LeakyRelu", xs, out.shapes[xs[0]], alpha=slope)
        return x if high is None else out.clip(x, None, high)
    if high is None:
        return _simple("Relu")(out, xs[0])
    return out.clip(xs[0], 0.0, high)


def write_leaky_relu(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``LeakyReLU``, whose slope Keras 2 calls ``alpha``."""
    slope = layer.number("negative_slope", "alpha", default=0.3)
    return out.add("LeakyRelu", xs, out.shapes[xs[0]], alpha=slope)


def write_softmax(out: Writer, layer: Layer, xs: Sequence[str]) -> str:
    """Write ``Softmax`` over the last axis."""
    axis, rank = layer.whole("axis", -1), len(out.shapes[xs[0]])
    if axis not in (-1, rank):
        raise layer.refuse(f"axis {axis} is not carried: use the last axis")
    return _softmax(out, xs[0])


def _softmax(out: Writer, x: str) -> str:
    return out.add("Softmax", [x], out.shapes[x], axis=-1)


def _simple(operator: str) -> Callable[[Writer, str], str]:
    def write(out: Writer, x: str) -> str:
        return out.add(operator, [x], out.shapes[x])

    return write


_FUNCTIONS: dict[str, Callable[[Writer, str], str]] = {
    "linear": lambda out, x: x,
    "relu": _simple("Relu"),
    "relu6": lambda out, x: out.clip(x, 0.0, 6.0),
    "leaky_relu": lambda out, x: out.add("LeakyRelu", [x], out.shapes[x], alpha=0.2),
    "sigmoid": _simple("Sigmoid"),
    "tanh": _simple("Tanh"),
    "softmax": _softmax,
}
_LAYERS: dict[str, Callable[[Writer, Layer, Any], str]] = {
    "ReLU": write_relu,
    "LeakyReLU": write_leaky_relu,
    "Softmax": write_softmax,
}
