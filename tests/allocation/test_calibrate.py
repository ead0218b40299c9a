import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_array_equal

from hawq.allocation.calibrate import (
    SiteValues,
    calibrate,
    calibrate_widths,
    check_monotone,
)
from hawq.errors import DataError, FormatError
from hawq.fixed import FixedPoint, Overflow

VALUES = arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(1, 6)),
    elements=st.floats(-8, 8, width=32).filter(lambda v: v == 0 or abs(v) > 1e-3),
)


def exhaustive(values, curvature, signed, width, symmetric):
    """The least Σ hᵢ Δᵢ² over every power of two that could matter, in rationals."""
    overflow = Overflow.SATURATE_SYMMETRIC if symmetric else Overflow.SATURATE
    errors = []
    for integer in range(-12, 7):
        fixed = FixedPoint(signed, width, integer, overflow=overflow)
        integers = fixed.quantize(values)
        errors.append(
            sum(
                (Fraction(h) * (int(q) * fixed.step - Fraction(v)) ** 2)
                for h, q, v in zip(
                    curvature.ravel(), integers.ravel(), values.ravel(), strict=True
                )
            )
        )
    return float(min(errors))


@settings(max_examples=40)
@given(VALUES, st.integers(2, 6), st.booleans())
def test_finds_the_best_power_of_two_of_signed_values(values, width, symmetric):
    found = calibrate(SiteValues("w", values, signed=True, symmetric=symmetric), width)

    best = exhaustive(values, np.ones_like(values), True, width, symmetric)
    # Sums of at most 24 squares in float64 against rationals.
    assert found.perturbation == pytest.approx(best, rel=1e-12, abs=1e-30)


@settings(max_examples=40)
@given(VALUES, st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_finds_the_best_power_of_two_under_curvature(values, width, seed):
    values = np.abs(values)
    curvature = np.random.default_rng(seed).exponential(size=values.shape)

    found = calibrate(SiteValues("a", values, signed=False, curvature=curvature), width)

    best = exhaustive(values, curvature, False, width, False)
    assert found.weighted == pytest.approx(best, rel=1e-12, abs=1e-30)


@settings(max_examples=40)
@given(VALUES, st.integers(2, 5))
def test_per_channel_equals_each_channel_alone(values, width):
    together = calibrate(SiteValues("w", values, signed=True, channel_axis=0), width)

    alone = [calibrate(SiteValues("w", row, signed=True), width) for row in values]
    assert together.channel_integer == tuple(a.format.integer for a in alone)
    assert together.perturbation == pytest.approx(
        sum(a.perturbation for a in alone), rel=1e-12, abs=1e-30
    )
    assert_array_equal(
        together.integers(values),
        [a.format.quantize(row) for a, row in zip(alone, values, strict=True)],
    )
    assert_array_equal(together.fractions(), [a.format.fraction for a in alone])


@settings(max_examples=40)
@given(VALUES, st.booleans(), st.booleans())
def test_more_bits_never_perturb_more(values, symmetric, per_channel):
    site = SiteValues(
        "w",
        values,
        signed=True,
        symmetric=symmetric,
        channel_axis=0 if per_channel else None,
    )

    found = calibrate_widths(site, (8, 2, 5, 3))

    assert list(found) == [2, 3, 5, 8]
    perturbations = [c.perturbation for c in found.values()]
    # Equal up to the roundoff of the sums.
    assert all(
        wide <= narrow * (1 + 1e-12)
        for narrow, wide in itertools.pairwise(perturbations)
    )


def test_channels_may_lie_on_any_axis():
    values = np.array([[0.5, 30.0], [0.25, 17.0]])

    found = calibrate(SiteValues("w", values, signed=True, channel_axis=1), 8)

    assert found.channel_integer == (1, 6)
    assert_array_equal(found.integers(values), [[64, 120], [32, 68]])


def test_clips_a_rare_outlier_at_few_bits():
    values = np.append(np.tile([-1.0, 1.0], 500), 8.0)

    found = calibrate(SiteValues("w", values, signed=True, symmetric=True), 2)

    assert found.format.integer == 2  # {-1, 0, 1} steps of 1: only the 8 moves
    assert found.perturbation == 49.0


def test_averages_activations_over_samples():
    values = np.array([[0.3, 0.0], [0.7, 0.5]])

    found = calibrate(SiteValues("a", values, signed=False, samples=2), 1)

    # One bit: {0, 0.5}. (0.2² + 0.2²) / 2 a sample.
    assert found.format == FixedPoint(False, 1, 0)
    assert found.perturbation == pytest.approx(0.04, rel=1e-12)


def test_zeros_are_exact_at_every_width():
    found = calibrate_widths(SiteValues("w", np.zeros((2, 3)), signed=True), (2, 8))

    assert [c.perturbation for c in found.values()] == [0.0, 0.0]


def test_a_long_tensor_is_summed_in_parts():
    values = np.full(1_100_000, 0.625)  # more than one part holds

    found = calibrate(SiteValues("a", values, signed=False), 2)

    assert found.perturbation == 1_100_000 * 0.125**2


def test_refuses_the_published_quantizer():
    # Its range is ±2^b whatever the weights are, so its step never falls.
    weights = np.random.default_rng(0).normal(0, 0.3, 80)
    perturbation = {
        bits: float(np.sum((2 * np.rint(weights / 2) - weights) ** 2))
        for bits in (2, 4, 8)
    }
    reach = float(np.abs(weights).max() ** 2 * weights.size)
    bound = {bits: reach / (2 ** (bits - 1) - 1) ** 2 for bits in (2, 4, 8)}

    with pytest.raises(
        DataError,
        match=r"^conv\.weight: the perturbation at 4 bits is 6\.\d+, but a scale that "
        r"spans the values causes at most 0\.\d+: calibrate the scale to the values$",
    ):
        check_monotone("conv.weight", perturbation, bound)


def test_refuses_a_perturbation_that_rises():
    with pytest.raises(
        DataError,
        match=r"^fc1\.weight: the perturbation does not fall with the width: 0\.5 at 3 "
        r"bits, 0\.75 at 4 bits: calibrate the scale anew at each width$",
    ):
        check_monotone("fc1.weight", {4: 0.75, 3: 0.5}, {3: 9.0, 4: 9.0})


def test_refuses_nan():
    with pytest.raises(
        DataError,
        match=r"^fc1\.weight: 2 of 3 values are NaN or infinite: a scale needs finite "
        r"values$",
    ):
        SiteValues("fc1.weight", np.array([np.nan, 1.0, np.inf]), signed=True)


def test_refuses_negative_values_of_an_unsigned_site():
    with pytest.raises(
        DataError,
        match=r"^relu1: values down to -0\.5 do not fit an unsigned format: make the "
        r"site signed$",
    ):
        SiteValues("relu1", np.array([-0.5, 1.0]), signed=False)


def test_refuses_negative_curvature():
    with pytest.raises(
        DataError,
        match=r"^w: the curvature of 1 elements is negative or NaN: expected 0 or more "
        r"\(weight by tensor instead\)$",
    ):
        SiteValues("w", np.ones(2), signed=True, curvature=np.array([-1.0, 1.0]))


def test_refuses_one_signed_bit():
    with pytest.raises(
        FormatError,
        match=r"^w: 1 bit leaves a signed format no positive integer: expected 2 bits "
        r"or more$",
    ):
        calibrate(SiteValues("w", np.ones(2), signed=True), 1)
