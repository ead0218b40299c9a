import hashlib
import math
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import hls4ml
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hawq.errors import DataError, FormatError
from hawq.fixed import (
    FixedPoint,
    Overflow,
    Rounding,
    as_integers,
    power_of_two_exponent,
    shift_right,
    smallest_width,
)

# --- an independent oracle: exact rational arithmetic -------------------------------


def round_exactly(value: Fraction, rounding: Rounding) -> int:
    floor, ceil = math.floor(value), math.ceil(value)
    inward, outward = (floor, ceil) if value >= 0 else (ceil, floor)
    nearest = floor if value - floor < ceil - value else ceil
    is_tie = value - floor == Fraction(1, 2)
    even = floor if floor % 2 == 0 else ceil
    return {
        Rounding.FLOOR: floor,
        Rounding.CEIL: ceil,
        Rounding.TOWARD_ZERO: inward,
        Rounding.AWAY: outward,
        Rounding.HALF_EVEN: even if is_tie else nearest,
        Rounding.HALF_UP: ceil if is_tie else nearest,
        Rounding.HALF_DOWN: floor if is_tie else nearest,
        Rounding.HALF_AWAY: outward if is_tie else nearest,
        Rounding.HALF_ZERO: inward if is_tie else nearest,
    }[rounding]


def quantize_exactly(value: Fraction, form: FixedPoint) -> int:
    steps = value * Fraction(2) ** (form.width - form.integer)
    integer = round_exactly(steps, form.rounding)
    lowest = -(2 ** (form.width - 1)) if form.signed else 0
    highest = lowest + 2**form.width - 1
    if form.overflow is Overflow.WRAP:
        return (integer - lowest) % 2**form.width + lowest
    if form.overflow is Overflow.SATURATE_SYMMETRIC and form.signed:
        lowest = -highest
    return max(lowest, min(highest, integer))


@st.composite
def formats(draw: st.DrawFn) -> FixedPoint:
    signed = draw(st.booleans())
    overflow = draw(st.sampled_from(Overflow))
    narrowest = 2 if signed and overflow is Overflow.SATURATE_SYMMETRIC else 1
    return FixedPoint(
        signed=signed,
        width=draw(st.integers(narrowest, 64)),
        integer=draw(st.integers(-8, 70)),
        rounding=draw(st.sampled_from(Rounding)),
        overflow=overflow,
    )


small_integers = st.integers(-(2**9), 2**9)
near_ties = st.tuples(
    st.sampled_from([-1, -(2**-20), 0, 2**-20, 1]), st.integers(-(2**30), 2**30)
).map(lambda pair: pair[0] + (2 * pair[1] + 1) * 2.0**-1)


@given(
    formats(), st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=8)
)
def test_quantize_equals_rational_arithmetic(form, values):
    expected = [quantize_exactly(Fraction(v), form) for v in values]
    assert_array_equal(form.quantize(np.array(values, dtype=float)), expected)


@given(formats(), st.lists(near_ties, min_size=1, max_size=8))
def test_quantize_near_ties_equals_rational_arithmetic(form, steps):
    values = [math.ldexp(s, -form.fraction) for s in steps]
    expected = [quantize_exactly(Fraction(v), form) for v in values]
    assert_array_equal(form.quantize(values), expected)


