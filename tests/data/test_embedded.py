"""The jets that ship with hawq are what their card says."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from hawq.data.columns import CLASSES, FEATURES
from hawq.data.readers import read_dataset
from hawq.data.stage import embedded_jets

CARD_FILE = embedded_jets().parent / "card.toml"
CARD = tomllib.loads(CARD_FILE.read_text())["data"]["made"]


@pytest.fixture(scope="module")
def of() -> Callable[[str], np.ndarray]:
    """Give a column, in float64."""
    x = read_dataset(embedded_jets(), FEATURES, CLASSES).x.astype(np.float64)
    return lambda name: x[:, FEATURES.index(name)]


def test_the_file_is_the_cards() -> None:
    content = embedded_jets().read_bytes()
    assert hashlib.sha256(content).hexdigest() == CARD["sha256"]
    assert len(content) <= 4_000_000


def test_the_file_says_how_it_was_made() -> None:
    with h5py.File(embedded_jets()) as file:
        attributes = dict(file.attrs)
    assert attributes["command"] == CARD["command"]
    assert attributes["seed"] == CARD["seed"]
    assert attributes["mantissa_bits"] == CARD["mantissa_bits"]
    versions = [k for k in CARD if k.startswith("version_")]
    assert len(versions) == 4
    assert {k: attributes[k] for k in versions} == {k: CARD[k] for k in versions}


def test_every_class_has_its_jets() -> None:
    data = read_dataset(embedded_jets(), FEATURES, CLASSES)
    np.testing.assert_array_equal(np.bincount(data.y), [CARD["jets_per_class"]] * 5)


def test_d2_a1_b1_is_d2_b1(of: Callable[[str], np.ndarray]) -> None:
    np.testing.assert_array_equal(of("d2_a1_b1"), of("d2_b1"))


# Each factor is rounded to a relative 2^-15: the product of up to 7.5 powers of them
# strays by at most 7.5 times that.
ROUNDING = 7.5 * 2.0**-15


@pytest.mark.parametrize("beta", ["b1", "b2"])
def test_c2_is_d2_times_c1(of: Callable[[str], np.ndarray], beta: str) -> None:
    product = of(f"d2_{beta}") * of(f"c1_{beta}")
    np.testing.assert_allclose(of(f"c2_{beta}"), product, rtol=ROUNDING, atol=1e-12)


def test_mixed_d2_is_tied_to_the_others(of: Callable[[str], np.ndarray]) -> None:
    left = of("d2_a1_b2") * of("c1_b2") ** 1.5
    right = of("d2_b1") * of("c1_b1") ** 3
    some = right > 0
    np.testing.assert_allclose(left[some], right[some], rtol=ROUNDING)


def test_mass_goes_with_the_root_of_c1(of: Callable[[str], np.ndarray]) -> None:
    r = np.corrcoef(of("mass"), np.sqrt(of("c1_b2")))[0, 1]
    # Real jets: 0.985, by a scaler known to 1 or 2 %; an independent generator: 0.992.
    assert 0.98 < r < 0.995


def test_the_card_is_beside_the_file() -> None:
    assert Path(CARD["file"]).name == embedded_jets().name
