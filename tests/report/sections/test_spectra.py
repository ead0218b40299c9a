import numpy as np
import pytest
from numpy.testing import assert_allclose

from hawq.data.dataset import Dataset
from hawq.errors import DataError
from hawq.report.sections import spectra


def jets(samples: int, seed: int, shift: float = 0.0) -> Dataset:
    rng = np.random.default_rng(seed)
    y = np.arange(samples) % 2
    x = np.stack(
        [rng.normal(shift, 1, samples), rng.poisson(50, samples)], axis=1
    ).astype(np.float32)
    return Dataset(x, y, ("mass", "multiplicity"), ("g", "q"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("c1_b0", "$C_1^{β=0}$"),
        ("d2_a1_b2", "$D_2^{(1,2)}$"),
        ("mass", "groomed mass [GeV]"),
        ("pt", "pt"),
    ],
)
def test_feature_title(name: str, expected: str) -> None:
    assert spectra.feature_title(name) == expected


def test_every_jet_is_counted_or_said_to_be_outside() -> None:
    found = spectra.measure(jets(1000, 1))
    for spectrum in found.features:
        inside = sum(sum(counts) for counts in spectrum.counts.values())
        assert inside + spectrum.outside == 1000
        assert spectrum.outside <= 12  # 1 % and the edges' own jets


def test_bins_of_whole_numbers_hold_equally_many() -> None:
    edges = np.array(spectra.measure(jets(1000, 1)).features[1].edges)
    width = np.diff(edges)
    assert_allclose(width, round(width[0]))
    assert edges[0] % 1 == 0.5


def test_a_constant_feature_has_bins() -> None:
    x = np.full((4, 1), 0.25, np.float32)
    constant = Dataset(x, np.array([0, 1, 0, 1]), ("f",), ("g", "q"))
    spectrum = spectra.measure(constant).features[0]
    assert spectrum.outside == 0
    assert sum(spectrum.counts["g"]) == 2


def test_generated_jets_are_mixed_as_the_real_ones() -> None:
    generated, real = jets(4000, 1), jets(300, 2).take(np.r_[0:200:2, 1:101:2])
    found = spectra.against_real(
        spectra.measure(generated), generated, real, is_matched=False
    )
    assert found.real_jets == {"g": 100, "q": 50}
    total = sum(found.real[0].generated)
    assert_allclose(total, 150, rtol=0.03)  # 1 % lies beyond the edges


def test_distances_see_a_shift_and_only_it() -> None:
    generated, real = jets(4000, 1), jets(1000, 2, shift=0.5)
    mass, multiplicity = spectra.against_real(
        spectra.measure(generated), generated, real, is_matched=False
    ).real
    assert max(mass.p_value.values()) < 1e-6
    assert min(multiplicity.p_value.values()) > 1e-3
    # Two unit Gaussians half a unit apart: Φ(1/4) - Φ(-1/4) = 0.197.
    assert_allclose(list(mass.distance.values()), 0.197, atol=0.06)


def test_other_features_are_refused() -> None:
    generated = jets(100, 1)
    other = Dataset(generated.x, generated.y, ("a", "b"), ("g", "q"))
    with pytest.raises(DataError, match="features"):
        spectra.against_real(
            spectra.measure(generated), generated, other, is_matched=False
        )


def test_figures_name_every_feature() -> None:
    generated = jets(400, 1)
    found = spectra.against_real(
        spectra.measure(generated), generated, jets(100, 2), is_matched=True
    )
    for draw in (spectra.draw, spectra.draw_real):
        labels = [axes.get_xlabel() for axes in draw(found).axes]
        assert labels == ["groomed mass [GeV]", "multiplicity"]
    cells = spectra.draw_distances(found).axes[0].texts
    assert len(cells) == 4
