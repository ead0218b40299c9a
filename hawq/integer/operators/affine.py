"""Constants times and plus data: ``Add``, ``Sub``, ``Mul``, ``Div``, batch norm.

Nothing is folded: the integers of the result are those of the data, times an integer,
plus an integer, on the coarsest grid that holds every value exactly.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.fixed import as_integers
from hawq.integer.nodes import Affine, Multiply, Select, Sum
from hawq.integer.operation import Lowering, Operation, RealView
from hawq.integer.quantizer import IntegerConstant, exact, one_grid
from hawq.integer.tensor import Tensor

Fractions = NDArray[Any]

_whole = np.frompyfunc(int, 1, 1)


def lower_add(state: Lowering, op: Operation) -> None:
    """Lower ``Add``."""
    _add(state, op, 1)


def lower_sub(state: Lowering, op: Operation) -> None:
    """Lower ``Sub``."""
    _add(state, op, -1)


def _add(state: Lowering, op: Operation, sign: int) -> None:
    first, second = op.is_constant(0), op.is_constant(1)
    if first and second:
        _fold(state, op, op.rational(0) + sign * op.rational(1))
    elif second:
        apply_affine(state, op, 0, _one(1), sign * op.rational(1))
    elif first:
        apply_affine(state, op, 1, _one(sign), op.rational(0))
    else:
        xs = (op.data(0), op.data(1))
        scale = one_grid(op.output, *(x.scale for x in xs))
        factors = tuple(int(x.scale / scale) for x in xs)
        state.emit(Sum(op.names, op.output, (factors[0], sign * factors[1])))


def lower_mul(state: Lowering, op: Operation) -> None:
    """Lower ``Mul``."""
    first, second = op.is_constant(0), op.is_constant(1)
    if first and second:
        _fold(state, op, op.rational(0) * op.rational(1))
    elif first or second:
        constant = op.rational(0 if first else 1)
        apply_affine(state, op, 1 if first else 0, constant, _one(0))
    else:
        op.data(0), op.data(1)
        state.emit(Multiply((op.names[0], op.names[1]), op.output))


def lower_div(state: Lowering, op: Operation) -> None:
    """Lower ``Div`` by a constant."""
    divisor = op.rational(1)
    if (divisor == 0).any():
        raise op.refuse("divides by zero: export again")
    if op.is_constant(0):
        _fold(state, op, op.rational(0) / divisor)
    else:
        apply_affine(state, op, 0, 1 / divisor, _one(0))


def lower_neg(state: Lowering, op: Operation) -> None:
    """Lower ``Neg``."""
    apply_affine(state, op, 0, _one(-1), _one(0))


def lower_batch_norm(state: Lowering, op: Operation) -> None:
    """Lower ``BatchNormalization`` in evaluation mode.

    The factor ``gamma / sqrt(variance + epsilon)`` is irrational: it is rounded once,
    to the nearest float64; all else is exact.
    """
    if op.attribute("training_mode", 0):
        raise op.refuse("training_mode=1 depends on the batch: export in eval mode")
    gamma, beta, mean, variance = (op.rational(i) for i in (1, 2, 3, 4))
    total = variance + Fraction(op.attribute("epsilon", float(np.float32(1e-5))))
    if (total <= 0).any():
        raise op.refuse("variance + epsilon is not above 0: export again")
    factor = np.frompyfunc(_over_root, 2, 1)(gamma, total)
    x = op.data(0)
    rank = 1 if op.channels_last else len(x.shape)
    shape = (-1, *[1] * (rank - 1))
    source = op.names[0]
    if mean.any():
        source = f"{op.output}.centred"
        emit_affine(state, op, op.names[0], source, _one(1), -mean.reshape(shape))
    emit_affine(
        state, op, source, op.output, factor.reshape(shape), beta.reshape(shape)
    )


def _over_root(numerator: Fraction, square: Fraction) -> Fraction:
    """Give the float64 nearest to ``numerator / sqrt(square)``."""
    if not numerator:
        return Fraction(0)
    ratio = numerator * numerator / square
    shift = 160 - (ratio.numerator.bit_length() - ratio.denominator.bit_length())
    shift += shift % 2
    scaled = ratio * Fraction(2) ** shift
    root, floor = math.isqrt(int(scaled)), int(scaled)
    exactly = root * root == floor and floor == scaled
    # A remainder below 80 bits cannot move a rounding to 53, but must break a tie.
    value = Fraction(2 * root + (0 if exactly else 1), 2) / Fraction(2) ** (shift // 2)
    nearest = Fraction(float(value))
    return nearest if numerator > 0 else -nearest


def apply_affine(
    state: Lowering, op: Operation, position: int, gain: Fractions, offset: Fractions
) -> None:
    """Let an operation's output be ``x * gain + offset``.

    Args:
        state: What has been lowered.
        op: The operation.
        position: Of ``x`` among its inputs.
        gain: Fractions; with or without a batch axis of size 1.
        offset: Fractions; with or without a batch axis of size 1.
    """
    value = op.value(position)
    gain, offset = (np.asarray(a, dtype=object) for a in (gain, offset))
    if isinstance(value, RealView):
        state.values[op.output] = _view(op, value, gain, offset)
        return
    emit_affine(state, op, op.names[position], op.output, gain, offset)


def emit_affine(
    state: Lowering,
    op: Operation,
    source: str,
    output: str,
    gain: Fractions,
    offset: Fractions,
) -> None:
    """Emit ``output = source * gain + offset``.

    Args:
        state: What has been lowered.
        op: The operation, for messages.
        source: Name of an integer tensor.
        output: Name of the result.
        gain: Fractions; with or without a batch axis of size 1.
        offset: Fractions; with or without a batch axis of size 1.
    """
    x = state.values[source]
    if not isinstance(x, Tensor):
        x = op.data(op.names.index(source))
    gain, offset = (for_one_sample(op, a, x.shape) for a in (gain, offset))
    steps = np.asarray(gain * x.scale, dtype=object)
    sizes = {abs(v) for v in (*steps.flat, *offset.flat) if v}
    scale = one_grid(output, *sizes) if sizes else Fraction(1)
    multiplier, constant = (
        as_integers(np.asarray(_whole(a / scale), dtype=object))
        for a in (steps, offset)
    )
    state.emit(Affine((source,), output, multiplier, constant, scale))


def for_one_sample(
    op: Operation, constant: NDArray[Any], shape: tuple[int, ...]
) -> NDArray[Any]:
    """Drop a constant's batch axis.

    Args:
        op: The operation, for messages.
        constant: Any shape.
        shape: Of one sample.

    Returns:
        The constant in a shape that broadcasts to ``shape``.

    Raises:
        NetworkError: if it does not fit.
    """
    constant = np.asarray(constant, dtype=object)
    extra = max(0, constant.ndim - len(shape))
    inner = constant.shape[extra:]
    pairs = zip(reversed(inner), reversed(shape), strict=False)
    if constant.shape[:extra] != (1,) * extra or any(c not in (1, n) for c, n in pairs):
        raise op.refuse(
            f"a constant of shape {constant.shape} does not fit samples of shape "
            f"{shape}"
        )
    return constant.reshape(inner)


def _view(
    op: Operation, view: RealView, gain: Fractions, offset: Fractions
) -> RealView:
    if view.moves and (gain.size > 1 or offset.size > 1):
        raise op.refuse(
            "real data is rearranged before a constant per element: put the Quant first"
        )
    padded = any(isinstance(m, Select) and m.indices.min() < 0 for m in view.moves)
    if padded and offset.any():
        raise op.refuse("real data is padded before it is shifted: put the Quant first")
    gain, offset = (for_one_sample(op, a, view.shape) for a in (gain, offset))
    if view.moves:
        gain, offset = gain.reshape(()), offset.reshape(())
    old_gain = exact(np.ones(())) if view.gain is None else view.gain
    old_offset = exact(np.zeros(())) if view.offset is None else view.offset
    return RealView(
        view.source,
        view.shape,
        np.asarray(old_gain * gain, dtype=object),
        np.asarray(old_offset * gain + offset, dtype=object),
        view.moves,
    )


def _fold(state: Lowering, op: Operation, values: Any) -> None:
    """Keep the exact result of two constants."""
    fractions = np.asarray(values, dtype=object)
    sizes = {abs(v) for v in fractions.flat if v}
    scale = one_grid(op.output, *sizes) if sizes else Fraction(1)
    integers = as_integers(np.asarray(_whole(fractions / scale), dtype=object))
    state.values[op.output] = IntegerConstant(integers, scale)


def _one(value: int) -> Fractions:
    return exact(np.array(value))
