from fractions import Fraction

import numpy as np
import pytest

from hawq.integer.grid import Grid
from hawq.integer.nodes import (
    Affine,
    Conv,
    Dense,
    Quantize,
    Select,
    Table,
    Threshold,
    Window,
)

GRID = Grid(-4, 3, Fraction(1, 2))
POINT = Window((1,), (1,), (1,), (0, 0))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda a: Quantize(("x",), "y", GRID, gain=a), "gain"),
        (lambda a: Quantize(("x",), "y", GRID, offset=a), "offset"),
        (lambda a: Dense(("x",), "y", a, Fraction(1)), "weights"),
        (lambda a: Dense(("x",), "y", a, Fraction(1), a), "bias"),
        (lambda a: Conv(("x",), "y", a, Fraction(1), POINT), "weights"),
        (lambda a: Affine(("x",), "y", a, a, Fraction(1)), "multiplier"),
        (lambda a: Select(("x",), "y", a), "indices"),
        (lambda a: Table(("x",), "y", 0, a, GRID), "entries"),
        (lambda a: Threshold(("x",), "y", a), "thresholds"),
    ],
)
def test_arrays_cannot_be_changed(make, name):
    node = make(np.ones((2, 2), dtype=np.int64))
    with pytest.raises(ValueError, match=r"^assignment destination is read-only$"):
        getattr(node, name)[0, 0] = 5


@pytest.mark.parametrize(
    ("sizes", "kernel", "stride", "dilation", "pads", "windows"),
    [
        (5, 3, 1, 1, (0, 0), 3),
        (5, 3, 2, 1, (1, 1), 3),
        (6, 3, 2, 1, (0, 0), 2),
        (6, 3, 1, 2, (0, 1), 3),
        (2, 3, 1, 1, (0, 0), 0),
    ],
)
def test_windows_are_counted(sizes, kernel, stride, dilation, pads, windows):
    window = Window((kernel,), (stride,), (dilation,), pads)
    assert window.output_sizes((sizes,)) == (windows,)
