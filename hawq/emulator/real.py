"""How real inputs become integers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from hawq.emulator.index import broadcast_index
from hawq.emulator.integers import INT32, INT64, IntegerType, type_for
from hawq.emulator.source import Source, Value
from hawq.errors import NetworkError
from hawq.fixed import Overflow, Rounding, power_of_two_exponent
from hawq.integer.grid import Grid
from hawq.integer.nodes import Quantize

MAX_EXPONENT = 700
MAX_RATIONAL_BITS = 1500
_SIGN_MATTERS = (
    Rounding.TOWARD_ZERO,
    Rounding.AWAY,
    Rounding.HALF_AWAY,
    Rounding.HALF_ZERO,
)


def quantize(source: Source, node: Quantize) -> tuple[list[str], Value]:
    """Spell a quantizer of real values.

    Args:
        source: Takes its constants.
        node: The node.

    Returns:
        Statements for element ``e``, and the tile they define.
    """
    grid = node.grid
    inputs = source.graph.inputs
    number = next(i for i, x in enumerate(inputs) if x.name == node.inputs[0])
    size = math.prod(inputs[number].shape)
    read = f"const Tile<double, N> real = run.read({number}, {size}, e);"
    wraps = grid.overflow is Overflow.WRAP
    fit = "wrap" if wraps else "saturate"
    modes = f"Rounding::{grid.rounding.value}, Fit::{fit}"
    exponent = power_of_two_exponent(1 / grid.scale)
    shift = 0 if _is_shift(node) else grid.zero_point
    ends = _beyond(grid.low + shift - 1, down=True), _beyond(grid.high + shift + 1)
    if _is_shift(node) and exponent is not None:
        kind = _kind(grid, ends, whole=not wraps)
        call = f"quantize<{modes}, {kind.name}>(real, {(2.0**exponent).hex()}"
    else:
        kind = _kind(grid, ends, whole=True)
        call = f"quantize_line<{modes}, {kind.name}>(real, {_line(source, node)}"
    spelt = ", ".join(map(kind.literal, (grid.low, grid.high, shift)))
    limits = ", ".join(end.hex() for end in ends)
    call = f"{call}, {limits}, Grid<{kind.name}>{{{spelt}}});"
    return [read, f"const auto t0 = {call}"], Value("t0", kind)


def _is_shift(node: Quantize) -> bool:
    grid = node.grid
    exponent = power_of_two_exponent(grid.scale)
    return (
        node.gain is None
        and node.offset is None
        and exponent is not None
        and abs(exponent) <= MAX_EXPONENT
        and grid.zero_point % 2 == 0
        and (grid.zero_point == 0 or grid.rounding not in _SIGN_MATTERS)
    )


def _kind(grid: Grid, ends: tuple[float, float], *, whole: bool) -> IntegerType:
    """Find the type to convert to; a grid that wraps meets numbers of any size."""
    if grid.overflow is Overflow.WRAP:
        room = 2**46 if whole else 2**119
        return type_for(room, grid.low, grid.high, 4 * grid.zero_point, least=INT64)
    return type_for(*(2 * int(end) for end in ends), 4 * grid.zero_point, least=INT32)


def _beyond(value: int, *, down: bool = False) -> float:
    """Give the nearest float64 that is no less extreme."""
    nearest = float(value)
    if down:
        return nearest if nearest <= value else math.nextafter(nearest, -math.inf)
    return nearest if nearest >= value else math.nextafter(nearest, math.inf)


def _line(source: Source, node: Quantize) -> str:
    """Write the lines ``(x * p + r) / q`` down and spell the one of element ``e``."""
    grid = node.grid
    gain, offset = np.broadcast_arrays(
        np.asarray(Fraction(1) if node.gain is None else node.gain, dtype=object),
        np.asarray(Fraction(0) if node.offset is None else node.offset, dtype=object),
    )
    spelt = [
        _spelt_line(
            source, node.output, a / grid.scale, b / grid.scale + grid.zero_point
        )
        for a, b in zip(gain.flat, offset.flat, strict=True)
    ]
    shape = source.graph.tensors[node.output].shape
    if len(set(spelt)) == 1:
        spelt, index = spelt[:1], "0"
    else:
        index = broadcast_index(gain.shape, shape, source.indices)
    return f"{source.constant('Line', '{' + ', '.join(spelt) + '}')}[{index}]"


def _spelt_line(source: Source, name: str, a: Fraction, b: Fraction) -> str:
    a, b = Fraction(a), Fraction(b)
    q = math.lcm(a.denominator, b.denominator)
    p, r = int(a * q), int(b * q)
    numbers = [abs(p), abs(r), q]
    widest = max(n.bit_length() for n in numbers)
    if widest > MAX_RATIONAL_BITS:
        raise NetworkError(
            f"its scale, gain and offset need fractions of {widest} bits, expected at "
            f"most {MAX_RATIONAL_BITS}"
        )
    tables, counts = zip(*(_words(source, n) for n in numbers), strict=True)
    floats = ", ".join(_float(v).hex() for v in (a, b))
    signs = ", ".join("true" if n < 0 else "false" for n in (p, r))
    return f"{{{floats}, {', '.join(tables)}, {', '.join(map(str, counts))}, {signs}}}"


def _float(value: Fraction) -> float:
    """Give the nearest float64, or one so large that it decides nothing."""
    try:
        return float(value)
    except OverflowError:
        return math.copysign(1.7e308, value)


def _words(source: Source, value: int) -> tuple[str, int]:
    digits = []
    while value:
        digits.append(value & (2**32 - 1))
        value >>= 32
    spelt = ", ".join(f"{d}u" for d in digits or [0])
    return source.constant("uint32_t", f"{{{spelt}}}"), len(digits)
