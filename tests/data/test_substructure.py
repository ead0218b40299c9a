"""Energy correlators against sums written out in plain Python, and closed forms."""

import math
from itertools import combinations
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from hawq.data.columns import CLASSES, FEATURES
from hawq.data.substructure import substructure
from hawq.paths import shipped

REFERENCE = (
    Path(__file__).parents[3] / "shared" / "data" / "jets"
) / "generated_reference_10k.npz"
ROUNDING = 2.0**-15
"""Relative error of a value in the embedded sample."""

Particle = tuple[float, float, float, float]


def _massless(pt: float, y: float, phi: float) -> Particle:
    return (
        pt * math.cos(phi),
        pt * math.sin(phi),
        pt * math.sinh(y),
        pt * math.cosh(y),
    )


def _random_jet(count: int, seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    pt = rng.exponential(20.0, count) + 0.5
    y, phi = rng.normal(0.7, 0.2, count), rng.normal(np.pi, 0.2, count)
    jet = np.array([_massless(*each) for each in zip(pt, y, phi, strict=True)])
    jet[::3, 3] *= 1.01  # every third particle has mass
    return jet


def _oracle(jet: NDArray[np.float64]) -> dict[str, float]:
    """The definitions, term by term."""
    pts = [math.hypot(px, py) for px, py, _, _ in jet]
    z = [pt / sum(pts) for pt in pts]
    y = [0.5 * math.log((e + pz) / (e - pz)) for _, _, pz, e in jet]
    phi = [math.atan2(py, px) for px, py, _, _ in jet]

    def angle(i: int, j: int) -> float:
        dphi = math.remainder(phi[i] - phi[j], 2 * math.pi)
        return math.hypot(y[i] - y[j], dphi)

    def e2(beta: float) -> float:
        pairs = combinations(range(len(jet)), 2)
        return sum(z[i] * z[j] * angle(i, j) ** beta for i, j in pairs)

    def e3(beta: float, angles: int) -> float:
        total = 0.0
        for i, j, k in combinations(range(len(jet)), 3):
            smallest = sorted([angle(i, j), angle(i, k), angle(j, k)])[:angles]
            total += z[i] * z[j] * z[k] * math.prod(smallest) ** beta
        return total

    mass2 = jet[:, 3].sum() ** 2 - sum(jet[:, axis].sum() ** 2 for axis in range(3))
    shares = [energy / jet[:, 3].sum() for energy in jet[:, 3]]
    return {
        "zlogz": sum(share * math.log(share) for share in shares),
        "c1_b0": e2(0),
        "c1_b1": e2(1),
        "c1_b2": e2(2),
        "c2_b1": e3(1, 3) / e2(1) ** 2,
        "c2_b2": e3(2, 3) / e2(2) ** 2,
        "d2_b1": e3(1, 3) / e2(1) ** 3,
        "d2_b2": e3(2, 3) / e2(2) ** 3,
        "d2_a1_b1": e3(1, 3) / e2(1) ** 3,
        "d2_a1_b2": e3(1, 3) / e2(2) ** 1.5,
        "m2_b1": e3(1, 1) / e2(1),
        "m2_b2": e3(2, 1) / e2(2),
        "n2_b1": e3(1, 2) / e2(1) ** 2,
        "n2_b2": e3(2, 2) / e2(2) ** 2,
        "mass": math.sqrt(mass2),
        "multiplicity": float(len(jet)),
    }


@pytest.mark.parametrize("count", [2, 3, 4, 12, 25])
def test_features_equal_their_definitions(count: int) -> None:
    jet = _random_jet(count, seed=count)
    expected = _oracle(jet)
    assert tuple(expected) == FEATURES
    # Sums of at most 2,300 positive terms in another order; φ straddles ±π.
    assert_allclose(substructure(jet, jet), list(expected.values()), rtol=1e-10)


def test_two_particles_have_closed_forms() -> None:
    jet = np.array([_massless(75.0, 0.0, 0.0), _massless(25.0, 0.2, 0.0)])
    found = dict(zip(FEATURES, substructure(jet, jet), strict=True))
    assert found["c1_b0"] == pytest.approx(0.75 * 0.25, rel=1e-12)
    assert found["c1_b1"] == pytest.approx(0.75 * 0.25 * 0.2, rel=1e-12)
    assert found["mass"] ** 2 == pytest.approx(
        2 * 75 * 25 * (math.cosh(0.2) - 1), rel=1e-9
    )
    assert [found[name] for name in FEATURES[4:14]] == [0.0] * 10


def test_zlogz_and_multiplicity_are_of_the_jet_before_grooming() -> None:
    jet = np.array([_massless(1.0, 0.0, 0.1 * place) for place in range(4)])
    found = dict(zip(FEATURES, substructure(jet, jet[:2]), strict=True))
    assert found["multiplicity"] == 4
    assert found["zlogz"] == pytest.approx(math.log(1 / 4), rel=1e-12)
    assert found["c1_b0"] == pytest.approx(1 / 4, rel=1e-12)


@pytest.fixture(scope="module")
def sample() -> dict[str, NDArray[np.float64]]:
    with h5py.File(shipped("models") / "jets" / "jets.h5") as file:
        table = file["jets"][:].astype(np.float64)
        names = [name.decode() for name in file["jetFeatureNames"][:]]
    return dict(zip(names, table.T, strict=True))


def test_the_sample_has_its_classes_in_equal_parts(
    sample: dict[str, NDArray[np.float64]],
) -> None:
    counts = [int(sample[f"j_{name}"].sum()) for name in CLASSES]
    assert min(counts) >= 14_000
    assert_array_equal(counts, [len(sample["mass"]) // 5] * 5)


def test_the_sample_obeys_the_identities(
    sample: dict[str, NDArray[np.float64]],
) -> None:
    assert_array_equal(sample["d2_a1_b1"], sample["d2_b1"])
    for beta in ("b1", "b2"):
        product = sample[f"d2_{beta}"] * sample[f"c1_{beta}"]
        assert_allclose(product, sample[f"c2_{beta}"], rtol=3 * ROUNDING)
    # 3α/β is 1.5 on the left and 3 on the right; each factor is rounded once.
    left = sample["d2_a1_b2"] * sample["c1_b2"] ** 1.5
    right = sample["d2_b1"] * sample["c1_b1"] ** 3
    assert_allclose(left, right, rtol=(1 + 1.5 + 1 + 3 + 0.1) * ROUNDING)


def test_mass_follows_the_second_correlator(
    sample: dict[str, NDArray[np.float64]],
) -> None:
    correlation = np.corrcoef(sample["mass"], np.sqrt(sample["c1_b2"]))[0, 1]
    assert 0.98 < correlation < 0.995  # 0.985 in the real jets, 0.992 in the reference


@pytest.mark.skipif(not REFERENCE.exists(), reason=f"{REFERENCE.name} is not here")
def test_no_feature_differs_from_the_reference_implementation(
    sample: dict[str, NDArray[np.float64]],
) -> None:
    with np.load(REFERENCE) as archive:
        x, y = archive["x"], archive["y"]
    p_values = [
        ks_2samp(
            sample[feature][sample[f"j_{name}"] == 1], x[y == label, column]
        ).pvalue
        for label, name in enumerate(CLASSES)
        for column, feature in enumerate(FEATURES)
    ]
    # 80 tests: chance alone gives one below this in a hundred samples.
    assert min(p_values) > 0.01 / len(p_values)
