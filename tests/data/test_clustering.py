"""Clustering and grooming against FastJet: the same constituents, the same momenta."""

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from hawq.data.clustering import cluster, constituents, delta_phi, groom, rapidity
from hawq.data.detector import detect
from hawq.data.pythia import shower, write_hard_events
from hawq.data.variant import DETECTORS, Variant

fastjet = pytest.importorskip("fastjet", reason="pip install 'hawq[jets]'")

EVENTS = 12
# Sums of at most a few hundred momenta in another order.
SUMMED = 1e-12
# m² = E² - p² loses (E/m)² ~ 10⁴ … 10⁶ of it.
MASS2 = 1e-9


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[NDArray[np.float64]]:
    """Top and gluon events as the detector sees them."""
    seen = []
    generator = np.random.default_rng(3)
    for jet_class in ("t", "g"):
        path: Path = tmp_path_factory.mktemp("lhe") / f"{jet_class}.lhe"
        write_hard_events(path, jet_class, EVENTS, seed=1)
        for batch in shower(path, seed=2):
            for start, stop in zip(batch.offsets, batch.offsets[1:], strict=False):
                stable = np.flatnonzero(batch.is_stable[start:stop]) + start
                seen.append(
                    detect(
                        batch.pdg_id[stable],
                        batch.momenta[stable],
                        DETECTORS[Variant.DEFAULT],
                        generator,
                    )
                )
    return seen


def _pseudojets(particles: NDArray[np.float64]) -> list[object]:
    jets = [fastjet.PseudoJet(*map(float, particle)) for particle in particles]
    for index, jet in enumerate(jets):
        jet.set_user_index(index)
    return jets


def _members(jet: object) -> list[int]:
    return sorted(each.user_index() for each in jet.constituents())  # type: ignore[attr-defined]


def _four(jet: object) -> list[float]:
    return [jet.px(), jet.py(), jet.pz(), jet.E()]  # type: ignore[attr-defined]


def test_the_leading_jet_is_fastjets(events: list[NDArray[np.float64]]) -> None:
    assert len(events) == 2 * EVENTS
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, 0.4)
    for particles in events:
        sequence = fastjet.ClusterSequence(_pseudojets(particles), definition)
        expected = fastjet.sorted_by_pt(sequence.inclusive_jets())[0]
        found = cluster(particles, 0.4, -1, True)
        members = constituents(found.leading, found.parents, len(particles))
        assert_array_equal(members, _members(expected))
        momentum = found.momenta[found.leading]
        assert_allclose(momentum, _four(expected), rtol=SUMMED, atol=1e-9)
        mass2 = momentum[3] ** 2 - (momentum[:3] ** 2).sum()
        assert mass2 == pytest.approx(expected.m2(), rel=MASS2, abs=1e-6)


@pytest.mark.parametrize("radius", [0.4, 0.8, 1.2])
@pytest.mark.parametrize("power", [-1, 0])
def test_every_jet_is_fastjets(
    events: list[NDArray[np.float64]], radius: float, power: int
) -> None:
    algorithm = {-1: fastjet.antikt_algorithm, 0: fastjet.cambridge_algorithm}[power]
    definition = fastjet.JetDefinition(algorithm, radius)
    for particles in events[::6]:
        sequence = fastjet.ClusterSequence(_pseudojets(particles), definition)
        found = cluster(particles, radius, power, False)
        jets = [
            constituents(jet, found.parents, len(particles)).tolist()
            for jet in found.jets
        ]
        assert sorted(jets) == sorted(map(_members, sequence.inclusive_jets()))


def test_grooming_is_fastjets(events: list[NDArray[np.float64]]) -> None:
    ak = pytest.importorskip("awkward", reason="pip install 'hawq[jets]'")
    definition = fastjet.JetDefinition(fastjet.cambridge_algorithm, 1000.0)
    for particles in events:
        found = cluster(particles, 0.4, -1, True)
        jet = particles[constituents(found.leading, found.parents, len(particles))]
        array = ak.zip(
            dict(zip(("px", "py", "pz", "E"), jet.T, strict=True)),
            with_name="Momentum4D",
        )
        sequence = fastjet.ClusterSequence(array[None], definition)
        expected = sequence.exclusive_jets_softdrop_grooming(
            njets=1, beta=0.0, symmetry_cut=0.1, R0=0.4
        )
        kept = jet[groom(jet, 0.1)]
        theirs = np.stack(
            [
                ak.to_numpy(ak.flatten(expected.constituents[axis], axis=None))
                for axis in ("px", "py", "pz", "E")
            ],
            axis=1,
        )
        # The very same numbers, in another order.
        assert_array_equal(kept[np.lexsort(kept.T)], theirs[np.lexsort(theirs.T)])
        total = kept.sum(axis=0)
        pt = ak.to_numpy(ak.flatten(expected.ptsoftdrop, axis=None))
        mass = ak.to_numpy(ak.flatten(expected.msoftdrop, axis=None))
        assert_allclose(math.hypot(total[0], total[1]), pt, rtol=SUMMED)
        mass2 = total[3] ** 2 - (total[:3] ** 2).sum()
        assert_allclose(mass2, mass**2, rtol=MASS2, atol=1e-6)


def _massless(pt: float, y: float, phi: float) -> list[float]:
    return [
        pt * math.cos(phi),
        pt * math.sin(phi),
        pt * math.sinh(y),
        pt * math.cosh(y),
    ]


def test_soft_wide_branches_are_groomed_away() -> None:
    jet = np.array([
        _massless(100.0, 0.0, 0.0),
        _massless(60.0, 0.1, 0.0),
        _massless(10.0, 0.0, 0.3),
        _massless(5.0, -0.35, 0.0),
    ])
    assert groom(jet, 0.1).tolist() == [0, 1]


def test_a_jet_without_a_balanced_merge_has_nothing_left() -> None:
    jet = np.array([_massless(100.0, 0.0, 0.0), _massless(5.0, 0.1, 0.0)])
    assert groom(jet, 0.1).size == 0


def test_jets_reach_across_the_azimuths_end() -> None:
    particles = np.array([
        _massless(100.0, 0.0, math.pi - 0.1),
        _massless(50.0, 0.0, -math.pi + 0.1),
        _massless(70.0, 0.0, 0.0),
    ])
    found = cluster(particles, 0.4, -1, False)
    assert constituents(found.leading, found.parents, 3).tolist() == [0, 1]
    assert len(found.jets) == 2


def test_no_particles_make_no_jet() -> None:
    found = cluster(np.empty((0, 4)), 0.4, -1, True)
    assert found.leading == -1
    assert found.jets.size == 0


def test_rapidity_has_its_closed_form_even_where_it_cancels() -> None:
    assert rapidity(3.0, 4.0, 5 * math.sinh(1.5), 5 * math.cosh(1.5)) == pytest.approx(
        1.5, rel=1e-12
    )
    far = 5 * math.cosh(20.0), 5 * math.sinh(20.0)
    assert rapidity(3.0, 4.0, -far[1], far[0]) == pytest.approx(-20.0, abs=0.05)


def test_delta_phi_is_the_shorter_way_round() -> None:
    assert delta_phi(3.0, -3.0) == pytest.approx(2 * math.pi - 6.0, rel=1e-12)
    assert delta_phi(-1.0, 1.5) == 2.5
