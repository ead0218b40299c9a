"""The file of generated jets: rounding, layout, equal bytes."""

import math
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hawq.data.columns import CLASSES, FEATURES
from hawq.data.generated_file import interleave, round_mantissa, write
from hawq.errors import FormatError

NORMAL = st.floats(
    min_value=2.0**-100, max_value=2.0**100, width=32, allow_subnormal=False
)


def _exact(value: float, bits: int) -> float:
    """Round in rational arithmetic: Python's round() is half to even."""
    exponent = math.floor(math.log2(value))
    exponent -= Fraction(value) < Fraction(2) ** exponent
    unit = Fraction(2) ** (exponent - bits)
    return float(round(Fraction(value) / unit) * unit)


def _jets(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32)


@given(value=NORMAL, sign=st.sampled_from([-1.0, 1.0]), bits=st.integers(1, 23))
def test_round_mantissa_is_half_even_in_exact_arithmetic(
    value: float, sign: float, bits: int
) -> None:
    rounded = round_mantissa(np.array([sign * value], np.float32), bits)
    assert rounded.tolist() == [sign * _exact(value, bits)]


def test_round_mantissa_carries_into_the_exponent() -> None:
    below_two = np.array([np.nextafter(np.float32(2), np.float32(0))])
    assert round_mantissa(below_two, 14).tolist() == [2.0]


def test_round_mantissa_keeps_counts_and_zero() -> None:
    counts = np.arange(2**15 + 1, dtype=np.float32)
    assert_array_equal(round_mantissa(counts, 14), counts)


@pytest.mark.parametrize("bits", [0, 24])
def test_round_mantissa_refuses_what_float32_has_not(bits: int) -> None:
    message = rf"^mantissa bits: expected 1 … 23 \(float32\), got {bits}$"
    with pytest.raises(FormatError, match=message):
        round_mantissa(np.zeros(1, np.float32), bits)


def test_rows_cycle_through_the_classes() -> None:
    jets = {"t": _jets(3, 0), "g": _jets(3, 1)}
    table = interleave(jets)
    assert table.shape == (6, 21)
    assert_array_equal(table[0::2, :16], jets["t"])
    assert_array_equal(table[1::2, :16], jets["g"])
    assert_array_equal(table[:, 16:].argmax(axis=1), [2, 0, 2, 0, 2, 0])
    assert_array_equal(table[:, 16:].sum(axis=1), np.ones(6))


def test_the_layout_is_that_of_the_field(tmp_path: Path) -> None:
    path = tmp_path / "jets.h5"
    write(path, {"w": _jets(4, 0)}, mantissa_bits=14, attributes={"seed": 3})
    with h5py.File(path) as file:
        names = [name.decode() for name in file["jetFeatureNames"][:]]
        assert names == [*FEATURES, *(f"j_{name}" for name in CLASSES)]
        assert file["jets"].shape == (4, 21)
        assert file["jets"].dtype == np.float32
        assert dict(file.attrs) == {"seed": 3, "mantissa_bits": 14}
        assert_array_equal(file["jets"][:, :16], round_mantissa(_jets(4, 0), 14))


def test_equal_jets_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        write(
            tmp_path / name,
            {"g": _jets(50, 0), "q": _jets(50, 1)},
            mantissa_bits=14,
            attributes={"seed": 3, "command": "hawq jets"},
        )
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
