"""Two sets of jets: equal ones agree, different ones do not, units are found."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import ks_2samp

from hawq.data.columns import CLASSES, FEATURES
from hawq.data.compare import AffineMap, compare, match
from hawq.data.dataset import Dataset
from hawq.data.readers import read_dataset
from hawq.errors import DataError

SHARED = Path(__file__).parents[3] / "shared" / "data" / "jets"


def _dataset(samples: int, seed: int, gain: float = 1, offset: float = 0) -> Dataset:
    """Two classes: a peak with a tail and a broad one; a heavy tail in column two."""
    rng = np.random.default_rng(seed)
    y = np.arange(samples) % 2
    first = np.where(y == 0, rng.exponential(0.2, samples), rng.normal(2, 1, samples))
    second = rng.pareto(2.5, samples) + y
    x = gain * np.column_stack([first, second]) + offset
    return Dataset(x, y, ("mass", "c2"), ("g", "q"))


def test_distance_of_shifted_uniforms_is_the_shift() -> None:
    x = (np.arange(1000) + 0.5) / 1000
    y = np.zeros(1000, int)
    first, second = (
        Dataset(values[:, None], y, ("mass",), ("g",)) for values in (x, x + 0.3)
    )
    agreement = compare(first, second)
    assert_allclose(agreement.distance, [[0.3]], atol=0.001)
    assert agreement.p_value[0, 0] < 1e-30


def test_classes_are_compared_apart() -> None:
    first = _dataset(400, seed=1)
    second = _dataset(600, seed=2)
    agreement = compare(first, second)
    test = ks_2samp(first.x[first.y == 1, 0], second.x[second.y == 1, 0])
    assert agreement.distance.shape == (2, 2)
    assert agreement.distance[1, 0] == test.statistic
    assert agreement.p_value[1, 0] == test.pvalue


def test_units_are_found_and_shapes_agree() -> None:
    source = _dataset(20_000, seed=1)
    target = _dataset(600, seed=2, gain=0.02, offset=-1.3)
    found = match(source, target)
    # 300 samples a class fix a scale to a few per cent.
    assert_allclose(found.gain, 0.02, rtol=0.1)
    assert_allclose(found.offset, -1.3, atol=0.01)
    assert compare(found.apply(source), target).p_value.min() > 0.05


def test_a_different_shape_is_not_absorbed_by_the_units() -> None:
    source = _dataset(20_000, seed=1)
    target = _dataset(600, seed=2)
    square = target.x.copy()
    square[:, 1] **= 2
    other = Dataset(square, target.y, target.features, target.classes)
    agreement = compare(match(source, other).apply(source), other)
    assert agreement.p_value[:, 1].min() < 1e-4
    assert agreement.p_value[:, 0].min() > 0.05


def test_inverse() -> None:
    there = AffineMap(np.array([2.0, 0.5]), np.array([1.0, -3.0]))
    dataset = _dataset(50, seed=1)
    back = there.inverse().apply(there.apply(dataset))
    assert_allclose(back.x, dataset.x, rtol=1e-5, atol=1e-5)


def test_sets_of_other_features() -> None:
    first = _dataset(50, seed=1)
    second = Dataset(first.x, first.y, ("mass", "d2"), first.classes)
    message = r"^the sets cannot be compared: their features are mass, c2 and mass, d2$"
    with pytest.raises(DataError, match=message):
        compare(first, second)


def test_reference_jets_have_the_shapes_of_real_ones() -> None:
    names = ("generated_reference_10k.npz", "jsc_openml_600.npz")
    paths = [SHARED / name for name in names]
    if not all(path.is_file() for path in paths):
        pytest.skip(f"{SHARED} does not hold {' and '.join(names)}")
    generated, real = (read_dataset(path, FEATURES, CLASSES) for path in paths)
    units = match(generated, real)
    agreement = compare(units.apply(generated), real)
    # 80 tests: Bonferroni.
    assert agreement.p_value.min() > 0.05 / 80
    mass = FEATURES.index("mass")
    # The real set's scaler, recovered independently from its identities.
    assert_allclose(1 / units.gain[mass], 55.5, rtol=0.03)
    assert_allclose(-units.offset[mass] / units.gain[mass], 75.1, rtol=0.03)
