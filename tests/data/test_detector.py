"""The detector: who is seen where, and how well."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from hawq.data.detector import Kind, detect, fill_cells, particle_kind, relative_width
from hawq.data.variant import DETECTORS, Detector, Variant

PERFECT = Detector(hadron_cell=0.01, photon_cell=0.005, width_scale=0.0)


def _see(
    particles: list[tuple[int, float, float, float]], detector: Detector = PERFECT
) -> NDArray[np.float64]:
    """Show particles, given as PDG number, pT, η, φ, massless."""
    momenta = np.array([
        (
            pt * math.cos(phi),
            pt * math.sin(phi),
            pt * math.sinh(eta),
            pt * math.cosh(eta),
        )
        for _, pt, eta, phi in particles
    ])
    ids = np.array([each[0] for each in particles], np.int32)
    return detect(ids, momenta, detector, np.random.default_rng(0))


def _pt_eta_phi(seen: NDArray[np.float64]) -> NDArray[np.float64]:
    pt = np.hypot(seen[:, 0], seen[:, 1])
    return np.stack(
        [pt, np.arcsinh(seen[:, 2] / pt), np.arctan2(seen[:, 1], seen[:, 0])], axis=1
    )


@pytest.mark.parametrize(
    ("pdg_id", "kind"),
    [
        (211, Kind.CHARGED_HADRON),
        (-2212, Kind.CHARGED_HADRON),
        (130, Kind.NEUTRAL_HADRON),
        (-2112, Kind.NEUTRAL_HADRON),
        (22, Kind.PHOTON),
        (-11, Kind.LEPTON),
        (13, Kind.LEPTON),
        (12, Kind.DROPPED),
        (-14, Kind.DROPPED),
        (16, Kind.DROPPED),
        (1000010020, Kind.DROPPED),
    ],
)
def test_particles_are_classified(pdg_id: int, kind: Kind) -> None:
    assert particle_kind(pdg_id) == kind


def test_tracks_and_leptons_stay_as_they_are() -> None:
    particles = [(211, 220.0, 0.1234, 0.4567), (-13, 900.0, 3.5, -3.0)]
    # Four-momenta to η and back: a few roundings.
    expected = [each[1:] for each in particles]
    assert_allclose(_pt_eta_phi(_see(particles)), expected, rtol=1e-12)


def test_hard_charged_hadrons_fill_hadron_cells() -> None:
    seen = _pt_eta_phi(_see([(211, 220.1, 0.1234, 0.0)]))
    row, column = math.floor(0.1234 / 0.01), math.floor(math.pi / 0.01)
    centre = ((row + 0.5) * 0.01, (column + 0.5) * 0.01 - math.pi)
    assert_allclose(seen[0, 1:], centre, rtol=1e-9)
    energy = 220.1 * math.cosh(0.1234)
    assert seen[0, 0] == pytest.approx(energy / math.cosh(centre[0]), rel=1e-12)


def test_a_cell_is_one_massless_particle_with_the_summed_energy() -> None:
    seen = _see([(22, 3.0, 0.011, 1.0), (22, 4.0, 0.013, 1.0), (22, 5.0, -0.001, 1.0)])
    assert seen.shape == (2, 4)
    together = 3.0 * math.cosh(0.011) + 4.0 * math.cosh(0.013)
    assert_allclose(seen[:, 3], [5.0 * math.cosh(0.001), together], rtol=1e-12)
    assert_allclose(np.linalg.norm(seen[:, :3], axis=1), seen[:, 3], rtol=1e-12)


def test_photons_and_hadrons_fill_cells_of_their_own() -> None:
    assert _see([(22, 3.0, 0.5, 1.0), (130, 3.0, 0.5, 1.0)]).shape == (2, 4)


def test_neutrinos_and_what_is_beyond_the_cells_are_lost() -> None:
    particles = [(14, 50.0, 0.0, 0.0), (22, 50.0, 3.01, 0.0), (130, 50.0, -3.01, 0.0)]
    assert _see(particles).shape == (0, 4)


def test_cells_at_both_ends_of_the_azimuth_are_apart() -> None:
    phi = np.array([-math.pi, math.pi - 1e-9])
    cells = fill_cells(np.zeros(2), phi, np.ones(2), 0.01)
    assert cells.shape == (2, 4)


@pytest.mark.parametrize(
    ("kind", "pt", "energy", "width"),
    [
        (Kind.CHARGED_HADRON, 80.0, 500.0, math.hypot(0.02, 0.015)),
        (Kind.NEUTRAL_HADRON, 1.0, 7.0, math.hypot(1.20, 0.05)),
        (Kind.PHOTON, 1.0, 1.6, math.hypot(0.027, 0.15, 0.005)),
    ],
)
def test_widths_have_their_formulas(
    kind: Kind, pt: float, energy: float, width: float
) -> None:
    assert relative_width(kind, pt, energy) == pytest.approx(width, rel=1e-12)


def test_four_momenta_are_scaled_by_gaussians_of_half_the_width() -> None:
    count = 20_000
    seen = _see([(211, 80.0, 0.3, 0.2)] * count, DETECTORS[Variant.DEFAULT])
    factor = np.hypot(seen[:, 0], seen[:, 1]) / 80.0
    width = 0.5 * 0.025
    # Five standard errors of a mean and of a standard deviation.
    assert abs(factor.mean() - 1) < 5 * width / math.sqrt(count)
    assert abs(factor.std() / width - 1) < 5 / math.sqrt(2 * count)
    assert_allclose(seen / seen[:, 3:], np.tile(seen[0] / seen[0, 3], (count, 1)))


def test_no_particle_is_turned_around() -> None:
    # At 0.05 GeV the neutral width is 700 %: half the factors would be negative.
    wide = Detector(hadron_cell=1e-4, photon_cell=1e-4, width_scale=1.0)
    soft = [(130, 0.05, 0.001 * place, 0.0) for place in range(200)]
    seen = _see(soft, wide)
    assert (seen[:, 3] > 0).all()
    assert (seen[:, 3] < 1e-9).sum() > 50


def test_the_cernbox_detector_is_coarser() -> None:
    assert_array_equal(DETECTORS[Variant.CERNBOX][:3], (0.022, 0.0175, 1.0))
    assert_array_equal(DETECTORS[Variant.DEFAULT][:3], (0.01, 0.005, 0.5))
