"""Columns are found by name in every convention of the field, and never mixed up."""

import pytest

from hawq.data.columns import CLASSES, FEATURES
from hawq.data.matching import match_features, match_one_hot
from hawq.errors import DataError

UNGROOMED = ("zlogz", "multiplicity")
SUFFIXED = [f if f in UNGROOMED else f"{f}_mmdt" for f in FEATURES]


@pytest.mark.parametrize(
    "names",
    [
        list(FEATURES),
        SUFFIXED,
        [f"j_{name}" for name in SUFFIXED],
        [f"j_{name}".upper() for name in SUFFIXED],
        [f" {name} " for name in FEATURES],
    ],
)
def test_every_convention(names: list[str]) -> None:
    shuffled = [*names[5:], *names[:5]]
    found = match_features(FEATURES, shuffled, "jets.h5")
    assert [shuffled[j] for j in found] == names


def test_groomed_column_is_taken_where_both_are_there() -> None:
    # The large files hold the ungroomed j_mass and j_c1_b0 too.
    names = ["j_mass", "j_c1_b0", "j_mass_mmdt", "j_zlogz", "j_c1_b0_mmdt"]
    assert match_features(("mass", "c1_b0", "zlogz"), names, "jets.h5") == [2, 4, 3]


def test_ungroomed_column_does_not_stand_in_for_a_groomed_one() -> None:
    names = ["j_mass", "j_c1_b0_mmdt"]
    message = (
        r"^jets\.h5: no column for 'mass' \(is it 'j_mass'\?\)\. The file's columns: "
        r"j_mass, j_c1_b0_mmdt$"
    )
    with pytest.raises(DataError, match=message):
        match_features(("mass", "c1_b0"), names, "jets.h5")


def test_a_full_name_means_itself() -> None:
    names = ["j_mass", "j_mass_mmdt", "j_tau21", "j_tau21_mmdt"]
    wanted = ("j_mass", "j_mass_mmdt", "j_tau21_mmdt", "tau21")
    assert match_features(wanted, names, "jets.h5") == [0, 1, 3, 2]


def test_a_suffixed_feature_in_a_file_without_suffixes() -> None:
    assert match_features(("j_mass_mmdt",), ["mass"], "jets.csv") == [0]


def test_all_missing_columns_are_named() -> None:
    message = (
        r"^jets\.csv: no column for 'c1_b0', 'multiplicity' \(is it 'multiplicty'\?\)"
        r"\. The file's columns: multiplicty, mass$"
    )
    with pytest.raises(DataError, match=message):
        match_features(
            ("c1_b0", "mass", "multiplicity"), ["multiplicty", "mass"], "jets.csv"
        )


def test_ambiguous_column() -> None:
    message = (
        r"^jets\.csv: 'mass' could be any of the columns 'Mass', 'j_mass': rename all "
        r"but one$"
    )
    with pytest.raises(DataError, match=message):
        match_features(("mass",), ["Mass", "j_mass"], "jets.csv")


def test_one_hot_columns_in_the_order_of_the_classes() -> None:
    names = ["mass", "j_g", "j_q", "j_w", "j_z", "j_t", "j_undef"]
    assert match_one_hot(CLASSES, names) == {"g": 1, "q": 2, "t": 5, "w": 3, "z": 4}
    assert match_one_hot(CLASSES, ["Z", "W", "j_t", "t"]) == {"t": 2, "w": 1, "z": 0}
