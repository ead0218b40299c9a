"""Quantizers: ``Quant``, ``BipolarQuant``, ``Trunc``, ``MultiThreshold``."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hawq.fixed import QONNX_ROUNDING, IntArray, Rounding, as_integers
from hawq.integer.grid import Grid
from hawq.integer.nodes import (
    Affine,
    Node,
    Quantize,
    Requantize,
    Select,
    Table,
    Threshold,
)
from hawq.integer.operation import Lowering, Operation, RealView, Smooth
from hawq.integer.operators.affine import emit_affine, for_one_sample
from hawq.integer.operators.smooth import table_entries
from hawq.integer.quantizer import (
    Quantizer,
    exact,
    one_grid,
    read_quantizer,
    read_scale,
)
from hawq.integer.tensor import Tensor

_whole = np.frompyfunc(int, 1, 1)


def lower_quant(state: Lowering, op: Operation) -> None:
    """Lower ``Quant`` and ``IntQuant``."""
    quantizer = read_quantizer(
        op.output,
        *(_number(op, i) for i in (1, 2, 3)),
        is_signed=bool(op.attribute("signed", 1)),
        is_narrow=bool(op.attribute("narrow", 0)),
        rounding_mode=op.attribute("rounding_mode", "ROUND"),
    )
    _quantize(state, op, quantizer)


def lower_bipolar(state: Lowering, op: Operation) -> None:
    """Lower ``BipolarQuant``: -1 below 0, else +1."""
    scales = read_scale(op.output, _number(op, 1))
    zero = np.zeros((), dtype=np.int64)
    _quantize(
        state, op, Quantizer(op.output, scales, zero, 1, True, False, Rounding.FLOOR)
    )


def _number(op: Operation, position: int) -> NDArray[np.float64]:
    values = op.rational(position)
    return np.asarray(values.astype(np.float64))


def _quantize(state: Lowering, op: Operation, quantizer: Quantizer) -> None:
    value = op.value(0)
    if isinstance(value, RealView | Tensor | Smooth):
        _quantize_data(state, op, quantizer, value)
    else:
        state.values[op.output] = quantizer.constant(value)


def _quantize_data(
    state: Lowering,
    op: Operation,
    quantizer: Quantizer,
    value: RealView | Tensor | Smooth,
) -> None:
    if quantizer.is_bipolar:
        _sign(state, op, quantizer, value)
        return
    uniform = quantizer.uniform()
    if uniform is not None:
        _round(state, op, value, op.output, quantizer.grid(*uniform))
        return
    _quantize_channels(state, op, quantizer, value)


def _quantize_channels(
    state: Lowering,
    op: Operation,
    quantizer: Quantizer,
    value: RealView | Tensor | Smooth,
) -> None:
    """Give each channel its own scale: divide, round to whole numbers, multiply."""
    if len(set(quantizer.zero_points.flat)) > 1 or not isinstance(value, Tensor):
        raise op.refuse(
            "a zero point a channel, or a scale a channel on the network's input, is "
            "not carried: use one a tensor"
        )
    scales = for_one_sample(op, quantizer.scales, value.shape)
    coarse = one_grid(op.output, *scales.flat)
    point = int(quantizer.zero_points.flat[0])
    ratios, levels = f"{op.output}.ratios", f"{op.output}.levels"
    emit_affine(state, op, op.names[0], ratios, 1 / scales, exact(np.zeros(())))
    grid = quantizer.grid(Fraction(1), point)
    state.emit(Requantize((ratios,), levels, grid))
    factors = as_integers(np.asarray(_whole(scales / coarse), dtype=object))
    zero = np.zeros((), dtype=np.int64)
    state.emit(Affine((levels,), op.output, factors, zero, coarse))


def _sign(
    state: Lowering,
    op: Operation,
    quantizer: Quantizer,
    value: RealView | Tensor | Smooth,
) -> None:
    """Round down to -1 or 0, then make it -1 or +1."""
    scales = np.asarray(quantizer.scales)
    if isinstance(value, RealView | Tensor):
        scales = for_one_sample(op, scales, value.shape)
    scale = one_grid(op.output, *scales.flat)
    inner = f"{op.output}.sign"
    grid = Grid(-1, 0, 2 * scale, Rounding.FLOOR)
    _round(state, op, value, inner, grid)
    factors = as_integers(np.asarray(_whole(scales / scale), dtype=object))
    state.emit(Affine((inner,), op.output, 2 * factors, factors, scale))


def _round(
    state: Lowering,
    op: Operation,
    value: RealView | Tensor | Smooth,
    output: str,
    grid: Grid,
) -> None:
    if isinstance(value, Tensor):
        state.emit(Requantize((op.names[0],), output, grid))
    elif isinstance(value, Smooth):
        source = state.values[value.source]
        assert isinstance(source, Tensor)
        low, entries = table_entries(op, value.function, source, grid)
        state.emit(Table((value.source,), output, low, entries, grid))
    else:
        _quantize_view(state, value, output, grid)


def _quantize_view(state: Lowering, view: RealView, output: str, grid: Grid) -> None:
    """Quantize a real input, then rearrange its integers."""
    names = [f"{output}.move{i}" for i in range(len(view.moves))] + [output]
    state.values[view.source.name] = RealView(view.source, view.source.shape)
    state.emit(Quantize((view.source.name,), names[0], grid, view.gain, view.offset))
    for move, before, after in zip(view.moves, names[:-1], names[1:], strict=True):
        fill: dict[str, Any] = {}
        if isinstance(move, Select) and move.indices.min(initial=0) < 0:
            fill = {"fill": int(grid.quantize(np.zeros(1))[0])}
        node: Node = replace(move, inputs=(before,), output=after, **fill)
        state.emit(node)


def lower_trunc(state: Lowering, op: Operation) -> None:
    """Lower ``Trunc``, version 1 (five inputs) and 2 (six inputs)."""
    x = op.data(0)
    scale = read_scale(op.output, _number(op, 1))
    point = _number(op, 2)
    if scale.size != 1 or point.size != 1 or point.item() != np.rint(point.item()):
        raise op.refuse("expected one scale and one whole zero point a tensor")
    source, base, zero = op.names[0], scale.item(), int(point.item())
    if x.scale != base:
        source = f"{op.output}.whole"
        low, high, *_ = _round_ends(x, base, Rounding.HALF_EVEN, zero)
        grid = Grid(low, high, base, zero_point=zero)
        state.emit(Requantize((op.names[0],), source, grid))
    mode = op.attribute("rounding_mode", "FLOOR").upper()
    if mode not in QONNX_ROUNDING:
        raise op.refuse(
            f"rounding mode {mode!r}, expected one of {', '.join(QONNX_ROUNDING)}"
        )
    rounding = QONNX_ROUNDING[mode]
    if op.has(5):
        _truncate_to_scale(state, op, source, base, zero, rounding)
    else:
        _truncate_bits(state, op, source, base, zero, rounding)


def _truncate_bits(
    state: Lowering,
    op: Operation,
    source: str,
    base: Fraction,
    zero: int,
    rounding: Rounding,
) -> None:
    """Drop bits and keep the scale, as version 1 does."""
    bits = int(_number(op, 3).item()) - int(_number(op, 4).item())
    if bits < 0:
        raise op.refuse(f"the output has {-bits} bits more than the input: use Quant")
    x = state.values[source]
    assert isinstance(x, Tensor)
    # (n + zero) / 2**bits - zero, of which only the quotient is rounded.
    inner, moved = f"{op.output}.moved", f"{op.output}.quotient"
    one = np.ones((), dtype=np.int64)
    state.emit(Affine((source,), inner, one, one * zero, base))
    target = base * 2**bits
    shifted = state.values[inner]
    assert isinstance(shifted, Tensor)
    state.emit(
        Requantize((inner,), moved, Grid(*_round_ends(shifted, target, rounding)))
    )
    state.emit(Affine((moved,), op.output, one, one * -zero, base))


def _round_ends(
    x: Tensor, scale: Fraction, rounding: Rounding, zero_point: int = 0
) -> tuple[int, int, Fraction, Rounding]:
    grid = Grid(0, 0, scale, rounding, zero_point=zero_point)
    ends = grid.rounded(np.array([x.low, x.high], dtype=object), x.scale)
    return int(ends[0]), int(ends[1]), scale, rounding


def _truncate_to_scale(
    state: Lowering,
    op: Operation,
    source: str,
    base: Fraction,
    zero: int,
    rounding: Rounding,
) -> None:
    """Move to a coarser scale and fit, as version 2 does."""
    target = read_scale(op.output, _number(op, 4)).item()
    shift = _power(op, target / base)
    bits = _number(op, 5)
    if zero % shift:
        raise op.refuse(f"zero point {zero} is no multiple of {shift}: use 0")
    form = read_quantizer(
        op.output,
        np.array(float(target)),
        np.array(0.0),
        bits,
        is_signed=bool(op.attribute("signed", 1)),
        is_narrow=bool(op.attribute("narrow", 0)),
    )
    grid = replace(form.grid(base * shift, zero // shift), rounding=rounding)
    if target == base * shift:
        state.emit(Requantize((source,), op.output, grid))
        return
    inner, one = f"{op.output}.levels", np.ones((), dtype=np.int64)
    state.emit(Requantize((source,), inner, grid))
    state.emit(Affine((inner,), op.output, one, 0 * one, target))


def _power(op: Operation, ratio: Fraction) -> int:
    exponent = round(np.log2(float(ratio)))
    if exponent < 0:
        raise op.refuse("the output's scale is finer than the input's: use Quant")
    return int(2**exponent)


def lower_multi_threshold(state: Lowering, op: Operation) -> None:
    """Lower ``MultiThreshold``: count, then scale and shift."""
    x, thresholds = op.data(0), op.rational(1)
    if thresholds.ndim != 2:
        raise op.refuse(
            f"thresholds of shape {thresholds.shape}, expected (channels, thresholds)"
        )
    layout = op.attribute("data_layout", "")
    axis = (layout.index("C") if "C" in layout else _channel_axis(x)) - 1
    channels = len(thresholds)
    if channels not in (1, x.shape[axis]):
        raise op.refuse(
            f"thresholds for {channels} channels do not fit samples of shape {x.shape}"
        )
    # n * scale >= t for an integer n exactly where n >= ceil(t / scale); what lies
    # beyond the bounds of n may as well lie one beyond.
    ceiling = np.frompyfunc(
        lambda t: min(max(-int(-t // x.scale), x.low), x.high + 1), 1, 1
    )
    integers: IntArray = as_integers(np.asarray(ceiling(thresholds), dtype=object))
    shape = [1] * len(x.shape)
    shape[axis] = channels
    integers = np.sort(integers, axis=-1).reshape(*shape, -1)
    inner = f"{op.output}.count"
    state.emit(Threshold((op.names[0],), inner, integers))
    gain, offset = (
        exact(np.array(op.attribute(name, default)))
        for name, default in (("out_scale", 1.0), ("out_bias", 0.0))
    )
    emit_affine(state, op, inner, op.output, gain, offset)


def _channel_axis(x: Tensor) -> int:
    return {1: 1, 2: 2, 3: 1}.get(len(x.shape), 1)