@given(formats(), st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_quantize_takes_float32_exactly(form, values):
    expected = [quantize_exactly(Fraction(v), form) for v in values]
    assert_array_equal(form.quantize(np.array(values, dtype=np.float32)), expected)


@given(
    formats(),
    st.integers(-20, 90),
    st.lists(
        st.one_of(small_integers, st.integers(-(2**64), 2**64)), min_size=1, max_size=8
    ),
)
def test_requantize_equals_rational_arithmetic(form, fraction, integers):
    step = Fraction(2) ** -fraction
    expected = [quantize_exactly(n * step, form) for n in integers]
    assert_array_equal(form.requantize(as_integers(integers), fraction), expected)


@given(formats(), st.integers(1, 50), st.lists(small_integers, min_size=1, max_size=8))
def test_requantize_at_ties_equals_rational_arithmetic(form, drop, wholes):
    integers = [(2 * n + 1) << (drop - 1) for n in wholes]
    fraction = form.fraction + drop
    expected = [quantize_exactly(n * Fraction(2) ** -fraction, form) for n in integers]
    assert_array_equal(form.requantize(integers, fraction), expected)


@given(formats(), st.data())
def test_integers_of_a_format_survive_requantization_to_it(form, data):
    integers = data.draw(st.lists(st.integers(form.min, form.max), max_size=8))
    kept = form.requantize(np.array(integers, dtype=form.dtype), form.fraction)
    assert_array_equal(kept, np.array(integers, dtype=form.dtype))
    assert kept.dtype == form.dtype


@given(st.integers(-(2**40), 2**40), st.integers(-20, 45), st.sampled_from(Rounding))
def test_shift_right_equals_rational_arithmetic(integer, shift, rounding):
    expected = round_exactly(Fraction(integer) / Fraction(2) ** shift, rounding)
    assert_array_equal(shift_right(np.array([integer]), shift, rounding), [expected])


@given(st.integers(-(2**70), 2**70), st.integers(0, 2**70))
def test_smallest_width_holds_the_range_and_no_bit_more(low, extent):
    high = low + extent
    signed, width = smallest_width(low, high)
    lowest = [-(2 ** (w - 1)) if signed else 0 for w in (width, width - 1)]
    highest = [2 ** (w - 1) - 1 if signed else 2**w - 1 for w in (width, width - 1)]
    assert signed == (low < 0)
    assert lowest[0] <= low <= high <= highest[0]
    assert width == 1 or not lowest[1] <= low <= high <= highest[1]


@given(st.integers(-80, 80), st.integers(0, 2**20).map(lambda n: 2 * n + 1))
def test_power_of_two_exponent(exponent, odd):
    assert power_of_two_exponent(Fraction(2) ** exponent) == exponent
    assert (power_of_two_exponent(odd * Fraction(2) ** exponent) is None) == (odd > 1)


def test_scales_that_are_not_positive_have_no_exponent():
    assert [power_of_two_exponent(Fraction(n)) for n in (0, -1, -2)] == [None] * 3


def test_quantize_saturates_and_wraps_beyond_float64():
    values = [1.7e308, -1.7e308]
    saturating = FixedPoint(True, 8, -8)
    wrapping = FixedPoint(True, 8, -8, overflow=Overflow.WRAP)
    assert_array_equal(saturating.quantize(values), [127, -128])
    assert_array_equal(wrapping.quantize(values), [0, 0])


def test_quantize_rounds_the_smallest_float_by_its_sign():
    values = [5e-324, -5e-324]
    assert_array_equal(FixedPoint(True, 8, 70, Rounding.CEIL).quantize(values), [1, 0])
    assert_array_equal(
        FixedPoint(True, 8, 70, Rounding.FLOOR).quantize(values), [0, -1]
    )


def test_quantize_keeps_the_shape():
    form = FixedPoint(True, 8, 3)
    assert form.quantize(np.zeros((2, 0, 3))).shape == (2, 0, 3)
    assert form.quantize(0.25).shape == ()
    assert form.requantize(np.zeros((2, 3), dtype=np.int16), 4).shape == (2, 3)


@given(formats(), st.data())
def test_dequantize_gives_the_value_while_float64_holds_it(form, data):
    low, high = max(form.min, -(2**53)), min(form.max, 2**53)
    integer = data.draw(st.integers(low, high))
    value = form.dequantize([integer])[0]
    assert Fraction(float(value)) == integer * form.step


@pytest.mark.parametrize(
    ("form", "spelling"),
    [
        (FixedPoint(True, 8, 3), "fixed<8,3,RND_CONV,SAT,0>"),
        (
            FixedPoint(False, 6, -1, Rounding.HALF_UP, Overflow.WRAP),
            "ufixed<6,-1,RND,WRAP,0>",
        ),
        (
            FixedPoint(True, 4, 9, Rounding.FLOOR, Overflow.SATURATE_SYMMETRIC),
            "fixed<4,9,TRN,SAT_SYM,0>",
        ),
    ],
)
def test_ap_type_spells_the_format_as_hls4ml_does(form, spelling):
    assert form.ap_type() == spelling


def test_as_integers_widens_only_where_needed():
    assert as_integers([1, 2]).dtype == np.int64
    assert as_integers(np.array([2.0, -3.0], dtype=np.float32)).dtype == np.int64
    assert as_integers(np.array([2**64 - 1], dtype=np.uint64)).tolist() == [2**64 - 1]
    assert as_integers([2.0**70]).tolist() == [2**70]
    assert as_integers(np.array([5], dtype=object)).dtype == np.int64


# --- messages ------------------------------------------------------------------------


@pytest.mark.parametrize("width", [0, 65, -3])
def test_widths_outside_1_to_64_do_not_exist(width):
    message = rf"^fixed-point width {width}: expected 1 to 64 bits$"
    with pytest.raises(FormatError, match=message):
        FixedPoint(True, width, 1)


def test_one_symmetric_signed_bit_does_not_exist():
    message = (
        r"^fixed-point width 1, signed and symmetric, holds nothing but 0: use 2 bits "
        r"or another overflow mode$"
    )
    with pytest.raises(FormatError, match=message):
        FixedPoint(True, 1, 1, overflow=Overflow.SATURATE_SYMMETRIC)


@pytest.mark.parametrize("rounding", [Rounding.CEIL, Rounding.AWAY])
def test_ap_type_refuses_rounding_modes_that_ap_fixed_lacks(rounding):
    message = (
        rf"^rounding {rounding.value} has no ap_fixed mode: choose one of floor, "
        r"half_away, half_down, half_even, half_up, half_zero, toward_zero$"
    )
    with pytest.raises(FormatError, match=message):
        FixedPoint(True, 8, 3, rounding).ap_type()


def test_quantize_refuses_nan_and_infinity():
    form = FixedPoint(True, 8, 3)
    message = (
        rf"^cannot quantize 2 values that are NaN or infinite to {re.escape(str(form))}"
        r": clean the data first$"
    )
    with pytest.raises(DataError, match=message):
        form.quantize([0.0, np.nan, -np.inf])


@pytest.mark.parametrize("values", [[0.5], [np.nan], [np.inf]])
def test_as_integers_refuses_fractions(values):
    message = r"^expected integers, got values with a fraction$"
    with pytest.raises(DataError, match=message):
        as_integers(values)


def test_as_integers_refuses_other_objects():
    message = r"^expected integers, got objects of another type$"
    with pytest.raises(DataError, match=message):
        as_integers(np.array([1, 0.5], dtype=object))


# --- the vendor's ap_fixed itself --------------------------------------------------

AP_HEADERS = Path(hls4ml.__file__).parent / "templates/vivado/ap_types"
AP_Q_MODES = [
    Rounding.HALF_UP,
    Rounding.HALF_ZERO,
    Rounding.HALF_DOWN,
    Rounding.HALF_AWAY,
    Rounding.HALF_EVEN,
    Rounding.FLOOR,
    Rounding.TOWARD_ZERO,
]
AP_O_MODES = {
    0: Overflow.SATURATE,
    2: Overflow.SATURATE_SYMMETRIC,
    3: Overflow.WRAP,
}
SOURCE_FRACTIONS = {"fine": 40, "coarse": -6, "real": 40}


@dataclass(frozen=True)
class Vendor:
    program: Path
    rows: list[tuple[int, str, FixedPoint]]

    def convert(self, row: int, values: np.ndarray) -> np.ndarray:
        done = subprocess.run(
            [self.program, "convert", str(row)],
            input=values.tobytes(),
            capture_output=True,
            check=True,
        )
        return np.frombuffer(done.stdout, dtype=np.uint64)


@pytest.fixture(scope="session")
def vendor(pytestconfig: pytest.Config, require: Callable[..., None]) -> Vendor:
    require("g++")
    compiler = "g++"
    source = Path(__file__).with_name("fixed_oracle.cpp")
    version = subprocess.run([compiler, "--version"], capture_output=True, check=True)
    versions = version.stdout + hls4ml.__version__.encode()
    digest = hashlib.sha256(source.read_bytes() + versions)
    folder = pytestconfig.cache.mkdir("fixed_oracle")
    program = folder / digest.hexdigest()[:16]
    if not program.exists():
        made = folder / f"{program.name}.{id(vendor)}"
        flags = ["-std=c++14", "-O0", "-w", "-I", AP_HEADERS]
        subprocess.run([compiler, *flags, source, "-o", made], check=True)
        made.replace(program)
    listed = subprocess.run(
        [program, "list"], capture_output=True, text=True, check=True
    )
    rows = [row(n, *line.split()) for n, line in enumerate(listed.stdout.splitlines())]
    return Vendor(program, [r for r in rows if r is not None])


def row(
    number: int, source: str, signed: str, width: str, integer: str, q: str, o: str
) -> tuple[int, str, FixedPoint] | None:
    overflow = AP_O_MODES[int(o)]
    if (signed, width, overflow) == ("1", "1", Overflow.SATURATE_SYMMETRIC):
        return None  # does not exist here; ap_fixed lets it hold -1
    rounding = AP_Q_MODES[int(q)]
    form = FixedPoint(signed == "1", int(width), int(integer), rounding, overflow)
    return number, source, form


def source_integers(fraction: int, form: FixedPoint) -> np.ndarray:
    random = np.random.default_rng(form.width + 100 * form.integer**2)
    drop = fraction - form.fraction
    tie = 1 << max(0, drop - 1)
    wide = random.integers(-(2**63), 2**63 - 1, 2000)
    any_size = wide >> random.integers(0, 63, wide.size)
    near_zero = random.integers(-600, 600, 2000)
    ends = [end + d for end in (form.min, form.max + 1) for d in range(-4, 5)]
    steps = [near_zero.astype(object), np.array(ends, dtype=object)]
    ties = [(n << max(0, drop)) + tie + d for n in steps for d in (-1, 0, 1)]
    extremes = [-(2**63), 2**63 - 1, 0, 1, -1]
    chosen = np.concatenate([wide, any_size, extremes, *ties]).astype(object)
    return chosen[(chosen >= -(2**63)) & (chosen < 2**63)].astype(np.int64)


def bits(integers: np.ndarray, form: FixedPoint) -> np.ndarray:
    return (integers.astype(object) & (2**form.width - 1)).astype(np.uint64)


@pytest.mark.parametrize("source", ["fine", "coarse"])
def test_requantize_equals_ap_fixed(vendor, source):
    fraction = SOURCE_FRACTIONS[source]
    rows = [(n, form) for n, kind, form in vendor.rows if kind == source]
    assert len(rows) >= 42
    for number, form in rows:
        integers = source_integers(fraction, form)
        expected = vendor.convert(number, integers)
        got = bits(form.requantize(integers, fraction), form)
        assert_array_equal(got, expected, err_msg=str(form))


def test_quantize_equals_ap_fixed(vendor):
    rows = [(n, form) for n, kind, form in vendor.rows if kind == "real"]
    assert len(rows) == 84
    for number, form in rows:
        integers = source_integers(SOURCE_FRACTIONS["real"], form)
        values = np.ldexp(integers.astype(np.float64), -SOURCE_FRACTIONS["real"])
        expected = vendor.convert(number, values)
        assert_array_equal(
            bits(form.quantize(values), form), expected, err_msg=str(form)
        )
